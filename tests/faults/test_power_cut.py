"""A power cut at any moment loses nothing that was accepted, and the record opens again by itself."""

import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from acquisition.store import Retention, Store, StoreWriter, check
from acquisition.store.compaction import Compactor
from acquisition.store.retention import Expiry
from tests.faults.disk import Disk, Replay
from tests.store.records import STEP, T0, Recording, Source, event, header

FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Accepted:
    """What the writer promised, and when: places in the disk's log."""

    def __init__(self, disk):
        self.disk = disk
        self.rows, self.heads, self.cursors = [], [], []
        self.sent = {}

    def witness(self, rows):
        self.rows.append((len(self.disk.log), rows))

    def flushed(self, directory):
        with Store(directory, vfs=self.disk.name) as store:
            self.heads.append((len(self.disk.log), store.head()))
            self.cursors.append((len(self.disk.log), store.cursors()))


def session(directory, disk, accepted, writer_class=StoreWriter, rounds=40, age=400):
    """Two runs of two streams with holes, events, cursors, compression and retention."""
    sources = [Source(), Source(header("tcpo2", "po2", ("chest",)), seed=2)]
    for run in (1, 2):
        recording = Recording(
            directory, flush=30.0, compact=None, vfs=disk.name, witness=accepted.witness, writer_class=writer_class
        )
        with recording as writer:
            for source in sources:
                source.run = run
            for k in range(rounds):
                for source in sources:
                    lost = -1 if run == 2 and k == 0 else {10: 5, 30: 0}.get(k)
                    chunk = source.chunk(8, lost)
                    accepted.sent.setdefault(source.header.key, {})[chunk.first] = chunk
                    writer.put(chunk)
                writer.put(event(source.time, text=f"round {k}"))
                if k % 5 == 0:
                    writer.advance("influx", {1: k * 8}, event=k)
                assert writer.flush()
                if k % 10 == 0:
                    accepted.flushed(directory)
                if k % 20 == 19:
                    Compactor(writer._file, writer.submit, samples=64, large=128, vfs=disk.name).run_once()
            if run == 2:
                Expiry(writer._file, Retention(age=age * STEP), writer.submit, vfs=disk.name).run_once()


def reopen(directory):
    """What the daemon does when the power is back: open, begin a run, go on with each stream."""
    with Recording(directory, flush=30.0, compact=None) as writer:
        for key in (("ldf", "flux"), ("tcpo2", "po2")):
            last = writer.last(*key)
            head = header(*key, ("flux", "backscatter") if key[0] == "ldf" else ("chest",))
            first, start = (0, T0) if last is None else (last.next, last.key + STEP)
            source = Source(head, run=recording_run(writer), first=first, start=start, connection=99)
            writer.put(source.chunk(4, lost=None if last is None else -1))
        assert writer.flush()
        assert writer.failed is None


def recording_run(writer):
    return next(iter(writer._connection.execute("SELECT max(run) FROM run")))[0]


def lost(store, number, chunks, gone):
    """The numbers of the promised samples that a stream does not hold bit for bit; those in `gone` are excused."""
    promised = np.concatenate([np.arange(c.first, c.first + len(c)) for c in chunks])
    excused = np.zeros(len(promised), bool)
    for first, following in gone:
        excused |= (promised >= first) & (promised < following)
    parts, sequence = [], 0
    while (samples := store.after(number, sequence, 100_000)) is not None:
        parts.append(samples)
        sequence = samples.following
    held = np.concatenate([np.arange(p.first, p.following) for p in parts] or [np.zeros(0, int)])
    places = np.searchsorted(held, promised)
    good = np.isin(promised, held)
    for name in ("time", "values", "quality"):
        sent = np.concatenate([getattr(c, name) for c in chunks]).reshape(len(promised), -1)
        kept = np.concatenate([getattr(p, name) for p in parts] or [sent[:0]]).reshape(len(held), -1)
        width = sent.itemsize * sent.shape[1]
        both = (np.ascontiguousarray(a).view(f"V{width}").ravel() for a in (sent[good], kept[places[good]]))
        good[good] = np.equal(*(each.view(np.uint8).reshape(-1, width) for each in both)).all(axis=1)
    return promised[~good & ~excused].tolist()


def judge(directory, accepted, at):
    """Everything that was promised before place `at` is there bit for bit; answers what is not."""
    heads = [head for place, head in accepted.heads if place <= at]
    wrong = list(check(directory, heads[-1] if heads else None).problems)
    ends = {}
    for place, rows in accepted.rows:
        if place <= at:
            ends |= {(device, stream): first + n for device, stream, first, n in rows}
    with Store(directory) as store:
        numbers = {(i.device, i.stream): i.number for i in store.streams()}
        gone = {(e.device, e.stream): e.body["details"]["ranges"] for e in store.events("expired")}
        for key, end in ends.items():
            chunks = [chunk for first, chunk in accepted.sent[key].items() if first < end]
            if key not in numbers or (missing := lost(store, numbers[key], chunks, gone.get(key, []))):
                wrong.append(f"{key}: lost or changed: {missing if key in numbers else 'all'}")
        cursors = [c for place, c in accepted.cursors if place <= at]
        for name, cursor in (cursors[-1] if cursors else {}).items():
            now = store.cursors().get(name)
            if now is None or now.event < cursor.event or now.positions.get(1, 0) < cursor.positions.get(1, 0):
                wrong.append(f"cursor {name} went back")
    return wrong


def images(accepted, disk, count, seed):
    """Cut the power `count` times at places spread over the whole log."""
    rng = random.Random(seed)
    places = sorted(rng.randrange(1, len(disk.log) + 1) for _ in range(count))
    replay, played = Replay(), 0
    for place in places:
        for entry in disk.log[played:place]:
            replay.play(entry)
        played = place
        yield place, replay.cut(rng)


def outcomes(count, seed=1, writer_class=StoreWriter, rounds=40):
    """For each image what is wrong with it; a start-up that fails counts too."""
    found = []
    with tempfile.TemporaryDirectory(dir=FAST) as folder, Disk(f"power{seed}") as disk:
        accepted = Accepted(disk)
        session(Path(folder) / "original", disk, accepted, writer_class, rounds)
        log = disk.log[:]
        for place, image in images(accepted, disk, count, seed):
            directory = Path(folder) / "image"
            directory.mkdir()
            for name, content in image.items():
                (directory / name).write_bytes(content)
            try:
                reopen(directory)
                wrong = judge(directory, accepted, place)
            except Exception as error:
                wrong = [f"did not start: {error!r}"]
            if wrong:
                found.append((place, log[place - 1][:3], wrong))
            shutil.rmtree(directory)
    return found


class Careless(StoreWriter):
    """A writer that does not wait for the disk."""

    def _connect(self, create=False):
        connection = super()._connect(create)
        connection.pragma("synchronous", "normal")
        return connection


def test_no_power_cut_loses_what_was_accepted_or_stops_the_next_start():
    assert outcomes(500) == []


def test_the_same_cuts_do_show_a_writer_that_does_not_wait_for_the_disk():
    wrong = outcomes(60, writer_class=Careless)
    assert len(wrong) > 20
    assert any("lost" in text for *_, texts in wrong for text in texts)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(10))
def test_twenty_thousand_power_cuts(seed):
    assert outcomes(2000, seed=100 + seed, rounds=40 + 7 * seed) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_a_hundred_thousand_power_cuts(seed):
    assert outcomes(2000, seed=1000 + seed, rounds=40 + seed) == []


def test_an_unsynced_write_meets_every_fate_sector_by_sector():
    replay, rng = Replay(), random.Random(1)
    for entry in (("open", "a"), ("write", "a", 0, b"s" * 2048), ("sync", "a"), ("write", "a", 512, b"n" * 1024)):
        replay.play(entry)
    images = {replay.cut(rng)["a"] for _ in range(200)}
    halves = {(image[512:1024], image[1024:1536]) for image in images}
    old, new = b"s" * 512, b"n" * 512
    assert {(old, old), (new, new), (old, new), (new, old)} <= halves
    assert any(half.startswith(b"n") and half.endswith(b"s") for half, _ in halves)
    assert any(set(half) - set(b"ns") for half, _ in halves)
    assert all(image[:512] == old and image[1536:] == old for image in images)


def test_a_power_cut_during_an_upgrade_leaves_the_old_record_or_the_new_one(tmp_path):
    import apsw

    from acquisition.store import schema
    from tests.store.test_upgrade import write_old

    old = tmp_path / "old"
    old.mkdir()
    rng, replay = random.Random(1), Replay()
    with Disk("upgrade") as disk:
        write_old(old, vfs=disk.name)
        before = len(disk.log)
        schema.open_writer(old / schema.FILE, vfs=disk.name).close()
        for number, entry in enumerate(disk.log):
            replay.play(entry)
            if number < before:
                continue
            image = tmp_path / str(number)
            image.mkdir()
            for name, content in replay.cut(rng).items():
                (image / name).write_bytes(content)
            connection = apsw.Connection(str(image / schema.FILE))
            version = connection.pragma("user_version")
            connection.close()
            assert version in (1, schema.VERSION)
            with Recording(image, compact=None):
                pass
            assert check(image).problems == ()
            with Store(image) as store:
                assert len(store.read("ldf")) == 50
