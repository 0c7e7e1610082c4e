"""What a person may ask of an examination from the page: marks, the next phase, corrections, the stop; nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from acquisition.errors import PerfusionError

ALLOWED = ("session.mark", "session.next", "session.correct", "session.stop")
BY = "live page"

Order = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]
"""Has a request decided where decisions are made; PerfusionError where it is refused."""


async def answer(order: Order | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a viewer is told of its request: `done`, `committed` and `warnings`; or `error`, `cause` and `remedy`."""
    told = {"id": request.get("id")}
    asked = {key: value for key, value in request.items() if key != "id"}
    if order is None:
        return {**told, "error": "this page only shows", "cause": "[page] marks is off", "remedy": "perfusion session"}
    if asked.get("do") not in ALLOWED:
        return {**told, "error": "the page may not ask this", "cause": "", "remedy": f"one of: {', '.join(ALLOWED)}"}
    try:
        said = await order({**asked, "by": BY})
    except PerfusionError as error:
        return {**told, "error": error.what, "cause": error.cause, "remedy": error.remedy}
    return {**told, "done": said["done"], "committed": said.get("committed", False),
            "warnings": said.get("warnings", [])}  # fmt: skip
