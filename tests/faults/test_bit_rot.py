"""One flipped bit anywhere in a record is found or does no harm; nothing wrong is ever served, nothing crashes."""

import random
import shutil
import subprocess
import sys

import apsw
import numpy as np
import pytest

from acquisition.errors import PerfusionError
from acquisition.store import Store, check
from acquisition.store.compaction import Compactor
from tests.store.records import STEP, T0, Recording, Source, event, header


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A closed record with both tiers, two streams, holes, events, cursors and an overview."""
    directory = tmp_path_factory.mktemp("good")
    sources = [Source(), Source(header("tcpo2", "po2", ("chest",)), seed=2)]
    with Recording(directory, flush=30.0, compact=None) as writer:  # commits when told to: the same bytes every time
        for k in range(60):
            for source in sources:
                writer.put(source.chunk(40, lost={20: 5, 41: -1}.get(k), device_time=True))
            writer.put(event(source.time, text=f"round {k}"))
            writer.advance("influx", {1: k * 40, 2: k * 5}, event=k)
            writer.flush()
        Compactor(writer._file, writer.submit, samples=512, large=1024).run_once()
    connection = apsw.Connection(str(directory / "record.db"))
    connection.execute("VACUUM")  # no free pages, in which nothing could be wrong
    connection.close()
    assert check(directory).ok
    return directory, served(directory)


def served(directory):
    """All that the record gives away, by what it is; what cannot be read is left out."""
    found = {}

    def take(name, call):
        try:
            found[name] = call()
        except PerfusionError:
            found[name] = None

    with Store(directory) as store:
        take("streams", lambda: [(i.device, i.stream, i.samples, i.first, i.last, i.gaps) for i in store.streams()])
        take("headers", lambda: {s: store.headers(s) for s in (1, 2)})
        take("runs", store.runs)
        take("events", store.events)
        take("head", store.head)
        take("ends", store.ends)
        take("cursors", lambda: {name: (c.positions, c.event) for name, c in store.cursors().items()})
        for stream in (1, 2):
            take(f"samples {stream}", lambda stream=stream: by_number(store, stream))
        for device, channel in (("ldf", "flux"), ("tcpo2", "chest")):
            take(f"read {device}", lambda device=device: whole(store.read(device)))
            take(f"drawn {device}", lambda d=device, c=channel: drawn(store.overview(d, [c], T0, T0 + 2800 * STEP, 3)))
    return found


def by_number(store, stream):
    found, sequence = {}, 0
    while (samples := store.after(stream, sequence, 1000)) is not None:
        for k in range(len(samples)):
            found[samples.first + k] = (
                int(samples.time[k]),
                samples.values[k].tobytes(),
                samples.quality[k].tobytes(),
                samples.device_time[k].tobytes(),
            )
        sequence = samples.following
    return found


def whole(block):
    return {int(t): (v.tobytes(), q.tobytes()) for t, v, q in zip(block.time, block.values, block.quality, strict=True)}


def drawn(shown):
    return shown.count.tobytes(), shown.low.tobytes(), shown.high.tobytes(), shown.quality.tobytes()


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def judge(directory, original, witness=None):
    """What is wrong with the way a damaged record is treated, and whether the damage was found."""
    try:
        report = check(directory, witness)
        found = not report.ok
    except PerfusionError:
        found = True
    try:
        now = served(directory)
    except PerfusionError:
        return ([] if found else ["it cannot be opened, and verify said ok"]), found
    wrong = []
    for name, value in now.items():
        if not found and value != original[name]:
            wrong.append(f"{name} differ and verify said ok")
        if value is not None and name.split()[0] in ("samples", "read"):
            others = [key for key, each in value.items() if original[name].get(key) != each]
            if others:
                wrong.append(f"{name}: wrong ones served as good: {others[:3]}")
    return wrong, found


def goes_on(directory):
    """The daemon on that record: it starts and writes, or says in words why not."""
    try:
        with Recording(directory, compact=None) as writer:
            last = writer.last("ldf", "flux")
            first, start = (0, T0) if last is None else (last.next, last.key + STEP)
            writer.put(Source(run=2, first=first, start=start).chunk(4, lost=-1))
            writer.flush(0.3)
    except PerfusionError:
        pass


def flips(good, tmp_path, count, seed, write=True):
    directory, original = good
    rng = random.Random(seed)
    file = directory / "record.db"
    found = 0
    for _ in range(count):
        bit = rng.randrange(file.stat().st_size * 8)
        copy = tmp_path / "copy"
        copy.mkdir()
        shutil.copy(file, copy)
        flip(copy / "record.db", bit)
        wrong, seen = judge(copy, original)
        assert wrong == [], f"bit {bit} of byte {bit // 8}"
        found += seen
        if write and rng.random() < 0.2:
            goes_on(copy)
        shutil.rmtree(copy)
    return found / count


def test_two_hundred_flipped_bits_are_found_or_harmless(good, tmp_path):
    assert flips(good, tmp_path, 200, 1) > 0.25


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(10))
def test_two_thousand_flipped_bits(good, tmp_path, seed):
    flips(good, tmp_path, 200, 100 + seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_ten_thousand_flipped_bits(good, tmp_path, seed):
    flips(good, tmp_path, 200, 1000 + seed)


LEFT = """
import os, sys
from pathlib import Path
from tests.store.records import Recording, Source, event
source = Source()
with Recording(Path(sys.argv[1]), compact=None) as writer:
    for k in range(30):
        writer.put(source.chunk(10, device_time=True))
        writer.put(event(source.time, text=str(k)))
        assert writer.flush()
    os._exit(0)
"""


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A record whose writer was killed: thirty commits stand in the write-ahead log."""
    directory = tmp_path_factory.mktemp("left")
    subprocess.run([sys.executable, "-c", LEFT, directory], check=True)
    files = {
        p.name: p.read_bytes() for p in directory.iterdir() if p.name.startswith("record.db") and "shm" not in p.name
    }
    with Store(directory) as store:
        return files, by_number(store, 1), store.head()


def restored(files, folder):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_log_whose_commits_cannot_be_read_is_found(left, tmp_path):
    files, original, head = left
    rng = random.Random(3)
    found = 0
    assert check(restored(files, tmp_path / "as it was"), head).ok
    for k in range(30):
        copy = restored(files, tmp_path / str(k))
        bit = rng.randrange(len(files["record.db-wal"]) * 8)
        flip(copy / "record.db-wal", bit)
        report = check(copy)
        with Store(copy) as store:
            try:
                held = by_number(store, 1)
            except PerfusionError:
                held = {}
        assert all(original[number] == each for number, each in held.items())
        missing = len(original) - len(held)
        assert not report.ok or missing in (0, 10), f"bit {bit}: {missing} samples gone and verify said ok"
        found += not report.ok
        assert not missing or not check(copy, head).ok
    assert found > 15


def test_a_log_cut_by_a_power_cut_is_no_damage(left, tmp_path):
    files, _, _ = left
    log = files["record.db-wal"]
    for k, length in enumerate(np.linspace(32, len(log), 12).astype(int)):
        copy = restored({**files, "record.db-wal": log[:length]}, tmp_path / str(k))
        assert check(copy).problems == ()
        with Recording(copy, compact=None):
            pass
        assert check(copy).problems == ()


def edits(directory, count, seed):
    """Change one event each time behind SQLite's back; verify must name the first row that does not fit."""
    rng = random.Random(seed)
    connection = apsw.Connection(str(directory / "record.db"))
    connection.execute("DROP TRIGGER event_is_final; DROP TRIGGER event_stays")
    rows = list(connection.execute("SELECT * FROM event ORDER BY id"))
    place = {
        "time": lambda row: row[1] + rng.choice((-1, 1)) * rng.randrange(1, 10**12),
        "kind": lambda row: row[2] + "x",
        "device": lambda row: row[3][:-1] + "z",
        "stream": lambda row: row[4] + " ",
        "body": lambda row: row[5].replace(":", " :", 1) if rng.random() < 0.5 else row[5][:-2] + '!"}',
        "hash": lambda row: bytes([row[6][0] ^ 1]) + row[6][1:],
    }
    for _ in range(count):
        what = rng.choice([*place, "gone", "doubled", "swapped", "moved"])
        target = rng.randrange(1, len(rows) - 1)
        row, other = rows[target], rows[target + 1]
        connection.execute("BEGIN")
        if what in place:
            connection.execute(f"UPDATE event SET {what} = ? WHERE id = ?", (place[what](row), row[0]))
        elif what == "gone":
            connection.execute("DELETE FROM event WHERE id = ?", (row[0],))
        elif what == "moved":
            connection.execute("DELETE FROM event WHERE id = ?", (row[0],))
            connection.execute("UPDATE event SET id = id - 1 WHERE id > ?", (row[0],))
        elif what == "swapped":
            connection.execute("UPDATE event SET id = -1 WHERE id = ?", (row[0],))
            connection.execute("UPDATE event SET id = ? WHERE id = ?", (row[0], other[0]))
            connection.execute("UPDATE event SET id = ? WHERE id = -1", (other[0],))
        else:
            connection.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?)", (rows[-1][0] + 1, *row[1:]))
        from acquisition.store.chain import first_broken

        expected = rows[-1][0] + 1 if what == "doubled" else row[0]
        assert first_broken(connection) == expected, what
        connection.execute("ROLLBACK")
    connection.close()


@pytest.fixture
def chain(tmp_path):
    with Recording(tmp_path) as writer:
        for k in range(30):
            writer.put(event(T0 + k, text=f"number {k}", a=k))
    return tmp_path


def test_a_thousand_edits_of_the_chain_are_all_found_at_the_row(chain):
    edits(chain, 1000, 1)


@pytest.mark.proof
def test_ten_thousand_edits_of_the_chain(chain):
    edits(chain, 10_000, 2)


@pytest.mark.soak
def test_a_hundred_thousand_edits_of_the_chain(chain):
    edits(chain, 100_000, 3)


def test_the_witness_finds_what_the_chain_alone_cannot(chain):
    with Store(chain) as store:
        head = store.head()
    connection = apsw.Connection(str(chain / "record.db"))
    connection.execute("DROP TRIGGER event_stays")
    for _ in range(5):
        connection.execute("DELETE FROM event WHERE id = (SELECT max(id) FROM event)")
        assert check(chain).ok
        assert not check(chain, head).ok
    connection.close()
