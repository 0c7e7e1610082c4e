"""Assembly of one configured device: driver, port, tape, supervisor, and sequencers that continue the record."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from acquisition.config import DeviceConfig
from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamEnd, StreamSequencer
from acquisition.device.supervisor import Device, Patience, Supervisor
from acquisition.device.tape import Label, TapeWriter
from acquisition.driverkit.driver import Driver, Serial
from acquisition.model import Header, Stream
from acquisition.ports import Port
from acquisition.ports.serial import SerialPort
from acquisition.ports.tcp import TcpPort
from acquisition.ports.udp import UdpPort
from acquisition.ports.visa import VisaPort
from acquisition.store import StoreWriter
from acquisition.timing.clock import Clock, Timeline
from acquisition.timing.pauses import Pauses

LOCAL_CAP, NETWORK_CAP = 1.0, 5.0
"""Longest pause in seconds between two attempts to open a device: on this machine, and over a network."""


def assemble(
    device: DeviceConfig,
    store: StoreWriter,
    expect: Callable[[Header], None],
    bus: Bus,
    clock: Clock,
    timeline: Timeline,
    *,
    pauses: Pauses,
    tapes: Path,
) -> Supervisor:
    """The supervisor of one device; `expect` is told of every stream it will have, before the first reading."""
    table = device.table
    rng = random.Random()

    def make_driver() -> Driver:
        seed = rng.getrandbits(32)
        driver = device.driver(device.setup(clock.speed, seed=seed, random=random.Random(seed)))
        if table.silence is not None:
            driver.silence = table.silence
        return driver

    def make_tape(connection: int, driver: Driver) -> TapeWriter:
        return TapeWriter(tapes, Label.of(table.name, timeline.run, connection, driver.setup))

    identity = {k: v for k, v in (("model", table.identity.model), ("serial", table.identity.serial)) if v}
    return Supervisor(
        Device(
            Expected(table.name, table.simulated, identity),
            make_driver,
            lambda driver: _port(table.port, table.resource, driver.serial, clock),
            Patience(LOCAL_CAP if _on_this_machine(table.port or table.resource or "") else NETWORK_CAP),
            make_tape if table.tape else None,
        ),
        _context(device, make_driver(), store, expect, clock, timeline),
        bus,
        clock,
        timeline,
        rng,
        pauses,
    )


def _context(
    device: DeviceConfig,
    driver: Driver,
    store: StoreWriter,
    expect: Callable[[Header], None],
    clock: Clock,
    timeline: Timeline,
) -> DeviceContext:
    """A book for each stream, measured or derived, that goes on where the record ends."""
    name = device.table.name
    clocks = InstrumentClocks(clock.speed)
    patience = driver.silence * driver.setup.patience

    def sequencer(stream: Stream) -> StreamSequencer:
        header = header_of(device, driver, stream)
        expect(header)
        last = store.last(name, stream.name)
        return StreamSequencer(
            header, timeline, clocks, patience, StreamEnd(last.next, last.key) if last is not None else None
        )

    derivations = []
    for derivation in driver.derivations():
        last = store.last(name, derivation.stream.name)
        if last is not None:
            derivation.resume(last.values)
        derivations.append((derivation, sequencer(derivation.stream)))
    return DeviceContext({stream.name: sequencer(stream) for stream in driver.streams}, tuple(derivations))


def header_of(device: DeviceConfig, driver: Driver, stream: Stream) -> Header:
    """What a reader must know of a stream; an analog input has its own profile, any other stream has all documents."""
    table = device.table
    entry = {each.name: each for each in device.inputs}.get(stream.name)
    documents = device.documents.values() if entry is None else [entry]
    return Header(
        table.name,
        stream,
        table.driver,
        "unconfirmed scale" if entry is not None and not entry.confirmed else driver.about.confidence,
        "; ".join([driver.about.source, *(each.citation for each in documents)]),
        table.simulated,
        ", ".join(each.name for each in device.documents.values()) if entry is None else entry.profile,
        {"site": table.placement.site, "side": table.placement.side},
    )


def _on_this_machine(where: str) -> bool:
    if ("://" not in where and "::" not in where) or where.upper().startswith(("ASRL", "USB")):
        return True
    return any(word in where for word in ("127.0.0.1", "localhost", "[::1]"))


def _port(port: str | None, visa: str | None, line: Serial | None, clock: Clock) -> Port:
    if visa is not None:
        return VisaPort(visa, clock, line)
    assert port is not None
    kind, separator, rest = port.partition("://")
    if separator:
        host, _, number = rest.rpartition(":")
        network = UdpPort if kind == "udp" else TcpPort
        return network(host.strip("[]"), int(number), clock)
    return SerialPort(port, line or Serial(9600), clock)
