"""Wall clock of each run: what people read and ask goes by it, though keys go on after a clock that was ahead."""

import csv
import io
import json
from datetime import datetime

import numpy as np
import pytest

from acquisition.cli import perfusion
from acquisition.model import Event
from acquisition.store import Retention, Store, StoreWriter, check, runs
from acquisition.store.compaction import Compactor
from acquisition.store.retention import Expiry
from acquisition.store.runs import BEHIND, PAUSE
from acquisition.store.wall import LEAST, MENDED, Piece, Wall
from tests.store.clocks import AHEAD, DAY, HOUR, MINUTE, Bedside, accident
from tests.store.records import SECOND, T0

EPOCH = 3 * DAY
"""What a clock shows whose battery is dead."""


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = perfusion.main([str(a) for a in arguments], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


def days(texts):
    return [text[:10] for text in texts]


def test_without_a_shift_the_map_is_the_identity_and_copies_nothing():
    keys = np.array([T0, T0 + 1])
    for wall in (Wall(), Wall([Piece(T0, 0), Piece(T0 + DAY, 0)])):
        assert wall.of(T0) == T0
        assert wall.of_all(keys) is keys
        assert wall.key(T0) == T0
        assert wall.spans(T0, T0 + 5) == [(T0, T0 + 5, 0)]


def test_keys_are_mapped_as_an_array_as_one_by_one_and_back():
    wall = Wall([Piece(0, 0), Piece(1000, -700), Piece(2000, 50)])
    keys = np.array([-5, 0, 999, 1000, 1999, 2000, 9000])
    assert wall.of_all(keys).tolist() == [wall.of(int(key)) for key in keys] == [-5, 0, 999, 300, 1299, 2050, 9050]
    assert wall.spans(300, 400) == [(300, 400, 0), (1000, 1100, -700)]
    assert wall.key(350) == 1050, "the latest run of those that showed this time"
    assert wall.key(350, 0, 900) == 350, "the one that is asked about"
    assert wall.key(2020) == 2000, "a clock that was set forward passed it by"


def test_a_span_of_the_wall_clock_may_be_several_of_keys():
    wall = Wall([Piece(0, 0), Piece(1000, -1000)])
    assert wall.spans(10, 20) == [(10, 20, 0), (1010, 1020, -1000)]
    assert [span[2] for span in wall.spans(None, None)] == [0, -1000]


def test_a_record_with_right_clocks_keeps_its_keys_as_its_times(tmp_path):
    host = Bedside(tmp_path)
    for day in range(3):
        host.record(T0 + day * DAY)
    with Store(tmp_path) as store:
        assert store.wall().identity
        assert [run.anchor for run in store.history()] == [run.said for run in store.history()]


def test_after_a_clock_that_was_ahead_a_pause_keeps_its_length(tmp_path):
    host = accident(tmp_path)
    with host.run(host.utc + 90 * SECOND) as run:
        run.flux(40)
    with Store(tmp_path) as store:
        third, fourth = store.history()[2:]
        assert fourth.anchor - third.end == fourth.began - third.ended
        assert fourth.began == T0 + 2 * DAY + 70 * SECOND + 90 * SECOND
    assert check(tmp_path).ok


def test_a_clock_that_was_behind_does_not_push_the_axis_ahead(tmp_path):
    host = Bedside(tmp_path)
    for utc in (T0, EPOCH, T0 + DAY):
        host.record(utc)
    with Store(tmp_path) as store:
        assert [run.anchor - run.began for run in store.history()][::2] == [0, 0]


def test_samples_of_a_day_are_those_that_the_clock_then_named(tmp_path):
    accident(tmp_path)
    with Store(tmp_path) as store:
        wall = store.wall()
        for day, offset in ((0, 0), (1, AHEAD), (2, 0)):
            begin = np.datetime64(T0 + day * DAY + offset, "ns")
            block = store.read("ldf", "flux", begin, begin + np.timedelta64(1, "h"))
            assert len(block) == 400
            assert wall.of_all(block.time)[0] == begin.astype(np.int64)
        assert len(store.read("ldf", "flux", "2026-01-03T00:00:05Z", "2026-01-03T00:00:06Z")) == 40
        assert len(store.read("ldf", "flux", datetime(2026, 1, 1), datetime(2026, 2, 1))) == 800
        assert len(store.read("ldf", "flux", block.time[0])) == 400, "keys stay keys"


def test_two_runs_that_showed_the_same_hour_are_both_found(tmp_path):
    host = Bedside(tmp_path)
    host.record(T0 + HOUR)
    host.record(T0 + HOUR)
    hour = ("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z")
    with Store(tmp_path) as store:
        assert len(store.read("ldf", "flux", *hour)) == 800
        drawn = store.overview("ldf", "flux", *hour, points=60)
        values = store.read("ldf", "flux").values[:, 0]
    assert drawn.count[0, 0] == np.isfinite(values).sum()
    assert drawn.low[0, 0] == np.nanmin(values)
    assert drawn.mean[0, 0] == pytest.approx(np.nanmean(values))
    assert drawn.edges[0] == T0 + HOUR


def test_the_command_line_shows_and_takes_times_of_the_wall_clock(tmp_path, call):
    accident(tmp_path)
    rows = list(csv.DictReader(io.StringIO(call("query", tmp_path, "--csv")[1])))
    assert list(dict.fromkeys(days(row["time"] for row in rows))) == ["2026-01-01", "2034-03-21", "2026-01-03"]
    third = list(
        csv.DictReader(io.StringIO(call("query", tmp_path, "--csv", "--from", "2026-01-02", "--to", "2027-01-01")[1]))
    )
    assert (len(third), third[0]["time"]) == (400, "2026-01-03T00:00:00.000000Z")
    (stream,) = json.loads(call("query", tmp_path, "--json")[1])
    assert days([stream["first"], stream["last"]]) == ["2026-01-01", "2026-01-03"]
    assert days(gap["from"] for gap in stream["gaps"]) == ["2026-01-01", "2034-03-21"]
    (stream,) = json.loads(call("query", tmp_path, "--json", "--from", "2026-01-02", "--to", "2026-01-04")[1])
    assert stream["samples"] == 400
    means = list(csv.DictReader(io.StringIO(call("query", tmp_path, "--every", "4s", "--from", "2026-01-03")[1])))
    mended = [row["time"] for row in means if row["time"] < "2030"]
    assert mended == [f"2026-01-03T00:00:0{second}.000000Z" for second in (0, 4, 8)]


def test_means_of_a_run_begin_with_whole_intervals_of_the_wall_clock(tmp_path, call):
    host = Bedside(tmp_path)
    host.record(T0 + HOUR)
    host.record(T0 + 3 * SECOND)
    means = list(csv.DictReader(io.StringIO(call("query", tmp_path, "--every", "10s")[1])))
    assert [row["time"][11:19] for row in means] == ["01:00:00", "00:00:00", "00:00:10"]


def retained(directory, age):
    """The runs of which samples are left once what is older than the age (ns) went."""
    writer = StoreWriter(directory, clock=Bedside(directory).clock, flush=0.01, compact=None)
    writer.open()
    with Store(directory) as store:
        newest = store.history()[-1]
    run = writer.begin_run(Bedside(directory, newest.ended + 1).clock.now(), newest.end + 1, {})
    try:
        Compactor(writer._file, writer.submit, samples=64).run_once()
        Expiry(writer._file, Retention(age), writer.submit).run_once()
    finally:
        writer.close()
    assert check(directory).ok
    with Store(directory) as store:
        held = [store.wall().of(int(key)) for key in store.read("ldf").time[::64]]
        bounds = [(each.number, each.began, each.ended) for each in store.history() if each.number != run]
    return [number for number, began, ended in bounds if any(began <= time <= ended for time in held)]


def test_a_clock_that_was_ahead_removes_nothing_of_today_and_keeps_nothing_for_ever(tmp_path):
    host = accident(tmp_path)
    assert retained(tmp_path, 90 * DAY) == [1, 2, 3]
    for month in range(1, 6):
        host.record(T0 + month * 30 * DAY)
    assert retained(tmp_path, 90 * DAY) == [7, 8, 9], "of the last 90 days, at 90, 120 and 150"


def test_while_the_clock_is_ahead_what_was_recorded_before_stays(tmp_path):
    host = Bedside(tmp_path)
    host.record(T0)
    host.record(T0 + AHEAD)
    assert retained(tmp_path, 90 * DAY) == [1, 2]


def test_what_was_recorded_by_a_dead_battery_stays_as_long_as_the_rest(tmp_path):
    host = Bedside(tmp_path)
    for utc in (T0, EPOCH, T0 + DAY):
        host.record(utc)
    assert retained(tmp_path, 90 * DAY) == [1, 2, 3]


@pytest.mark.parametrize(
    ("utc", "asked"),
    [
        (-BEHIND, False),
        (-BEHIND - 1000, True),
        (-HOUR, True),
        (HOUR, False),
        (AHEAD, False),
        (EPOCH - T0, True),
    ],
)
def test_a_start_more_than_ten_minutes_before_the_end_of_the_record_is_in_doubt(tmp_path, utc, asked):
    host = Bedside(tmp_path)
    host.record(T0)
    with Store(tmp_path) as store:
        doubt = store.doubt(store.history()[0].ended + utc)
    assert (doubt is not None) == asked


def test_a_doubt_names_both_times_and_both_possibilities(tmp_path):
    accident(tmp_path)
    with Store(tmp_path) as store:
        doubt = store.doubt(T0 + 2 * DAY)
    assert [run.number for run in doubt.runs] == [2]
    for part in ("2026-01-03 00:00:00 UTC", "2034-03-21", "this clock is behind", "that run's was ahead"):
        assert part in doubt.text
    assert "perfusion clock accept" in doubt.remedy
    assert "perfusion clock mend 2" in doubt.remedy


def test_a_bench_whose_clock_runs_faster_leaves_no_doubt(tmp_path):
    host = Bedside(tmp_path)
    with host.run(T0 + AHEAD, speed=50.0) as run:
        run.flux(4)
    with Store(tmp_path) as store:
        assert store.doubt(T0) is None


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_step_within_a_run_is_followed_from_there_on(tmp_path, step):
    host = Bedside(tmp_path)
    with host.run(T0) as run:
        run.flux(400)
        host.utc += step
        run.writer.put(Event("clock", run.key(), "", "stepped", {"step": step / SECOND, "utc": host.utc}))
        run.flux(400)
    with Store(tmp_path) as store:
        wall, keys = store.wall(), store.read("ldf").time
        assert wall.of_all(keys)[[0, -1]].tolist() == [T0, keys[-1] + step]
        assert (np.diff(keys[1:400]) == np.diff(keys[:400])[0]).all()


def test_a_small_step_within_a_run_parts_no_samples(tmp_path):
    host = Bedside(tmp_path)
    with host.run(T0) as run:
        run.flux(40)
        host.utc += LEAST - SECOND
        run.writer.put(Event("clock", run.key(), "", "stepped", {"step": 59.0, "utc": host.utc}))
        run.flux(40)
    with Store(tmp_path) as store:
        assert store.wall().identity


def test_a_correction_gives_a_run_its_true_times_and_the_last_one_holds(tmp_path):
    host = accident(tmp_path)
    with host.run(T0 + 3 * DAY) as run:
        for utc in (T0 + DAY + HOUR, T0 + DAY):
            run.writer.put(Event(MENDED, run.key(), "", "mended", {"run": 2, "utc": utc}))
    with Store(tmp_path) as store:
        assert [each.began for each in store.history()] == [T0 + day * DAY for day in range(4)]
        assert store.doubt(T0 + 3 * DAY) is None
        assert len(store.read("ldf", "flux", "2026-01-02", "2026-01-03")) == 400
    assert retained(tmp_path, 90 * DAY) == [1, 2, 3]


def test_a_long_pause_counts_for_half_the_age_at_most(tmp_path):
    host = Bedside(tmp_path)
    for utc in (T0, T0 + 2 * DAY, T0 + PAUSE + 40 * DAY):
        host.record(utc)
    with Store(tmp_path) as store:
        added = runs.elapsed(store.history(), DAY)
    assert added == {1: 0, 2: -DAY + 70 * SECOND, 3: added[3]}
    assert added[3] < added[2]
    assert MINUTE < DAY
