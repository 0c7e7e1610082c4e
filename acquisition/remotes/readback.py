"""Reads samples back out of InfluxDB, by InfluxQL, which versions 1, 2 and 3 answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from urllib3.exceptions import HTTPError

from acquisition.errors import RemoteError
from acquisition.remotes.exchange import Budget, Exchange, OverBudget
from acquisition.remotes.reader import Place
from acquisition.text import clean

TIMEOUT = 60.0
WHOLE = 300.0
"""Seconds that an answer may take, which the server has to read off its disk."""
VALUE = 40
"""Bytes in JSON that one value takes at most: a tag, of 32 characters, is a value of each row too."""
OWN = 16
"""Values of each row beside the channels and their flags: time, numbers, tags."""
Columns = Mapping[str, Sequence[Any]]


class Source(Protocol):
    """Answers one InfluxQL statement."""

    def ask(self, statement: str, rows: int = 1, channels: int = 0) -> Columns:
        """Columns by name, `time` in ns; empty where nothing fits. RemoteError where there is no answer.

        `rows` of so many `channels` are expected; an answer that is far longer is none.
        """


class InfluxReader:
    """A bucket as InfluxQL sees it: a database of its name."""

    def __init__(self, url: str, bucket: str, token: str, ca_file: str | None = None) -> None:
        self._url = url.rstrip("/") + "/query"
        self._bucket = bucket
        self._token = token
        self._exchange = Exchange(TIMEOUT, ca_file=ca_file)

    def close(self) -> None:
        """Close the connections."""
        self._exchange.clear()

    def ask(self, statement: str, rows: int = 1, channels: int = 0) -> Columns:
        """Columns by name, `time` in ns; empty where nothing fits. RemoteError where there is no answer."""
        fields = {"db": self._bucket, "epoch": "ns", "q": statement}
        headers = {"Authorization": f"Token {self._token}", "Accept": "application/json"}
        # A server may hold more rows than are expected: what was refused and stored, or of a run before.
        budget = Budget(Budget().size + 2 * rows * (OWN + 2 * channels) * VALUE, WHOLE)
        try:
            answer = self._exchange.request(
                "POST", self._url, budget=budget, fields=fields, headers=headers, encode_multipart=False
            )
        except OverBudget as error:
            raise self._fault(str(error), "is [influx] url that of an InfluxDB?") from None
        except (HTTPError, OSError) as error:
            raise self._fault(type(error).__name__, "is the server up, and [influx] url right?") from None
        if answer.status != 200:
            said = clean(clean(answer.data.decode("utf-8", "replace"), 4000).replace(self._token, "***"), 200).strip()
            raise self._fault(
                f"HTTP {answer.status}: {said}",
                "401 and 403: the token may not read the bucket; 404: InfluxDB 2 needs a mapping of database to bucket",
            )
        try:
            (result,) = json.loads(answer.data, parse_int=_integer)["results"]
            if "error" in result:
                raise self._fault(clean(str(result["error"]), 200), "does the bucket exist?")
            series = result.get("series") or [{"columns": [], "values": []}]
            return dict(zip(series[0]["columns"], zip(*series[0]["values"], strict=True), strict=True))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise self._fault("an answer that is none of InfluxQL", "is [influx] url that of an InfluxDB?") from None

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
