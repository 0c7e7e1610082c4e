"""`perfusion query` and `perfusion verify` on records that these tests write."""

import csv
import io
import json
import time
from datetime import datetime

import numpy as np
import pytest
from click import UsageError

from acquisition.cli import perfusion
from acquisition.errors import Damaged, NoRecord
from acquisition.store import Store
from tests.store.records import STEP, T0, Recording, Source, header


@pytest.fixture
def directory(tmp_path):
    flux = Source()
    chest = Source(header(device="tcpo2", stream="po2", channels=("chest",), unit="mm[Hg]"), seed=2, start=T0 + 1000)
    with Recording(tmp_path) as writer:
        for lost in (None, 7, None):
            writer.put(flux.chunk(10, lost))
            writer.put(chest.chunk(5))
    return tmp_path


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = perfusion.main([str(a) for a in arguments], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_channels_of_one_name_have_a_column_each(tmp_path, call):
    with Recording(tmp_path) as writer:
        for seed, stream in enumerate(("chest", "calf")):
            writer.put(Source(header(device="tcpo2", stream=stream, channels=("tcpo2",)), seed=seed).chunk(2))
    _, text = call("query", tmp_path, "--csv")
    assert text.splitlines()[0] == "time,device,calf.tcpo2,chest.tcpo2,quality"
    chest = [row["chest.tcpo2"] for row in table(text) if row["chest.tcpo2"]]
    assert chest
    assert not any(row["chest.tcpo2"] and row["calf.tcpo2"] for row in table(text))
    for choice in (["--stream", "chest"], ["--channel", "chest.tcpo2"]):
        _, alone = call("query", tmp_path, "--csv", *choice)
        assert alone.splitlines()[0] == "time,device,tcpo2,quality"
        assert [row["tcpo2"] for row in table(alone) if row["tcpo2"]] == chest


def test_csv_has_time_device_channels_and_one_combined_quality(directory, call):
    code, out = call("query", directory, "--device", "ldf", "--csv")
    assert code == 0
    assert out.splitlines()[0] == "time,device,flux,backscatter,quality"
    lines = table(out)
    with Store(directory) as store:
        block = store.read("ldf")
    assert len(lines) == 30
    for name, column in (("flux", 0), ("backscatter", 1)):
        values = np.array([float(line[name] or "nan") for line in lines])
        assert (
            values.tobytes() == np.where(np.isnan(block.values[:, column]), np.nan, block.values[:, column]).tobytes()
        )
    assert {line["device"] for line in lines} == {"ldf"}
    bad = block.quality.any(axis=1)
    assert [line["quality"] for line in lines] == ["INVALID" if each else "GOOD" for each in bad]
    assert bad.any()
    assert lines[0]["time"] == "2026-01-01T00:00:00.000000Z"
    times = [datetime.fromisoformat(line["time"]).timestamp() for line in lines]
    assert times == pytest.approx(block.time / 1e9, abs=1e-6)


def test_quality_each_has_a_column_for_each_channel(directory, call):
    _, out = call("query", directory, "--device", "ldf", "--csv", "--quality", "each")
    assert out.splitlines()[0] == "time,device,flux,backscatter,quality_flux,quality_backscatter"
    with Store(directory) as store:
        quality = store.read("ldf").quality
    got = [[line["quality_flux"] != "GOOD", line["quality_backscatter"] != "GOOD"] for line in table(out)]
    assert got == (quality != 0).tolist()


def test_several_devices_are_merged_in_order_of_time(directory, call):
    _, out = call("query", directory, "--csv")
    lines = table(out)
    assert out.splitlines()[0] == "time,device,flux,backscatter,chest,quality"
    assert len(lines) == 45
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert {line["chest"] for line in lines if line["device"] == "ldf"} == {""}


def test_csv_takes_channels_and_a_span(directory, call):
    _, out = call(
        "query", directory, "--device", "ldf", "--channel", "backscatter",
        "--from", "2026-01-01T00:00:00.050Z", "--to", "2026-01-01T01:00:00.1+01:00", "--csv",
    )  # fmt: skip
    assert out.splitlines()[0] == "time,device,backscatter,quality"
    assert [line["time"][-8:] for line in table(out)] == [".050000Z"[-8:], ".075000Z"]


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("2026-01-01T00:00:00.1", 2), ("2026-01-01t00:00:00.100z", 2), ("20260101T010000.1+0100", 2),
        ("2026-01-01", 6), ("0001-01-01", 6), ("9999-12-31T23:59:59Z", 0),
    ],
)  # fmt: skip
def test_every_form_of_iso_8601_is_a_time(tmp_path, call, first, rows):
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(6))
    assert len(table(call("query", tmp_path, "--csv", "--from", first)[1])) == rows
    assert len(table(call("query", tmp_path, "--csv", "--every", "25ms", "--from", first)[1])) == rows


def test_channels_stand_as_they_were_asked_for(directory, call):
    _, out = call("query", directory, "--csv", "--channel", "backscatter", "--channel", "flux")
    assert out.splitlines()[0] == "time,device,backscatter,flux,quality"


def test_local_times_are_the_same_microseconds(directory, call, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        there = [row["time"] for row in table(call("query", directory, "--csv", "--local")[1])]
    finally:
        monkeypatch.undo()
        time.tzset()
    here = [row["time"] for row in table(call("query", directory, "--csv")[1])]
    assert there[0].endswith("+05:30")
    assert [datetime.fromisoformat(each) for each in there] == [datetime.fromisoformat(each) for each in here]


def test_a_span_of_streams_is_what_they_hold_within_it(directory, call):
    span = ("--device", "ldf", "--from", "2026-01-01T00:00:00.05Z", "--to", "2026-01-01T00:00:00.15Z")
    (found,) = json.loads(call("query", directory, "--json", *span)[1])
    samples = [row["time"] for row in table(call("query", directory, "--csv", *span)[1])]
    assert (found["samples"], found["first"], found["last"]) == (4, samples[0], samples[-1])
    assert found["gaps"] == []
    (later,) = json.loads(call("query", directory, "--json", "--device", "ldf", "--from", "2026-01-01T00:00:00.3Z")[1])
    assert [gap["cause"] for gap in later["gaps"]] == ["unplugged"]
    assert "│ 4 " in call("query", directory, *span)[1]


def test_samples_and_streams_are_not_asked_for_at_once(directory, call):
    with pytest.raises(UsageError, match="one of them"):
        call("query", directory, "--csv", "--json")


def test_where_no_record_is_and_where_none_can_be_read(tmp_path, call):
    with pytest.raises(NoRecord, match="there is no record"):
        call("query", tmp_path)
    empty = tmp_path / "record.db"
    empty.touch()
    for text, what in ((b"", "this file is no record"), (b"no database" * 99, "file is not a database")):
        empty.write_bytes(text)
        with pytest.raises(Damaged, match=what):
            call("query", tmp_path)
        code, out = call("verify", empty, "--json")
        assert code == 5
        assert json.loads(out)["problems"] == [f"file structure: {what}"]
    assert (NoRecord.exit_code, Damaged.exit_code) == (2, 5)


def test_json_describes_the_streams_and_their_gaps(directory, call):
    code, out = call("query", directory, "--json", "--device", "ldf")
    (found,) = json.loads(out)
    assert code == 0
    assert {k: found[k] for k in ("device", "stream", "simulated", "samples")} == {
        "device": "ldf",
        "stream": "flux",
        "simulated": True,
        "samples": 30,
    }
    assert found["channels"] == [{"name": "flux", "unit": "[arb'U]"}, {"name": "backscatter", "unit": "[arb'U]"}]
    assert found["first"] == "2026-01-01T00:00:00.000000Z"
    last = T0 + (30 + 7 - 1) * STEP
    assert datetime.fromisoformat(found["last"]).timestamp() == pytest.approx(last / 1e9, abs=1e-6)
    (gap,) = found["gaps"]
    assert (gap["cause"], gap["missing"]) == ("unplugged", 7)
    assert gap["from"] < gap["to"]


def test_the_table_marks_what_is_simulated(directory, call):
    _, out = call("query", directory)
    assert "SIMULATED" in out


def test_the_table_shows_units_and_times_whole(directory, call):
    _, out = call("query", directory)
    (line,) = [line for line in out.splitlines() if "backscatter" in line]
    for words in ("flux ([arb'U]), backscatter ([arb'U])", "2026-01-01T00:00:00.000000Z"):
        assert words in line


def test_what_the_record_does_not_hold_is_an_error_that_says_what_it_holds(directory, call):
    with pytest.raises(UsageError, match=r"it holds: ldf/flux \(flux, backscatter\), tcpo2/po2 \(chest\)"):
        call("query", directory, "--device", "ecg")
    with pytest.raises(Exception, match="no ISO 8601 time"):
        call("query", directory, "--from", "yesterday")


def test_verify_says_ok_samples_gaps_and_missing(directory, call):
    code, out = call("verify", directory, "--json")
    report = json.loads(out)
    assert code == 0
    assert {k: report[k] for k in ("ok", "samples", "gaps", "missing")} == {
        "ok": True,
        "samples": 45,
        "gaps": 1,
        "missing": 7,
    }
    assert report["streams"][0] == {"device": "ldf", "stream": "flux", "samples": 30, "gaps": 1, "missing": 7}
    assert call("verify", directory) == (
        0,
        "ok\nldf/flux: 30 samples, 1 gaps, missing 7\ntcpo2/po2: 15 samples, 0 gaps, missing 0\n",
    )


def test_verify_exits_5_where_the_record_is_damaged(directory, call):
    import apsw

    connection = apsw.Connection(str(directory / "record.db"))
    connection.execute("UPDATE chunk SET crc = crc + 1 WHERE id = 1")
    connection.close()
    code, out = call("verify", directory, "--json")
    assert code == 5
    assert not json.loads(out)["ok"]
    assert "damaged" in json.loads(out)["problems"][0]
    code, out = call("verify", directory)
    assert (code, out.splitlines()[0]) == (5, "FAILED")


def test_verify_on_a_record_cut_short_exits_5(directory, call):
    file = directory / "record.db"
    file.write_bytes(file.read_bytes()[:-8192])
    assert call("verify", directory)[0] == 5


def test_every_gives_the_means_of_each_interval(directory, call):
    _, out = call("query", directory, "--csv", "--device", "ldf", "--every", "100ms")
    lines = table(out)
    with Store(directory) as store:
        block = store.read("ldf")
    expected = {}
    for key, value in zip(block.time.tolist(), block.values[:, 0].tolist(), strict=True):
        expected.setdefault((key - T0) // 100_000_000, []).append(value)
    assert [line["time"] for line in lines] == [
        (np.datetime64(T0 + k * 100_000_000, "ns").astype("datetime64[us]").item()).isoformat(timespec="microseconds")
        + "Z"
        for k in expected
    ]
    assert [float(line["flux"]) for line in lines] == pytest.approx(
        [np.nanmean(v) for v in expected.values()], rel=1e-5
    )
    assert {line["quality"] for line in lines} == {"GOOD", "INVALID"}


def test_every_counts_from_the_start_that_was_asked_for_and_stops_at_the_end(directory, call):
    arguments = ("--from", "2026-01-01T00:00:00.050Z", "--to", "2026-01-01T00:00:00.225Z", "--every", "100ms")
    _, out = call("query", directory, "--csv", "--device", "ldf", "--quality", "each", *arguments)
    lines = table(out)
    with Store(directory) as store:
        values = store.read("ldf").values[:, 0]
    assert [line["time"][-8:] for line in lines] == [".050000Z", ".150000Z"]
    assert float(lines[0]["flux"]) == pytest.approx(np.nanmean(values[2:6]), rel=1e-5)
    assert float(lines[1]["flux"]) == pytest.approx(np.nanmean(values[6:9]), rel=1e-5)
    assert "quality_backscatter" in lines[0]


def test_every_says_what_it_takes(directory, call):
    with pytest.raises(Exception, match="no time such as 10s"):
        call("query", directory, "--csv", "--every", "often")
    with pytest.raises(Exception, match="--json shows the streams"):
        call("query", directory, "--json", "--every", "10s")
    assert call("query", directory, "--every", "10s") == call("query", directory, "--csv", "--every", "10s")


def test_the_head_is_shown_and_compared_with_one_noted_earlier(directory, call):
    _, out = call("verify", directory, "--head")
    assert call("verify", "--head", directory) == (0, out)
    with pytest.raises(Exception, match="Missing argument"):
        call("verify", "--head")
    noted = out.splitlines()[-1].removeprefix("head ")
    with Store(directory) as store:
        number, digest = store.head()
    assert noted == f"{number}:{digest}"
    assert call("verify", directory, "--head", noted)[0] == 0
    assert call("verify", directory, "--head", f"{number}:{'0' * 64}")[0] == 5
    assert call("verify", directory, "--head", f"{number + 1}:{digest}")[0] == 5
    assert json.loads(call("verify", directory, "--json")[1])["head"] == digest
    with pytest.raises(Exception, match="no event such as"):
        call("verify", directory, "--head", "latest")


def test_a_backup_taken_while_the_record_is_written_is_whole(tmp_path, call):
    source = Source()
    with Recording(tmp_path / "record") as writer:
        for k in range(20):
            writer.put(source.chunk(100))
            assert writer.flush()
            if k == 9:
                code, out = call("backup", tmp_path / "record", tmp_path / "copy")
    assert code == 0
    assert out.splitlines()[:2] == ["ok", "ldf/flux: 1000 samples, 0 gaps, missing 0"]
    assert [p.name for p in (tmp_path / "copy").iterdir()] == ["record.db"]
    with Store(tmp_path / "copy") as copy, Store(tmp_path / "record") as record:
        assert copy.read("ldf").values.tobytes() == record.read("ldf").values[:1000].tobytes()
    with pytest.raises(Exception, match="there is a record already"):
        call("backup", tmp_path / "record", tmp_path / "copy")


def test_a_backup_can_be_written_on(directory, tmp_path, call):
    assert call("backup", directory, tmp_path / "other" / "copy.db")[0] == 0
    (tmp_path / "other" / "copy.db").rename(tmp_path / "other" / "record.db")
    with Recording(tmp_path / "other") as writer:
        last = writer.last("ldf", "flux")
        writer.put(Source(run=2, first=last.next, start=last.key + STEP).chunk(10, lost=-1))
    assert call("verify", tmp_path / "other")[0] == 0
