"""Traces of any length are drawn right and fast, also where their overview is damaged, missing or an older one."""

import struct
import zlib
from itertools import pairwise

import apsw
import numpy as np
import pytest

from acquisition.store import Store, buckets, check
from tests.store.records import STEP, T0, Recording, Source, asked, compress, header, spans, tiers


def drawn(values, quality, edges, time):
    """The overview computed the slow way."""
    result = []
    for left, right in pairwise(edges):
        inside = (time >= left) & (time < right)
        part = values[inside]
        finite = part[np.isfinite(part)]
        flags = int(np.bitwise_or.reduce(quality[inside])) if inside.any() else 0
        result.append(
            (len(finite), *((finite.min(), finite.max(), finite.mean()) if len(finite) else [None] * 3), flags)
        )
    return result


@pytest.fixture(params=(4096, 16384))
def long(tmp_path, request):
    """1.5 h at 40 Hz in small or large blocks, drawn in several levels, with a hole, and a tail of rows."""
    with Recording(tmp_path, compact=None) as writer:
        source = Source(header(channels=("flux", "backscatter")))
        for k in range(54):
            writer.put(source.chunk(4096, lost=9000 if k == 25 else None))
            writer.flush()
        writer.put(source.chunk(3000))
        writer.flush()
        compress(writer, 4096, request.param)
    return tmp_path


@pytest.mark.parametrize(("span", "points"), [((0, 1.0), 50), ((0.1, 0.9), 7), ((0.31, 0.33), 300), ((0.45, 0.55), 40)])
def test_an_overview_shows_every_extreme_within_a_third_of_a_bin(long, span, points):
    with Store(long) as store:
        block = store.read("ldf")
        first, last = int(block.time[0]), int(block.time[-1])
        start, stop = (first + int((last - first) * share) for share in span)
        shown = store.overview("ldf", ["backscatter", "flux"], start, stop, points)
    reach = (stop - start) // points // 3
    for column, name in enumerate(shown.channels):
        values, quality = block.values[:, block.channels.index(name)], block.quality[:, block.channels.index(name)]
        for k in range(points):
            left, right = shown.edges[k], shown.edges[k + 1]
            inner = values[(block.time >= left + reach) & (block.time < right)]
            outer = values[(block.time >= left) & (block.time < right + reach)]
            if np.isfinite(inner).any():
                assert np.nanmin(outer) <= shown.low[k, column] <= np.nanmin(inner)
                assert np.nanmax(inner) <= shown.high[k, column] <= np.nanmax(outer)
                assert np.nanmin(outer) <= shown.mean[k, column] <= np.nanmax(outer)
                flags = np.bitwise_or.reduce(quality[(block.time >= left + reach) & (block.time < right)])
                assert shown.quality[k, column] & flags == flags
            elif not len(outer):
                assert np.isnan(shown.low[k, column])
                assert shown.count[k, column] == 0
    inside = (block.time >= start) & (block.time < stop)
    margin = 2 * reach // STEP + 2
    assert abs(int(shown.count[:, 1].sum()) - int(np.isfinite(block.values[inside, 0]).sum())) <= margin


def test_an_overview_finer_than_the_buckets_is_exact(long):
    with Store(long) as store:
        block = store.read("ldf")
        start = int(block.time[50_000])
        shown = store.overview("ldf", ["flux"], start, start + 2000 * STEP, 100)
    expected = drawn(block.values[:, 0], block.quality[:, 0], shown.edges, block.time)
    assert shown.count[:, 0].tolist() == [e[0] for e in expected]
    assert shown.low[:, 0].tolist() == [e[1] for e in expected]
    assert shown.high[:, 0].tolist() == [e[2] for e in expected]
    assert shown.mean[:, 0] == pytest.approx([e[3] for e in expected])
    assert shown.quality[:, 0].tolist() == [e[4] for e in expected]


def levels(directory):
    return dict(asked(directory, "SELECT level, count(*) FROM overview GROUP BY level"))


@pytest.mark.parametrize("long", [4096], indirect=True)
def test_an_overview_reads_few_rows(long):
    assert levels(long) == {1: 54, 2: 13, 3: 3}


@pytest.mark.parametrize("long", [16384], indirect=True)
def test_blocks_are_drawn_as_soon_as_they_are_merged_or_closed_by_a_gap(long):
    with Recording(long, compact=None) as writer:
        assert levels(long) == {1: 7 + 7, 2: 3}
        assert compress(writer, 4096, 16384) == 0
    assert levels(long) == {1: 7 + 7, 2: 3}
    found = spans(long)
    connection = apsw.Connection(str(long / "record.db"))
    drawn = list(connection.execute("SELECT first, following - first FROM overview WHERE level = 1 ORDER BY first"))
    connection.close()
    assert drawn == found[:-1]
    assert found[6][1] == found[-1][1] == 4096


def look(directory):
    with Store(directory) as store:
        shown = [store.overview("ldf", points=points) for points in (5, 60, 400)]
    return [getattr(each, name).tobytes() for each in shown for name in ("edges", "count", "low", "high", "quality")]


def test_a_record_with_overviews_of_an_earlier_version_is_read_as_it_is_and_drawn_anew(long):
    def rows():
        return list(connection.execute("SELECT * FROM overview ORDER BY level, first"))

    connection = apsw.Connection(str(long / "record.db"))
    new = rows()
    body = struct.pack("<2I", 16, 2)
    older = [(*row[:7], body, zlib.crc32(body, zlib.crc32(struct.pack("<7q", *row[:7])))) for row in new]
    connection.executemany("REPLACE INTO overview VALUES (?,?,?,?,?,?,?,?,?)", older)
    connection.pragma("user_version", 3)
    connection.close()
    assert check(long).problems == ()
    exact = look(long)
    with Recording(long, compact=None) as writer:
        assert levels(long) == {}
        assert look(long) == exact
        compress(writer, 4096, new[0][3] - new[0][2])
    connection = apsw.Connection(str(long / "record.db"))
    assert rows() == new
    connection.close()
    assert check(long).problems == ()


@pytest.mark.parametrize("long", [16384], indirect=True)
def test_an_overview_is_a_small_part_of_what_it_shows(long):
    connection = apsw.Connection(str(long / "record.db"))
    drawn, kept = (
        next(iter(connection.execute(f"SELECT sum(length(body)) FROM {each}")))[0] for each in ("overview", "block")
    )
    connection.close()
    assert drawn < kept / 12


def test_fresh_rows_are_drawn_together_and_exactly(tmp_path):
    source = Source()
    with Recording(tmp_path, compact=None) as writer:
        for k in range(1500):
            writer.put(source.chunk(4, lost={0: 0, 700: 3}.get(k if k == 700 else k % 5)))  # a row ends at each gap
    assert tiers(tmp_path)[0] >= 300
    with Store(tmp_path) as store:
        block = store.read("ldf")
        shown = store.overview("ldf", "flux", points=37)
    expected = drawn(block.values[:, 0], block.quality[:, 0], shown.edges, block.time)
    assert shown.count[:, 0].tolist() == [e[0] for e in expected]
    assert shown.low[:, 0].tolist() == [e[1] for e in expected]
    assert shown.quality[:, 0].tolist() == [e[4] for e in expected]


def test_a_damaged_overview_is_drawn_from_the_level_below(long):
    with Store(long) as store:
        block = store.read("ldf")
        span = int(block.time[0]), int(block.time[-1]) + 1
        before = store.overview("ldf", ["flux"], *span, 20)
    connection = apsw.Connection(str(long / "record.db"))
    connection.execute("UPDATE overview SET body = zeroblob(length(body)) WHERE level > 1 OR first < 90000")
    connection.close()
    with Store(long) as store:
        after = store.overview("ldf", ["flux"], *span, 20)
    expected = drawn(block.values[:, 0], block.quality[:, 0], after.edges, block.time)
    assert np.isnan(after.low).tolist() == np.isnan(before.low).tolist()
    assert after.count[:5, 0].tolist() == [e[0] for e in expected[:5]]
    assert after.low[:5, 0].tolist() == [e[1] for e in expected[:5]]


def test_a_bucket_is_found_by_its_bytes(long):
    connection = apsw.Connection(str(long / "record.db"))
    row = next(iter(connection.execute("SELECT * FROM overview LIMIT 1")))
    connection.close()
    assert buckets.unpack([row]) is not None
    assert buckets.unpack([(*row[:3], row[3] + 1, *row[4:])]) is None


@pytest.mark.parametrize("points", [1, 4])
def test_a_channel_that_a_later_run_adds_is_drawn_beside_one_that_goes_on(tmp_path, points):
    first = 0
    for run, channels in ((1, ("flux",)), (2, ("backscatter", "flux"))):
        with Recording(tmp_path, compact=None) as writer:
            source = Source(header(channels=channels), run=run, first=first, start=T0 + first * STEP, connection=run)
            for k in range(6):
                writer.put(source.chunk(1024, lost=0 if run == 2 and k == 0 else None))
                writer.flush()
            compress(writer, 1024, 2048)
            first = source.next
    assert levels(tmp_path) == {1: 5}  # the newest samples are rows yet
    with Store(tmp_path) as store:
        block = store.read("ldf", ["flux", "backscatter"])
        shown = store.overview("ldf", ["flux", "backscatter"], T0, T0 + 12_288 * STEP, points, exact=True)
    for column in range(2):
        expected = drawn(block.values[:, column], block.quality[:, column], shown.edges, block.time)
        assert shown.count[:, column].tolist() == [e[0] for e in expected]
        assert [None if np.isnan(low) else low for low in shown.low[:, column]] == [e[1] for e in expected]
        assert [None if np.isnan(high) else high for high in shown.high[:, column]] == [e[2] for e in expected]
    assert points == 1 or shown.count[0, 1] == 0
