"""InfluxDB as a remote: one batch out, one verdict back, through `influxdb_client`'s synchronous write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

import urllib3
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

TIMEOUT = 10.0


class Verdict(Enum):
    """What a remote says to a batch."""

    ACCEPTED = "accepted"
    KEEP = "keep"
    """Not now: down, slow, overloaded, or gone before it answered. Sent again; a point that was stored stays one."""
    HOLD = "hold"
    """Not at all until somebody acts: a wrong token, organisation or bucket. Sent again, rarely, with an alarm."""
    REJECT = "reject"
    """Something in the batch is wrong: it is halved until the wrong line stands alone."""
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, with the server's reason, and how many seconds it asked to be left alone."""

    verdict: Verdict
    reason: str = ""
    wait: float | None = None


_VERDICTS = {
    400: Verdict.REJECT, 422: Verdict.REJECT, 413: Verdict.TOO_LARGE,
    401: Verdict.HOLD, 403: Verdict.HOLD, 404: Verdict.HOLD,
}  # fmt: skip


class InfluxWriter:
    """Writes line protocol into one bucket; from one thread."""

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float = TIMEOUT) -> None:
        self._bucket, self._org, self._token = bucket, org, token
        self._client = InfluxDBClient(url, token=token, org=org, timeout=int(timeout * 1000))
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def send(self, lines: list[str]) -> Answer:
        """Write a batch; never raises for what a server or network may do."""
        try:
            self._api.write(self._bucket, self._org, "\n".join(lines).encode())  # ns is its default
        except InfluxDBError as error:
            return self._judge(error)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(Verdict.KEEP, self._clean(f"{type(error).__name__}: {error}"))
        return Answer(Verdict.ACCEPTED)

    def close(self) -> None:
        """Close the connection."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    def _judge(self, error: InfluxDBError) -> Answer:
        status = int(getattr(error, "status", None) or 0)
        body = getattr(error, "body", None) or ""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
        reason = self._clean(f"HTTP {status}: {_message(text) or getattr(error, 'reason', '') or 'no reason given'}")
        headers = getattr(error, "headers", None) or {}
        return Answer(_VERDICTS.get(status, Verdict.KEEP), reason, _seconds(headers.get("Retry-After")))

    def _clean(self, text: str) -> str:
        """A short reason without the token, whatever a server or library echoes."""
        return (text.replace(self._token, "***") if self._token else text)[:300]


def _message(body: str) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return body.strip()
    if not isinstance(found, dict):
        return body
    return str(found.get("message") or found.get("error") or body)


def _seconds(value: str | None) -> float | None:
    try:
        return max(float(value), 0.0) if value is not None else None
    except ValueError:
        return None
