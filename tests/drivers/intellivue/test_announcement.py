"""The connect indication by which a monitor makes itself known."""

import random

import pytest

from acquisition.driverkit.driver import Announced
from drivers.intellivue import IntelliVue, attributes, exchange
from tests import intellivue as known


def test_the_captured_connect_indication_is_read_to_its_last_byte():
    indication = exchange.decode(known.CONNECT_INDICATION)
    assert indication.encode() == known.CONNECT_INDICATION
    assert (indication.address, indication.port) == ("192.168.247.101", 24105)
    assert attributes.identity_of(indication.attributes) == {
        "manufacturer": "Philips", "model": "866062", "serial": "0009fbffff88c1bd",
    }  # fmt: skip


def test_a_genuine_connect_indication_says_where_the_monitor_is_and_which():
    assert IntelliVue.announced(known.CONNECT_INDICATION) == Announced(
        "udp://192.168.247.101:24105", "866062", "0009fbffff88c1bd"
    )
    assert IntelliVue.announced(known.ASSOCIATION_REQUEST) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_connect_indication_raises_nothing(seed):
    chance = random.Random(seed)
    for _ in range(2000):
        data = bytearray(known.CONNECT_INDICATION[: chance.randrange(len(known.CONNECT_INDICATION) + 1)])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        said = IntelliVue.announced(bytes(data))
        assert said is None or said.port.startswith("udp://")
