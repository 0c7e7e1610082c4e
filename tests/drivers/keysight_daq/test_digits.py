"""Numbers as text, read bit for bit as Python reads them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.keysight_daq import digits
from drivers.keysight_daq.answers import Rows
from drivers.keysight_daq.digits import numbers

NUMBER = st.one_of(
    st.floats(-1e3, 1e3).map(lambda value: b"%+.8E" % value),
    st.integers(0, 999).map(lambda value: b"%d" % value),
    st.floats(0, 1e5).map(lambda value: b"%012.3f" % value),
    st.sampled_from(
        [b"+9.90000000E+37", b"-9.90000000E+37", b"+9.91000000E+37", b"+1E+3", b"-0.5", b"12345678901234567"]
    ),
)


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[NUMBER] * n), min_size=1, max_size=6)))
def test_numbers_are_read_as_python_reads_them_whatever_their_shape(rows):
    table = numbers(b",".join(field for row in rows for field in row), len(rows[0]))
    expected = np.array([[float(field) for field in row] for row in rows])
    assert table.tobytes() == expected.tobytes()


def test_a_block_of_equal_rows_is_read_bit_for_bit_as_python_reads_it():
    rng = np.random.default_rng(5)
    volts = rng.normal(0, 1, 3000) * 10.0 ** rng.integers(-9, 3, 3000)
    payload = Rows(np.column_stack((volts, np.arange(3000) * 0.017, np.tile([101, 102, 103], 1000)))).encode()
    fields = payload.split(b",")
    assert digits._as_table(payload, 3) is not None
    assert Rows.decode(payload).table.tobytes() == np.array(fields, dtype=float).tobytes()


@pytest.mark.parametrize(
    "spoilt", [b"+8.11900000E-0x", b"+8,11900000E-03", b"*8.11900000E-03", b"+8.1190 000E-03", b""]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_spoilt_number_spoils_its_block(spoilt, place):
    fields = [b"+8.11900000E-03"] * 3
    fields[place] = spoilt
    with pytest.raises(ValueError, match=r"could not convert|cannot reshape"):
        numbers(b",".join(fields), 3 if b"," in spoilt else 1)
