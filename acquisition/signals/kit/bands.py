"""The frequency bands of flowmotion, by the name of the set: a band power without its set means nothing."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Band:
    """[low, high] Hz; `typical` Hz of its oscillation; `least` s of record below which it is of low quality.

    The cone of influence is 1.414 / low at each end (cardiac 2.4 s, endothelial independent 283 s).
    """

    name: str
    low: float
    high: float
    typical: float
    least: float


# Least records: myogenic 10 min, neurogenic 15, endothelial 13 on the foot, reference 20 (PMID 32589891); pulse and
# breath are assumptions: about a hundred waves.
_TYPICAL = {
    "cardiac": (1.1, 2 * MINUTE),
    "respiratory": (0.25, 7 * MINUTE),
    "myogenic": (0.10, 10 * MINUTE),
    "neurogenic": (0.035, 15 * MINUTE),
    "endothelial_no": (0.013, 13 * MINUTE),
    "endothelial_independent": (0.0070, 20 * MINUTE),
}


@dataclass(frozen=True, slots=True)
class BandSet:
    """Bands from the fastest to the slowest. Names are stored, for some papers number them the other way round."""

    name: str
    source: str
    bands: tuple[Band, ...]

    @property
    def low(self) -> float:
        """Lowest edge, Hz."""
        return self.bands[-1].low

    @property
    def high(self) -> float:
        """Highest edge, Hz."""
        return self.bands[0].high


def _set(name: str, source: str, *edges: float) -> BandSet:
    """Return a set of the first bands of `_TYPICAL` between falling edges."""
    names = list(_TYPICAL)[: len(edges) - 1]
    return BandSet(
        name,
        source,
        tuple(Band(band, low, high, *_TYPICAL[band]) for band, high, low in zip(names, edges, edges[1:], strict=False)),
    )


STEFANOVSKA = _set(
    "stefanovska", "Stefanovska; I-V in PMC12894106, VI in Appl Sci 2024", 2.0, 0.6, 0.145, 0.052, 0.021, 0.0095, 0.005
)
LINKOPING = _set("linkoping", "Hultman, Flowmotion (code)", 1.6, 0.4, 0.15, 0.06, 0.02, 0.0095)
GEYER = _set("geyer", "Geyer", 2.0, 0.4, 0.15, 0.05, 0.02, 0.008)
OROZCO = _set("orozco", "Orozco", 2.0, 0.4, 0.15, 0.052, 0.021, 0.0095)
SETS = {one.name: one for one in (STEFANOVSKA, LINKOPING, GEYER, OROZCO)}
