"""Reading back what a server acknowledged: a loss that nobody was told of is found, named and made good."""

import contextlib
import json
import re

import msgspec
import pytest
from click.testing import CliRunner

from acquisition.cli import perfusion
from acquisition.config import load
from acquisition.errors import RemoteError
from acquisition.remotes.factory import INFLUX, influx_reader, influx_shipment, influx_writer
from acquisition.remotes.readback import InfluxReader
from acquisition.remotes.reconcile import HOUR, reconcile, resend
from acquisition.store import Store
from tests.remotes.landed import accepted, landed, refused, ship
from tests.remotes.proxy import FaultProxy, Says, error
from tests.remotes.servers import free_port
from tests.remotes.test_influx import delivered, random_bits, sources
from tests.store.records import T0, Recording


@pytest.fixture
def bench(tmp_path, influx_gate, database):
    """A configuration of that server, and a record of two streams over three hours, both as yet empty."""
    (tmp_path / "token").write_text("a-token")
    path = tmp_path / "bedside.toml"
    path.write_text(
        f'[site]\nid = "ward"\nstation = "bed1"\n[influx]\nurl = "{influx_gate.url}"\norg = "o"\n'
        f'bucket = "{database}"\ntoken_file = "token"\n'
        '[[device]]\nname = "treadmill"\ndriver = "trackmaster"\nport = "/dev/none"\nsimulated = true\n'
        'options = { unit = "mph" }\n'
    )
    return load(path)


def record(bench, url, database, hours=3, values=None):
    """Write and deliver two streams, some minutes of each hour."""
    feeds = sources()
    with Recording(bench.store) as writer:
        shipper = ship(url, database, writer, bench.store, shipment=influx_shipment(bench))
        for hour in range(hours):
            for source in feeds:
                source.time = T0 + hour * HOUR + (HOUR // 4 if hour else 0)
                for _ in range(8):
                    chunk = source.chunk(50)
                    writer.put(chunk if values is None else msgspec.structs.replace(chunk, values=values(chunk)))
                    writer.flush()
        delivered(bench.store, writer, shipper)
        shipper.stop(5)


def compare(bench, exact=False):
    with Store(bench.store) as store, contextlib.closing(influx_reader(bench)) as source:
        return list(reconcile(store, INFLUX, influx_shipment(bench), source, exact))


@pytest.mark.parametrize("exact", [False, True])
def test_a_server_that_holds_everything_agrees_in_each_hour(bench, influx_gate, database, exact):
    record(bench, influx_gate.url, database, values=lambda chunk: random_bits(*chunk.values.shape, chunk.first))
    hours = compare(bench, exact)
    assert [(h.device, h.start, h.accepted, h.found) for h in hours] == [
        (device, T0 + n * HOUR, 400, 400) for device in ("ldf", "tcpo2") for n in range(3)
    ]
    assert all(h.agrees and h.exact == exact and not h.lost and not h.altered for h in hours)
    assert all(h.here == h.there for h in hours)


class Liar:
    """A server that acknowledges one batch and does not keep it, once it has seen so many samples."""

    def __init__(self, after):
        self.after, self.seen, self.lost = after, 0, set()

    def __call__(self, body):
        found = {(device, int(n)) for device, n in re.findall(r"^a_driver,device=(\w+),.*seq=(\d+)i", body, re.M)}
        self.seen += len(found)
        if self.lost or self.seen <= self.after:
            return None
        self.lost = found
        return Says(204)


def test_a_silent_loss_is_found_to_the_sample_and_made_good(bench, influx_server, influx_gate, database):
    liar = Liar(500)
    with FaultProxy(influx_gate.url, liar) as proxy:
        record(bench, proxy.url, database)
    whole = accepted(bench.store)
    assert landed_here(influx_server, database) != whole
    wrong = [hour for hour in compare(bench) if not hour.agrees]
    assert {(h.device, n) for h in wrong for span in h.lost for n in range(*span)} == liar.lost
    assert all(h.accepted - h.found == sum(b - a for a, b in h.lost) for h in wrong)
    with Store(bench.store) as store, contextlib.closing(influx_writer(bench)) as remote:
        count = sum(resend(store, hour, influx_shipment(bench), remote) for hour in wrong)
    assert count == len(liar.lost) > 0
    assert all(hour.agrees for hour in compare(bench, exact=True))
    assert landed_here(influx_server, database) == whole


def landed_here(server, database):
    return landed(server, database, measurement="a_driver")


def test_a_value_that_another_one_overwrote_is_found_by_the_exact_comparison(
    bench, influx_server, influx_gate, database
):
    record(bench, influx_gate.url, database, hours=1)
    head = "a_driver,device=ldf,simulated=true,site=ward,station=bed1,stream=flux"
    influx_server.write(database, f"{head} flux=1.25 {T0}\n{head} flux_quality=64i {T0 + 25_000_000}")
    assert all(hour.agrees for hour in compare(bench))
    (flux,) = [hour for hour in compare(bench, exact=True) if not hour.agrees]
    assert (flux.device, flux.lost, flux.altered, flux.found) == ("ldf", [], [(0, 2)], 400)


def test_what_the_server_refused_is_not_missed(bench, influx_gate, database):
    def script(body):
        return error(400, "unable to parse dropped=1") if "seq=77i" in body else None

    with FaultProxy(influx_gate.url, script) as proxy:
        record(bench, proxy.url, database, hours=1)
    assert refused(bench.store) == {("ldf", "flux", 77), ("tcpo2", "po2", 77)}
    assert [(hour.accepted, hour.agrees) for hour in compare(bench)] == [(399, True)] * 2
    assert all(hour.agrees for hour in compare(bench, exact=True))


def test_what_is_not_acknowledged_yet_is_not_missed(bench):
    with Recording(bench.store) as writer:
        writer.put(sources()[0].chunk(10))
    assert compare(bench) == []


def run(bench, *options):
    return CliRunner().invoke(perfusion, ["reconcile", "-c", str(bench.path), *options], standalone_mode=False)


def test_the_command_tells_what_is_lost_sends_it_again_and_is_content(bench, influx_gate, database):
    liar = Liar(100)
    with FaultProxy(influx_gate.url, liar) as proxy:
        record(bench, proxy.url, database, hours=1)
    found = run(bench)
    assert found.return_value == 5
    count = sum(device == "ldf" for device, _ in liar.lost)
    assert f"ldf/flux 2026-01-01T00:00Z: accepted 400, found {400 - count}, lost {count}, altered 0" in found.output
    assert found.output.splitlines()[-1].startswith("FAILED: ")
    rows = [json.loads(line) for line in run(bench, "--json", "--exact").stdout.splitlines()]
    lost = {(row["device"], n) for row in rows for span in row["lost"] for n in range(*span)}
    assert lost == liar.lost
    assert all(row["start"] == "2026-01-01T00:00Z" and row["exact"] for row in rows)
    assert run(bench, "--resend").return_value == 5
    again = run(bench, "--exact")
    assert again.return_value == 0
    assert again.output.splitlines()[-1] == "ok"


def test_a_server_that_does_not_answer_or_is_another_is_told_without_the_token(influx_gate):
    with pytest.raises(RemoteError, match="cannot be read back") as caught:
        InfluxReader(f"http://127.0.0.1:{free_port()}", "b", "canary").ask("SELECT 1")
    assert caught.value.exit_code == 7
    with pytest.raises(RemoteError, match="database not found"):
        InfluxReader(influx_gate.url, "none", "canary").ask('SELECT count("seq") FROM m')
