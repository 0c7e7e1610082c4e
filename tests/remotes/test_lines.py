"""Line protocol from arrays: exact, with nothing said of a value that is none."""

import math
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from acquisition.remotes import line_protocol
from acquisition.store.rows import Samples
from acquisition.store.views import Recorded

LINE = re.compile(r"(?P<key>(?:\\.|[^ ])+) (?P<fields>\S+) (?P<time>-?\d+)")


def samples(values, quality=None, first=7, run=3):
    values = np.array(values, dtype=float)
    quality = np.zeros(values.shape, np.uint8) if quality is None else np.array(quality, np.uint8)
    n = len(values)
    arrived = np.array([[n, 0, 0]], dtype=np.int64)
    return Samples(run, 1, first, 1_800_000_000_000_000_001 + np.arange(n), values, quality, None, arrived)


def encode(*arguments):
    return line_protocol.encode(*arguments).split("\n")


def events(*arguments):
    return line_protocol.events(*arguments).split("\n")


def parse(line):
    match = LINE.fullmatch(line)
    assert match, line
    fields = dict(part.split("=") for part in match["fields"].split(","))
    return match["key"], fields, int(match["time"])


def test_a_row_is_a_line_with_its_stable_key():
    (line,) = encode("treadmill", {"station": "bed 1", "site": "x"}, ["speed", "grade"], samples([[3.2, 0.1]]))
    assert line == (r"treadmill,site=x,station=bed\ 1 speed=3.2,grade=0.1,quality=0i,run=3i,seq=7i 1800000000000000001")


def test_lines_of_many_samples_are_those_of_each_alone():
    values = np.arange(2600.0).reshape(-1, 2) / 8
    told = encode("ldf", {}, ["flux", "backscatter"], samples(values))
    assert told == [
        f"ldf flux={row[0]},backscatter={row[1]},quality=0i,run=3i,seq={7 + i}i {1_800_000_000_000_000_001 + i}"
        for i, row in enumerate(values)
    ]


def test_a_value_that_is_none_has_no_field_and_quality_says_why():
    found = encode("m", {}, ["a", "b"], samples([[1, np.nan], [2, 3], [np.inf, 4]], [[0, 1], [0, 0], [2, 4]]))
    assert found == [
        "m a=1.0,b_quality=1i,quality=1i,run=3i,seq=7i 1800000000000000001",
        "m a=2.0,b=3.0,quality=0i,run=3i,seq=8i 1800000000000000002",
        "m b=4.0,a_quality=2i,b_quality=4i,quality=6i,run=3i,seq=9i 1800000000000000003",
    ]


@given(st.lists(st.tuples(st.floats(), st.floats(), st.integers(0, 63)), min_size=1, max_size=50))
def test_every_value_survives_to_its_last_bit_and_every_line_stands_in_order(rows):
    values = [[a, b] for a, b, _ in rows]
    found = encode("m", {"t": "1"}, ["a", "b"], samples(values, [[q, 0] for _, _, q in rows]))
    assert len(found) == len(rows)
    for index, (line, (a, b, q)) in enumerate(zip(found, rows, strict=True)):
        key, fields, time = parse(line)
        assert (key, time, fields["seq"]) == ("m,t=1", 1_800_000_000_000_000_001 + index, f"{7 + index}i")
        assert fields["quality"] == f"{q}i"
        for name, value in (("a", a), ("b", b)):
            if math.isfinite(value):
                assert float(fields[name]).hex() == value.hex()
            else:
                assert name not in fields


def test_names_with_marks_are_escaped_and_a_percent_sign_is_no_format():
    (line,) = encode("100 %", {"site": "a,b=c"}, ["x%d"], samples([[1]]))
    assert line.startswith(r"100\ %,site=a\,b\=c x%d=1.0,")


def test_a_channel_that_is_called_as_a_field_of_the_line_stays_apart_from_it():
    (line,) = encode("m", {}, ["quality", "time"], samples([[1, 2]], [[2, 0]]))
    assert line.startswith("m quality_=1.0,time_=2.0,quality__quality=2i,quality=2i,run=3i,seq=7i ")


def test_what_a_person_entered_stays_at_the_bedside():
    told = Recorded(1, 5, "state", "ldf", "", {"text": 'LOST: "gone"'}, "aa")
    mark = Recorded(2, 5, "session", "", "", {"text": "participant 03-117"}, "bb")
    found = events({"station": "bed1"}, [told, mark])
    assert found[0] == (
        r'perfusion_event,device=ldf,kind=state,n=1,station=bed1 id=1i,hash="aa",text="LOST: \"gone\"" 5'
    )
    assert found[1] == 'perfusion_event,kind=session,n=2,station=bed1 id=2i,hash="bb" 5'


def test_the_sign_of_life_says_by_how_much_the_wall_clock_differs():
    line = line_protocol.station({"station": "bed1"}, 3, 0, 5, -3000)
    assert line == "perfusion_station,station=bed1 pending=3i,refused=0i,wall_offset=-3000i 5"
