"""Documents that an examination refers to are those of its start: files of today change no result of it."""

import shutil
from dataclasses import replace

import pytest

from acquisition.analysis.outcomes import method, outcomes
from acquisition.config import load
from acquisition.config.resources import shipped
from acquisition.daemon.gateway import session_log
from acquisition.errors import ConfigurationError
from acquisition.examination import frozen
from acquisition.examination.binding import Address
from acquisition.examination.protocol import load as load_protocol
from acquisition.model import Channel, Header, Stream
from acquisition.signals.comparison import change
from acquisition.store import Store
from simulators.sessions.plan import Plan
from simulators.sessions.recorder import write

SHIPPED = shipped()
T0 = 1_772_442_000 * 1_000_000_000
DAY = 86_400 * 1_000_000_000


@pytest.fixture
def site(tmp_path):
    """A site with a walk of its own on a belt table of its own."""
    folder = tmp_path / "site"
    (folder / "protocols" / "belt").mkdir(parents=True)
    shutil.copy(SHIPPED / "simulated_bench.toml", folder / "bench.toml")
    walk = (SHIPPED / "protocols" / "walking-constant.toml").read_text("utf-8")
    (folder / "protocols" / "our-walk.toml").write_text(walk.replace('belt = "walk-constant"', 'belt = "our-belt"'))
    shutil.copy(SHIPPED / "protocols" / "belt" / "walk-constant.toml", table(folder))
    return folder


def table(site):
    return site / "protocols" / "belt" / "our-belt.toml"


def examine(site, day=0):
    scenario = "simulators.sessions.course.scenario"
    with pytest.MonkeyPatch.context() as patch:
        # The simulated participant walks on a belt that it knows.
        patch.setattr("simulators.sessions.recorder.scenario", lambda protocol: "walk-constant")
        patch.setattr(scenario, lambda protocol: "walk-constant")
        plan = Plan("our-walk", "claudicant", 7, T0 + day * DAY, visit=f"visit-{day}")
        (made,) = write(site / "rec", [plan], load(site / "bench.toml"))
    return made.session


def found(site, key):
    known = session_log(site / "rec")
    with Store(site / "rec") as store:
        return {o.result.name: o for o in outcomes(store, known, known.sessions[key]).results if "calf" not in o.place}


def test_a_belt_table_of_a_site_is_that_of_the_start_whatever_its_file_becomes(site):
    key = examine(site)
    before = found(site, key)
    adherence = before["protocol_adherence"].result
    assert (adherence.status, adherence.settings["protocol"]) == ("ok", "our-belt")
    table(site).unlink()
    after = found(site, key)
    assert {name: (o.result.value, method(o)) for name, o in after.items()} == {
        name: (o.result.value, method(o)) for name, o in before.items()
    }


def test_another_table_of_the_same_name_is_another_method_and_has_no_change(site):
    first = examine(site)
    table(site).write_text(table(site).read_text("utf-8").replace("speed = 3.2", "speed = 2.4"), "utf-8")
    second = examine(site, 1)
    before, after = found(site, first), found(site, second)
    assert after["protocol_adherence"].result.status == "low_quality", "the simulated belt ran at 3.2 km/h"
    for name in ("acd_distance", "protocol_adherence"):
        assert method(before[name]) != method(after[name])
        assert before[name].result.settings["belt"] != after[name].result.settings["belt"]
    conditions = (before["acd_distance"].conditions, after["acd_distance"].conditions)
    compared = change(before["acd_distance"].result, after["acd_distance"].result, conditions, ())
    assert compared.difference.reason == "not_comparable(belt)"


def test_a_walk_whose_table_is_nowhere_does_not_begin(site):
    table(site).unlink()
    with pytest.raises(ConfigurationError, match="our-belt"):
        examine(site)


def test_a_session_of_an_older_version_has_the_shipped_table_and_no_error_without_one(site):
    key = examine(site)
    session = session_log(site / "rec").sessions[key]
    old = {key: value for key, value in session.about.items() if key != frozen.KEY}
    assert frozen.belt(with_about(session, old)) is None
    old["content"] = {**old["content"], "belt": "walk-constant"}
    kept = frozen.belt(with_about(session, old))
    assert (kept.digest, kept.settings, len(kept.table.stages)) == ("", {}, 1)


def with_about(session, about):
    return replace(session, about=about)


def test_the_accuracy_of_an_analog_output_is_that_of_the_start(site):
    profile = next(path for path in (SHIPPED / "profiles").glob("*.toml") if "accuracy" in path.read_text("utf-8"))
    coarse = site / "profiles" / "ours.toml"
    coarse.parent.mkdir()
    shutil.copy(profile, coarse)
    protocol = load_protocol("tcpo2-rest")
    signal = "tcpo2"
    assert frozen.stated("ours", signal, site) is not None
    header = Header(
        "analog", Stream("a", (Channel(signal, "mm[Hg]"),), 1.0), "a driver", "documented", "a test", True,
        profile="ours",
    )  # fmt: skip
    address = Address("analog", "a", signal)
    kept = frozen.freeze(protocol, {"limb": [str(address)]}, [header], site)
    coarse.unlink()
    key = examine(site)
    session = with_about(session_log(site / "rec").sessions[key], kept)
    assert frozen.accuracy(session, address, "ours") == frozen.stated(profile.stem, signal)
    assert frozen.accuracy(with_about(session, {}), address, "ours") is None, "as an older session has it"
