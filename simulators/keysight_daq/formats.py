"""Formats of readings on the wire: their fields as text, or eight bytes each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from acquisition.model import Floats
from drivers.keysight_daq.answers import Reals, Rows


class Formats:
    """What FORMat says: which fields a reading has beside its value, and whether it is text at all."""

    FIELDS = ("TIME", "CHANnel", "UNIT", "ALARm")

    def __init__(self) -> None:
        self.fields = dict.fromkeys(self.FIELDS, False)
        self.relative = self.binary = self.swapped = False

    def encode(self, table: Floats, moment: Callable[[float], datetime]) -> bytes:
        """Readings (n, 3), volts, seconds, terminal; `moment` is what the clock showed at a second of the scan."""
        if self.binary:
            reals = Reals(table[:, 0]).encode()
            return np.frombuffer(reals, ">f8").astype("<f8").tobytes() if self.swapped else reals
        fields = {name for name, on in self.fields.items() if on}
        if fields == {"TIME", "CHANnel"} and self.relative:
            return Rows(table).encode()
        readings = []
        for volts, seconds, terminal in table.tolist():
            reading = b"%+.8E" % volts + (b" VDC" if "UNIT" in fields else b"")
            if "TIME" in fields and self.relative:
                reading += b",%012.3f" % seconds
            elif "TIME" in fields:
                reading += b"," + date_time(moment(seconds))
            reading += b",%d" % terminal if "CHANnel" in fields else b""
            readings.append(reading + (b",0" if "ALARm" in fields else b""))
        return b",".join(readings)


def date_time(moment: datetime) -> bytes:
    """`yyyy,mm,dd,hh,mm,ss.sss`."""
    return moment.strftime("%Y,%m,%d,").encode() + clock_time(moment)


def clock_time(moment: datetime) -> bytes:
    """`hh,mm,ss.sss`."""
    return f"{moment:%H,%M,%S}.{moment.microsecond // 1000:03d}".encode()
