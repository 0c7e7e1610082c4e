"""Examinations simulated straight into a record: whole, seeded, near the truth, and as over the wire."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from acquisition.analysis.outcomes import outcomes
from acquisition.config import load, resources
from acquisition.daemon.gateway import session_log
from acquisition.errors import ConfigurationError
from acquisition.examination import protocol as protocols
from acquisition.store import Store
from acquisition.store.check import check
from benchmarks.whole_way import results
from simulators.sessions.plan import Plan
from simulators.sessions.recorder import write

DAY = 86_400 * 1_000_000_000
T0 = 1_772_442_000 * 1_000_000_000  # 2026-03-02T09:00:00Z
BENCH = resources.shipped() / "simulated_bench.toml"
CHIEF = {
    "porh": ("rest_flow", ("porh", "RF"), 0.15),
    "local-heating": ("heating_baseline", ("heating", "baseline"), 0.15),
    "tcpo2-rest": ("tcpo2_rest", ("tcpo2", "calf"), 0.05),
    "tcpo2-oxygen": ("tcpo2_oxygen_delta", ("oxygen", "calf"), 0.1),
    "walking-constant": ("acd_distance", ("walk", "ACD"), 0.05),
    "walking-gardner-skinner": ("acd_distance", ("walk", "ACD"), 0.05),
}
"""The chief index of a protocol, where its truth stands, and how near it has to come."""
NAMES = resources.names(protocols.KIND)


def make(folder, *plans, config=BENCH):
    return list(write(folder, plans, load(config)))


def found(folder, key):
    """The results of a session by (place, name)."""
    with Store(folder) as store:
        known = session_log(folder)
        return {
            (each.place, each.result.name): each.result for each in outcomes(store, known, known.sessions[key]).results
        }


def samples(folder):
    """Every value of every stream, in order."""
    with Store(folder) as store:
        return {
            info.header.key: store.read(*_address(info.header), stream=info.header.stream.name).values
            for info in store.streams()
        }


def _address(header):
    return header.device, [channel.name for channel in header.stream.channels]


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_is_examined_from_start_to_stop(tmp_path, name):
    (made,) = make(tmp_path, Plan(name, "claudicant", 7, T0))
    session = session_log(tmp_path).sessions[made.session]
    assert not session.open
    required = {rule.name for rule in protocols.load(name).mark if rule.required}
    assert required <= {item.name for item in session.marks()}
    assert check(tmp_path).ok
    if name in CHIEF:
        index, (part, key), near = CHIEF[name]
        result = chief(found(tmp_path, made.session), index)
        assert str(result.status) == "ok", result.reason
        assert result.value == pytest.approx(made.truth[part][key], rel=near)


def chief(results, index):
    return next(result for (place, name), result in results.items() if name == index and "chest" not in place)


def test_every_protocol_that_has_samples_has_a_chief_index_here():
    assert set(CHIEF) | {"flowmotion", "entries"} == set(NAMES)


def test_equal_plans_make_equal_samples_and_another_seed_makes_others(tmp_path):
    for folder, seed in (("one", 3), ("again", 3), ("other", 4)):
        make(tmp_path / folder, Plan("walking-constant", "cli", seed, T0))
    one, again, other = (samples(tmp_path / folder) for folder in ("one", "again", "other"))
    assert {device for device, _ in one} == {"tcpo2", "treadmill"}
    assert all(np.array_equal(one[key], again[key], equal_nan=True) for key in one)
    assert not np.array_equal(one["tcpo2", "calf"], other["tcpo2", "calf"], equal_nan=True)


def test_a_record_goes_on_with_numbers_and_a_gap_for_the_time_between(tmp_path):
    make(tmp_path, Plan("tcpo2-rest", "cli", 3, T0))
    make(
        tmp_path, Plan("tcpo2-rest", "cli", 3, T0 + 90 * DAY, visit="month3"), Plan("entries", "cli", 3, T0 + 91 * DAY)
    )
    known = session_log(tmp_path)
    assert [session.about["visit"] for session in known.sessions.values()] == ["baseline", "month3", "baseline"]
    with Store(tmp_path) as store:
        (gap,) = store.gaps("tcpo2", "calf")
    assert gap.cause == "the service was not running"
    assert gap.missing is None
    assert check(tmp_path).ok


def test_a_protocol_of_a_site_is_followed_by_its_own_words(tmp_path):
    shutil.copy(BENCH, tmp_path / "bench.toml")
    (tmp_path / "protocols").mkdir()
    text = (resources.shipped() / "protocols" / "porh.toml").read_text("utf-8")
    renamed = text.replace('name = "recovery"', 'name = "afterwards"').replace('"recovery"', '"afterwards"')
    (tmp_path / "protocols" / "our-porh.toml").write_text(renamed, "utf-8")
    (made,) = make(tmp_path / "rec", Plan("our-porh", "healthy", 2, T0), config=tmp_path / "bench.toml")
    session = session_log(tmp_path / "rec").sessions[made.session]
    assert [stage.phase for stage in session.stages] == ["rest", "occlusion", "afterwards"]


def test_a_bench_with_a_real_instrument_is_refused(tmp_path):
    bench = BENCH.read_text("utf-8").replace("simulated = true", "simulated = false", 1)
    (tmp_path / "bench.toml").write_text(bench, "utf-8")
    with pytest.raises(ConfigurationError, match="ldf: not simulated"):
        make(tmp_path / "rec", Plan("porh", "healthy", 2, T0), config=tmp_path / "bench.toml")
    assert not (tmp_path / "rec").exists()


PERFUSION = (sys.executable, "-P", "-m", "perfusion")


def command(*arguments):
    return subprocess.run(
        [*PERFUSION, "simulate-session", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_command_says_each_session_with_its_truth(tmp_path):
    said = command(tmp_path / "rec", "--protocol", "entries", "--protocol", "tcpo2-rest", "--participants", 2,
                   "--at", "2026-03-02T10:00+01:00", "--subject", "05-{seed:03d}")  # fmt: skip
    assert said.returncode == 0, said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(line["session"], line["subject"], line["protocol"]) for line in lines] == [
        ("s1", "05-001", "entries"), ("s2", "05-001", "tcpo2-rest"), ("s3", "05-002", "entries"),
        ("s4", "05-002", "tcpo2-rest"),
    ]  # fmt: skip
    assert lines[0]["start"] == "2026-03-02T09:00:00+00:00"
    assert lines[1]["truth"]["tcpo2"]["calf"] > 0


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        (("--protocol", "porhh"), 3, "there is no protocol 'porhh'"),
        (("--protocol", "porh", "--at", "yesterday"), 3, "'yesterday' is no time"),
        (("--protocol", "porh", "--at", "2026-03-02T09:00:00"), 3, "no zone"),
        (("--protocol", "porh", "--subject", "{name}"), 3, "no pattern of a code"),
        (("--protocol", "porh", "--class", "ill"), 2, "ill"),
    ],
)
def test_a_wrong_word_is_refused_and_nothing_is_recorded(tmp_path, wrong, code, says):
    said = command(tmp_path / "rec", *wrong)
    assert (said.returncode, said.stdout) == (code, "")
    assert says in said.stderr
    assert not (tmp_path / "rec" / "record.db").exists() or not session_log(tmp_path / "rec").sessions


WIRE = {
    "porh": "porh", "local-heating": "heating", "flowmotion": "flowmotion", "tcpo2-rest": "rest",
    "tcpo2-oxygen": "oxygen", "walking-constant": "walk-constant", "walking-gardner-skinner": "walk-gs",
}  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize("name", WIRE)
def test_an_examination_in_the_record_is_that_over_the_wire(tmp_path, name):
    """Each index within a quarter of its stated uncertainty of what came over the links, drivers and daemon."""
    (made,) = make(tmp_path, Plan(name, "claudicant", 1, T0))
    written = found(tmp_path, made.session)
    _, wired = results("claudicant", WIRE[name], 1)
    compared = 0
    for at, result in wired.items():
        if result.uncertainty and result.value is not None:
            assert written[at].value == pytest.approx(result.value, abs=0.25 * result.uncertainty), at
            compared += 1
    assert compared or name == "flowmotion"
