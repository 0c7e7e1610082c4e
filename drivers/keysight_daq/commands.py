"""Commands that set up a scan or steady sampling, and every message that may ever be written."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.keysight_daq.answers import ScanList
from drivers.keysight_daq.options import Options


def scan_set_up(options: Options, terminals: Sequence[int], nplc: float) -> list[bytes]:
    """Sweeps over the terminals on a timer, without end; each reading with its time and channel."""
    where = ScanList(tuple(terminals)).encode()
    # CONF clears FORM:READ and sets TRIG:TIM to 0 or 1 s: both come after it.
    return [
        b"ABOR\n",
        b"*CLS\n",
        b"*SRE 0\n",
        b"CONF:VOLT:DC %g,%s\n" % (options.range, where),
        b"SENS:VOLT:DC:NPLC %g,%s\n" % (nplc, where),
        b"SENS:VOLT:DC:ZERO:AUTO %s,%s\n" % (_switch(options.autozero), where),
        b"ROUT:SCAN %s\n" % where,
        b"TRIG:SOUR TIM\n",
        b"TRIG:TIM %g\n" % options.interval,
        b"TRIG:COUN INF\n",
        b"FORM:READ:TIME ON\n",
        b"FORM:READ:TIME:TYPE REL\n",
        b"FORM:READ:CHAN ON\n",
        b"FORM:READ:UNIT OFF\n",
        b"FORM:READ:ALAR OFF\n",
    ]


def sampling_set_up(options: Options, nplc: float) -> list[bytes]:
    """Samples of the one channel on a timer, as good as without end."""
    return [
        b"ABOR\n",
        b"*CLS\n",
        b"*SRE 0\n",
        b"CONF:VOLT:DC %g\n" % options.range,
        b"SENS:VOLT:DC:NPLC %g\n" % nplc,
        b"SENS:VOLT:DC:ZERO:AUTO %s\n" % _switch(options.autozero),
        b"TRIG:SOUR IMM\n",
        b"TRIG:COUN 1\n",
        b"SAMP:COUN 1000000000\n",
        b"SAMP:SOUR TIM\n",
        b"SAMP:TIM %g\n" % options.interval,
        *((b"FORM:DATA REAL,64\n", b"FORM:BORD NORM\n") if options.binary else (b"FORM:DATA ASC\n",)),
    ]


SCAN_TIMES = b"SYST:TIME:SCAN?;:SYST:DATE?;:SYST:TIME?\n"
"""When the scan began and what the clock shows: one message, so that an instrument without a clock answers it too."""
ASKED = (
    b"*IDN?\n",
    b"*ESE?\n",
    b"ROUT:SCAN?\n",
    b"STAT:OPER:COND?\n",
    b"STAT:QUES:COND?\n",
    b"SYST:ERR?\n",
    b"SYST:TIME:SCAN?\n",
    SCAN_TIMES,
    b"SAMP:TIM?\n",
)
"""Questions that are the same for every configuration."""


def integration_of(terminals: Sequence[int] = ()) -> bytes:
    """Ask for the integration time, of each terminal of a scanner or of the one channel."""
    return b"SENS:VOLT:DC:NPLC?%s\n" % (b" " + ScanList(tuple(terminals)).encode() if terminals else b"")


def card_of(slot: int) -> bytes:
    """Ask which card is in a slot."""
    return b"SYST:CTYP? %d\n" % slot


def _switch(on: bool) -> bytes:
    return b"ON" if on else b"OFF"
