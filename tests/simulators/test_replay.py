import numpy as np
import pytest

from acquisition.errors import ConfigurationError
from simulators.bench.replay import load
from simulators.patient.physiology import Participant
from tests import recordings


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "finger: left.csv"
    path.write_text("time_s,flux,volts\n-2,1.5,0.1\n-1,-2.5,0.2\n0.5,3,0.3\n\n2,4,0.4\n", "utf-8")
    return path


def test_a_row_holds_until_the_next_and_the_ends_hold(file):
    bench = load([f"{file}:flux=flux"], Participant())
    assert bench.values("flux", np.array([-5.0, 0, 0.99, 1, 2.4, 2.5, 4, 100])).tolist() == [
        1.5, 1.5, 1.5, -2.5, -2.5, 3, 4, 4,
    ]  # fmt: skip
    assert bench.values("flux", np.array([4.0, 0.0])).tolist() == [4, 1.5]


def test_every_row_is_read_once_and_then_there_are_none(file):
    bench = load([f"{file}:volts=101", f"{file}:flux=flux"], Participant())
    assert bench.channels == ("101", "flux")
    assert bench.rows(0, 3, "101").tolist() == [0.1, 0.2, 0.3]
    assert bench.rows(3, 3, "101").tolist() == [0.4]
    assert bench.rows(4, 3, "101").tolist() == []


def test_other_signals_are_the_participants_at_the_rows_own_times(file):
    participant = Participant("healthy", "rest", 2)
    bench = load([f"{file}:flux=flux"], participant)
    t = np.array([0.0, 1.0, 2.5, 4.0])
    assert np.array_equal(bench.values("tcpo2_calf", t), participant.values("tcpo2_calf", t))
    assert np.array_equal(bench.rows(1, 9, "tcpo2_calf"), participant.values("tcpo2_calf", t[1:]))
    with pytest.raises(KeyError):
        bench.rows(0, 1, "102")


def test_a_file_without_times_has_one_row_a_second_and_semicolons_are_understood(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("﻿a;b\n1;10\n2;20\n", "utf-8")
    assert load([f"{path}:b=flux"], Participant()).values("flux", np.array([0.0, 1.0])).tolist() == [10, 20]


@pytest.mark.parametrize(
    ("spec", "text", "says"),
    [
        ("{file}:flow=flux", None, "has no column 'flow'; next: its columns are time_s, flux, volts"),
        ("{file}:flux", None, "FILE:COLUMN=CHANNEL"),
        ("{file}x:flux=flux", None, "cannot be read.*No such file"),
        ("{file}:flux=flux", "time_s,flux\n0,1\n1,high\n", "csv:3: column 'flux' holds 'high', which is no number"),
        ("{file}:flux=flux", "time_s,flux\n0,1\n1\n", "csv:3: column 'flux' holds ''"),
        ("{file}:flux=flux", "time_s,flux\n0,1\n2,1\n2,1\n", "csv:4: the time 2 s does not follow 2 s"),
        ("{file}:flux=flux", "time_s,flux\n", "has no rows"),
        ("{file}:flux=flux", "", "has no column 'flux'"),
    ],
)
def test_an_error_names_file_line_and_column(file, spec, text, says):
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=says) as caught:
        load([spec.format(file=file)], Participant())
    assert str(file) in str(caught.value)


def test_a_channel_is_replayed_once(file):
    with pytest.raises(ConfigurationError, match="'flux' is replayed twice"):
        load([f"{file}:flux=flux", f"{file}:volts=flux"], Participant())


def test_a_real_recording_is_read_whole():
    time, flux = recordings.forearm()
    path = recordings.folder() / "forearm_baseline.csv"
    bench = load([f"{path}:flux_au=flux"], Participant())
    rows = bench.rows(0, 1_000_000, "flux")
    assert np.array_equal(rows, flux)
    assert np.array_equal(bench.values("flux", time), flux)
