"""Every folder DRIVER/CASE here: a tape, and the samples that today's driver must make of it; a new one is found."""

from pathlib import Path

import pytest

from acquisition.device.replay import EXPECTED, compare, play, read_expected, tapes
from acquisition.driverkit.registry import drivers

HERE = Path(__file__).parent
CASES = sorted(str(file.parent.relative_to(HERE)) for file in HERE.glob(f"*/*/{EXPECTED}"))


@pytest.mark.parametrize("case", CASES)
def test_a_tape_gives_the_samples_that_are_expected_of_it(case):
    (tape,) = tapes(HERE / case)
    played, expected = play(tape), read_expected(HERE / case / EXPECTED)
    assert set(expected) == {stream for stream, rows in played.rows.items() if len(rows)}
    for stream, rows in expected.items():
        verdict = compare(played.rows[stream], rows)
        assert verdict.samples == len(rows)
        assert not verdict.differ, f"{stream}: {verdict.differ} of {verdict.samples} samples differ"


@pytest.mark.parametrize("case", CASES)
def test_a_case_stands_in_the_folder_of_its_driver(case):
    (tape,) = tapes(HERE / case)
    assert drivers()[tape.label.driver].__module__.split(".")[1] == case.split("/")[0]


def test_the_folders_of_drivers_have_cases():
    modules = {driver.__module__.split(".")[1] for driver in drivers().values()} - {"tosca500_csv"}
    assert {case.split("/")[0] for case in CASES} >= modules
