"""Answers as the programming guides print them: blocks, readings, small answers, binary."""

from datetime import datetime

import numpy as np
import pytest

from drivers.keysight_daq.answers import Block, Fault, Identity, Reals, Rows, ScanList, moment, scan_start
from drivers.keysight_daq.digits import numbers


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (b"#10", b""),
        (b"#228-4.30000000E-08,00000000.370", b"-4.30000000E-08,00000000.370"),
        (b"#214(@101,102,103)", b"(@101,102,103)"),
        (b"#247+8.11900000E-03,+5.15000000E-03,-4.30000000E-08", b"+8.11900000E-03,+5.15000000E-03,-4.30000000E-08"),
    ],
)
def test_a_definite_block(answer, payload):
    assert Block.decode(answer) == Block.decode(answer + b"\n") == Block(payload)
    assert Block(payload).encode() == answer


@pytest.mark.parametrize("answer", [b"", b"#", b"#0", b"#0abc\n", b"#15abc", b"#13abcd", b"+0", b"#2x1", b"#9\n"])
def test_what_is_no_whole_block_is_refused(answer):
    with pytest.raises(ValueError, match=r"."):
        Block.decode(answer)


def test_readings_as_fields():
    assert numbers(b"-4.30000000E-08,00000000.370", 2).tolist() == [[-4.3e-08, 0.37]]
    assert numbers(b"+9.90000000E+37,-9.90000000E+37,+9.91000000E+37", 1).tolist() == [[9.9e37], [-9.9e37], [9.91e37]]
    # The width of the relative time varies.
    narrow = Rows.decode(b"+8.11900000E-03,0.370,101,+5.15000000E-03,123456789.001,102")
    assert narrow.table.tolist() == [[8.119e-03, 0.37, 101], [5.15e-03, 123456789.001, 102]]
    rows = Rows(np.array([[8.119e-03, 0.37, 101.0], [-4.3e-08, 0.376, 102.0]]))
    assert rows.encode() == b"+8.11900000E-03,00000000.370,101,-4.30000000E-08,00000000.376,102"
    assert Rows.decode(rows.encode()).table.tolist() == rows.table.tolist()
    for spoilt in (b"+8.1E-03,0.370", b"+8.1E-03,0.370,1x1", b"+8.1E-03,,101", b","):
        with pytest.raises(ValueError, match=r"."):
            Rows.decode(spoilt)


def test_small_answers():
    assert ScanList.decode(b"(@101:104)").terminals == (101, 102, 103, 104)
    assert ScanList.decode(b"(@103,101)").terminals == (101, 103)
    assert ScanList.decode(b"(@)").terminals == ()
    assert ScanList((101, 102, 103)).encode() == b"(@101,102,103)"
    assert Fault.decode(b'+0,"No error"') == Fault(0, "No error")
    assert Fault.decode(b'-113,"Undefined header"\n') == Fault(-113, "Undefined header")
    assert Fault(-113, "Undefined header").encode() == b'-113,"Undefined header"'
    assert scan_start(b"2026,07,14,10,23,45.123") == datetime(2026, 7, 14, 10, 23, 45, 123000)
    assert moment(b"2026,02,28", b"23,59,59.999") == datetime(2026, 2, 28, 23, 59, 59, 999000)
    who = Identity.decode(b"Keysight Technologies,DAQ970A,MY58001234,A.02.02-01.00-02.01-00.02-01.00-03-01")
    assert (who.model, who.serial) == ("DAQ970A", "MY58001234")


def test_binary_readings_are_eight_bytes_each_highest_first():
    payload = bytes.fromhex("3FF0000000000000 BFB999999999999A 47D29E8F51BE1BD5")
    reals = Reals.decode(payload)
    assert reals.volts[:2].tolist() == [1.0, -0.1]
    assert reals.encode() == payload
    with pytest.raises(ValueError, match="multiple of element size"):
        Reals.decode(payload[:-1])
