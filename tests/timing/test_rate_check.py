"""Streams held against the host's clock: another rate is told in time, and no way of arriving is accused of one."""

import itertools
import random

import pytest

from acquisition.timing.rate_check import RateCheck

HOUR = 3600.0
RATES = [0.2, 1.0, 10.0, 100.0, 1000.0]


def taken(rate, seconds, keep=lambda k: 1):
    """When each sample was taken, s: as many at the k-th instant as `keep` says."""
    for k in range(int(seconds * rate)):
        for _ in range(keep(k)):
            yield (k + 1) / rate


def read(instants, reads):
    """(how many, when) of each read, of samples that were there at each of the instants `reads`."""
    waiting, following = 0, next(instants, None)
    for at in reads:
        while following is not None and following <= at:
            waiting, following = waiting + 1, next(instants, None)
        if waiting:
            yield waiting, at
            waiting = 0
        if following is None:
            return


def every(low, high, seed):
    """Reads at random distances from `low` to `high` s, for ever."""
    chance, at = random.Random(seed), 0.0
    while True:
        at += chance.uniform(low, high)
        yield at


def usb(seed, rate):
    return every(0.016, 0.017, seed)


def prompt(seed, rate):
    return every(0.002, 0.006, seed)


def polled(seed, rate):
    return every(0.1, 0.25, seed)


def blocks(seed, rate):
    return every(0.25, 0.25, seed)


def loaded(seed, rate):
    """Every read of a loaded host is a burst."""
    return every(0.3, 2.0, seed)


def stalling(seed, rate):
    """Now and then the host stands still for one or two seconds."""
    chance, pause = random.Random(seed), 0.0
    for at in every(0.002, 0.02, seed):
        if at < pause:
            continue
        if chance.random() < 0.001:
            pause = at + chance.uniform(1.0, 2.0)
        yield at


def late_spells(seed, rate):
    """For a minute or so reads are bursts, then prompt again."""
    chance, busy, change, pause = random.Random(seed), False, 30.0, 0.0
    for at in every(0.005, 0.03, seed):
        if at > change:
            busy, change = not busy, at + chance.uniform(5.0, 90.0)
        if at < pause:
            continue
        if busy:
            pause = at + chance.uniform(0.5, 2.0)
        yield at


WAYS = [usb, prompt, polled, blocks, loaded, stalling, late_spells]


def told(reads, rate, speed=1.0, coarse=False):
    """(second, wrong) of every change that is told; the seconds of a clock that runs `speed` times as fast."""
    check = RateCheck(rate, speed, coarse)
    return [(at, check.wrong) for n, at in reads if check.count(n, at)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("crystal", [0.98, 1.02])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_sound_stream_is_never_accused(way, rate, crystal, seed):
    seconds = HOUR if rate <= 100 else 300.0
    if rate < 1:
        seconds *= 4
    assert told(read(taken(rate * crystal, seconds), way(seed, rate)), rate) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [10.0, 40.0])
def test_a_clock_that_runs_sixty_times_as_fast_makes_sixty_times_the_jitter(seed, rate):
    reads = ((n, at * 60) for n, at in read(taken(rate * 60, 120.0), late_spells(seed, rate)))
    assert told(reads, rate, speed=60.0) == []


@pytest.mark.parametrize("backlog", [0.5, 5.0, 60.0])
@pytest.mark.parametrize("pieces", [1, 7, 50])
def test_what_waited_before_the_first_read_is_no_fast_rate(backlog, pieces):
    waited = [(int(backlog * 100 / pieces) + 1, 0.001 * k) for k in range(pieces)]
    reads = ((n, 0.1 + at) for n, at in read(taken(100.0, 600.0), usb(1, 100.0)))
    assert told(itertools.chain(waited, reads), 100.0) == []


def within(rate):
    """Seconds within which a wrong rate must be told: ten, or what twenty samples take, and until the next one."""
    return max(10.0, 20.0 / rate) + max(0.5, 1.0 / rate)


@pytest.mark.parametrize("way", [usb, polled, blocks])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("factor", [0.25, 0.5, 0.9, 1.1, 2.0, 4.0])
def test_another_rate_is_told_in_time(way, rate, factor):
    slowest = rate * min(factor, 1.0)
    found = told(read(taken(rate * factor, 10 * within(slowest)), way(3, rate)), rate)
    assert len(found) == 1
    ((at, wrong),) = found
    assert wrong
    assert at < within(slowest) + 0.25


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("factor", [0.25, 0.9, 4.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_rate_is_told_once_however_samples_arrive(way, factor, seed):
    found = told(read(taken(10.0 * factor, 600.0), way(seed, 10.0)), 10.0)
    assert [wrong for _, wrong in found] == [True]
    assert found[0][0] < 15.0


@pytest.mark.parametrize("rate", [1.0, 5.0, 10.0, 100.0])
@pytest.mark.parametrize("keep", [lambda k: int(k % 10 != 9), lambda k: 1 + (k % 10 == 9)], ids=["dropped", "doubled"])
def test_one_in_ten_that_is_missing_or_too_many_is_told_in_time(rate, keep):
    (at, wrong), *more = told(read(taken(rate, 600.0, keep), usb(5, rate)), rate)
    assert wrong
    # Of twenty samples one may be missing by chance: at 1 Hz the second loss comes with the twentieth.
    assert at < within(rate) + (5.0 if rate == 1.0 else 0.1)
    assert not more


@pytest.mark.parametrize("rate", [10.0, 100.0])
@pytest.mark.parametrize("factor", [0.25, 0.9, 1.1, 4.0])
def test_a_change_after_an_hour_is_told_and_so_is_its_end(rate, factor):
    def instants():
        at = 0.0
        while at < HOUR + 300.0:
            at += 1.0 / (rate * factor if HOUR <= at < HOUR + 60.0 else rate)
            yield at

    (began, wrong), (ended, still) = told(read(instants(), usb(1, rate)), rate)
    assert (wrong, still) == (True, False)
    assert HOUR < began < HOUR + 10.5
    assert HOUR + 60.0 < ended < HOUR + 75.0


def test_a_few_lost_samples_are_no_other_rate_and_a_long_loss_is_told_until_it_has_passed():
    for missing in (1, 40):
        assert (
            told(read(taken(100.0, 600.0, lambda k, m=missing: int(not 0 < k % 6000 <= m)), usb(1, 100.0)), 100.0) == []
        )
    (began, _), (ended, _) = told(read(taken(100.0, 90.0, lambda k: int(not 6000 < k <= 6150)), usb(1, 100.0)), 100.0)
    assert 61.5 < began < 66.0
    assert began < ended < 75.0


def test_lost_samples_that_were_counted_are_none_too_few():
    check = RateCheck(10.0)
    assert not any(check.count(1 + 3, 0.4 * k) for k in range(600))


def test_a_restart_forgets_what_was_counted_and_keeps_the_verdict():
    check = RateCheck(10.0)
    assert [k for k in range(30) if check.count(1, 0.4 * k)]
    check.restart()
    assert check.wrong
    found = [k for k in range(300) if check.count(1, 1000.0 + 0.1 * k)]
    assert len(found) == 1
    assert not check.wrong
    assert 70 < found[0] < 130


def test_a_pause_that_resets_the_comparison_costs_nothing():
    check = RateCheck(10.0)
    assert not any(check.count(1, 0.1 * k) for k in range(600))
    check.restart()
    assert not any(check.count(1, 300.0 + 0.1 * k) for k in range(600))


def test_samples_that_are_held_back_say_nothing_of_the_clock():
    check = RateCheck(10.0)
    assert not any(check.count(1, 0.1 * k) for k in range(600))
    assert not any(check.count(1, 90.0 + 0.1 * k, fresh=False) for k in range(300))
    assert not any(check.count(1, 120.0 + 0.01 * k, fresh=False) for k in range(290))


@pytest.mark.parametrize(("factor", "wrong"), [(0.2, True), (0.25, True), (0.5, False), (2.0, False), (4.0, True)])
@pytest.mark.parametrize("rate", [0.5, 1.0, 5.0])
def test_a_stream_that_is_stamped_as_it_arrives_may_be_wrong_by_a_factor_of_two(rate, factor, wrong):
    seconds = 20 * within(rate)
    found = told(read(taken(rate * factor, seconds), usb(3, rate)), rate, coarse=True)
    assert bool(found) is wrong
    assert all(at < within(rate * min(factor, 1.0)) for at, _ in found)


@pytest.mark.parametrize("factor", [0.4, 2.5])
@pytest.mark.parametrize("way", [usb, prompt, polled, loaded])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rate_on_the_border_of_what_is_wrong_is_told_once(way, factor, seed):
    found = told(read(taken(50.0 * factor, 600.0), way(seed, 50.0)), 50.0, coarse=True)
    assert [wrong for _, wrong in found] in ([], [True])


def test_the_text_names_both_rates_and_the_factor():
    check = RateCheck(10.0)
    for k in range(60):
        check.count(1, 0.4166 * k)
    assert check.text.startswith("comes at 2.4 Hz, 10 Hz was configured (a factor of 0.24): the instrument integrates")
