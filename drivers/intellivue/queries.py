"""Patterns of all that a host writes to a monitor."""

from __future__ import annotations

import re
import struct
from functools import cache

from drivers.intellivue.association import Abort, AssociationRequest, ReleaseRequest
from drivers.intellivue.attributes import MDS, SYSTEM_IDENTIFICATION, SYSTEM_PRODUCTION, TICK
from drivers.intellivue.exchange import MdsCreateResult, Message, PollRequest
from drivers.intellivue.frames import BOF, EOF, escape

EXTENDED_PERIOD = 600.0
"""Seconds for which an extended poll is asked for."""


@cache
def queries(framed: bool) -> tuple[re.Pattern[bytes], ...]:
    """Patterns of `_WRITTEN` as they go out; in a frame the check sequence varies too, and flags are escaped."""
    patterns = []
    for message, free in _WRITTEN:
        payload = message.encode()
        anything = rb"(?:[^\x7d\xc0\xc1]|\x7d[\xe0\xe1\x5d])" if framed else b"."
        bytewise = [escape(payload[i : i + 1]) if framed else payload[i : i + 1] for i in range(len(payload))]
        body = b"".join(anything if i in free else re.escape(each) for i, each in enumerate(bytewise))
        if framed:
            head = escape(struct.pack(">BBH", 0x11, 0x01, len(payload)))
            body = BOF + re.escape(head) + body + anything * 2 + EOF
        patterns.append(re.compile(body, re.DOTALL))
    return tuple(patterns)


_INVOKE_ID, _POLL_NUMBER, _EVENT_TIME = (8, 9), (28, 29), (20, 21, 22, 23)
_WRITTEN: tuple[tuple[Message, tuple[int, ...]], ...] = (
    (AssociationRequest(), ()),
    (Abort(), ()),
    (ReleaseRequest(), ()),
    (MdsCreateResult(0, 0), _INVOKE_ID + _EVENT_TIME),
    (PollRequest(0, 0), _INVOKE_ID + _POLL_NUMBER),
    (PollRequest(0, 0, period=round(EXTENDED_PERIOD / TICK)), _INVOKE_ID + _POLL_NUMBER),
    (PollRequest(0, 0, MDS, SYSTEM_IDENTIFICATION), _INVOKE_ID),
    (PollRequest(0, 0, MDS, SYSTEM_PRODUCTION), _INVOKE_ID),
)
"""Every message that is ever written, and which of its bytes vary."""
