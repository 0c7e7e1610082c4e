"""Judges a record by what others saw: the witness of commits and the simulators' ledgers, not the daemon's own word."""

import numpy as np

from acquisition.store import Store, check


def judge(record, witnessed, ledgers):
    """Check a record after whatever happened to its daemons.

    `witnessed`: rows (device, stream, first, n) that were on disk; `ledgers`: for (device, stream) the rows of values
    that a simulator sent, in order. Answers {(device, stream): (samples, gaps, sent, missing)}.
    """
    report = check(record)
    assert report.ok, report.problems
    verdict = {}
    with Store(record) as store:
        held = {(i.device, i.stream): i for i in store.streams()}
        for (device, stream), info in held.items():
            numbers = sequence_numbers(store, info.number)
            for _, _, first, n in (w for w in witnessed if w[:2] == (device, stream)):
                at = np.searchsorted(numbers, first)
                assert np.array_equal(numbers[at : at + n], np.arange(first, first + n)), (
                    f"{device}/{stream}: accepted samples {first} to {first + n - 1} are not in the record"
                )
            if (device, stream) in ledgers:
                parts = segments(store, info)
                verdict[device, stream] = align(f"{device}/{stream}", parts, ledgers[device, stream], info.gaps)
    return verdict


def sequence_numbers(store, number):
    """The sequence number of every stored sample (n,)."""
    numbers, following = [], 0
    while (samples := store.after(number, following, 100_000)) is not None:
        numbers.append(np.arange(samples.first, samples.following))
        following = samples.following
    return np.concatenate(numbers) if numbers else np.empty(0, int)


def segments(store, info):
    """The samples between gaps: a list of values (k, c)."""
    block = store.read(info.device, stream=info.stream)
    cuts = np.searchsorted(block.time, sorted(gap.stop for gap in info.gaps))
    return [part for part in np.split(block.values, cuts) if len(part)]


def align(where, parts, ledger, gaps):
    """Find each segment, whole and in order, in what was sent; what lies between must be covered by gap records."""
    sent = np.array([[np.nan if v is None else v for v in row] for row in ledger], dtype=float)
    sent = sent.reshape(len(ledger), -1)
    position, missing, begins = 0, 0, []
    for index, part in enumerate(parts):
        begin = find(sent, part, position)
        assert begin is not None, (
            f"{where}: segment {index} of {len(part)} samples is nowhere in what was sent after row {position}: "
            f"{part[:3].tolist()}…; sent there {sent[position : position + 5].tolist()}"
        )
        begins.append(begin)
        missing += begin - position if index else 0
        position = begin + len(part)
    assert len(gaps) >= len(parts) - 1, f"{where}: {len(parts)} segments and only {len(gaps)} gap records"
    stored = sum(map(len, parts))
    assert stored + missing + (begins[0] if begins else 0) + (len(sent) - position) == len(sent)
    return stored, len(gaps), len(sent), missing


def find(sent, part, position):
    """Where `part` stands in `sent` at or after `position`, None for nowhere."""
    first = np.flatnonzero(_same(sent[position:], part[0]).all(axis=1)) + position
    for begin in first.tolist():
        if begin + len(part) <= len(sent) and _same(sent[begin : begin + len(part)], part).all():
            return begin
    return None


def _same(a, b):
    return np.isclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
