"""Messages, numbers and association headers byte by byte, in both directions."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.intellivue import association, attributes, exchange
from tests import intellivue as known
from tests.drivers.intellivue.messages import MESSAGES


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_those_of_the_guide_in_both_directions(name):
    payload, message = MESSAGES[name]
    assert message.encode() == payload
    assert exchange.decode(payload) == message


def test_the_association_headers_are_the_published_ones():
    assert known.ASSOCIATION_REQUEST[18:149] == known.REQUEST_HEADER
    accepted = association.AssociationAccept().encode()
    assert len(accepted) == 208
    assert accepted[:2] + accepted[16:19] == bytes.fromhex("0E CE C1 BE 31")
    assert accepted[18:119] == known.ACCEPT_HEADER
    assert exchange.decode(accepted) == association.AssociationAccept()


def test_an_accept_with_the_short_presentation_header_is_read():
    whole = association.AssociationAccept(
        association.UserInfo(association.SERVER, association.HOT_START, 8000, extensions=0)
    )
    short = whole.encode().replace(bytes.fromhex("BE802880020102 81"), bytes.fromhex("BE80288081"))
    short = short[:1] + bytes([short[1] - 3]) + short[2:17] + bytes([short[17] - 3]) + short[18:]
    assert exchange.decode(short) == whole


def test_an_accept_longer_than_254_bytes_is_read():
    info = association.UserInfo(association.SERVER, association.HOT_START).encode()
    more = attributes.pack_attributes(((0x0001, info[32:]), (0x0102, bytes(80))))
    info = info[:24] + more
    body = association.SESSION + b"\xc1"
    inner = known.ACCEPT_HEADER + bytes([0x81, len(info)]) + info + bytes(16)
    body += b"\xff" + struct.pack(">H", len(inner)) + inner
    message = exchange.decode(b"\x0e\xff" + struct.pack(">H", len(body)) + body)
    assert message == association.AssociationAccept(association.UserInfo(association.SERVER, association.HOT_START))


def test_an_accept_without_a_poll_profile_grants_nothing():
    info = association.UserInfo(association.SERVER, association.HOT_START, extensions=0)
    user = info.encode()[:24] + attributes.pack_attributes(())
    inner = known.ACCEPT_HEADER + bytes([len(user)]) + user + bytes(16)
    body = association.SESSION + b"\xc1" + bytes([len(inner)]) + inner
    assert exchange.decode(b"\x0e" + bytes([len(body)]) + body) == association.AssociationAccept(info)


@pytest.mark.parametrize("refusal", ["0C 03 32 01 00", "0C 02 00 00"])
def test_a_refusal_is_read_with_and_without_reasons(refusal):
    assert exchange.decode(bytes.fromhex(refusal)) == association.Refuse()


@pytest.mark.parametrize(
    ("raw", "value", "decimals"), [("00000044", 68.0, 0), ("FF00019F", 41.5, 1), ("FF00005B", 9.1, 1)]
)
def test_numbers_are_those_of_the_guide_in_both_directions(raw, value, decimals):
    assert attributes.decode_float(int(raw, 16)) == value
    assert attributes.encode_float(value, decimals) == int(raw, 16)


@pytest.mark.parametrize("raw", ["007FFFFF", "00800000", "007FFFFE", "00800002", "00800001", "FF7FFFFF"])
def test_special_numbers_are_none(raw):
    assert math.isnan(attributes.decode_float(int(raw, 16)))


@given(st.floats(-8000, 8000), st.integers(0, 3))
def test_numbers_survive_the_way_to_their_resolution(value, decimals):
    back = attributes.decode_float(attributes.encode_float(value, decimals))
    assert abs(back - value) <= 0.5 * 10**-decimals + 1e-9
