"""Descriptions of the simulators: for each its first sentence, its options, and what it does not model."""

from __future__ import annotations

from typing import Any

import msgspec

from simulators.bench.registry import simulators


def describe() -> dict[str, dict[str, Any]]:
    """By name: `what`, `not_modelled`, `options`, and `driver`, options of the driver that its example goes with."""
    return {
        name: {
            "what": (each.__doc__ or "").strip().splitlines()[0],
            "not_modelled": list(each.not_modelled),
            "options": list(each.Options.__struct_fields__),
            "driver": msgspec.to_builtins(each.example(name).driver),
        }
        for name, each in simulators().items()
    }
