"""A device whose entry says tape = true: what was on its wire, played again, gives the very samples of the record."""

import subprocess
import time
from dataclasses import replace

import pytest

from acquisition.device.tape import TapeWriter, label, pieces
from tests.service.bench import ENTRIES, PERFUSION, Bench, streaming

TAPED = {
    name: text.replace("simulated = true", "simulated = true\n        tape = true") for name, text in ENTRIES.items()
}


def replay(*arguments):
    """`perfusion replay`: exit code and what it said."""
    done = subprocess.run([*PERFUSION, "replay", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of a record of three devices, one of them garbled and one unplugged on the way."""
    with Bench(tmp_path_factory.mktemp("taped")) as bench:
        for each in TAPED:
            bench.simulate(each)
        bench.write(TAPED)
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        bench.simulators["trackmaster"].strike("garble@0s:2s:p=0.2")
        bench.simulators["intellivue"].strike("unplug@0s:1s")
        time.sleep(4.0)
        daemon.until(bench.store, streaming)
        assert daemon.stop() == 0
        yield bench.store


def longest(record):
    """The treadmill's longest tape."""
    return max((record / "tapes").glob("treadmill-*.tape"), key=lambda file: file.stat().st_size)


def test_the_tapes_of_a_record_give_the_samples_of_the_record(recorded):
    code, text = replay(recorded)
    assert code == 0, text
    assert text.splitlines()[-1].endswith(" samples, 0 differ")
    assert int(text.splitlines()[-1].split()[0]) > 100
    assert "asks differently" not in text


def test_one_device_and_one_file_can_be_chosen(recorded):
    code, text = replay(recorded, "--device", "treadmill")
    assert code == 0
    assert "treadmill" in text
    assert "ldf" not in text
    file = longest(recorded)
    code, text = replay(file)
    assert code == 0
    assert text.count(file.name) == 1
    code, text = replay(recorded, "--device", "scales")
    assert (code, "no tape of the device 'scales'" in text) == (2, True)


def retold(file, folder):
    """The tape with another last digit in each answer to the grade, wherever the reads were cut."""
    tape, left = TapeWriter(folder, label(file)), 0
    for piece in pieces(file):
        if piece.step == "end":
            tape.close(piece.at)
            break
        data = bytearray(piece.data)
        for i, byte in enumerate(data if piece.step == "read" else b""):
            left = 4 if byte == 0xD2 else max(left - 1, -1)
            if left == 0:
                data[i] = ord("2" if byte == ord("1") else "1")
        tape.add(replace(piece, data=bytes(data)))
    return (folder / file.name).read_bytes()


def test_a_tape_that_says_something_else_differs_and_the_exit_code_says_so(recorded, tmp_path):
    file = longest(recorded)
    raw = file.read_bytes()
    changed = retold(file, tmp_path)
    assert changed != raw
    assert len(changed) == len(raw)
    try:
        file.write_bytes(changed)
        code, text = replay(file)
    finally:
        file.write_bytes(raw)
    assert code == 5
    assert not text.splitlines()[-1].endswith(" 0 differ")


def test_a_reconnected_device_has_a_tape_for_each_connection_with_what_its_driver_was_built_from(recorded):
    files = sorted((recorded / "tapes").glob("tcpo2-*.tape"))
    labels = [label(file) for file in files]
    assert len({each.connection for each in labels}) == len(labels) > 1
    assert all(each.options["electrodes"][0]["name"] == "chest" for each in labels)
    steps = [piece.step for piece in pieces(files[0])]
    assert steps[0] == "start"
    assert steps[-1] == "end"
    assert {"read", "wrote", "poll"} <= set(steps)


def test_a_killed_daemon_leaves_tapes_that_agree_with_what_was_committed(tmp_path):
    with Bench(tmp_path) as bench:
        bench.simulate("trackmaster")
        bench.write({"trackmaster": TAPED["trackmaster"]})
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        time.sleep(1.5)
        daemon.kill()
    code, text = replay(bench.store)
    assert code == 0, text
    assert " 0 differ" in text


def test_a_cut_case_is_the_tape_with_its_samples(recorded, tmp_path):
    file = longest(recorded)
    assert replay(file, "--cut", tmp_path / "case")[0] == 0
    assert {each.name for each in (tmp_path / "case").iterdir()} == {file.name, "expected.csv"}
    code, text = replay(tmp_path / "case")
    assert (code, " 0 differ" in text) == (0, True)
    expected = tmp_path / "case" / "expected.csv"
    expected.write_text(expected.read_text().replace("0 0 0 0 0\n", "0 0 0 0 1\n", 1))
    code, text = replay(tmp_path / "case")
    assert (code, " 1 differ" in text) == (5, True)
