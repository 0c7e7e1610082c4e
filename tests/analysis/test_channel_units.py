"""Channels recorded in another unit than that of their role: converted, or refused before anybody is examined."""

import numpy as np
import pytest

from acquisition import config, ucum
from acquisition.analysis.live import provisional
from acquisition.analysis.outcomes import outcomes
from acquisition.analysis.session_data import SessionData
from acquisition.analysis.suggestions import suggestions
from acquisition.cli import perfusion
from acquisition.daemon.gateway import events
from acquisition.errors import ConfigurationError, Refused
from acquisition.examination.binding import BESIDE, UNITS, bind, check_units
from acquisition.examination.protocol import load
from acquisition.examination.session import replay
from acquisition.examination.session_service import SessionService
from acquisition.model import Channel, Header, Stream
from acquisition.signals.eligibility import CriterionVerdict
from acquisition.store import Store
from tests.analysis.test_outcomes import WALK_MARKS
from tests.examination import patients
from tests.examination.patients import ABI, PORH, REST, Study
from tests.examination.rooms import T0

HEAT = (("heat", 600.0), ("maximum", 2400.0), ("off", 3300.0))
KPA = 133.322387415 / 1000.0
BY_UNIT = {
    "kPa": lambda v: v * KPA, "hPa": lambda v: v * 10 * KPA, "m/s": lambda v: v / 3.6,
    "mi/h": lambda v: v / 1.609344, "[degF]": lambda v: v * 1.8 + 32.0, "degF": lambda v: v * 1.8 + 32.0,
    "K": lambda v: v + 273.15, "V": lambda v: v / 100.0, "1": lambda v: v,
}  # fmt: skip


def recorded(directory, monkeypatch, units, examine):
    """A record of one session on a bench whose channels of these units are in others."""
    bench = {
        key: {name: (signal, units.get(unit, unit)) for name, (signal, unit) in channels.items()}
        for key, channels in patients.BENCH.items()
    }
    was = {signal: unit for channels in patients.BENCH.values() for signal, unit in channels.values()}
    monkeypatch.setattr(patients, "BENCH", bench)

    def change(signal, t, values):
        unit = units.get(was[signal])
        return values if unit is None else BY_UNIT[unit](values)

    made = Study()
    examine(made, change=change)
    monkeypatch.undo()
    return made.write(directory)


def computed(directory):
    with Store(directory) as store:
        session_log = replay(events(store))
        session = session_log.sessions["s1"]
        evidence = SessionData(store, session)
        return outcomes(store, session_log, session), provisional(evidence), list(suggestions(evidence))


EXAMINATIONS = {
    "tcpo2": lambda made, **k: made.examine(
        "cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), entries=[ABI], **k
    ),
    "walk": lambda made, **k: made.examine(
        "claudicant", "walk-constant", "walking-constant", WALK_MARKS, 1020.0, devices=("tcpo2", "treadmill"), **k
    ),
    "heat": lambda made, **k: made.examine("diabetic", "heating", "local-heating", HEAT, 3400.0, devices=("ldf",), **k),
    "porh": lambda made, **k: made.examine("healthy", "porh", "porh", PORH, 960.0, devices=("ldf",), **k),
}


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        ("tcpo2", {"mm[Hg]": "kPa"}), ("tcpo2", {"mm[Hg]": "hPa"}), ("walk", {"km/h": "mi/h", "mm[Hg]": "kPa"}),
        ("walk", {"km/h": "m/s"}), ("heat", {"Cel": "degF"}), ("heat", {"Cel": "K"}),
        ("porh", {"mm[Hg]": "kPa", "Cel": "[degF]"}),
    ],
)  # fmt: skip
def test_every_index_is_the_same_in_whatever_unit_its_channel_is_recorded(tmp_path, monkeypatch, kind, units):
    plain, now, seen = computed(recorded(tmp_path / "a", monkeypatch, {}, EXAMINATIONS[kind]))
    other, then, marks = computed(recorded(tmp_path / "b", monkeypatch, units, EXAMINATIONS[kind]))
    assert len(plain.results) == len(other.results) > 3
    for one, two in zip(plain.results, other.results, strict=True):
        assert (one.place, one.result.name, one.result.unit) == (two.place, two.result.name, two.result.unit)
        assert one.result.status is two.result.status, one.result
        assert (two.result.value is None) == (one.result.value is None), one.result
        if one.result.value is not None:
            assert two.result.value == pytest.approx(one.result.value, rel=1e-6, abs=1e-6), one.result
        assert one.objection == two.objection
    assert [(m.mark, m.at) for m in marks] == [(m.mark, pytest.approx(m.at, abs=0.05)) for m in seen]
    for part, name in (("electrodes", "value"), ("electrodes", "slope"), ("heat", "minutes")):
        numbers, others = ([(e["place"], e[name]) for e in shown[part]] for shown in (now, then))
        assert [place for place, _ in numbers] == [place for place, _ in others]
        for (_, one), (_, two) in zip(numbers, others, strict=True):
            assert two == (one if one is None else pytest.approx(one, rel=1e-6, abs=1e-6))
    if kind == "walk":
        assert then["walk"]["distance"] == pytest.approx(now["walk"]["distance"], rel=1e-9)


def test_a_limit_of_inclusion_is_held_against_kilopascals(tmp_path, monkeypatch):
    found, _, _ = computed(recorded(tmp_path, monkeypatch, {"mm[Hg]": "kPa"}, EXAMINATIONS["tcpo2"]))
    verdicts = {c.name: c.verdict for c in found.eligibility.criteria}
    assert verdicts["tcpo2"] is CriterionVerdict.MET


def test_a_value_of_kilopascals_is_shown_in_mmhg_and_says_so(tmp_path, monkeypatch, capsys):
    directory = recorded(tmp_path / "rec", monkeypatch, {"mm[Hg]": "kPa"}, EXAMINATIONS["tcpo2"])
    found, now, _ = computed(directory)
    described = next(row for row in found.as_dict()["outcomes"] if row["name"] == "tcpo2_rest")
    assert (described["unit"], described["recorded_unit"]) == ("mm[Hg]", "kPa")
    assert {(e["unit"], e["recorded_unit"]) for e in now["electrodes"]} == {("mm[Hg]", "kPa")}
    assert perfusion.main(["outcomes", "s1", "--data", str(directory)], standalone_mode=False) == 0
    assert "mmHg (from kPa)" in capsys.readouterr().out


def test_a_number_without_a_unit_is_measured_and_never_ok(tmp_path, monkeypatch):
    found, _, _ = computed(recorded(tmp_path, monkeypatch, {"mm[Hg]": "1"}, EXAMINATIONS["tcpo2"]))
    rests = [o.result for o in found.results if o.result.name == "tcpo2_rest"]
    assert rests
    for rest in rests:
        assert not rest.usable
        assert "unit_not_said (recorded without one, mm[Hg] is taken)" in rest.reason


def test_what_was_recorded_in_volts_before_anybody_refused_it_is_no_flux(tmp_path, monkeypatch):
    found, _, _ = computed(recorded(tmp_path, monkeypatch, {"[arb'U]": "V"}, EXAMINATIONS["porh"]))
    for outcome in found.results:
        assert outcome.result.value is None, outcome.result


def bench(**units):
    """The headers of a bench with these units by channel."""
    found = []
    for (device, stream, rate), channels in patients.BENCH.items():
        own = tuple(Channel(name, units.get(name, unit)) for name, (_, unit) in channels.items())
        found.append(Header(device, Stream(stream, own, rate), "a driver", "documented", "a test"))
    return found


@pytest.mark.parametrize(
    ("protocol", "units", "words"),
    [
        ("porh", {"flux": "V"}, r"ldf/flux/flux is recorded in V, .* the \[arb'U\] of the flux"),
        ("porh", {"cuff_pressure": "V"}, r"mm\[Hg\] of the cuff"),
        ("porh", {"flux": "mm[Hg]"}, "of the flux"),
        ("tcpo2-rest", {"tcpo2": "%"}, r"tcpo2/chest/tcpo2 is recorded in %"),
        ("walking-constant", {"speed": "/min"}, "km/h of the belt"),
        ("walking-constant", {"grade": "V"}, "% of the grade"),
        ("local-heating", {"heater_temperature": "mV"}, "Cel of the heater"),
        ("porh", {"flux": "furlongs"}, "recorded in furlongs"),
        ("porh", {"flux": ""}, "recorded in no unit"),
    ],
)
def test_a_channel_of_another_kind_is_refused_at_the_start(protocol, units, words):
    kept = []
    session_service = SessionService((), lambda: T0, kept.append, headers=lambda: bench(**units))
    asked = {"protocol": protocol, "subject": "03-117", "visit": "baseline", "limb": "left",
             "checks": {"contraindications": "none"}}  # fmt: skip
    for request in ({"do": "session.start", **asked}, {"do": "session.check", "protocol": protocol}):
        with pytest.raises(Refused, match=words):
            session_service.answer(request)
    assert not kept


@pytest.mark.parametrize("unit", ["kPa", "mmHg", "mbar", "1"])
def test_a_unit_of_the_same_kind_starts(unit):
    headers = bench(tcpo2=unit)
    check_units(bind(load("tcpo2-rest"), headers), headers)


def test_conversions_are_those_of_the_units():
    pairs = {
        ("kPa", "mm[Hg]"): (6.6, 49.504), ("mi/h", "km/h"): (2.0, 3.218688), ("m/s", "km/h"): (1.0, 3.6),
        ("[degF]", "Cel"): (111.2, 44.0), ("degF", "Cel"): (32.0, 0.0), ("K", "Cel"): (317.15, 44.0),
        ("Cel", "[degF]"): (44.0, 111.2), ("[ft_i]", "m"): (10.0, 3.048), ("mmHg", "mm[Hg]"): (45.0, 45.0),
        ("PU", "[arb'U]"): (12.0, 12.0), ("km", "m"): (0.3, 300.0), ("mm[Hg]", "kPa"): (49.504, 6.6),
    }  # fmt: skip
    for (recorded_in, wanted), (number, truth) in pairs.items():
        converted = ucum.conversion(recorded_in, wanted)
        assert converted(np.array([number]))[0] == pytest.approx(truth, abs=1e-3), recorded_in
    for recorded_in, wanted in (("V", "[arb'U]"), ("1", "mm[Hg]"), ("%", "Cel"), ("V", "mm[Hg]"), ("what", "km/h")):
        assert ucum.conversion(recorded_in, wanted) is None
    assert all(ucum.code(unit) == unit for unit in (*UNITS.values(), *BESIDE.values()))
    assert all(code in ucum.UNITS for code in ucum.WRITTEN.values())


ASCII = """
name = "mon"
instrument = "a monitor"
source = "unconfirmed"
citation = "none"
baud = 9600
interval_s = 1
terminator = "0D 0A"
pattern = 'T=(?P<tcpo2>[^\\n]+)'
[[channels]]
name = "tcpo2"
unit = "UNIT"
valid_min = 0
valid_max = 800
[[examples]]
line = "T=61"
values = { tcpo2 = 61 }
"""
PROFILE = """
name = "amp"
instrument = "an amplifier"
source = "unconfirmed"
citation = "none"
[[signals]]
signal = "flux"
unit = "UNIT"
volts_per_unit = 0.01
valid_min = 0
valid_max = 500
"""
BENCHES = {
    "ascii": ("ascii/mon.toml", ASCII, 'driver = "ascii"\nport = "COM1"\noptions = { profile = "mon" }', "channels"),
    "analog": (
        "profiles/amp.toml", PROFILE,
        'driver = "snuadc"\nport = "COM1"\n[[device.channel]]\ninput = 1\nsignal = "flux"\nprofile = "amp"', "signals",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BENCHES)
@pytest.mark.parametrize("unit", ["furlongs", "mmhg/", "%%"])
def test_a_unit_that_nobody_knows_is_refused_with_its_profile_and_what_is_allowed(tmp_path, kind, unit):
    name, text, device, table = BENCHES[kind]
    profile, bedside = tmp_path / name, tmp_path / "b.toml"
    profile.parent.mkdir()
    bedside.write_text(f'[[device]]\nname = "mon"\n{device}\n', "utf-8")
    for known in ("kPa", "mmHg", "[degF]"):
        profile.write_text(text.replace("UNIT", known), "utf-8")
        assert config.load(bedside).devices
    profile.write_text(text.replace("UNIT", unit), "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        config.load(bedside)
    error = str(refused.value)
    assert f"{table}[0].unit" in error
    assert str(profile) in error
    assert unit in error
    assert "mm[Hg], Pa" in error
