"""Which remotes a record knows, and letting go of one that is gone for good: retention then waits for it no longer."""

import json

import pytest

from acquisition.cli import perfusion as command
from acquisition.errors import Refused, StoreError
from acquisition.remotes import registry
from acquisition.store import Retention, Store, check
from acquisition.store.compaction import Compactor
from acquisition.store.retention import Expiry
from tests.service.bench import Bench, streaming
from tests.store.records import STEP, T0, Recording, Source


@pytest.fixture
def folder(tmp_path):
    """300 samples, of which influx has acknowledged 100 and the durable feed all."""
    with Recording(tmp_path) as writer:
        source = Source()
        for _ in range(30):
            writer.put(source.chunk(10))
            writer.flush()
        writer.advance("influx", {1: 100}, event=1)
        writer.advance("mqtt", {1: 300}, event=2)
        writer.flush()
    return tmp_path


def blocks_that_expire(folder):
    """How many blocks of 100 samples retention removes of all that is older than the newest sample."""
    with Recording(folder, compact=None) as writer:
        Compactor(writer._file, writer.submit, samples=100).run_once()
        return Expiry(writer._file, Retention(age=1), writer.submit).run_once()


def test_each_remote_is_shown_with_what_it_has_and_what_it_lacks(folder):
    with Store(folder) as store:
        influx, mqtt = registry.known(store)
        last, _ = store.head()
    assert influx == registry.RemoteLag("influx", 100, 200, 1, last - 1, T0 + 100 * STEP)
    assert mqtt == registry.RemoteLag("mqtt", 300, 0, 2, last - 2, None)


def test_a_remote_that_is_let_go_of_holds_nothing_back_and_the_chain_says_so(folder):
    assert blocks_that_expire(folder) == 1, "what influx has not acknowledged stays"
    gone = registry.let_go(folder, "influx", "the server was replaced", "nurse")
    assert gone == {"name": "influx", "acknowledged": 100, "not_acknowledged": 200}
    with Store(folder) as store:
        assert set(store.cursors()) == {"mqtt"}
        (told,) = store.events("forgotten")
    assert told.body["details"] == {
        "remote": "influx", "reason": "the server was replaced", "by": "nurse", "acknowledged": 100,
        "not_acknowledged": 200,
    }  # fmt: skip
    assert blocks_that_expire(folder) > 0
    assert check(folder).problems == ()


def test_neither_a_configured_remote_nor_an_unknown_one_is_let_go_of(folder):
    with pytest.raises(Refused, match="configuration has"):
        registry.let_go(folder, "influx", "tidying up", "nurse", {"influx"})
    with pytest.raises(Refused, match=r"no remote 'influxdb'.*influx, mqtt"):
        registry.let_go(folder, "influxdb", "tidying up", "nurse")
    with pytest.raises(Refused, match="no reason"):
        registry.let_go(folder, "influx", " ", "nurse")
    with Store(folder) as store:
        assert set(store.cursors()) == {"influx", "mqtt"}


def test_nothing_is_let_go_of_where_the_record_cannot_be_written(folder, monkeypatch):
    monkeypatch.setattr(registry, "PATIENCE", 0.0)
    with Recording(folder) as writer:
        writer.submit = lambda step: None
        with pytest.raises(StoreError, match="nothing was changed"):
            registry.forget(folder, writer, "influx", T0, "replaced", "nurse", ())
    with Store(folder) as store:
        assert set(store.cursors()) == {"influx", "mqtt"}


def test_a_remote_whose_position_is_damaged_can_be_let_go_of_too(folder):
    import apsw

    connection = apsw.Connection(str(folder / "record.db"))
    connection.execute("UPDATE cursor SET next = 7 WHERE name = 'influx'")
    connection.close()
    assert registry.let_go(folder, "influx", "damaged", "nurse")["acknowledged"] == 0
    assert check(folder).problems == ()


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = command.main([str(each) for each in arguments], standalone_mode=False)
        return code, capsys.readouterr()

    return run


def test_the_command_shows_them_and_asks_for_a_reason(folder, call):
    import click

    code, said = call("remotes", folder)
    assert code == 0
    row = next(line for line in said.out.splitlines() if "influx" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")][:4] == ["influx", "100", "200", "2026-01-01T00:00:02Z"]
    code, said = call("remotes", folder, "--json")
    assert [(each["name"], each["behind"], each["configured"]) for each in json.loads(said.out)] == [
        ("influx", 200, None),
        ("mqtt", 0, None),
    ]
    with pytest.raises(click.UsageError, match="--reason"):
        call("remotes", folder, "--forget", "influx")
    code, said = call("remotes", folder, "--forget", "influx", "--reason", "replaced")
    assert code == 0
    assert "200 samples not acknowledged" in said.out


def test_a_daemon_tells_of_a_remote_that_was_taken_out_and_lets_go_of_it_when_asked(tmp_path, call):
    (tmp_path / "token").write_text("a-token")
    table = '[influx]\nurl = "http://127.0.0.1:9"\norg = "o"\nbucket = "b"\ntoken_file = "token"\n'
    with Bench(tmp_path) as bench:
        bench.simulate("tosca500-csv")
        bench.write(extra=table)
        daemon = bench.run()
        daemon.until(bench.store, lambda seen: streaming(seen) and seen["record"]["samples"] > 2)
        with pytest.raises(Refused, match="the configuration has the remote 'influx'"):
            call("remotes", bench.store, "--forget", "influx", "--reason", "replaced")
        (row,) = json.loads(call("remotes", "-c", bench.config, "--json")[1].out)
        assert (row["name"], row["acknowledged"], row["configured"]) == ("influx", 0, True)
        assert daemon.stop() == 0

        bench.write()
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        assert "influx is not configured, but holds back retention" in call("remotes", "-c", bench.config)[1].err
        code, _ = call("remotes", bench.store, "--forget", "influx", "--reason", "replaced", "--by", "nurse")
        assert code == 0
        assert daemon.stop() == 0
        said = daemon.log.read_text()
    assert said.count("influx: not in the configuration, but retention still waits for it") == 1
    assert f"perfusion remotes {bench.store} --forget influx" in said
    with Store(bench.store) as store:
        assert store.cursors() == {}
        (told,) = store.events("forgotten")
        assert (told.body["details"]["by"], told.body["details"]["reason"]) == ("nurse", "replaced")
        (warned,) = [e for e in store.events("remote") if e.body.get("details", {}).get("status") == "not configured"]
    assert warned.id < told.id
    assert check(bench.store).problems == ()
