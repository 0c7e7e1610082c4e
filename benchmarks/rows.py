"""Rows of the tables of docs/validation.md: numbers rounded for people, truth beside what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acquisition.signals.result import Result

Row = dict[str, Any]


def against_truth(kind: str, index: str, truths: Sequence[float], results: Sequence[Result]) -> Row:
    """Truth and found as mean ± standard deviation over participants; bias and spread of found - truth."""
    pairs = [(t, r.value) for t, r in zip(truths, results, strict=True) if r.value is not None]
    errors = [found - true for true, found in pairs]
    bias = float(np.mean(errors)) if errors else None
    middle = float(np.mean(truths))
    return {
        "class": kind,
        "index": index,
        "truth": spread(truths),
        "found": spread([found for _, found in pairs]),
        "bias": "" if bias is None else signed(bias),
        "bias (%)": "" if bias is None or not middle else signed(100.0 * bias / abs(middle), 3),
        "spread of the error": rounded(float(np.std(errors))) if errors else "",
        "without a value": len(results) - len(pairs),
    }


def alone(kind: str, index: str, found: str, without: int = 0) -> Row:
    """What was found where there is no single truth."""
    return {"class": kind, "index": index, "truth": "", "found": found, "bias": "", "bias (%)": "",
            "spread of the error": "", "without a value": without}  # fmt: skip


def spread(values: Sequence[float | None]) -> str:
    """Mean ± standard deviation, one number where all are equal."""
    numbers = [v for v in values if v is not None]
    if not numbers:
        return "none"
    if np.ptp(numbers) == 0:
        return rounded(numbers[0])
    return f"{rounded(float(np.mean(numbers)))} ± {rounded(float(np.std(numbers)))}"


def value(result: Result) -> str:
    """A result's value, or none."""
    return "none" if result.value is None else rounded(result.value)


def rounded(number: float) -> str:
    """Four digits."""
    return f"{number:.4g}"


def signed(number: float, digits: int = 4) -> str:
    """With its sign; what rounds to nothing is 0."""
    return f"{number:+.{digits}g}" if abs(number) > 1e-9 else "0"


def section(title: str, text: str, rows: Sequence[Row]) -> str:
    """A heading, a text and a table."""
    lines = [f"## {title}\n", text, ""]
    if rows:
        lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
        lines += ["| " + " | ".join(str(row[key]) for key in rows[0]) + " |" for row in rows]
    return "\n".join(lines) + "\n"
