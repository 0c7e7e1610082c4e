"""Several threads that open a record at once, as the daemon's page and remotes do right after the start."""

import subprocess
import sys

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
        subprocess.run([sys.executable, "-c", OPENING, tmp_path], check=True, timeout=30)
