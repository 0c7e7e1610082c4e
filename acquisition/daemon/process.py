"""The daemon's process: signals, file descriptors, the boot identifier, and systemd's notifications and watchdog."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from pathlib import Path


def endings() -> tuple[signal.Signals, ...]:
    """The signals that end a run in order: SIGTERM, SIGINT, and SIGHUP of a terminal that closes, but under nohup."""
    kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if kept else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def raise_descriptor_limit() -> None:
    """Allow as many open ports as the system's hard limit lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def close_to_others() -> None:
    """Let no file that this process makes be read by another account, whatever the shell's umask."""
    os.umask(0o077)


def boot_id() -> str:
    """The kernel's name of this boot; empty where it has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def notify(message: str) -> None:
    """Tell systemd, where it asked to be told (sdnotify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect("\0" + address[1:] if address.startswith("@") else address)
        link.send(message.encode())
