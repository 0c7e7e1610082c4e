"""The reading of a record of an earlier version: everything that must stay as it was, as digests, and the outcomes."""

import hashlib
import json
import lzma
import shutil
from pathlib import Path

from click.testing import CliRunner

from acquisition.analysis.outcomes import describe, outcomes
from acquisition.cli import perfusion
from acquisition.daemon.gateway import session_log
from acquisition.store import Store, schema
from acquisition.store.check import check

HERE = Path(__file__).parent
PACKED = "record.db.xz"
EXPECTED = "expected.json"
OUTCOMES = "outcomes.json"


def unpack(source, folder):
    """Lay a packed record out in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / schema.FILE).write_bytes(lzma.decompress((source / PACKED).read_bytes()))
    if (source / "tapes").is_dir():
        shutil.copytree(source / "tapes", folder / "tapes")
    return folder


def lasting(folder):
    """What must be the same for ever: samples, events, head, CSV and replay."""
    with Store(folder) as store:
        samples = {}
        for info in store.streams():
            names = [channel.name for channel in info.header.stream.channels]
            block = store.read(info.device, names, stream=info.stream)
            samples[f"{info.device}/{info.stream}"] = [
                len(block.time),
                *(_digest(array.tobytes()) for array in (block.time, block.values, block.quality)),
            ]
        events = [
            [each.id, each.time, each.kind, each.device, each.stream, each.body, each.hash] for each in store.events()
        ]
        head = list(store.head())
    said = {"samples": samples, "events": _digest(json.dumps(events, sort_keys=True).encode()), "head": head}
    devices = sorted({each.split("/")[0] for each in samples})
    said["csv"] = {device: _digest(_said("query", folder, "--device", device, "--csv")) for device in devices}
    if (folder / "tapes").is_dir():
        said["replay"] = _said("replay", folder).decode()
    return said


def analysed(folder):
    """Every index: session -> place, name and method -> value, unit, uncertainty, status and reason."""
    known = session_log(folder)
    with Store(folder) as store:
        return {key: _indices(outcomes(store, known, session)) for key, session in known.sessions.items()}


def expect(folder, target):
    """Write down what is read from a record now."""
    assert check(folder).ok
    (target / EXPECTED).write_text(json.dumps(lasting(folder), indent=1, sort_keys=True) + "\n", "utf-8")
    (target / OUTCOMES).write_text(json.dumps(analysed(folder), indent=1, sort_keys=True) + "\n", "utf-8")


def _indices(found):
    indices = {}
    for outcome in found.results:
        plain = describe(outcome)
        name = f"{plain['place']} {plain['name']} {plain['method']}"
        indices[name] = [plain[key] for key in ("value", "unit", "uncertainty", "status", "reason")]
    return indices


def _said(*arguments):
    done = CliRunner().invoke(perfusion, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout_bytes


def _digest(data):
    return hashlib.sha256(data).hexdigest()
