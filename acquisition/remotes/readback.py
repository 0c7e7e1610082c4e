"""Reads samples back out of InfluxDB, by InfluxQL, which versions 1, 2 and 3 answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import urllib3

from acquisition.errors import RemoteError
from acquisition.remotes.reader import Place

TIMEOUT = 60.0
Columns = Mapping[str, Sequence[Any]]


class Source(Protocol):
    """Answers one InfluxQL statement."""

    def ask(self, statement: str) -> Columns:
        """Columns by name, `time` in ns; empty where nothing fits. RemoteError where there is no answer."""


class InfluxReader:
    """A bucket as InfluxQL sees it: a database of its name."""

    def __init__(self, url: str, bucket: str, token: str, ca_file: str | None = None) -> None:
        self._url = url.rstrip("/") + "/query"
        self._bucket = bucket
        self._token = token
        self._pool = urllib3.PoolManager(ca_certs=ca_file, timeout=TIMEOUT, retries=False)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def ask(self, statement: str) -> Columns:
        """Columns by name, `time` in ns; empty where nothing fits. RemoteError where there is no answer."""
        fields = {"db": self._bucket, "epoch": "ns", "q": statement}
        headers = {"Authorization": f"Token {self._token}", "Accept": "application/json"}
        try:
            answer = self._pool.request("POST", self._url, fields=fields, headers=headers, encode_multipart=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._fault(type(error).__name__, "is the server up, and [influx] url right?") from None
        if answer.status != 200:
            said = answer.data.decode("utf-8", "replace").replace(self._token, "***")[:200].strip()
            raise self._fault(
                f"HTTP {answer.status}: {said}",
                "401 and 403: the token may not read the bucket; 404: InfluxDB 2 needs a mapping of database to bucket",
            )
        try:
            (result,) = json.loads(answer.data, parse_int=_integer)["results"]
        except (ValueError, KeyError, TypeError):
            raise self._fault("an answer that is none of InfluxQL", "is [influx] url that of an InfluxDB?") from None
        if "error" in result:
            raise self._fault(str(result["error"])[:200], "does the bucket exist?")
        series = result.get("series") or [{"columns": [], "values": []}]
        return dict(zip(series[0]["columns"], zip(*series[0]["values"], strict=True), strict=True))

    def _fault(self, what: str, remedy: str) -> RemoteError:
        return RemoteError(f"the samples cannot be read back: {what}", self._url, remedy=remedy)


def condition(place: Place, start: int, stop: int) -> str:
    """The source and condition of a query for start <= time < stop, ns."""
    tags = "".join(f" AND {_name(tag)} = {_text(value)}" for tag, value in place.tags)
    return f"FROM {_name(place.measurement)} WHERE time >= {start} AND time < {stop}{tags}"


def _integer(text: str) -> float:
    """InfluxDB writes the float -0.0 as -0."""
    return -0.0 if text == "-0" else int(text)


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
