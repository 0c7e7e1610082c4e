"""From the objects of poll results to one reading for each electrode, bound by handle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from acquisition.model import Channel, Quality, Readings, Stream, TimeBase
from drivers.intellivue.announcer import Announcer
from drivers.intellivue.attributes import (
    CALIBRATING,
    DEMO,
    EARLY,
    INVALID,
    QUESTIONABLE,
    TEST,
    UNAVAILABLE,
    Numeric,
    Observed,
)
from drivers.intellivue.frames import Malformed
from drivers.intellivue.options import Options

MMHG, KPA, MINUTES, CELSIUS, MILLIWATT = 0x0F20, 0x0F03, 0x08A0, 0x17A0, 0x0FD2
TCPO2, TCPCO2, SITE_TIME, SENSOR_TEMPERATURE, HEATING_POWER = 0x50D0, 0x50CC, 0xF03E, 0xF03F, 0xF076
MMHG_PER_KPA = 7.50062


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an electrode delivers under one code: the monitor's label, the channel, and a factor for each unit taken."""

    label: str
    channel: Channel
    factors: dict[int, float]


QUANTITIES = {
    TCPO2: Quantity("tcpO2", Channel("tcpo2", "mm[Hg]", 0, 800), {MMHG: 1.0, KPA: MMHG_PER_KPA}),
    TCPCO2: Quantity("tcpCO2", Channel("tcpco2", "mm[Hg]", 0, 200), {MMHG: 1.0, KPA: MMHG_PER_KPA}),
    SITE_TIME: Quantity("SitTim", Channel("site_time", "min", 0), {MINUTES: 1.0}),
    SENSOR_TEMPERATURE: Quantity("SensrT", Channel("sensor_temperature", "Cel", 0, 50), {CELSIUS: 1.0}),
    HEATING_POWER: Quantity("HeatPw", Channel("heating_power", "mW", 0), {MILLIWATT: 1.0}),
}
CHANNELS = tuple(quantity.channel for quantity in QUANTITIES.values())


SITE_TIME_JUMP = 2.0
"""Minutes by which site time and host time may part between two samples of an electrode that stayed in place."""
MISSING = 2
"""Results without an electrode after which it is reported."""

Source: TypeAlias = tuple[int, int]
"""A measured object of the monitor: context and handle."""


class Site:
    """One electrode at work: which objects are its own, and what is known of its last sample."""

    def __init__(self, name: str, handles: Iterable[int], rate: float) -> None:
        self.stream = Stream(name, CHANNELS, rate)
        self.seen = False
        self.absent = 0
        self.lost = 0
        self.site_time: tuple[float, float] | None = None
        self._handles = frozenset(handles)
        self._sources: dict[int, Source] = {}

    def __str__(self) -> str:
        handles = ", ".join(map(str, sorted(self._handles))) or "any"
        return f"{self.stream.name} (handle {handles})"

    def choose(self, physio: int, offers: Mapping[Source, Numeric]) -> Numeric | None:
        """This electrode's value among those under one code; the first choice binds for good."""
        bound = self._sources.get(physio)
        if bound is None:
            bound = self._first_choice(physio, [s for s in offers if not self._handles or s[1] in self._handles])
            if bound is not None:
                self._sources[physio] = bound
        return offers.get(bound) if bound is not None else None

    def has(self, physio: int, source: Source) -> bool:
        """Whether this electrode takes its value under a code from that object."""
        return self._sources.get(physio) == source

    def _first_choice(self, physio: int, offered: list[Source]) -> Source | None:
        """An object that it knows already, else the only one; among several tcpO2 the first, others are no guess."""
        known = [source for source in offered if source in self._sources.values()]
        if known or len(offered) == 1 or physio == TCPO2:
            return next(iter(known or offered), None)
        return None


class Electrodes:
    """Turns the objects of poll results into one reading for each electrode."""

    def __init__(self, options: Options, announcer: Announcer) -> None:
        rate = 1 / options.interval
        self._sites = [Site(each.name, (each.handle, *each.also), rate) for each in options.electrodes]
        self._sites = self._sites or [Site("electrode", (), rate)]
        self._announcer = announcer

    @property
    def streams(self) -> tuple[Stream, ...]:
        """One for each electrode."""
        return tuple(site.stream for site in self._sites)

    def lose(self, samples: int) -> None:
        """Note that results are missing: so many samples of every electrode that was there."""
        for site in self._sites:
            site.lost += samples * site.seen

    def read(self, objects: Iterable[Observed], seconds: float, base: TimeBase) -> Iterator[Readings]:
        """The readings in one whole result, at `seconds` of the monitor's time."""
        offers: dict[int, dict[Source, Numeric]] = {}
        labels: dict[Source, str] = {}
        for each in objects:
            source = each.context, each.handle
            try:
                numerics = each.numerics
            except Malformed:
                self._announcer.warn_once((source,), f"the values of handle {each.handle} cannot be read")
                continue
            for numeric in numerics:
                if numeric.physio in QUANTITIES:
                    offers.setdefault(numeric.physio, {})[source] = numeric
                    labels[source] = each.label
        for site in self._sites:
            chosen = {physio: site.choose(physio, offers.get(physio, {})) for physio in QUANTITIES}
            if not any(chosen.values()):
                self._note_absence(site, labels)
                continue
            self._note_presence(site)
            values = np.full((1, len(CHANNELS)), np.nan)
            quality = np.full((1, len(CHANNELS)), Quality.INVALID, dtype=np.uint8)
            for column, (physio, found) in enumerate(chosen.items()):
                if found is not None:
                    values[0, column], quality[0, column] = self._value(site, QUANTITIES[physio], found)
            self._check_site_time(site, float(values[0, CHANNELS.index(QUANTITIES[SITE_TIME].channel)]), seconds)
            lost, site.lost = site.lost, 0
            yield Readings(site.stream.name, values, quality, np.array([seconds]), base, lost)
        self._warn_of_strangers(offers, labels)

    def _value(self, site: Site, quantity: Quantity, numeric: Numeric) -> tuple[float, Quality]:
        quality = quality_of(numeric.state)
        value = numeric.value
        if quality & Quality.INVALID or math.isnan(value):
            return math.nan, quality | Quality.INVALID
        factor = quantity.factors.get(numeric.unit)
        what = f"{site.stream.name}: {quantity.label}"
        if factor is None:
            self._announcer.warn_once(
                (site, quantity.label, numeric.unit),
                f"{what} comes in the unit {numeric.unit:04X}, which is not {quantity.channel.unit}: refused",
            )
            return math.nan, quality | Quality.INVALID
        if numeric.unit == KPA:
            self._announcer.warn_once(
                (site, quantity.label, KPA), f"{what} comes in kPa and is recorded in mmHg, times {factor}"
            )
        value *= factor
        low, high = quantity.channel.low, quantity.channel.high
        if (low is not None and value < low) or (high is not None and value > high):
            quality |= Quality.RANGE
        return value, quality

    def _check_site_time(self, site: Site, minutes: float, seconds: float) -> None:
        if math.isnan(minutes):
            return
        before, site.site_time = site.site_time, (minutes, seconds)
        if before is not None and abs(minutes - before[0]) > SITE_TIME_JUMP + abs(seconds - before[1]) / 60:
            self._announcer.say(
                "warning",
                f"{site}: its site time jumped from {before[0]:g} to {minutes:g} min: moved, replugged or swapped? "
                "Check that it is still where its name says",
            )

    def _note_absence(self, site: Site, labels: Mapping[Source, str]) -> None:
        site.absent += 1
        site.lost += site.seen
        if site.absent == MISSING:
            there = ", ".join(f"handle {source[1]} {labels[source]}".strip() for source in sorted(labels)) or "none"
            self._announcer.say("warning", f"the monitor does not deliver the electrode {site}; it delivers: {there}")

    def _note_presence(self, site: Site) -> None:
        if site.seen and site.absent >= MISSING:
            self._announcer.say("warning", f"the electrode {site} is back: check that it is still where its name says")
        site.seen, site.absent = True, 0

    def _warn_of_strangers(self, offers: Mapping[int, Mapping[Source, Numeric]], labels: Mapping[Source, str]) -> None:
        for physio, sources in offers.items():
            for source in sources:
                if not any(site.has(physio, source) for site in self._sites):
                    name = f"{QUANTITIES[physio].label} {labels[source]}".strip()
                    self._announcer.warn_once(
                        (physio, source),
                        f"{name} also comes from handle {source[1]} (context {source[0]}) and is not recorded: "
                        "name each electrode with its handle in options.electrodes",
                    )


def quality_of(state: int) -> Quality:
    """What a numeric's state bits say against its value; alarm states are about the patient and say nothing."""
    quality = Quality.GOOD
    for bits, flag in (
        (INVALID | UNAVAILABLE, Quality.INVALID),
        (QUESTIONABLE | EARLY, Quality.QUESTIONABLE),
        (CALIBRATING, Quality.CALIBRATING),
        (TEST | DEMO, Quality.DEMO),
    ):
        if state & bits:
            quality |= flag
    return quality
