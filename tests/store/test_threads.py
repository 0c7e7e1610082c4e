"""Several that open a record at once, as the daemon's page and remotes do right after the start."""

import subprocess
import sys
import threading

import apsw
import pytest

from acquisition.store import Store
from acquisition.store.housekeeper import LASTS, Housekeeper
from acquisition.store.schema import FILE
from tests.store.records import Source, record

OPENING = """
import sys, threading
from acquisition.store import Store
sys.setswitchinterval(1e-6)
ready = threading.Barrier(8)
def look():
    with Store(sys.argv[1]) as store:
        ready.wait()
        for _ in range(30):
            store._headers.clear()
            assert store.headers(1)
threads = [threading.Thread(target=look) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
"""


def test_threads_that_read_a_header_for_the_first_time_at_once_do_not_crash(tmp_path):
    record(tmp_path, [Source().chunk()])
    for _ in range(5):
        subprocess.run([sys.executable, "-c", OPENING, tmp_path], check=True, timeout=60)


def test_a_reader_waits_while_another_process_has_the_record_for_itself(tmp_path):
    record(tmp_path, [Source().chunk(10)])
    alone = apsw.Connection(str(tmp_path / FILE))
    alone.pragma("locking_mode", "exclusive")
    alone.execute("BEGIN EXCLUSIVE")
    released = threading.Timer(0.3, alone.close, (True,))
    released.start()
    with Store(tmp_path) as store:
        assert len(store.read("ldf")) == 10
    released.join()


def test_maintenance_goes_on_after_a_bug_in_a_chore_and_says_so(caplog):
    done = threading.Event()
    tries = []

    def faulty(_):
        tries.append(1)
        raise RuntimeError("a bug")

    def sound(_):
        if len(tries) > 1:
            done.set()

    housekeeper = Housekeeper((faulty, sound), 0.001)
    housekeeper.start()
    assert done.wait(5), "the thread died of the first chore"
    housekeeper.stop()
    housekeeper.join(5)
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "a bug" in str(told[0].exc_info[1])


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), SystemExit(3), ValueError("no block")])
def test_what_fails_for_ever_is_told_once_and_is_a_trouble_after_a_minute(error, caplog):
    caplog.set_level("INFO")
    now, faults = [0.0], [error] * 5

    def chore(_):
        if faults:
            raise faults.pop()

    housekeeper = Housekeeper((chore,), monotonic=lambda: now[0])
    for _ in range(4):
        housekeeper.do(0, chore)
        assert housekeeper.trouble is None
    now[0] = LASTS
    housekeeper.do(0, chore)
    assert housekeeper.trouble.startswith(type(error).__name__)
    assert len(caplog.records) == 1
    housekeeper.do(0, chore)
    assert housekeeper.trouble is None
    assert caplog.records[-1].message == "maintenance of the record goes again"
