"""InfluxDB as a remote: one batch out, one verdict back, through `influxdb_client`'s synchronous write."""

from __future__ import annotations

import gzip
import json
import logging
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, TimeoutError

from acquisition.errors import ConfigurationError
from acquisition.remotes.exchange import Budget, Exchange, OverBudget, Reply
from acquisition.remotes.write_result import Answer, WriteVerdict
from acquisition.text import clean

TIMEOUT = 10.0
LEVEL = 1
"""Of compression: 11 times smaller at 3.4 M samples per CPU-second."""
BODY = 4000
"""Characters of an answer that are looked at for words."""
WORDS = 300
"""Characters of a server's words that are told."""
_DROPPED = re.compile(r" ?\bdropped=(\d{1,9})\b")


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
        budget: Budget | None = None,
    ) -> None:
        logging.getLogger().addFilter(_hide_answers)
        self._ask_token = token if callable(token) else lambda: token
        self._bucket, self._org = bucket, org
        self._token = self._ask_token()
        self._client = InfluxDBClient(url, token=self._token, org=org, timeout=int(timeout * 1000), ssl_ca_cert=ca_file)
        rest: Any = self._client.api_client.rest_client
        rest.pool_manager = _Utf8(timeout, budget, ca_file)
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
        except OverBudget as error:
            return Answer(WriteVerdict.HOLD, f"{error}; this is no InfluxDB, or something on the way is broken")
        except (ConnectTimeoutError, NameResolutionError) as error:
            return Answer(WriteVerdict.KEEP, self._clean(f"{type(error).__name__}: {error}"))
        except TimeoutError:
            return Answer(WriteVerdict.SLOW, "no answer in time")
        except (HTTPError, OSError) as error:
            return Answer(WriteVerdict.KEEP, self._clean(f"{type(error).__name__}: {error}"))
        return self._judge_success()

    def close(self) -> None:
        """Close the connection."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    def _judge_success(self) -> Answer:
        """A page that greets everybody with 200, such as a network's login, has not stored anything."""
        response: Any = self._client.api_client.last_response
        if response.status == 204 or not response.data:
            return Answer(WriteVerdict.ACCEPTED)
        return Answer(WriteVerdict.HOLD, f"HTTP {response.status} with a page: this is no InfluxDB")

    def _judge(self, error: InfluxDBError) -> Answer:
        reply: Any = error.response
        if reply is None:  # the client tells of TLS that fails in its own way
            return self._judge_tls(str(getattr(error, "reason", "") or error))
        status, text, headers = int(reply.status), str(reply.data), reply.getheaders()
        message = _message(text)
        dropped = _DROPPED.search(message)
        words = _DROPPED.sub("", message) or _moved(status, headers.get("Location")) or _words(text) or reply.reason
        reason = self._clean(f"HTTP {status}: {words}")
        verdict = _verdict(status, bool(message))
        if status in (401, 403):
            self._renew_token()
        return Answer(verdict, reason, _seconds(headers.get("Retry-After")), int(dropped[1]) if dropped else None)

    def _judge_tls(self, said: str) -> Answer:
        if "CERTIFICATE" in said:
            reason = f"the server's certificate is not trusted; check [influx] url and ca_file ({said})"
            return Answer(WriteVerdict.HOLD, self._clean(reason))
        return Answer(WriteVerdict.KEEP, self._clean(f"no TLS with this server; check [influx] url ({said})"))

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
        text = clean(text, BODY)
        for form in (self._token, quote(self._token, safe="")):
            text = text.replace(form, "***")
        return clean(text, WORDS)


class _Utf8(Exchange):
    """An exchange whose answers are text: the client decodes them, and a proxy's page may be in any encoding."""

    def request(self, *arguments: Any, **more: Any) -> Reply:
        """The answer in UTF-8; what is none becomes U+FFFD."""
        reply = super().request(*arguments, **more)
        reply.data = reply.data.decode("utf-8", "replace").encode()
        return reply


def _verdict(status: int, own_words: bool) -> WriteVerdict:
    """What an answer other than 2xx means; `own_words`: it carries an error as InfluxDB writes them."""
    if status in (400, 422):
        # A proxy's own 400 (plain HTTP to a TLS port, for one) says nothing about the lines.
        return WriteVerdict.REJECT if own_words else WriteVerdict.HOLD
    if status == 413:
        return WriteVerdict.TOO_LARGE
    if status >= 500 or status in (0, 408, 425, 429):
        return WriteVerdict.KEEP
    return WriteVerdict.HOLD


def _hide_answers(record: logging.LogRecord) -> bool:
    """Keep out of the log what `influxdb_client` says of answers that are no JSON: they may echo the token."""
    return not str(record.msg).startswith("Cannot parse error response")


def _message(body: str) -> str:
    """The error that InfluxDB states in its JSON; empty where this is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    return str(found.get("message") or found.get("error") or "")


def _words(body: str) -> str:
    return " ".join(re.sub(r"<[^<>]*>", " ", body[:BODY]).split())


def _moved(status: int, location: str | None) -> str:
    """Where a redirect leads, in words and without its query; empty where it is none."""
    if not (300 <= status < 400 and location):
        return ""
    place = re.split(r"[?#]", location, maxsplit=1)[0]
    return f"it has moved to {place}; redirects are not followed: is [influx] url right?"


def _seconds(value: str | None) -> float | None:
    """The header Retry-After: seconds or a date."""
    if value is None:
        return None
    try:
        asked = float(value)
    except ValueError:
        pass
    else:
        return max(asked, 0.0) if math.isfinite(asked) else None
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
