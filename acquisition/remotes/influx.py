"""InfluxDB as a remote: one batch out, one verdict back, through `influxdb_client`'s synchronous write."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, SSLError, TimeoutError

from acquisition.errors import ConfigurationError
from acquisition.remotes.answer import Answer, Verdict

TIMEOUT = 10.0
LEVEL = 1
"""Of compression: 11 times smaller at 3.4 M samples per CPU-second."""
_DROPPED = re.compile(r" ?\bdropped=(\d+)")


class InfluxWriter:
    """Writes line protocol into one bucket; from one thread.

    `token` is asked at the start and again whenever the server refuses it, so that a new one needs no restart.
    """

    def __init__(
        self,
        url: str,
        org: str,
        bucket: str,
        token: str | Callable[[], str],
        timeout: float = TIMEOUT,
        ca_file: str | None = None,
        compressed: bool = False,
    ) -> None:
        logging.getLogger().addFilter(_hide_answers)
        self._ask_token = token if callable(token) else lambda: token
        self._bucket, self._org = bucket, org
        self._token = self._ask_token()
        self._client = InfluxDBClient(url, token=self._token, org=org, timeout=int(timeout * 1000), ssl_ca_cert=ca_file)
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        self._compressed = compressed
        if compressed:
            self._client.api_client.default_headers["Content-Encoding"] = "gzip"

    def send(self, text: str) -> Answer:
        """Write lines; never raises for what a server or network may do."""
        data = text.encode()
        if self._compressed:  # not by the client itself: its level 9 takes 15 times as long for a quarter less
            data = gzip.compress(data, LEVEL, mtime=0)
        try:
            self._api.write(self._bucket, self._org, data)  # ns is its default
        except InfluxDBError as error:
            return self._judge(error)
        except SSLError as error:
            return Answer(Verdict.HOLD, self._clean(f"the server's certificate is not trusted: {error}"))
        except (ConnectTimeoutError, NameResolutionError) as error:
            return Answer(Verdict.KEEP, self._clean(f"{type(error).__name__}: {error}"))
        except TimeoutError:
            return Answer(Verdict.SLOW, "no answer in time")
        except (HTTPError, OSError) as error:
            return Answer(Verdict.KEEP, self._clean(f"{type(error).__name__}: {error}"))
        return self._judge_success()

    def close(self) -> None:
        """Close the connection."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    def _judge_success(self) -> Answer:
        """A page that greets everybody with 200, such as a network's login, has not stored anything."""
        response: Any = self._client.api_client.last_response
        if response.status == 204 or not response.data:
            return Answer(Verdict.ACCEPTED)
        return Answer(Verdict.HOLD, f"HTTP {response.status} with a page: this is no InfluxDB")

    def _judge(self, error: InfluxDBError) -> Answer:
        response: Any = getattr(error, "response", None)
        status = int(getattr(response, "status", None) or 0)
        body = getattr(response, "data", None) or ""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
        message = _message(text)
        headers = response.getheaders() if response is not None else {}
        dropped = _DROPPED.search(message)
        words = _DROPPED.sub("", message) or _words(text) or getattr(response, "reason", "")
        reason = self._clean(f"HTTP {status}: {words}")
        verdict = _verdict(status, bool(message))
        if status in (401, 403):
            self._renew_token()
        return Answer(verdict, reason, _seconds(headers.get("Retry-After")), int(dropped[1]) if dropped else None)

    def _renew_token(self) -> None:
        try:
            token = self._ask_token()
        except ConfigurationError:
            return
        if token != self._token:
            self._token = token
            self._client.api_client.default_headers["Authorization"] = f"Token {token}"

    def _clean(self, text: str) -> str:
        """A short reason without the token, whatever a server or library echoes."""
        return text.replace(self._token, "***")[:300]


def _verdict(status: int, own_words: bool) -> Verdict:
    """What an answer other than 2xx means; `own_words`: it carries an error as InfluxDB writes them."""
    if status in (400, 422):
        # A proxy's own 400 (plain HTTP to a TLS port, for one) says nothing about the lines.
        return Verdict.REJECT if own_words else Verdict.HOLD
    if status == 413:
        return Verdict.TOO_LARGE
    if status >= 500 or status in (0, 408, 425, 429):
        return Verdict.KEEP
    return Verdict.HOLD


def _hide_answers(record: logging.LogRecord) -> bool:
    """Keep out of the log what `influxdb_client` says of answers that are no JSON: they may echo the token."""
    return not str(record.msg).startswith("Cannot parse error response")


def _message(body: str) -> str:
    """The error that InfluxDB states in its JSON; empty where this is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    return str(found.get("message") or found.get("error") or "")


def _words(body: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def _seconds(value: str | None) -> float | None:
    """The header Retry-After: seconds or a date."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
