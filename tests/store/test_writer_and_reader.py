"""Round trip through the record: bit for bit, beside the writer and in other processes too."""

import subprocess
import sys
import threading
import time
from datetime import datetime

import apsw
import numpy as np
import pytest
from msgspec.structs import replace

from acquisition.errors import Refused, StoreError
from acquisition.model import Instant
from acquisition.store import Store, StoreWriter, check, rows, schema
from acquisition.store.journal import Journal
from acquisition.timing.clock import Clock
from tests.store.records import SECOND, STEP, T0, Recording, Source, event, header


def same(block, chunks):
    for name in ("time", "values", "quality"):
        assert getattr(block, name).tobytes() == np.concatenate([getattr(c, name) for c in chunks]).tobytes(), name


@pytest.mark.parametrize("device_time", [False, True])
@pytest.mark.parametrize("sizes", [(7,), (4, 4, 4), (1, 9)])
def test_chunks_become_the_row_that_their_arrays_would_become(sizes, device_time):
    source = Source()
    chunks = [source.chunk(n, device_time=device_time) for n in sizes]
    assert rows.pack_chunks(3, chunks) == rows.pack(3, rows.gather(chunks))
    clean = [replace(chunk, quality=np.zeros_like(chunk.quality)) for chunk in chunks]
    assert rows.pack_chunks(3, clean) == rows.pack(3, rows.gather(clean))
    assert rows.pack_chunks(3, clean)[9] is None


def test_samples_come_back_bit_for_bit_with_nan_payloads_and_flags(tmp_path):
    source = Source()
    chunks = [source.chunk(n) for n in (1, 7, 40)]
    values = chunks[1].values.copy()
    values.view(np.int64)[0, 0] = 0x7FF8_DEAD_0000_0001
    values[1] = (-0.0, 5e-324)
    values[2] = (np.inf, -np.inf)
    quality = np.arange(14, dtype=np.uint8).reshape(7, 2) * 7
    chunks[1] = replace(chunks[1], values=values, quality=quality)
    with Recording(tmp_path) as writer:
        for chunk in chunks:
            writer.put(chunk)
    with Store(tmp_path) as store:
        same(store.read("ldf"), chunks)
    assert check(tmp_path).ok


def test_device_times_and_arrivals_are_kept(tmp_path):
    source = Source()
    chunks = [source.chunk(3, device_time=True) for _ in range(4)]
    with Recording(tmp_path) as writer:
        for chunk in chunks:
            writer.put(chunk)
    with Store(tmp_path) as store:
        samples = store.after(1, 0)
        assert store.read("ldf").device_time.tobytes() == np.concatenate([c.device_time for c in chunks]).tobytes()
    assert samples.arrived.tolist() == [[3, c.arrived.monotonic, c.arrived.utc] for c in chunks]


def test_a_reader_in_another_process_sees_each_commit_while_the_writer_goes_on(tmp_path):
    program = """
import sys
from acquisition.store import Store, check
for line in sys.stdin:
    with Store(sys.argv[1]) as store:
        block = store.read("ldf")
    print(len(block), int(block.time[-1]), check(sys.argv[1]).ok, flush=True)
"""
    source, written = Source(), 0
    with Recording(tmp_path) as writer:
        reader = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with reader:
            for _ in range(5):
                chunk = source.chunk(50)
                written += 50
                writer.put(chunk)
                assert writer.flush()
                reader.stdin.write("look\n")
                reader.stdin.flush()
                assert reader.stdout.readline().split() == [str(written), str(chunk.time[-1]), "True"]
            reader.stdin.close()
        assert reader.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "record.db"]


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path):
    program = """
import sys
from pathlib import Path
from acquisition.timing.clock import Clock
from acquisition.store import StoreWriter
writer = StoreWriter(Path(sys.argv[1]), clock=Clock())
writer.open()
print("open", flush=True)
sys.stdin.read()
writer.close()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        second = StoreWriter(tmp_path, clock=Clock())
        with pytest.raises(Refused, match=f"PID {holder.pid}") as refusal:
            second.open()
        assert refusal.value.exit_code == 8
        holder.stdin.close()
    with Recording(tmp_path):
        pass


def test_a_reader_does_not_free_the_record_for_a_second_writer(tmp_path):
    with Recording(tmp_path):
        Store(tmp_path).close()
        with pytest.raises(Refused):
            StoreWriter(tmp_path, clock=Clock()).open()


def test_a_daemon_starts_at_once_while_a_backup_holds_the_record_as_it_was(tmp_path):
    source = Source()
    with Recording(tmp_path, compact=None) as writer:
        writer.put(source.chunk(5))
        assert writer.flush()
        reader = schema.open_reader(tmp_path / "record.db")
        reader.execute("BEGIN")
        list(reader.execute("SELECT * FROM run"))
        writer.put(source.chunk(5))
        assert writer.flush()
    began = time.monotonic()
    with Recording(tmp_path, compact=None) as writer:
        assert time.monotonic() - began < 20
        writer.put(source.chunk(5))
        assert writer.flush()
        assert list(reader.execute("SELECT count(*) FROM chunk")) == [(1,)]
        reader.close()
    assert check(tmp_path).problems == ()
    with Store(tmp_path) as store:
        assert len(store.read("ldf")) == 15


def test_a_foreign_database_is_left_as_it_is(tmp_path):
    file = tmp_path / schema.FILE
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="no record"):
        StoreWriter(tmp_path, clock=Clock()).open()
    with pytest.raises(StoreError, match="no record"):
        Store(tmp_path)
    assert file.read_bytes() == before


def test_a_record_of_a_later_version_is_refused_by_writer_and_reader(tmp_path):
    with Recording(tmp_path):
        pass
    connection = apsw.Connection(str(tmp_path / schema.FILE))
    connection.pragma("user_version", schema.VERSION + 1)
    connection.close()
    with pytest.raises(StoreError, match=f"schema {schema.VERSION + 1}"):
        StoreWriter(tmp_path, clock=Clock()).open()
    with pytest.raises(StoreError, match=f"schema {schema.VERSION + 1}"):
        Store(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        StoreWriter(tmp_path / "file" / "record", clock=Clock()).open()
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreError, match="lock cannot be opened"):
        StoreWriter(tmp_path, clock=Clock()).open()


def test_where_there_is_no_record_the_reader_says_so(tmp_path):
    with pytest.raises(StoreError, match="there is no record"):
        Store(tmp_path)


def test_samples_are_committed_within_200_ms_and_only_then_witnessed(tmp_path):
    heard = threading.Event()
    found, delays = [], []

    def witness(rows):
        with Store(tmp_path) as store:
            found.append(store.read("ldf").time[-1] == chunk.time[-1])
        delays.append(time.monotonic() - put)
        heard.set()

    source = Source()
    with Recording(tmp_path, flush=0.1, witness=witness) as writer:
        while sum(delay <= 0.2 for delay in delays) < 3 and len(delays) < 20:  # a busy machine is late now and then
            chunk = source.chunk()
            heard.clear()
            put = time.monotonic()
            writer.put(chunk)
            assert heard.wait(60)
    assert all(found)
    assert sum(delay <= 0.2 for delay in delays) >= 3


def test_many_chunks_share_a_commit(tmp_path):
    source = Source()
    rows = []
    with Recording(tmp_path, flush=30.0, witness=rows.extend) as writer:
        for _ in range(100):
            writer.put(source.chunk())
        assert writer.flush()
        assert (writer.stats.commits, writer.stats.rows, writer.stats.samples) == (1, 1, 400)
    assert rows == [("ldf", "flux", 0, 400)]


def test_what_waited_long_becomes_rows_of_a_sane_size(tmp_path):
    source = Source()
    rows = []
    with Recording(tmp_path, flush=30.0, witness=rows.extend) as writer:
        for _ in range(30):
            writer.put(source.chunk(1000))
    assert [n for *_, n in rows] == [9000, 9000, 9000, 3000]
    assert check(tmp_path).ok


def test_numbers_and_last_values_are_known_in_the_next_run(tmp_path):
    source = Source()
    chunk = source.chunk(9)
    with Recording(tmp_path) as writer:
        assert writer.last("ldf", "flux") is None
        writer.put(chunk)
        writer.put(event(int(chunk.time[-1]) + 5))
    with Recording(tmp_path) as writer:
        last = writer.last("ldf", "flux")
        assert (last.next, last.key) == (9, int(chunk.time[-1]))
        assert last.values.tobytes() == chunk.values[-1].tobytes()
        assert writer.last_key == int(chunk.time[-1]) + 5


def test_runs_are_numbered_and_their_clocks_kept(tmp_path):
    for number in (1, 2):
        with Recording(tmp_path, begin=False) as writer:
            assert writer.begin_run(Instant(number, T0 + number), T0 + number, {"host": "h"}) == number
    with Store(tmp_path) as store:
        assert store.runs()[2] == {"utc": T0 + 2, "monotonic": 2, "anchor": T0 + 2, "host": "h"}


def test_reading_selects_by_time_channel_and_order(tmp_path):
    source = Source()
    chunks = [source.chunk(10) for _ in range(4)]
    with Recording(tmp_path) as writer:
        for chunk in chunks:
            writer.put(chunk)
            writer.flush()
    values = np.concatenate([c.values for c in chunks])
    with Store(tmp_path) as store:
        block = store.read("ldf", ["backscatter", "flux"], T0 + 5 * STEP, T0 + 25 * STEP)
        assert block.channels == ("backscatter", "flux")
        assert block.values.tobytes() == np.ascontiguousarray(values[5:25, ::-1]).tobytes()
        assert len(store.read("ldf", start=T0 + 1000 * STEP)) == 0
        assert len(store.read("ldf", stop=T0)) == 0
        with pytest.raises(StoreError, match="no channel 'temperature'"):
            store.read("ldf", ["temperature"])
        with pytest.raises(StoreError, match="no such device"):
            store.read("nobody")


def test_a_moment_is_a_key_a_time_or_text_and_a_block_unpacks(tmp_path):
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(12))
    with Store(tmp_path) as store:
        block = store.read("ldf")
        when, values, quality = block
        assert [id(each) for each in (when, values, quality)] == [id(block.time), id(block.values), id(block.quality)]
        start, stop = block.time[4], block.time[8]
        text = str(start.astype("datetime64[ns]"))
        for form in (start, int(start), start.astype("datetime64[ns]"), text, f"{text}Z", datetime.fromisoformat(text)):
            assert store.read("ldf", ["flux"], form, stop).time.tolist() == when[4:8].tolist(), repr(form)
        assert store.read("ldf", "flux").channels == ("flux",)


def test_streams_of_one_device_are_merged_by_time(tmp_path):
    flux = Source(header(channels=("flux",)))
    other = Source(header(stream="temperature", channels=("skin",)), start=T0 + 1)
    a, b = flux.chunk(3), other.chunk(3)
    with Recording(tmp_path) as writer:
        writer.put(a)
        writer.put(b)
    with Store(tmp_path) as store:
        block = store.read("ldf")
    assert block.channels == ("flux", "skin")
    assert block.time.tolist() == sorted([*a.time.tolist(), *b.time.tolist()])
    assert np.isnan(block.values[0::2, 1]).all()
    assert (block.quality[0::2, 1] == 1).all()
    assert block.values[0::2, 0].tobytes() == a.values[:, 0].tobytes()


@pytest.fixture
def two_electrodes(tmp_path):
    chest = Source(header(device="tcpo2", stream="chest", channels=("tcpo2", "power")), seed=1)
    calf = Source(header(device="tcpo2", stream="calf", channels=("tcpo2",)), seed=2, start=T0 + 1)
    with Recording(tmp_path) as writer:
        chunks = chest.chunk(3), calf.chunk(3)
        for chunk in chunks:
            writer.put(chunk)
    with Store(tmp_path) as store:
        yield store, *chunks


def test_channels_of_one_name_are_told_apart_by_their_stream(two_electrodes):
    store, chest, calf = two_electrodes
    block = store.read("tcpo2")
    assert sorted(block.channels) == ["calf.tcpo2", "chest.tcpo2", "power"]
    found = block.values[:, block.channels.index("calf.tcpo2")]
    assert found[np.isfinite(found)].tobytes() == calf.values[:, 0].tobytes()
    alone = store.read("tcpo2", ["chest.tcpo2"])
    assert alone.channels == ("chest.tcpo2",)
    assert alone.values.tobytes() == chest.values[:, :1].tobytes()
    assert store.read("tcpo2", ["tcpo2"], stream="calf").values.tobytes() == calf.values.tobytes()
    drawn = store.overview("tcpo2", ["calf.tcpo2", "chest.tcpo2"], T0, T0 + 10 * STEP, 1)
    assert drawn.low[0].tolist() == [calf.values.min(), chest.values[:, 0].min()]


def test_an_overview_of_which_nothing_is_said_draws_all_there_is(two_electrodes):
    store, chest, calf = two_electrodes
    drawn = store.overview("tcpo2", points=1)
    assert sorted(drawn.channels) == ["calf.tcpo2", "chest.tcpo2", "power"]
    assert int(drawn.count.sum()) == chest.values.size + calf.values.size
    assert store.overview("tcpo2", "power", points=3).channels == ("power",)
    with pytest.raises(StoreError, match="no samples of this device"):
        store.overview("ldf", points=1000)


def test_a_name_that_two_streams_have_is_never_guessed(two_electrodes):
    store, *_ = two_electrodes
    for ask in (lambda: store.read("tcpo2", ["tcpo2"]), lambda: store.overview("tcpo2", ["tcpo2"], T0, T0 + STEP)):
        with pytest.raises(StoreError, match=r"2 streams have a channel 'tcpo2'.*(calf\.tcpo2|chest\.tcpo2)"):
            ask()


def test_channels_that_came_later_are_invalid_before(tmp_path):
    with Recording(tmp_path) as writer:
        first = Source(header(channels=("flux",))).chunk(3)
        writer.put(first)
    with Recording(tmp_path) as writer:
        source = Source(header(), run=2, first=3, start=int(first.time[-1]) + STEP)
        writer.put(source.chunk(3, lost=-1))
    with Store(tmp_path) as store:
        block = store.read("ldf")
    assert block.channels == ("flux", "backscatter")
    assert np.isnan(block.values[:3, 1]).all()
    assert (block.quality[:3, 1] == 1).all()
    assert block.values[:3, 0].tobytes() == first.values[:, 0].tobytes()


def test_columns_hold_the_extremes_of_each_bin(tmp_path):
    source = Source()
    chunks = [source.chunk(100) for _ in range(4)]
    with Recording(tmp_path) as writer:
        for chunk in chunks:
            writer.put(chunk)
    with Store(tmp_path) as store:
        columns = store.columns("ldf", "flux", "flux", T0, T0 + 500 * STEP, 5)
    values = np.concatenate([c.values[:, 0] for c in chunks]).reshape(4, 100)
    assert columns.low[:4].tolist() == np.nanmin(values, axis=1).tolist()
    assert columns.high[:4].tolist() == np.nanmax(values, axis=1).tolist()
    assert np.isnan(columns.low[4])


def test_events_that_json_cannot_say_are_made_plain_and_stop_nothing(tmp_path):
    odd = event(
        step=float("nan"), raw=b"\xff", text_from_bytes=b"\xe9".decode("ascii", "surrogateescape"), n=np.int64(3)
    )
    with Recording(tmp_path) as writer:
        writer.put(odd)
        writer.put(event(text="\udce9"))
        assert writer.flush()
        assert writer.failed is None
    with Store(tmp_path) as store:
        first, second = store.events("state")
    assert first.body["details"]["step"] is None
    assert first.body["details"]["raw"] == "ff"
    assert first.body["details"]["n"] == 3
    assert second.body["text"] == "\N{REPLACEMENT CHARACTER}"
    assert check(tmp_path).ok


def test_two_samples_of_one_number_end_the_writer_loudly(tmp_path):
    source = Source()
    chunk = source.chunk()
    troubles = []
    with Recording(tmp_path, on_trouble=troubles.append) as writer:
        writer.put(chunk)
        assert writer.flush()
        writer.put(replace(chunk, time=chunk.time + SECOND))
        assert not writer.flush(), "what a dead writer was given is not committed"
        assert isinstance(writer.failed, apsw.ConstraintError)
    assert "died" in troubles[0]
    assert check(tmp_path).ok


def test_commits_begin_at_a_steady_pace_however_long_each_takes(tmp_path, monkeypatch):
    now = [0]
    waits = []

    class Wake(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return super().wait(5)

    def slowly(original, self, batch, advances):
        now[0] += 30_000_000
        return original(self, batch, advances)

    original = Journal.write
    monkeypatch.setattr(Journal, "write", lambda self, *args: slowly(original, self, *args))
    writer = StoreWriter(tmp_path, clock=Clock(monotonic=lambda: now[0]), flush=0.05, compact=None)
    writer._wake = Wake()
    writer.open()
    writer.begin_run(Instant(0, T0), T0, {})
    source = Source()
    for _ in range(3):
        writer.put(source.chunk())
        assert writer.flush()
    writer.close()
    assert waits[:4] == pytest.approx([0.05, 0.02, 0.02, 0.02])
