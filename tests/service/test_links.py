"""Links that fail: each fault with its message, one gap record each, and the other devices undisturbed."""

import subprocess
import sys
import textwrap
import time

import pytest

from acquisition.store import Store, check
from tests.service.bench import ENTRIES, PATIENCE, Bench, states, streaming

BACK = 2.0
"""Seconds from an instrument's return to its first sample."""
TRIES = 5
"""How often a busy machine may miss that."""
DEVICES = {"daq970a": "ldf", "intellivue": "tcpo2", "trackmaster": "treadmill"}


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as bench:
        yield bench


def gaps(bench):
    """Gap records by (device, stream)."""
    with Store(bench.store) as store:
        return {(info.device, info.stream): info.gaps for info in store.streams()}


def transitions(bench, device):
    """The states of a device in order, as the record's events tell them."""
    with Store(bench.store) as store:
        return [e.body["details"]["state"] for e in store.events(kind="state") if e.device == device]


def resumed(seen, device, gaps=1):
    """Whether every stream of a device goes on after so many gaps."""
    (found,) = (each for each in seen["devices"] if each["name"] == device)
    return streaming(seen) and found["gaps"] >= gaps * len({channel["stream"] for channel in found["channels"]})


def texts(bench, device):
    with Store(bench.store) as store:
        return " ".join(e.body["text"] for e in store.events() if e.device == device)


@pytest.mark.parametrize("name", ["daq970a", "intellivue", "trackmaster"])
def test_unplugged_and_back_is_one_gap_and_streaming_within_two_seconds(bench, name):
    for each in DEVICES:
        bench.simulate(each)
    bench.write()
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    device = DEVICES[name]
    took = [BACK]
    while min(took) >= BACK and len(took) <= TRIES:
        bench.simulators[name].strike("unplug@0s:1.5s")
        returned = time.monotonic() + 1.5
        seen = daemon.until(bench.store, lambda seen: states(seen)[device] != "STREAMING")
        assert all(state == "STREAMING" for other, state in states(seen).items() if other != device)
        daemon.until(bench.store, streaming)
        took.append(time.monotonic() - returned)
        daemon.until(bench.store, lambda seen: resumed(seen, device, len(took) - 1))
    assert min(took) < BACK
    assert daemon.stop() == 0
    assert check(bench.store).ok
    for (where, _), found in gaps(bench).items():
        assert len(found) == (len(took) - 1 if where == device else 0), (where, found)
    assert transitions(bench, device)[-3:].count("LOST") == 1


@pytest.mark.parametrize("name", ["daq970a", "intellivue"])
def test_an_instrument_that_was_switched_off_and_on_again_is_stamped_by_the_hosts_clock(bench, name):
    device = DEVICES[name]
    first = bench.simulate(name)
    link = None if first.listen["kind"] == "pty" else ("--hislip", f"127.0.0.1:{first.listen['port']}")
    bench.write()
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    time.sleep(2.5)
    first.process.kill()
    daemon.until(bench.store, lambda seen: states(seen)[device] != "STREAMING")
    time.sleep(3.0)
    back = time.time()
    first.end()
    bench.simulate(name, link=link)
    daemon.until(bench.store, lambda seen: resumed(seen, device))
    there = time.time()
    time.sleep(2.0)
    assert daemon.stop() == 0
    assert check(bench.store).ok
    with Store(bench.store) as store:
        for info in store.streams():
            (gap,) = info.gaps
            assert gap.missing is None
            assert back < gap.stop / 1e9 < there
            assert (gap.stop - gap.start) / 1e9 > 3.0
            assert info.last / 1e9 > back + 2


@pytest.mark.parametrize("name", ["intellivue", "trackmaster"])
def test_garbage_on_the_line_is_counted_and_survived(bench, name):
    for each in ("intellivue", "trackmaster"):
        bench.simulate(each)
    bench.write()
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    time.sleep(1.0)
    bench.simulators[name].strike("garble@0s:3s:p=0.5")  # hardly an answer comes through: samples are lost for sure
    time.sleep(6.0)
    seen = daemon.until(bench.store, streaming)
    time.sleep(1.0)
    assert daemon.stop() == 0
    assert check(bench.store).ok
    device = DEVICES[name]
    assert any(found for (where, _), found in gaps(bench).items() if where == device)
    assert not any(found for (where, _), found in gaps(bench).items() if where != device)
    assert "noise" in {e["kind"] for e in events(bench, device)}, seen


def events(bench, device):
    with Store(bench.store) as store:
        return [{"kind": e.kind, **e.body} for e in store.events() if e.device == device]


def test_a_silent_instrument_is_lost_and_its_last_value_not_repeated(bench):
    simulator = bench.simulate("trackmaster")
    bench.write()
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    simulator.strike("silence@0s:4s")
    seen = daemon.until(bench.store, lambda seen: states(seen)["treadmill"] == "LOST")
    assert "silent for" in seen["devices"][0]["cause"]
    assert all(channel["stale"] for channel in seen["devices"][0]["channels"])
    daemon.until(bench.store, streaming)
    assert daemon.stop() == 0
    (found,) = (found for key, found in gaps(bench).items() if key == ("treadmill", "belt"))
    assert len(found) == 1
    assert found[0].stop - found[0].start > 3.5e9


def test_a_wrong_model_is_refused_by_name_and_nothing_of_it_recorded(bench):
    bench.simulate("daq970a")
    entry = textwrap.dedent(ENTRIES["daq970a"]).replace(
        "simulated = true", 'simulated = true\nidentity = {{ model = "DAQ973A" }}'
    )
    bench.write({"daq970a": entry})
    daemon = bench.run()
    seen = daemon.until(bench.store, lambda seen: states(seen)["ldf"] == "LOST")
    assert "the instrument's model is 'DAQ970A" in seen["devices"][0]["cause"]
    assert "configured is 'DAQ973A'" in seen["devices"][0]["cause"]
    time.sleep(1.0)
    assert daemon.stop() == 0
    with Store(bench.store) as store:
        assert sum(info.samples for info in store.streams()) == 0


def test_a_simulator_in_place_of_an_instrument_is_refused(bench):
    bench.simulate("intellivue")
    bench.write({"intellivue": ENTRIES["intellivue"].replace("simulated = true", "simulated = false")})
    daemon = bench.run()
    seen = daemon.until(bench.store, lambda seen: states(seen)["tcpo2"] == "LOST")
    assert "a simulator answers" in seen["devices"][0]["cause"]
    assert daemon.stop() == 0
    with Store(bench.store) as store:
        assert sum(info.samples for info in store.streams()) == 0


def test_a_port_in_use_names_the_program_and_is_taken_when_it_is_free(bench):
    simulator = bench.simulate("trackmaster")
    bench.write()
    program = f"import serial; p = serial.Serial({simulator.address!r}, exclusive=True); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"1\n"
        daemon = bench.run()
        seen = daemon.until(bench.store, lambda seen: states(seen)["treadmill"] == "LOST")
        assert f"in use by PID {holder.pid}" in seen["devices"][0]["cause"]
    finally:
        holder.communicate(b"\n", timeout=PATIENCE)
    daemon.until(bench.store, streaming)
    assert daemon.stop() == 0


def test_a_port_that_is_missing_at_the_start_is_taken_when_it_comes(bench):
    path = bench.folder / "trackmaster"
    bench.write({"trackmaster": textwrap.dedent(ENTRIES["trackmaster"]).replace("{address}", str(path))})
    daemon = bench.run()
    seen = daemon.until(bench.store, lambda seen: states(seen)["treadmill"] == "LOST")
    assert "there is no such port" in seen["devices"][0]["cause"]
    assert "perfusion devices" in seen["devices"][0]["cause"]
    bench.simulate("trackmaster")
    daemon.until(bench.store, streaming)
    assert daemon.stop() == 0
    log = daemon.log.read_text()
    assert log.count("there is no such port") == 1, "one line for each change, not for each try"


def test_a_second_daemon_on_the_record_is_refused_with_the_first_ones_pid(bench):
    bench.simulate("trackmaster")
    bench.write()
    first = bench.run()
    first.until(bench.store, streaming)
    second = bench.run()
    assert second.process.wait(PATIENCE) == 8
    assert f"PID {first.process.pid}" in second.log.read_text()
    assert first.stop() == 0


def test_a_paused_host_leaves_a_gap_and_no_burst_of_false_samples(bench):
    import signal

    bench.simulate("trackmaster")
    bench.write()
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    time.sleep(1.0)
    paused = time.monotonic()
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    daemon.process.send_signal(signal.SIGCONT)
    daemon.until(bench.store, lambda seen: resumed(seen, "treadmill"))
    back = time.monotonic()
    assert daemon.stop() == 0
    assert check(bench.store).ok
    (found,) = (found for key, found in gaps(bench).items() if key == ("treadmill", "belt"))
    assert len(found) == 1
    assert 3.0 < (found[0].stop - found[0].start) / 1e9 < back - paused + 1.0
