"""The same record and version give the same bytes: in another process, with other hashes of strings, on another day."""

import os
import subprocess
import sys

import pytest

from tests.examination.patients import ABI, PORH, REST, Study

MAIN = "from acquisition.cli import main; main()"


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    made = Study()
    arm = {"what": "pressure", "systolic": 130, "diastolic": 70}
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",), entries=[arm, ABI])
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), entries=[{"what": "vas", "mark": 41}])
    return made.write(tmp_path_factory.mktemp("record"))


def say(record, *arguments, seed="0", zone="UTC"):
    """What another process puts on stdout."""
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "outcomes", *arguments, "--data", str(record)],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout


@pytest.mark.parametrize(
    "arguments", [("s1", "--json", "--curves"), ("s2", "--json"), ("--study", "--csv"), ("--attempts", "--csv")]
)
def test_two_processes_write_the_same_bytes(record, arguments):
    first = say(record, *arguments)
    assert len(first) > 1000
    assert first == say(record, *arguments, seed="1", zone="Asia/Tokyo")
    assert first == say(record, *arguments, seed="4242")
