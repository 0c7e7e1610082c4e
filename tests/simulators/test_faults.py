import numpy as np
import pytest

from acquisition.errors import ConfigurationError
from simulators.simkit.faults import KINDS, Fault, Faults, parse

MESSAGE = bytes(range(48, 88))


def through(spec, messages=200, seed=1, every=0.1):
    faults = Faults([parse(spec)], seed)
    return [piece for i in range(messages) for piece in faults.outward(MESSAGE, i * every)]


def test_a_specification_says_when_how_long_and_how_likely():
    assert parse("garble@10s:2s:p=0.2") == Fault("garble", 10.0, 2.0, 0.2)
    assert parse("drop@p=0.01") == Fault("drop", 0.0, float("inf"), 0.01)
    assert parse("drop") == Fault("drop", p=0.05)
    assert parse("unplug@1min:500ms:every=2min") == Fault("unplug", 60.0, 0.5, every=120.0)
    assert parse("delay@1h:by=250ms") == Fault("delay", 3600.0, float("inf"), 1.0, 0.25)
    assert parse("reset@5s") == Fault("reset", 5.0, 0.0)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("unplugg@60s:5s", "unknown kind of fault 'unplugg'.*unplug"),
        ("unplug@60:5s", "'60' is no time.*60s"),
        ("unplug@60s", "needs a duration"),
        ("unplug", "needs a start"),
        ("alarm", "needs a start"),
        ("garble@p=2", "'2' is no probability"),
        ("garble@p=x", "'x' is no probability"),
        ("garble@1s:2s:3s", "'3s' is one part too many"),
        ("garble@q=1", "unknown part 'q=1'"),
        ("unplug@1s:2s:p=0.5", "unplug has no probability"),
        ("drop@by=1s", "drop has no by="),
        ("unplug@1s:5s:every=5s", "every= is not longer"),
    ],
)
def test_a_wrong_specification_is_quoted_and_says_what_is_allowed(spec, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse(spec)
    assert f"--fault {spec}" in str(caught.value)


def test_without_faults_a_message_leaves_as_it_is_and_at_once():
    assert Faults().outward(MESSAGE, 3.0) == [(3.0, MESSAGE)]
    assert Faults().deadline() is None


@pytest.mark.parametrize("kind", [kind for kind, (family, _) in KINDS.items() if family in ("byte", "message", "line")])
def test_a_fault_acts_within_its_time_only_and_always_alike(kind):
    spec = f"{kind}@5s:10s"
    pieces = through(spec)
    assert pieces == through(spec)
    before = [data for at, data in pieces if at < 5]
    assert before == [MESSAGE] * len(before)
    assert len(before) in (50, 51)
    assert [data for at, data in pieces][-40:] == [MESSAGE] * 40
    assert pieces != through("drop@1h")


def test_each_kind_does_what_it_says():
    whole = MESSAGE * 200

    def joined(spec):
        return b"".join(data for _, data in through(spec))

    assert len(joined("drop@p=0.1")) == pytest.approx(0.9 * len(whole), rel=0.02)
    assert len(joined("insert@p=0.1")) == pytest.approx(1.1 * len(whole), rel=0.02)
    garbled = joined("garble@p=0.1")
    assert np.mean(np.frombuffer(garbled, "u1") != np.frombuffer(whole, "u1")) == pytest.approx(0.1, abs=0.01)
    assert joined("duplicate@p=0.5").count(MESSAGE) == pytest.approx(300, abs=25)
    assert all(MESSAGE.startswith(data) for _, data in through("truncate"))
    assert len(joined("truncate")) < 0.7 * len(whole)
    assert through("delay@by=2s")[:2] == [(2.0, MESSAGE), (2.1, MESSAGE)]
    (first, head), (second, tail) = through("split", 1)
    assert (head + tail, second - first) == (MESSAGE, 0.05)
    assert len({at for at, _ in through("merge@by=1s", 20)}) == 2
    assert through("silence") == through("half-open") == []
    assert MESSAGE not in joined("wrong-baud")
    assert through("garble@1s:1s:every=10s", 400) != through("garble@1s:1s", 400)


def test_reordered_messages_are_swapped_and_none_is_lost():
    faults = Faults([parse("reorder@0s:1s")])
    said = [data for i in range(7) for _, data in faults.outward(str(i).encode(), i * 0.2)]
    assert said == [b"1", b"0", b"3", b"2", b"5", b"4", b"6"]
    faults = Faults([parse("reorder@0s:0.5s")])
    said = [data for i in range(5) for _, data in faults.outward(str(i).encode(), i * 0.2)]
    assert said == [b"1", b"0", b"3", b"2", b"4"]


def test_what_happens_to_the_link_comes_in_order_and_again():
    faults = Faults([parse("unplug@10s:2s:every=20s"), parse("drop-connection@11s"), parse("alarm@12s:1s")])
    assert faults.deadline() == 10.0
    assert faults.due(9.99) == []
    assert faults.due(11.5) == [("unplug", "unplug"), ("unplug", "drop-connection"), ("replug", "drop-connection")]
    assert faults.due(29.0) == [("replug", "unplug"), ("on", "alarm"), ("off", "alarm")]
    assert faults.due(60.0) == [("unplug", "unplug"), ("replug", "unplug")] * 1 + [
        ("unplug", "unplug"),
        ("replug", "unplug"),
    ]
    assert faults.deadline() == 70.0


def test_a_late_start_skips_what_is_over_and_joins_what_is_not():
    specs = [parse("unplug@10s:2s"), parse("refuse@100s:50s"), parse("reset@3s"), parse("unplug@1s:1s:every=60s")]
    faults = Faults(specs, begin=120.0)
    assert faults.due(120.0) == [("unplug", "refuse")]
    assert faults.due(125.0) == [("unplug", "unplug"), ("replug", "unplug")]


def test_a_device_without_power_neither_hears_nor_speaks_and_comes_back_new():
    faults = Faults([parse("reset@5s:3s")])
    assert faults.outward(MESSAGE, 4.0)
    assert not faults.deaf(4.0)
    assert faults.outward(MESSAGE, 6.0) == []
    assert faults.deaf(6.0)
    assert faults.due(8.0) == [("reset", "reset")]
    assert faults.outward(MESSAGE, 8.0)


def test_stuck_values_stand_still_and_go_on():
    class Room:
        def values(self, signal, t):
            return t

    t = np.arange(0.0, 10.0)
    assert Faults([parse("stuck@3s:4s")]).bench(Room()).values("x", t).tolist() == [0, 1, 2, 3, 3, 3, 3, 7, 8, 9]
    repeated = Faults([parse("stuck@1s:2s:every=5s")]).bench(Room())
    assert repeated.values("x", t).tolist() == [0, 1, 1, 3, 4, 5, 6, 6, 8, 9]
    room = Room()
    assert Faults([parse("drop")]).bench(room) is room


@pytest.mark.parametrize(("other", "kind"), [("late-answer", "delay"), ("cut-answer", "truncate"), ("reboot", "reset")])
def test_kinds_are_known_by_what_they_are_called_elsewhere(other, kind):
    assert parse(f"{other}@5s") == parse(f"{kind}@5s")


def test_a_replug_is_over_at_once():
    assert list(Faults([parse("replug@5s")]).due(5.0)) == [("unplug", "replug"), ("replug", "replug")]
