"""The daemon: builds every part from a configuration, runs the devices, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from acquisition import __version__
from acquisition.config import Config, DeviceConfig
from acquisition.control_socket.server import Answer, ControlSocket
from acquisition.daemon import process
from acquisition.daemon.alarms import Alarms, RecordAlarms
from acquisition.daemon.assembly import assemble
from acquisition.daemon.gateway import events
from acquisition.daemon.timekeeping import Timekeeper
from acquisition.device.bus import Bus, Subscriber
from acquisition.device.supervisor import DeviceState, Supervisor
from acquisition.errors import LinkLost, PerfusionError
from acquisition.examination import rules
from acquisition.examination.requests import REQUESTS
from acquisition.examination.session import SessionLog
from acquisition.examination.session_service import SessionService
from acquisition.live.recording import RecordStatus
from acquisition.live.state import LiveState
from acquisition.model import Event
from acquisition.page.page import Page
from acquisition.remotes import registry
from acquisition.remotes.factory import (
    INFLUX,
    check_secrets,
    influx_shipment,
    influx_writer,
    mqtt_account,
    mqtt_station,
)
from acquisition.remotes.mqtt import MqttRemote
from acquisition.remotes.shipper import Shipper
from acquisition.store import Store, StoreWriter, runs
from acquisition.store.tapes import FOLDER as TAPES
from acquisition.text import clean
from acquisition.timing.clock import Clock
from acquisition.timing.pauses import Pause, Pauses
from acquisition.treadmill.dispatcher import TreadmillDispatcher

log = logging.getLogger(__name__)

LOCAL_CAP, NETWORK_CAP = 1.0, 5.0
DRAIN = 3.0
FAREWELL = 1.5
"""Seconds that a remote may take for what is left at the end; what it does not take is sent after the next start."""
COMMIT = 2.0
"""Seconds that an answer about a session waits for the disk."""
PAGE = "page"
"""The kind of the alarm that stands while the live page cannot show something, or is being started again."""
CLOCK_STEP = 0.1
"""Seconds by which wall and monotonic clock must part within one look to count as a step."""


class Service:
    """One run of the daemon: `run` opens the record, streams until stopped, and answers the exit code."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        witness: Callable[[str], None] | None = None,
        on_page: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._witness = witness
        self._on_page = on_page
        self._bus = Bus()
        self._pauses = Pauses(clock)
        self._pauses.listen(self._tell_pause)
        self._alarms = Alarms(self._key_now, self._bus.publish)
        self._record_alarms = RecordAlarms(self._alarms, config.store)
        self._subscribers: list[Subscriber] = []
        self._stop = asyncio.Event()
        self._broken = False

    def subscribe(self, subscriber: Subscriber) -> None:
        """Let `subscriber` have every chunk and event too, after the record; before `run`."""
        self._subscribers.append(subscriber)

    def stop(self) -> None:
        """End the run in order."""
        self._stop.set()

    async def run(self, seconds: float | None = None) -> int:
        """Run until `stop`, a signal, or for the given wall seconds.

        Answers 0; 1 where samples could not be recorded, the record vanished with some, or a part of the service
        broke; 4 where a device FAILED.
        """
        check_secrets(self._config)
        for doubt in self._config.doubts:
            log.warning("%s: %s", self._config.path, doubt)
        process.raise_descriptor_limit()
        loop = asyncio.get_running_loop()
        tables = self._config.tables
        session_services: list[SessionService] = []
        store = StoreWriter(
            self._config.store,
            flush=tables.store.flush,
            retention=self._config.retention,
            clock=self._clock,
            witness=self._witnessed if self._witness else None,
            on_trouble=lambda text: _threadsafe(loop, self._say_trouble, text),
            on_renewal=lambda text: _threadsafe(loop, self._go_on_anew, text, session_services),
        )
        store.open()
        try:
            self._timeline = runs.begin(store, self._clock.now(), self._about_run())
            run = self._timeline.run
            self._timekeeper = Timekeeper(
                self._config.store, store, run, self._clock.speed, self._alarms, self._bus.publish
            )
            remotes: list[Shipper | MqttRemote] = []
            live_state = LiveState(
                RecordStatus(self._config.store, lambda: store.stats).describe,
                lambda: session_service.present(),
                lambda: [remote.standing.describe() for remote in remotes],
                lambda: self._alarms.present,
                lambda: self._timekeeper.wall,
            )
            self._bus.subscribe(store.put)
            for subscriber in (live_state.put, *self._subscribers):
                self._bus.subscribe(subscriber)
            supervisors = [self._assemble(device, store, live_state) for device in self._config.devices]
            session_service = self._make_session_service(live_state)
            session_services.append(session_service)
            order = _committed(session_service, store, self._config.store)
            page = self._make_page(live_state, _on_loop(loop, order), loop)
            dispatcher = self._make_dispatcher(supervisors)
            self._bus.subscribe(dispatcher.put)
            control = ControlSocket(
                self._config.store,
                lambda: live_state.snapshot(self._clock.now(), self._key_now(), self._clock.speed),
                {
                    **dict.fromkeys(REQUESTS, order),
                    **dispatcher.answers,
                    **self._timekeeper.answers(self._clock.now, self._key_now),
                    registry.REQUEST: self._forgetting(store),
                },
            )
            with contextlib.ExitStack() as stack:
                for number in process.endings():
                    loop.add_signal_handler(number, self.stop)
                    stack.callback(loop.remove_signal_handler, number)
                self._say("service", "started", run=run, version=__version__)
                self._timekeeper.begin(self._clock.now().utc)
                session_service.resume()
                self._tell_left_behind()
                remotes += self._ship(store, live_state, loop)
                if page is not None:
                    url = page.start()
                    stack.callback(page.stop)
                    self._bus.subscribe(page.put)
                    if self._on_page:
                        self._on_page(url)
                stack.callback(dispatcher.close)
                self._pauses.start()
                stack.callback(self._pauses.stop)
                async with control:
                    await self._stream(supervisors, store, seconds)
                self._say("service", "stopped")
                store.flush()
                await asyncio.gather(*(asyncio.to_thread(remote.stop, FAREWELL) for remote in remotes))
        finally:
            store.close()
            process.notify("STOPPING=1")
        if store.failed is not None or store.lost is not None or self._broken:
            return PerfusionError.exit_code
        return LinkLost.exit_code if any(supervisor.state is DeviceState.FAILED for supervisor in supervisors) else 0

    async def _stream(self, supervisors: list[Supervisor], store: StoreWriter, seconds: float | None) -> None:
        tasks = [asyncio.create_task(each.run(), name=each.name) for each in supervisors]
        watch = asyncio.create_task(self._watch(store, supervisors), name="watch")
        for task in (*tasks, watch):
            task.add_done_callback(self._heed)
        process.notify("READY=1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        for supervisor in supervisors:
            supervisor.stop()
        watch.cancel()
        _, pending = await asyncio.wait(tasks, timeout=DRAIN)
        for task in pending:
            log.error("%s did not stop within %g s", task.get_name(), DRAIN)
            task.cancel()
        await asyncio.gather(*tasks, watch, return_exceptions=True)

    def _heed(self, task: asyncio.Task[None]) -> None:
        """Tell at once of a part that ended with an error; the others go on recording."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = True
            log.critical("%s: ended with an error and is not started again", task.get_name(), exc_info=error)
            self._say("service", f"{task.get_name()} ended with an error: {error}")

    async def _watch(self, store: StoreWriter, supervisors: list[Supervisor]) -> None:
        """Look once a second: report wall-clock steps, and a record that no longer writes.

        systemd's watchdog is fed while rows are committed, while no device has any to give, and while they wait in
        memory for a record that cannot be written: to be killed would lose them.
        """
        before = self._clock.now()
        rows = -1
        while True:
            await asyncio.sleep(1.0)
            now = self._clock.now()
            step = ((now.utc - before.utc) - (now.monotonic - before.monotonic)) / 1e9 / self._clock.speed
            if abs(step) > CLOCK_STEP:
                log.warning("the wall clock was stepped by %+.3f s; the record's time goes on unchanged", step)
                key = self._timeline.key(now.monotonic)
                text = f"the wall clock was stepped by {step:+.3f} s"
                self._bus.publish(Event("clock", key, "", text, {"step": step, "utc": now.utc}))
                self._timekeeper.step(key, now.utc, step)
            self._timekeeper.look(now.utc)
            before = now
            if store.failed is not None:
                log.critical("the record's writer died: %s; stopping", store.failed)
                self.stop()
            self._record_alarms.names(store.links)
            stats = store.stats
            if stats.trouble:
                self._record_alarms.trouble(stats.trouble)
            self._record_alarms.maintenance(stats.maintenance)
            if (
                stats.rows != rows
                or stats.trouble
                or not any(each.state is DeviceState.STREAMING for each in supervisors)
            ):
                rows = stats.rows
                process.notify("WATCHDOG=1")

    def _assemble(self, device: DeviceConfig, store: StoreWriter, live_state: LiveState) -> Supervisor:
        tapes = self._config.store / TAPES
        return assemble(
            device, store, live_state.expect, self._bus, self._clock, self._timeline, pauses=self._pauses, tapes=tapes
        )

    def _make_page(self, live_state: LiveState, order: Answer, loop: asyncio.AbstractEventLoop) -> Page | None:
        tables = self._config.tables
        if tables.page is None:
            return None
        return Page(
            live_state,
            self._config.store,
            self._clock,
            self._key_now,
            port=tables.page.port,
            site=tables.site.id,
            station=tables.site.station,
            order=order if tables.page.marks else None,
            trouble=lambda text: _threadsafe(loop, self._heed_page, text),
        )

    def _heed_page(self, text: str | None) -> None:
        if text is None:
            self._alarms.clear(PAGE, "the live page shows everything again")
        else:
            self._alarms.raise_alarm(
                PAGE, f"the live page: {text}; recording goes on", "perfusion watch shows the same", blocks=False
            )

    def _make_dispatcher(self, supervisors: list[Supervisor]) -> TreadmillDispatcher:
        controlled = {device.table.name for device in self._config.devices if device.table.control}
        return TreadmillDispatcher(
            {each.name: each for each in supervisors if each.name in controlled},
            self._clock,
            lambda device, kind, text: self._bus.publish(Event(kind, self._key_now(), device, text)),
            self._config.path.parent,
        )

    def _make_session_service(self, live_state: LiveState) -> SessionService:
        with Store(self._config.store) as store:
            known = list(events(store))
        return SessionService(
            known,
            self._key_now,
            self._bus.publish,
            headers=lambda: live_state.headers,
            bench=lambda: live_state.snapshot(self._clock.now(), self._key_now(), self._clock.speed),
            rules=rules.Rules.of(self._config),
            alarms=lambda: self._alarms.present,
            wall=lambda: self._timekeeper.wall,
        )

    def _key_now(self) -> int:
        return self._timeline.key(self._clock.now().monotonic)

    def _about_run(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "host": clean(platform.node()),
            "site": self._config.tables.site.id,
            "station": self._config.tables.site.station,
            "boot": process.boot_id(),
            "speed": self._clock.speed,
            rules.KEY: rules.Rules.of(self._config).as_dict(),
        }

    def _ship(
        self, store: StoreWriter, live_state: LiveState, loop: asyncio.AbstractEventLoop
    ) -> list[Shipper | MqttRemote]:
        """Start what carries the record to the configured remotes."""

        def say(kind: str, text: str, details: Mapping[str, object]) -> None:
            _threadsafe(loop, self._say_details, kind, text, details)

        remotes: list[Shipper | MqttRemote] = []
        if (influx := self._config.tables.influx) is not None:
            writer, shipment = influx_writer(self._config), influx_shipment(self._config)
            remotes.append(
                Shipper(INFLUX, writer, store, self._config.store, shipment, say, self._key_now, flush=influx.flush)
            )
        if (account := mqtt_account(self._config)) is not None:
            station = mqtt_station(self._config)
            mqtt = MqttRemote(account, station, store, lambda: live_state.headers, say, self._key_now)
            self._bus.subscribe(mqtt.put)
            remotes.append(mqtt)
        for remote in remotes:
            remote.start()
        return remotes

    def _tell_left_behind(self) -> None:
        """Say loudly which remotes hold back retention though the configuration no longer has them."""
        with Store(self._config.store) as store:
            left = registry.left_behind(store, registry.configured(self._config))
        for each in left:
            text = f"{each.name}: not in the configuration, but retention still waits for it ({each.behind} samples)"
            remedy = f"perfusion remotes {self._config.store} --forget {each.name} --reason WHY"
            log.warning("%s; configure it again, or let it go: %s", text, remedy)
            self._say("remote", text, remote=each.name, status="not configured")

    def _forgetting(self, store: StoreWriter) -> Answer:
        """Answer a request to let go of a remote."""

        async def answer(request: dict[str, Any]) -> Any:
            name, reason, by = (clean(str(request.get(key, ""))) for key in ("name", "reason", "by"))
            present = registry.configured(self._config)
            return await asyncio.to_thread(
                registry.forget, self._config.store, store, name, self._key_now(), reason, by, present
            )

        return answer

    def _witnessed(self, rows: Iterable[tuple[str, str, int, int]]) -> None:
        assert self._witness is not None
        self._witness("".join(json.dumps(row) + "\n" for row in rows))

    def _tell_pause(self, pause: Pause) -> None:
        text = f"{pause.text}; instruments are judged anew, and what waited is kept as questionable"
        log.warning("%s", text)
        self._say("pause", text, seconds=round(pause.seconds, 3), began=self._timeline.key(pause.began))
        process.notify("WATCHDOG=1")

    def _say_trouble(self, text: str | None) -> None:
        log.error("the record: %s", text) if text else log.info("the record is written again")
        self._say("store", text or "written again")
        self._record_alarms.trouble(text)

    def _go_on_anew(self, text: str, session_services: Iterable[SessionService]) -> None:
        """Go on in a record that has taken the place of another: what that held is not in it."""
        self._record_alarms.renewed(text)
        for session_service in session_services:
            session_service.go_on_anew()

    def _say_details(self, kind: str, text: str, details: Mapping[str, object]) -> None:
        self._say(kind, text, **details)

    def _say(self, kind: str, text: str, **details: Any) -> None:
        self._bus.publish(Event(kind, self._key_now(), "", text, details))


def _committed(session_service: SessionService, store: StoreWriter, record: Path) -> Answer:
    """Answer a request once what it led to is on the disk, and say so, and where a mark parts from the trace."""

    async def answer(request: dict[str, Any]) -> Any:
        said = session_service.answer(request)
        committed = await asyncio.to_thread(store.flush, COMMIT)
        if "done" not in said:
            return {**said, "committed": committed}
        found = await asyncio.to_thread(_warnings, record, session_service.session_log, request, said["session"])
        return {**said, "committed": committed, "warnings": found}

    return answer


def _warnings(record: Path, session_log: SessionLog, request: dict[str, Any], session: str) -> list[str]:
    # It loads filters for seconds: neither the start of the service nor its loop should wait for them.
    from acquisition.analysis.cuff import warnings

    return warnings(record, session_log, request, session)


def _on_loop(loop: asyncio.AbstractEventLoop, answer: Answer) -> Answer:
    """The same answer, given on `loop` to whoever asks on another."""

    async def elsewhere(request: dict[str, Any]) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_coroutine(answer, request), loop))

    return elsewhere


async def _coroutine(answer: Answer, request: dict[str, Any]) -> Any:
    return await answer(request)


def _threadsafe(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended; the caller's thread still closes
        loop.call_soon_threadsafe(call, *arguments)
