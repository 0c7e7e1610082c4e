"""The profile of an ASCII instrument: its line, its request and what its fields mean, as a site states them."""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar, Literal, NoReturn

import msgspec
from msgspec import Meta

from acquisition import ucum
from acquisition.driverkit.driver import Document, Serial
from acquisition.errors import ConfigurationError
from acquisition.model import Channel, Quality
from drivers.ascii.checksums import CHECKSUMS, Kind, digits
from drivers.ascii.pattern import compile_safely

QualityName = Literal["GOOD", "INVALID", "RANGE", "QUESTIONABLE", "CALIBRATING", "SUSPECT", "DEMO"]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Hex = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2} ?)+$")]
CHECKSUM, CHECKED = "checksum", "checked"
"""Groups of a pattern that hold the checksum's digits, and the bytes that it is over."""
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class AsciiChannel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One quantity: value = field * scale + offset, in `unit` (UCUM); outside [valid_min, valid_max] it is RANGE.

    `name` is the pattern's group, too. `status` names the group whose token says how good the value is.
    """

    name: Name
    unit: str
    valid_min: float
    valid_max: float
    scale: float = 1.0
    offset: float = 0.0
    status: str = ""


class AsciiChecksum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hexadecimal digits in the pattern's group `checksum`, over its group `checked`, else over all before them."""

    kind: Kind = "none"
    low_first: bool = False


class AsciiExample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line without its terminator, and what it means.

    A channel that `values` leaves out has no value there and is INVALID; `quality` says what else is not GOOD.
    """

    line: str
    values: dict[str, float] = {}
    quality: dict[str, tuple[QualityName, ...]] = {}


class AsciiProfile(Document, frozen=True, forbid_unknown_fields=True):
    """All that is to be known of one instrument.

    `request`: bytes that ask for a line, none where the instrument streams; `interval_s`: of requests or of the
    stream. `terminator` ends a line of at most `longest` bytes; `missing`: fields that stand for no value; `status`:
    what the tokens of status groups mean.
    """

    folder: ClassVar[str] = "ascii"

    instrument: str
    source: Literal["documented", "unconfirmed"]
    baud: Annotated[int, Meta(ge=50, le=4_000_000)]
    interval_s: Annotated[float, Meta(ge=0.02, le=600)]
    terminator: Hex
    pattern: str
    channels: Annotated[tuple[AsciiChannel, ...], Meta(min_length=1)]
    examples: Annotated[tuple[AsciiExample, ...], Meta(min_length=1)]
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop: Literal[1, 2] = 1
    handshake: Literal["none", "rts-cts", "xon-xoff"] = "none"
    request: Hex | None = None
    longest: Annotated[int, Meta(ge=1, le=1024)] = 256
    missing: tuple[str, ...] = ()
    checksum: AsciiChecksum = AsciiChecksum()
    status: dict[str, QualityName] = {}  # noqa: RUF012

    @property
    def line(self) -> Serial:
        """The line settings."""
        return Serial(self.baud, self.bits, self.parity, self.stop, self.handshake)

    @property
    def ending(self) -> bytes:
        """The bytes that end a line."""
        return bytes.fromhex(self.terminator)

    @property
    def question(self) -> bytes | None:
        """The bytes that ask for a line, None where the instrument streams."""
        return None if self.request is None else bytes.fromhex(self.request)

    def check(self) -> None:
        """Hold pattern, channels and checksum against each other, then read the examples."""
        grammar = Grammar(self)
        for index, channel in enumerate(self.channels):
            if channel.valid_min >= channel.valid_max:
                _refuse(f"channels[{index}].valid_max", "is not over valid_min", f"more than {channel.valid_min}")
            if ucum.code(channel.unit) is None:
                _refuse(f"channels[{index}].unit", f"{channel.unit!r} is no unit that is known", ucum.allowed())
        for index, example in enumerate(self.examples):
            self._try(grammar, f"examples[{index}]", example)

    def _try(self, grammar: Grammar, key: str, example: AsciiExample) -> None:
        line = example.line.encode("latin-1", "replace")
        if self.ending in line or len(line) > self.longest:
            _refuse(f"{key}.line", "the line holds its own terminator, or is too long", f"up to {self.longest} bytes")
        sample = grammar.read(line)
        if isinstance(sample, str):
            _refuse(f"{key}.line", f"the pattern does not read it: {sample}", "repetitions give nothing back: [^,]*,")
        names = [channel.name for channel in self.channels]
        for part in ("values", "quality"):
            for name in getattr(example, part):
                if name not in names:
                    _refuse(f"{key}.{part}.{name}", "there is no such channel", ", ".join(names))
        for name, value, flags in zip(names, sample.values, sample.quality, strict=True):
            expected = example.values.get(name, math.nan)
            none = math.isnan(value) and math.isnan(expected)
            if not none and not math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9):
                read = "has no value there" if math.isnan(value) else f"reads {value:g}"
                _refuse(
                    f"{key}.values.{name}",
                    f"the line {read}",
                    "the value that the line means, none where it is missing",
                )
            wanted = Quality.INVALID if math.isnan(expected) else Quality.GOOD
            for word in example.quality.get(name, ()):
                wanted |= Quality[word]
            if flags != wanted:
                read = "|".join(flag.name or "" for flag in Quality if flag & flags) or "GOOD"
                _refuse(f"{key}.quality.{name}", f"the line reads {read}", "the quality that the line means")


class Sample(msgspec.Struct, frozen=True):
    """What a line says: a value and a `Quality` for each channel, NaN for none."""

    values: list[float]
    quality: list[int]


class Grammar:
    """Reads the lines of one profile; ConfigurationError where the profile contradicts itself."""

    def __init__(self, profile: AsciiProfile) -> None:
        try:
            self._pattern = compile_safely(profile.pattern)
        except ValueError as error:
            _refuse("pattern", str(error))
        self._checksum = profile.checksum
        self._channels = profile.channels
        self._missing = {token.encode("latin-1", "replace").strip() for token in profile.missing}
        self._status = {token.encode("latin-1", "replace").strip(): Quality[q] for token, q in profile.status.items()}
        self._check_groups(profile)

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """The fields of a line without its terminator, None where the pattern does not fit."""
        return self._pattern.fullmatch(line)

    def read(self, line: bytes) -> Sample | str:
        """What a line means, or why it is none."""
        match = self.match(line)
        if match is None:
            return "the pattern does not fit"
        if self._checksum.kind != "none" and not self._sound(match):
            return "the checksum is wrong"
        values, quality = [], []
        for channel in self._channels:
            value, flags = self._field(channel, match[channel.name])
            if channel.status:
                flags |= self._status.get((match[channel.status] or b"").strip(), Quality.QUESTIONABLE)
            values.append(math.nan if flags & Quality.INVALID else value)
            quality.append(int(flags))
        return Sample(values, quality)

    def sign(self, line: bytes) -> bytes:
        """The same line with the checksum that it ought to have."""
        match = self.match(line)
        if match is None or self._checksum.kind == "none":
            return line
        start, stop = match.span(CHECKSUM)
        return line[:start] + digits(self._checksum.kind, self._covered(match), self._checksum.low_first) + line[stop:]

    def _field(self, channel: AsciiChannel, field: bytes | None) -> tuple[float, Quality]:
        text = (field or b"").strip()
        if text in self._missing or not NUMBER.fullmatch(text):
            return math.nan, Quality.INVALID
        value = float(text) * channel.scale + channel.offset
        return value, Quality.GOOD if channel.valid_min <= value <= channel.valid_max else Quality.RANGE

    def _covered(self, match: re.Match[bytes]) -> bytes:
        if CHECKED in self._pattern.groupindex:
            return match[CHECKED] or b""
        return match.string[: match.start(CHECKSUM)]

    def _sound(self, match: re.Match[bytes]) -> bool:
        expected = digits(self._checksum.kind, self._covered(match), self._checksum.low_first)
        return (match[CHECKSUM] or b"").upper() == expected

    def _check_groups(self, profile: AsciiProfile) -> None:
        groups = set(self._pattern.groupindex)
        known = {CHECKSUM, CHECKED}
        for index, channel in enumerate(profile.channels):
            if channel.name in known:
                _refuse(f"channels[{index}].name", f"the name {channel.name!r} is taken", "a name of its own")
            known.add(channel.name)
            if channel.name not in groups:
                _refuse(f"channels[{index}].name", f"the pattern has no group {channel.name!r}", _list(groups))
        for index, channel in enumerate(profile.channels):
            if channel.status and channel.status not in groups:
                _refuse(f"channels[{index}].status", f"the pattern has no group {channel.status!r}", _list(groups))
            known.add(channel.status)
        if groups - known:
            _refuse("pattern", f"nothing uses the groups {_list(groups - known)}", "(?:…) for a group without a name")
        if profile.status and not any(channel.status for channel in profile.channels):
            _refuse("status", "no channel names a group of status tokens", 'status = "…" in a channel')
        if (profile.checksum.kind in CHECKSUMS) != (CHECKSUM in groups):
            _refuse(
                "checksum", "kind and the pattern's group do not fit", "both a kind and a group `checksum`, or none"
            )
        if CHECKED in groups and CHECKSUM not in groups:
            _refuse("pattern", "a group `checked` without a group `checksum`", "both or none")


def channels_of(profile: AsciiProfile) -> tuple[Channel, ...]:
    """The recorded channels; a value is live for two and a half intervals."""
    stale = max(2.0, 2.5 * profile.interval_s)
    return tuple(Channel(c.name, c.unit, c.valid_min, c.valid_max, stale) for c in profile.channels)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _refuse(where: str, what: str, allowed: str = "") -> NoReturn:
    raise ConfigurationError(what, where, remedy=allowed)
