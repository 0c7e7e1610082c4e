"""The state of the service as Prometheus text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from acquisition import __version__
from acquisition.live.state import LiveState
from acquisition.model import Instant

Sample = tuple[Mapping[str, str], float]


def exposition(live_state: LiveState, now: Instant, key_now: int, speed: float, *, viewers: int, dropped: int) -> str:
    """Every metric in the text format 0.0.4; `dropped` counts items that the page's own queue lost."""
    devices = live_state.devices
    streams = [(device.name, name, stream) for device in devices for name, stream in device.streams.items()]
    record, remotes = live_state.snapshot_record(now, speed), live_state.remotes()
    blocks = [
        _metric("build_info", "gauge", "What runs here.", [({"version": __version__}, 1)]),
        _metric(
            "device_up",
            "gauge",
            "1 while the device streams.",
            [({"device": device.name}, device.state == "STREAMING") for device in devices],
        ),
        _metric(
            "samples_total",
            "counter",
            "Samples taken in this run.",
            [({"device": device, "stream": name}, stream.samples) for device, name, stream in streams],
        ),
        _metric(
            "sample_age_seconds",
            "gauge",
            "Age of the newest sample, on the wall.",
            [
                ({"device": device, "stream": name}, (key_now - int(stream.newest.time[-1])) / 1e9 / speed)
                for device, name, stream in streams
                if stream.newest is not None
            ],
        ),
        _metric(
            "parse_errors_total",
            "counter",
            "Bytes that belonged to no frame.",
            [({"device": device.name}, device.noise) for device in devices],
        ),
        _metric(
            "reconnects_total",
            "counter",
            "Connections after the first.",
            [({"device": device.name}, max(device.connections - 1, 0)) for device in devices],
        ),
        _metric("gaps_total", "counter", "Gap records.", [({"device": d.name}, d.gaps) for d in devices]),
        _metric(
            "clock_offset_seconds",
            "gauge",
            "Wall clock minus the time axis of the record.",
            [({}, (now.utc - key_now) / 1e9)],
        ),
        _metric(
            "sink_backlog",
            "gauge",
            "Items that wait for a sink.",
            [
                *([({"sink": "store"}, record["queued"])] if "queued" in record else []),
                *(({"sink": each["name"]}, each["pending"]) for each in remotes if each["pending"] is not None),
            ],
        ),
        _metric(
            "sink_dropped_total",
            "counter",
            "Samples or items that a sink could not keep.",
            [({"sink": "page"}, dropped), *([({"sink": "store"}, record["dropped"])] if "dropped" in record else [])],
        ),
        _metric(
            "remote_up",
            "gauge",
            "1 while the remote takes what is sent.",
            [({"remote": remote["name"]}, remote["state"] == "delivering") for remote in remotes],
        ),
        _metric(
            "remote_state",
            "gauge",
            "1 for the state of each remote: starting, delivering, unreachable, held, dead, hung or ended.",
            [({"remote": remote["name"], "state": remote["state"]}, 1) for remote in remotes],
        ),
        _metric(
            "remote_quiet_seconds",
            "gauge",
            "Seconds without progress of what carries the record to a remote, apart from its pauses.",
            [({"remote": remote["name"]}, remote["quiet_s"]) for remote in remotes],
        ),
        _metric(
            "recording",
            "gauge",
            "1 while samples are committed to the record.",
            [({}, record["recording"])] if "recording" in record else [],
        ),
        _metric(
            "alarm",
            "gauge",
            "1 for each alarm of the service that stands.",
            [({"kind": alarm.kind}, 1) for alarm in live_state.alarms()],
        ),
        _metric("page_viewers", "gauge", "Open live pages.", [({}, viewers)]),
    ]
    return "".join(blocks)


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP perfusion_{name} {text}", f"# TYPE perfusion_{name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        lines.append(
            f"perfusion_{name}{{{inner}}} {float(value):.15g}" if inner else f"perfusion_{name} {float(value):.15g}"
        )
    return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
