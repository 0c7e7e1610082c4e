"""Descriptions that every driver gives of itself, for people, the configuration and the record."""

import re
import sys
from typing import get_args

import pytest

from acquisition.driverkit.driver import Confidence, Link
from acquisition.driverkit.registry import drivers
from simulators.bench.registry import simulators
from tests.contract.pairs import DRIVERS, NAMES, PAIRS, driver

UCUM = {
    "[arb'U]", "%", "mm[Hg]", "kPa", "Cel", "K", "km/h", "m/s", "mm/s", "m", "cm", "s", "ms", "min", "h", "Hz", "/min",
    "V", "mV", "uV", "A", "mA", "mW", "W", "Ohm", "1", "{score}", "{count}", "mL/min", "mL/min/(100.g)", "[mi_i]/h",
    "kcal", "[MET]", "deg",
}  # fmt: skip
"""Units that a channel may have, as codes of the Unified Code for Units of Measure, version 2.1."""


@pytest.mark.parametrize("name", NAMES)
def test_a_driver_says_what_it_is_where_that_stands_and_how_sure_it_is(name):
    about = drivers()[name].about
    assert re.fullmatch("[a-z0-9][a-z0-9-]*", name)
    assert about.names[name].strip()
    assert about.kind.strip()
    assert about.source.strip()
    assert about.links
    assert set(about.links) <= set(get_args(Link))
    assert about.confidence in get_args(Confidence)
    if about.confidence in ("one implementation", "inferred"):
        assert about.unconfirmed, "what is not documented must be said"
    assert all(text.strip() for text in about.unconfirmed)


@pytest.mark.parametrize("driver", DRIVERS, ids=DRIVERS.values())
def test_a_driver_and_its_module_are_described(driver):
    assert driver.__doc__ not in (None, "")
    assert sys.modules[driver.__module__].__doc__


@pytest.mark.parametrize("name", PAIRS)
def test_streams_are_named_once_have_ucum_units_and_sensible_limits(name):
    built = driver(name)
    streams = [*built.streams, *(derivation.stream for derivation in built.derivations())]
    assert streams
    assert len({stream.name for stream in streams}) == len(streams)
    for stream in streams:
        assert stream.channels
        assert len({channel.name for channel in stream.channels}) == len(stream.channels)
        assert stream.rate is None or stream.rate > 0
        for channel in stream.channels:
            assert channel.unit in UCUM, f"{stream.name}.{channel.name}: {channel.unit!r} is no known UCUM code"
            assert channel.low is None or channel.high is None or channel.low < channel.high
            assert channel.stale_after is None or channel.stale_after > 0
    sources = {stream.name for stream in built.streams}
    assert all(derivation.source in sources for derivation in built.derivations())


@pytest.mark.parametrize("name", PAIRS)
def test_a_driver_says_when_silence_is_loss_and_what_it_may_write(name):
    built = driver(name)
    assert 0 < built.silence < 3600
    slowest = max((1 / stream.rate for stream in built.streams if stream.rate), default=0.0)
    assert built.silence > slowest
    assert all(isinstance(query, re.Pattern) and isinstance(query.pattern, bytes) for query in built.queries)
    if "serial" in built.about.links and not set(built.about.links) & {"gpib", "hislip"}:
        assert built.serial is not None


@pytest.mark.parametrize("name", PAIRS)
def test_driver_and_simulator_agree_on_the_line(name):
    built, other = driver(name), simulators()[name]
    if other.serial is not None:
        assert built.serial == other.serial


@pytest.mark.parametrize("name", simulators())
def test_a_simulator_is_described_and_is_somebodys_other_end(name):
    simulator = simulators()[name]
    assert name in drivers()
    assert simulator.__doc__ not in (None, "")
    assert all(text.strip() for text in simulator.not_modelled)
