"""Arguments of a reader: a caller's mistakes are told as the caller's, and a date is its midnight."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from acquisition.errors import Damaged, StoreError
from acquisition.store import Store
from acquisition.store.timestamps import FIRST, LAST, key
from tests.store.records import T0, Source, event, record

MIDNIGHT = 1_796_083_200 * 10**9 - 86_400 * 10**9
DAY = date(2026, 11, 30)
WRONG_TIMES = [
    ("30.11.2026", ValueError), ("yesterday", ValueError), ("", ValueError), (math.nan, ValueError),
    (math.inf, ValueError), (np.datetime64("NaT"), ValueError), ([1], TypeError), ({}, TypeError), (b"2026", TypeError),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record(tmp_path_factory.mktemp("record"), [Source().chunk(40), event()])


@pytest.fixture
def store(folder):
    with Store(folder) as store:
        yield store


@pytest.mark.parametrize(
    "moment",
    [DAY, "2026-11-30", datetime(2026, 11, 30), datetime(2026, 11, 30, tzinfo=UTC), "2026-11-30T01:00+01:00",
     np.datetime64("2026-11-30"), np.int64(MIDNIGHT)],
)  # fmt: skip
def test_a_day_is_its_midnight_in_utc_however_it_is_named(moment):
    assert key(moment) == MIDNIGHT


@pytest.mark.parametrize(("moment", "held"), [(date.min, FIRST), (date.max, LAST), (np.datetime64("3000"), LAST)])
def test_a_time_beyond_the_record_is_held_at_its_end(moment, held):
    assert key(moment) == held


@pytest.mark.parametrize(("moment", "error"), WRONG_TIMES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda store, at: store.read("ldf", ["flux"], at),
        lambda store, at: store.read("ldf", ["flux"], None, at),
        lambda store, at: store.blocks("ldf", "flux", ["flux"], at),
        lambda store, at: store.overview("ldf", ["flux"], at, LAST),
        lambda store, at: store.overview("ldf", None, T0, at),
        lambda store, at: store.columns("ldf", "flux", "flux", at, LAST, 10),
    ],
)
def test_a_time_that_is_none_is_the_callers(store, ask, moment, error):
    with pytest.raises(error):
        ask(store, moment)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda store: store.read(7), TypeError),
        (lambda store: store.read("ldf", 7), TypeError),
        (lambda store: store.read("ldf", [7]), TypeError),
        (lambda store: store.read("ldf", []), ValueError),
        (lambda store: store.read("ldf", stream=b"flux"), TypeError),
        (lambda store: store.blocks("ldf", None, ["flux"]), TypeError),
        (lambda store: store.overview("ldf", points=0), ValueError),
        (lambda store: store.overview("ldf", points="many"), TypeError),
        (lambda store: store.overview(None), TypeError),
        (lambda store: store.overview("ldf", start=5, stop=4), ValueError),
        (lambda store: store.after("flux", 0), TypeError),
        (lambda store: store.after(1, 2**63), ValueError),
        (lambda store: store.after(1, 0, "all"), TypeError),
        (lambda store: store.headers("flux"), TypeError),
        (lambda store: store.gaps(7), TypeError),
        (lambda store: store.events(7), TypeError),
        (lambda store: store.events(since="yesterday"), TypeError),
        (lambda store: store.events(limit=2**70), ValueError),
        (lambda store: store.events(limit=None), TypeError),
    ],
)
def test_a_wrong_argument_is_the_callers(store, ask, error):
    with pytest.raises(error):
        ask(store)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.read("ldf"),
        lambda store: list(store.blocks("ldf", "flux", ["flux"])),
        lambda store: store.overview("ldf"),
        lambda store: store.overview("ldf", ["flux"], T0, LAST),
        lambda store: store.columns("ldf", "flux", "flux", T0, LAST, 10),
        lambda store: store.streams(),
        lambda store: store.ends(),
        lambda store: store.headers(1),
        lambda store: store.after(1, 0),
        lambda store: store.cursors(),
        lambda store: store.head(),
        lambda store: store.gaps(),
        lambda store: store.events(),
        lambda store: store.runs(),
        lambda store: store.record,
    ],
)
def test_a_closed_store_says_that_it_is_closed(folder, ask):
    store = Store(folder)
    store.close()
    with pytest.raises(StoreError, match="the store is closed") as told:
        ask(store)
    assert not isinstance(told.value, Damaged)


def test_a_store_that_is_closed_between_two_blocks_says_so(folder):
    store = Store(folder)
    pieces = store.blocks("ldf", "flux", ["flux"])
    store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        list(pieces)
