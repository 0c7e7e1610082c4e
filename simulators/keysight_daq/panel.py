"""Front panel of a 34465A: display, options, mains and triggers, set and asked beside measuring; nothing of it acts."""

from __future__ import annotations

from collections.abc import Callable

from simulators.transports.scpi import Scpi, number, one, switch


def front_panel(scpi: Scpi) -> None:
    """Serve the commands: what is set is told again, and has no effect on a measurement."""
    shown = {"text": b'""', "state": b"1"}
    scpi.on("*OPT?", lambda _: b"0")
    scpi.on("SYSTem:LICense:CATalog?", lambda _: b'""')
    scpi.on("SYSTem:LFRequency?", lambda _: b"+50")
    scpi.on("SYSTem:BEEPer[:IMMediate]", lambda _: None)
    scpi.on("DISPlay:TEXT[:DATA]", lambda p: shown.update(text=b'"%s"' % one(p).strip("\"'").encode()))
    scpi.on("DISPlay:TEXT[:DATA]?", lambda _: shown["text"])
    scpi.on("DISPlay:TEXT:CLEar", lambda _: shown.update(text=b'""'))
    scpi.on("DISPlay[:STATe]", lambda p: shown.update(state=b"%d" % switch(p)))
    scpi.on("DISPlay[:STATe]?", lambda _: shown["state"])
    _keep(scpi, "TRIGger:DELay", "+1.00000000E+00", lambda text: f"{number(text, 0, 3600, 1):+.8E}")
    _keep(scpi, "TRIGger:DELay:AUTO", "1", lambda text: f"{switch([text]):d}")
    _keep(scpi, "TRIGger:SLOPe", "NEG", lambda text: text.upper()[:3])
    _keep(scpi, "TRIGger:LEVel", "+0.00000000E+00", lambda text: f"{number(text, -1000, 1000, 0):+.8E}")
    _keep(scpi, "SAMPle:COUNt:PRETrigger", "+0", lambda text: f"{number(text, 0, 1_999_999, 0):+.0f}")
    _keep(scpi, "[SENSe:]VOLTage[:DC]:IMPedance:AUTO", "0", lambda text: f"{switch([text]):d}")


def _keep(scpi: Scpi, header: str, usual: str, parse: Callable[[str], str]) -> None:
    kept = {"": usual}
    scpi.on(header, lambda p: kept.update({"": parse(one(p))}))
    scpi.on(f"{header}?", lambda _: kept[""].encode())
