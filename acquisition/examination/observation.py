"""Entries by a person: pain, ulcer, pressures, adverse events, and what was not done and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from acquisition.config import toml
from acquisition.errors import Refused
from acquisition.examination.fields import explain, shown
from acquisition.examination.participant import check_text
from acquisition.signals.clinical import LINE
from acquisition.signals.result import Result
from acquisition.signals.staging import CLAUDICATION, FONTAINE_BY_RUTHERFORD, RUTHERFORD, Symptoms
from acquisition.signals.wound import area_by_outline, area_by_ruler
from acquisition.text import clean

Side = Literal["left", "right"]
Posture = Literal["supine", "sitting", "standing"]
Pressure = Annotated[float, Meta(ge=0, le=350)]
Millimetres = Annotated[float, Meta(ge=0, le=500)]
Grade = Annotated[int, Meta(ge=0, le=3)]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]
INTERCURRENT = ("amputation", "revascularisation", "infection", "vasoactive", "death")
"""Happenings that change an outcome whatever the treatment does."""
OF_A_LIMB = ("amputation", "revascularisation")
LEAST_OF_AN_ARM = 40.0
"""mmHg: a systolic pressure of an arm below it is another unit, or none that anybody is examined with."""
LEAST_MEAN = 25.0
"""mmHg, as `LEAST_OF_AN_ARM`, of a mean arterial pressure: 25 kPa would be 188 mmHg."""
KILOPASCAL = 7.50062
"""mmHg."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="what", omit_defaults=False):
    """Something entered by a person."""

    def check(self) -> None:
        """Refuse texts that identify a person and values that contradict each other (ValueError)."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                check_text(value, name)

    def check_unit(self) -> None:
        """Refuse pressures that only another unit explains (ValueError); a record from before may hold them."""


class Vas(Entry, frozen=True, tag="vas"):
    """Pain on a visual analogue scale: `mark` along a line of `line` mm, and what was asked.

    `context` is what the participant was asked to think of, `recall` over how long, such as 24h; empty is now.
    """

    mark: Annotated[float, Meta(ge=0)]
    line: Annotated[float, Meta(gt=0)] = LINE
    question: Literal["now", "rest", "worst-24h", "mean-24h", "walking", "dressing"] = "now"
    context: Literal["", "rest", "walking", "dressing"] = ""
    recall: Annotated[str, Meta(pattern=r"^(now|[0-9]{1,3}(h|d|w))?$")] = ""
    scale: Literal["paper", "screen", "spoken"] = "paper"
    side: Side | None = None

    def check(self) -> None:
        """Refuse a mark beyond the end of the line."""
        Entry.check(self)
        if self.mark > self.line:
            raise ValueError(f"a mark at {self.mark:g} is off a line of {self.line:g}")


class Ulcer(Entry, frozen=True, tag="ulcer"):
    """One ulcer, the same `ulcer` at every visit: its extents in mm, or an outline in pixels with its scale.

    `epithelialised_days`: for how long it has been closed, as far as anybody knows. `debrided`: whether it was
    measured after debridement, which makes it larger.
    """

    side: Side
    site: str
    ulcer: Code = "index"
    length: Millimetres | None = None
    width: Millimetres | None = None
    method: Literal["ellipse", "rectangle", "kundin"] = "ellipse"
    outline: tuple[tuple[float, float], ...] = ()
    mm_per_pixel: tuple[Annotated[float, Meta(gt=0)], ...] = ()
    epithelialised_days: Annotated[float, Meta(ge=0)] | None = None
    photograph: str = ""
    photograph_sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""
    rater: str = ""
    debrided: bool | None = None

    def check(self) -> None:
        """Refuse an ulcer without an area."""
        Entry.check(self)
        by_ruler = self.length is not None and self.width is not None
        if by_ruler == bool(self.outline):
            raise ValueError("an ulcer needs either length and width, or an outline with its scale")
        if self.outline and not self.mm_per_pixel:
            raise ValueError("an outline needs its scale, mm_per_pixel")
        if self.length is not None and self.width is not None and self.width > self.length:
            raise ValueError("the width is the longest extent across the length, and cannot exceed it")

    def area(self) -> Result:
        """The area in cm2."""
        if self.outline:
            return area_by_outline(self.outline, self.mm_per_pixel)[0]
        return area_by_ruler(self.length or 0.0, self.width or 0.0, self.method)

    def perimeters(self) -> list[Result]:
        """The perimeter in cm where an outline was traced; a ruler gives none."""
        return area_by_outline(self.outline, self.mm_per_pixel)[1:] if self.outline else []


class Abi(Entry, frozen=True, tag="abi"):
    """Systolic pressures of one leg and both arms, mmHg; 0 means looked for and not found, none not measured."""

    side: Side
    dorsalis_pedis: Pressure | None = None
    posterior_tibial: Pressure | None = None
    brachial_left: Pressure | None = None
    brachial_right: Pressure | None = None
    toe: Pressure | None = None
    position: Posture = "supine"
    method: Literal["doppler", "oscillometric", "photoplethysmograph", "laser-doppler"] = "doppler"
    moment: Literal["rest", "after-exercise"] = "rest"

    def check(self) -> None:
        """Refuse an entry that gives no index."""
        Entry.check(self)
        ankle = self.dorsalis_pedis is not None or self.posterior_tibial is not None
        if not ankle and self.toe is None:
            raise ValueError("no pressure of the leg: dorsalis_pedis, posterior_tibial or toe")
        # A toe pressure says something by itself, a pressure of the ankle does not.
        if ankle and not self.brachial_left and not self.brachial_right:
            raise ValueError("no pressure of an arm: brachial_left or brachial_right")

    def check_unit(self) -> None:
        """Refuse an arm in kPa, and with it the leg; a leg alone can be so low."""
        _in_mmhg("brachial_left", self.brachial_left, LEAST_OF_AN_ARM)
        _in_mmhg("brachial_right", self.brachial_right, LEAST_OF_AN_ARM)


class ArmPressure(Entry, frozen=True, tag="pressure"):
    """Blood pressure of an arm, mmHg: vascular conductance needs it."""

    systolic: Pressure
    diastolic: Pressure
    mean: Pressure | None = None
    arm: Side = "left"
    position: Posture = "supine"

    def check(self) -> None:
        """Refuse pressures out of order."""
        Entry.check(self)
        if not self.diastolic < self.systolic:
            raise ValueError(f"a diastolic of {self.diastolic:g} is not below a systolic of {self.systolic:g}")
        if self.mean is not None and not self.diastolic <= self.mean <= self.systolic:
            raise ValueError("the mean lies between diastolic and systolic")

    def check_unit(self) -> None:
        """Refuse a systolic pressure in kPa, and with it the others."""
        _in_mmhg("systolic", self.systolic, LEAST_OF_AN_ARM)


class MeanPressure(Entry, frozen=True, tag="map"):
    """Mean arterial pressure as a monitor shows it, mmHg."""

    mean: Annotated[float, Meta(gt=0, le=350)]
    arm: Side = "left"
    position: Posture = "supine"

    def check_unit(self) -> None:
        """Refuse a mean in kPa."""
        _in_mmhg("mean", self.mean, LEAST_MEAN)


class Recheck(Entry, frozen=True, tag="recheck"):
    """What a TcPO2 electrode reads in air after the measurement, and what it read when it was calibrated, mmHg."""

    electrode: str
    reading: Annotated[float, Meta(gt=0, le=400)]
    calibrated: Annotated[float, Meta(gt=0, le=400)] | None = None


class Wifi(Entry, frozen=True, tag="wifi"):
    """Wound and foot infection of a leg as WIfI grades them, 0 to 3; the ischaemia grade follows from pressures."""

    side: Side
    wound: Grade | None = None
    infection: Grade | None = None
    rater: str = ""

    def check(self) -> None:
        """Refuse an entry that grades nothing."""
        Entry.check(self)
        if self.wound is None and self.infection is None:
            raise ValueError("no grade: wound or infection, each 0 to 3")


class StageEntry(Entry, frozen=True, tag="stage"):
    """What a clinician says of a leg: its symptoms, and the Fontaine stage where that is more."""

    side: Side
    symptoms: Symptoms | None = None
    fontaine: Literal["I", "IIa", "IIb", "III", "IV"] | None = None
    rater: str = ""

    def check(self) -> None:
        """Refuse an entry that says nothing, and a stage that the symptoms contradict."""
        Entry.check(self)
        if self.symptoms is None and self.fontaine is None:
            raise ValueError("neither symptoms nor a Fontaine stage")
        if self.symptoms is None or self.fontaine is None:
            return
        claudicates = self.symptoms in CLAUDICATION
        fits = self.fontaine in ("IIa", "IIb") if claudicates else (
            FONTAINE_BY_RUTHERFORD[RUTHERFORD[self.symptoms]] == self.fontaine
        )  # fmt: skip
        if not fits:
            raise ValueError(f"{self.symptoms} is not Fontaine {self.fontaine}")


class NotDone(Entry, frozen=True, tag="not-done"):
    """A measurement that was planned and not made; missing with a reason is not the same as forgotten."""

    measurement: Code
    reason: Annotated[str, Meta(min_length=3)]


class Happening(Entry, frozen=True, tag="event"):
    """Something that happened: to the participant, to an instrument, or against the protocol.

    What changes an outcome by itself has a word of its own, so that it stands beside the outcomes; `on` is its date.
    """

    kind: Literal["adverse", "instrument", "deviation", "amputation", "revascularisation", "infection", "vasoactive",
                  "death"]  # fmt: skip
    text: str = ""
    limb: Side | None = None
    on: date | None = None

    def check(self) -> None:
        """Refuse a happening of which nothing is said, and one of a leg without its side."""
        Entry.check(self)
        if self.kind not in INTERCURRENT and len(self.text) < 3:
            raise ValueError(f"say what happened: an event of kind {self.kind} needs its text")
        if self.kind in OF_A_LIMB and self.limb is None:
            raise ValueError(f"{self.kind} needs its limb")


Observation = Vas | Ulcer | Abi | ArmPressure | MeanPressure | Recheck | Wifi | StageEntry | NotDone | Happening
KINDS = {
    kind.__struct_config__.tag: kind
    for kind in (Vas, Ulcer, Abi, ArmPressure, MeanPressure, Recheck, Wifi, StageEntry, NotDone, Happening)
}
"""Each kind by its word."""


TEXTS = frozenset(
    field.name
    for kind in KINDS.values()
    for field in msgspec.structs.fields(kind)
    if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.StrType)
)
"""The fields of some entry that are texts, whatever their text looks like."""


def parse(fields: Any) -> Observation:
    """Return the checked entry of plain values, `what` among them; ValueError says what does not fit, in words."""
    found = _parse(fields)
    found.check_unit()
    return found


def _in_mmhg(name: str, value: float | None, least: float) -> None:
    if value and value < least:
        raise ValueError(
            f"{name} of {value:g} mmHg is below {least:g}: if it is in kPa, it is {value * KILOPASCAL:.0f} mmHg; "
            "pressures are entered in mmHg"
        )


def _parse(fields: Any) -> Observation:
    what = fields.get("what") if isinstance(fields, Mapping) else None
    kind = KINDS.get(what) if isinstance(what, str) else None
    if kind is None:
        said = f"an entry {shown(what)!r}" if isinstance(what, str) else "an entry without its kind, `what`"
        raise ValueError(f"there is no such thing as {said}; there are: {', '.join(map(str, KINDS))}")
    try:
        entry = msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        wrong, allowed = explain(toml.misfit(error, fields, kind))
        raise ValueError(f"{wrong}; {allowed}") from None
    except UnicodeError:  # the converter looks up a word that cannot be encoded
        raise ValueError("a word of the entry holds characters that cannot be written; type it anew") from None
    texts = {name: getattr(entry, name) for name in entry.__struct_fields__}
    cleaned = {name: clean(value, 4 * len(value)) for name, value in texts.items() if type(value) is str and value}
    made: Any = msgspec.structs.replace(entry, **cleaned)
    made.check()
    found: Observation = made
    return found


def stored(fields: Any) -> Observation | None:
    """The entry that a record holds, None where its values are none that may be entered: an older version took them."""
    try:
        return _parse(fields)
    except (ValueError, Refused):
        return None
