"""Requests that the page may make of an examination: marks, the next phase, the undoing of a mark, the stop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from acquisition.errors import PerfusionError

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "session.mark": ("name", "ago", "value", "early"),
    "session.next": ("early",),
    "session.correct": ("entry", "field", "value", "reason"),
    "session.stop": ("reason",),
}
"""The requests that the page makes, each with its fields."""
CORRECTED = ("struck",)
"""The fields of an entry that the page corrects: it takes back a mark. A person corrects the rest."""
BY = "live page"

log = logging.getLogger(__name__)

Order = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]
"""Has a request decided where decisions are made; PerfusionError where it is refused."""


async def answer(order: Order | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """What a viewer is told of its request: `done`, `committed` and `warnings`; or `error`, `cause` and `remedy`."""
    told = {"id": request.get("id")}
    asked = {key: value for key, value in request.items() if key not in ("id", "by")}
    if order is None:
        return {**told, "error": "this page only shows", "cause": "[page] marks is off", "remedy": "perfusion session"}
    refusal = _refusal(asked)
    if refusal is not None:
        return {**told, **refusal}
    try:
        said = await order({**asked, "by": BY})
    except PerfusionError as error:
        return {**told, "error": error.what, "cause": error.cause, "remedy": error.remedy}
    except Exception as error:
        # A fault in one answer must not cost the viewer its page.
        log.exception("the page's request %s failed", asked["do"])
        return {**told, "error": f"unexpected: {type(error).__name__}", "cause": "", "remedy": "the log has the whole"}
    return {**told, "done": said["done"], "committed": said.get("committed", False),
            "warnings": said.get("warnings", [])}  # fmt: skip


def _refusal(asked: Mapping[str, Any]) -> dict[str, str] | None:
    word = asked.get("do")
    if not isinstance(word, str) or word not in ALLOWED:
        return {"error": "the page may not ask this", "cause": "", "remedy": f"one of: {', '.join(ALLOWED)}"}
    if set(asked) - {"do", *ALLOWED[word]}:
        remedy = f"the fields of {word} are: {', '.join(ALLOWED[word])}"
        return {"error": f"the page may not say this of {word}", "cause": "", "remedy": remedy}
    if word == "session.correct" and (asked.get("field") not in CORRECTED or asked.get("entry") is None):
        return {
            "error": "the page may only take back an entry",
            "cause": "anybody with an account on this machine can open the page",
            "remedy": "perfusion session correct",
        }
    return None
