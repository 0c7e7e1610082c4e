"""Replies to a numerics poll, and what the driver makes of them."""

from dataclasses import replace

from acquisition.model import Readings
from drivers.intellivue import association, attributes, electrodes, exchange, frames


def talk(driver, *objects, link=None, **changes):
    """A driver that has asked for numerics gets a reply with these objects; answers what it makes of it."""
    if not driver._streaming:
        driver.start(0.0)
        info = association.UserInfo(association.SERVER, association.HOT_START, extensions=0)
        list(driver.receive(frames.frame(association.AssociationAccept(info).encode()), 0.0))
        driver._begin_streaming(0.0)
        driver._announcer.said()
    if driver._pending is None:
        driver.poll(driver.deadline())
    request = driver._pending
    at = driver._asked + 0.01
    result = exchange.PollResult(
        request.invoke, request.number, None, 8_000_000 + round(at * 8000), attributes.NO_DATE, attributes.NUMERICS, 0,
        objects, link,
    )  # fmt: skip
    return list(driver.receive(frames.frame(replace(result, **changes).encode()), at))


def gas(handle, value=68.0, state=0, unit=electrodes.MMHG, physio=electrodes.TCPO2, decimals=1, context=0):
    numeric = attributes.Numeric(physio, state, unit, attributes.encode_float(value, decimals))
    return attributes.Observed(context, handle, ((attributes.NUMERIC, numeric.encode()),))


def one(items):
    (reading,) = [item for item in items if isinstance(item, Readings)]
    return reading
