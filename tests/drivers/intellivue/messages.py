"""Messages of the guide, each with what it means."""

from drivers.intellivue import association, attributes, exchange
from tests import intellivue as known

MESSAGES = {
    "association request": (known.ASSOCIATION_REQUEST, association.AssociationRequest()),
    "abort": (known.ABORT, association.Abort()),
    "release request": (known.RELEASE_REQUEST, association.ReleaseRequest()),
    "release response": (known.RELEASE_RESPONSE, association.ReleaseResponse()),
    "create result": (known.CREATE_RESULT, exchange.MdsCreateResult(1, 0x000ABD00)),
    "numerics poll": (known.POLL_FRAME[5:-3], exchange.PollRequest(0, 1)),
    "extended poll": (known.EXTENDED_POLL, exchange.PollRequest(4, 3, 9, period=0x00493E00)),
    "poll result": (
        known.REPLY_FRAME[5:-3],
        exchange.PollResult(
            0, 1, None, 0x000ABD00, bytes.fromhex("2026010112000000"), attributes.NUMERICS, 0,
            (
                attributes.Observed(
                    0, 257, ((0x0921, b"\x01\x01"), (0x0924, b"\x00\x02\x50\xd0"),
                             (0x0950, bytes.fromhex("50D000000F2000000044"))),
                ),
            ),
        ),
    ),
}  # fmt: skip
