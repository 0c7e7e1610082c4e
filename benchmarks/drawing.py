"""Small plots as SVG text, least and greatest value of each column: no library, and the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from acquisition.signals.result import Trace

WIDTH, HEIGHT = 900, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 36
TINTS = ("#dbe7f6", "#fbe3d0", "#ddf0dc", "#ece1f5")


@dataclass(frozen=True, slots=True)
class Band:
    """A window to be tinted, s, with its word."""

    start: float
    stop: float
    word: str


def plot(
    trace: Trace, title: str, unit: str, bands: Sequence[Band] = (), points: Sequence[tuple[float, float]] = ()
) -> str:
    """A trace over time (s), least and greatest value of each column, with tinted windows and points."""
    time, values = trace.time[trace.valid], trace.values[trace.valid]
    low, high = 0.0, float(np.quantile(values, 0.999)) * 1.08
    first, last = float(time[0]), float(time[-1])
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(t: float) -> float:
        return LEFT + inner * (t - first) / (last - first)

    def y(v: float) -> float:
        return TOP + tall * (1.0 - (min(v, high) - low) / (high - low))

    column = np.minimum((inner * (time - first) / (last - first)).astype(int), inner - 1)
    starts = np.flatnonzero(np.r_[True, np.diff(column) > 0])
    least, most = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    path = " ".join(
        f"{'M' if k == 0 else 'L'}{LEFT + c} {y(a):.1f}L{LEFT + c} {y(b):.1f}"
        for k, (c, a, b) in enumerate(zip(column[starts].tolist(), least.tolist(), most.tolist(), strict=True))
    )
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    for k, band in enumerate(bands):
        a, b = x(max(band.start, first)), x(min(band.stop, last))
        parts.append(
            f'<rect x="{a:.1f}" y="{TOP}" width="{b - a:.1f}" height="{tall}" fill="{TINTS[k % len(TINTS)]}"/>'
        )
        parts.append(f'<text x="{a + 2:.1f}" y="{TOP + 12 + 12 * (k % 2)}" font-size="10">{escape(band.word)}</text>')
    for value in _ticks(low, high):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{x(value):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{value:g}</text>'
        for value in _ticks(first, last)
    ]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">s; vertical: {escape(unit)}</text>')
    parts.append(f'<path d="{path}" fill="none" stroke="#1f4e79"/>')
    parts += [f'<circle cx="{x(t):.1f}" cy="{y(v):.1f}" r="4" fill="#b3261e"/>' for t, v in points]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 6.0
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= raw))
    return [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]
