"""`check` finds every way in which a record can be wrong, and names the place."""

import apsw
import numpy as np
import pytest

from acquisition.store import Store, check
from acquisition.store.compaction import Compactor
from tests.store.records import STEP, T0, Recording, Source, event, header


@pytest.fixture
def directory(tmp_path):
    """Four rows of ten samples with a counted, an uncounted and an empty hole between them, and events."""
    source = Source()
    with Recording(tmp_path) as writer:
        for lost in (None, 7, -1, 0):
            writer.put(source.chunk(10, lost))
            writer.put(event(source.time, text=f"after {lost}"))
            assert writer.flush()
    return tmp_path


def spoil(directory, *statements):
    connection = apsw.Connection(str(directory / "record.db"))
    for statement in statements:
        connection.execute(statement)
    assert connection.total_changes() > 0 or any("DROP" in s for s in statements)
    connection.close()


def row(directory, identifier):
    connection = apsw.Connection(str(directory / "record.db"))
    found = next(iter(connection.execute("SELECT * FROM chunk WHERE id = ?", (identifier,))))
    connection.close()
    return found[1:]


def put_row(directory, source, **more):
    """Add a row behind the writer's back, its checksum right."""
    from acquisition.store import rows

    connection = apsw.Connection(str(directory / "record.db"))
    connection.execute(rows.INSERT, rows.pack(1, rows.gather([source.chunk(**more)])))
    connection.close()


def problems(directory):
    return "\n".join(check(directory).problems)


def test_a_sound_record_is_sound_and_counted(directory):
    report = check(directory)
    assert report.problems == ()
    assert [(s.device, s.stream, s.samples, s.gaps, s.missing) for s in report.streams] == [
        ("ldf", "flux", 40, 3, None)
    ]
    with Store(directory) as store:
        assert (report.events, report.head) == store.head()
        assert [g.missing for g in store.gaps()] == [7, None, 0]


def test_a_removed_row_is_missing_without_a_gap_record(directory):
    spoil(directory, "DELETE FROM chunk WHERE id = 2")
    assert "samples 10 to 27 are missing without a gap record" in problems(directory)
    assert "the gap record after sample 9 fits no hole" in problems(directory)


def test_overlapping_rows_are_named(directory):
    put_row(directory, Source(first=35, start=T0 + 10**12))
    assert "overlaps the samples before it" in problems(directory)


def test_a_hole_in_the_numbers_without_record_is_named(directory):
    put_row(directory, Source(first=99, start=T0 + 10**12))
    assert "samples 48 to 98 are missing without a gap record" in problems(directory)


def test_times_that_do_not_rise_are_named(directory):
    put_row(directory, Source(first=48, start=T0))
    assert "times do not rise" in problems(directory)


def test_limits_that_are_not_those_of_the_samples_are_named(directory):
    from acquisition.store import rows

    fields = list(row(directory, 4))
    fields[5] -= 1
    fields[12] = rows.checksum(fields[:7], fields[7:12])
    spoil(directory, f"UPDATE chunk SET start = {fields[5]}, crc = {fields[12]} WHERE id = 4")
    assert "its limits are not those of its samples" in problems(directory)


@pytest.mark.parametrize(
    "change",
    [
        "vals = zeroblob(length(vals))",
        "time = zeroblob(length(time))",
        "quality = zeroblob(20)",
        "arrived = zeroblob(length(arrived))",
        "device_time = zeroblob(80)",
        "crc = crc + 1",
        "connection = connection + 1",
        "n = n + 1",
        "stop = stop + 1",
    ],
)
def test_a_changed_row_is_damaged_and_never_served(directory, change):
    spoil(directory, f"UPDATE chunk SET {change} WHERE id = 3")
    assert "row 3" in problems(directory)
    assert "damaged" in problems(directory)
    with Store(directory) as store:
        assert len(store.read("ldf")) == 30
        assert store.damaged == {"row 3"}
        assert [len(store.after(1, sequence)) for sequence in (0, 10, 28)] == [10, 10, 10]


def test_a_gap_record_whose_numbers_disagree_with_its_count_is_named(tmp_path):
    source = Source()
    with Recording(tmp_path) as writer:
        writer.put(source.chunk())
        chunk = source.chunk(lost=5)
        object.__setattr__(chunk.gap, "missing", 4)
        writer.put(chunk)
    assert "says 4 are missing, its numbers say 5" in problems(tmp_path)


def test_samples_inside_a_gap_record_are_named(tmp_path):
    source = Source()
    with Recording(tmp_path) as writer:
        writer.put(source.chunk())
        chunk = source.chunk(lost=5)
        object.__setattr__(chunk.gap, "stop", int(chunk.time[0]) + 1)
        writer.put(chunk)
    assert "samples lie inside the gap record before it" in problems(tmp_path)


def test_a_gap_record_that_fits_no_hole_is_named(tmp_path):
    source = Source()
    with Recording(tmp_path) as writer:
        writer.put(source.chunk())
        chunk = source.chunk(lost=5)
        object.__setattr__(chunk.gap, "after", 2)
        object.__setattr__(chunk.gap, "missing", 6)
        writer.put(chunk)
    assert "the gap record after sample 2 fits no hole" in problems(tmp_path)
    assert "samples 4 to 8 are missing without a gap record" in problems(tmp_path)


def test_an_edited_event_is_named(directory):
    spoil(
        directory,
        "DROP TRIGGER event_is_final",
        "UPDATE event SET body = replace(body, 'after 7', 'after 8') WHERE body LIKE '%after 7%'",
    )
    with Store(directory) as store:
        (edited,) = [e.id for e in store.events("state") if e.body["text"] == "after 8"]
    assert f"event {edited}: the chain of events is broken here" in problems(directory)


def test_the_file_itself_refuses_to_change_or_remove_events(directory):
    for statement in (
        "UPDATE event SET time = 0",
        "DELETE FROM event",
        "REPLACE INTO event SELECT id, 0, kind, device, stream, body, hash FROM event WHERE id = 2",
        "UPDATE OR REPLACE event SET id = 3 WHERE id = 2",
        "INSERT INTO event SELECT 0, time, kind, device, stream, body, hash FROM event WHERE id = 2",
    ):
        with pytest.raises(apsw.ConstraintError):
            spoil(directory, statement)


def test_a_header_that_was_edited_is_named(directory):
    spoil(directory, "UPDATE header SET header = replace(header, 'backscatter', 'temperature')")
    assert "ldf/flux: its header in run 1 is not what the chain of events says" in problems(directory)


def test_a_renamed_device_and_an_edited_run_are_named(directory):
    spoil(directory, "UPDATE stream SET device = 'other'", "UPDATE run SET anchor = anchor + 1")
    assert "other/flux: its header in run 1 is not what" in problems(directory)
    assert "run 1: it is not what the chain of events says" in problems(directory)


def test_events_cut_off_the_end_are_found_with_a_witness_only(directory):
    with Store(directory) as store:
        witness = store.head()
    assert check(directory, witness).ok
    spoil(directory, "DROP TRIGGER event_stays", f"DELETE FROM event WHERE id = {witness[0]}")
    assert check(directory).ok
    assert "the event that was witnessed is missing" in "\n".join(check(directory, witness).problems)


def test_a_record_made_anew_does_not_match_its_witness(directory, tmp_path_factory):
    with Store(directory) as store:
        witness = store.head()
    other = tmp_path_factory.mktemp("other")
    with Recording(other) as writer:
        for _ in range(20):
            writer.put(event())
    assert "is another one" in "\n".join(check(other, witness).problems)


def test_a_damaged_cursor_is_named_and_counts_as_none(directory):
    with Recording(directory) as writer:
        writer.advance("influx", {1: 20})
    spoil(directory, "UPDATE cursor SET next = 30")
    assert "cursor influx" in problems(directory)
    with Store(directory) as store:
        assert store.cursors()["influx"].positions == {}


def test_a_damaged_overview_is_named_with_its_place(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for _ in range(20):
            writer.put(source.chunk(10))
            writer.flush()
        Compactor(writer._file, writer.submit, samples=100, large=100).run_once()
    assert check(tmp_path).ok
    spoil(tmp_path, "UPDATE overview SET start = start + 1 WHERE first = 0")
    (problem,) = check(tmp_path).problems
    assert problem.startswith("overview of stream 1, level 1 (samples from 0): damaged")


def test_only_the_first_hundred_problems_are_listed(tmp_path):
    source = Source(header(channels=("x",)))
    with Recording(tmp_path) as writer:
        for _ in range(150):
            writer.put(source.chunk(2, lost=1))
    spoil(tmp_path, "UPDATE chunk SET crc = 0")
    report = check(tmp_path)
    assert len(report.problems) == 101
    assert report.problems[-1] == "... and 50 more"


def test_arrivals_that_do_not_account_for_the_samples_are_named(directory):
    from acquisition.store import rows

    fields = list(row(directory, 4))
    fields[11] = np.array([[9, 0, 0]], "<i8").tobytes()
    fields[12] = rows.checksum(fields[:7], fields[7:12])
    spoil(directory, f"UPDATE chunk SET arrived = x'{fields[11].hex()}', crc = {fields[12]} WHERE id = 4")
    assert "arrivals do not account" in problems(directory)


def test_keys_rise_over_holes_too(directory):
    with Store(directory) as store:
        assert (np.diff(store.read("ldf").time) >= STEP).all()
