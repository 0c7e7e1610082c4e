"""The record's columnar baselines, Parquet and DuckDB: one hour of ten channels, as far as they are installed here."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.model import Floats, Nanoseconds

BATCH = 4000
"""Samples of all channels in each write of a backlog; the record has batches of 200."""

Row = dict[str, Any]


def columnar(
    folder: Path, times: Nanoseconds, values: Floats, best: Callable[[Callable[[], object]], float]
) -> list[Row]:
    """A row for each baseline; one that is not installed says so. `times` (n,) ns, `values` (n, c)."""
    found = []
    for name, module, run in (("Parquet, zstd", "pyarrow.parquet", _parquet), ("DuckDB", "duckdb", _duckdb)):
        try:
            library = importlib.import_module(module)
        except ImportError:
            found.append(_row(name, f"not installed here ({module.partition('.')[0]})"))
            continue
        found.append(run(name, library, folder, times, values, best))
    return found


def _parquet(
    name: str, parquet: Any, folder: Path, times: Nanoseconds, values: Floats, best: Callable[..., float]
) -> Row:
    """One file, closed at the end: nothing of it can be read before, and a power cut leaves none of it."""
    arrow = importlib.import_module("pyarrow")
    file = folder / "flux.parquet"
    names = [f"c{i}" for i in range(values.shape[1])]
    schema = arrow.schema([("time", arrow.int64()), *((each, arrow.float64()) for each in names)])
    began = time.perf_counter()
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for part, rows in _parts(times, values):
            columns = [arrow.array(part), *(arrow.array(np.ascontiguousarray(column)) for column in rows.T)]
            writer.write_table(arrow.table(columns, schema=schema))
    rate = values.size / (time.perf_counter() - began)

    def exact() -> object:
        return parquet.read_table(file, columns=["time", "c0"])["c0"].to_numpy()

    def drawn() -> object:
        table = parquet.read_table(file, columns=["time", "c0"])
        return _bins(table["time"].to_numpy(), table["c0"].to_numpy())

    return _row(name, "", round(rate), round(file.stat().st_size / values.size, 2), best(exact), best(drawn))


def _duckdb(
    name: str, duckdb: Any, folder: Path, times: Nanoseconds, values: Floats, best: Callable[..., float]
) -> Row:
    """One table, each batch a transaction; no other process can read it meanwhile."""
    file = folder / "flux.duckdb"
    database = duckdb.connect(str(file))
    columns = ", ".join(f"c{i} DOUBLE" for i in range(values.shape[1]))
    database.execute(f"CREATE TABLE flux (time BIGINT, {columns})")
    began = time.perf_counter()
    for part, rows in _parts(times, values):
        batch = {"time": part, **{f"c{i}": np.ascontiguousarray(column) for i, column in enumerate(rows.T)}}
        database.register("batch", batch)
        database.execute("INSERT INTO flux SELECT * FROM batch")
    rate = values.size / (time.perf_counter() - began)
    database.execute("CHECKPOINT")
    width = int(times[-1] - times[0]) // 1000 + 1
    bins = f"SELECT time // {width}, min(c0), max(c0), avg(c0) FROM flux GROUP BY 1 ORDER BY 1"

    def exact() -> object:
        return database.execute("SELECT time, c0 FROM flux ORDER BY time").fetchnumpy()

    def drawn() -> object:
        return database.execute(bins).fetchnumpy()

    result = _row(name, "", round(rate), round(file.stat().st_size / values.size, 2), best(exact), best(drawn))
    database.close()
    return result


def _parts(times: Nanoseconds, values: Floats) -> Iterator[tuple[Nanoseconds, Floats]]:
    for start in range(0, len(times), BATCH):
        yield times[start : start + BATCH], values[start : start + BATCH]


def _bins(times: Nanoseconds, values: Floats) -> object:
    heads = np.searchsorted(times, np.linspace(times[0], times[-1], 1000, endpoint=False).astype(np.int64))
    return np.minimum.reduceat(values, heads), np.maximum.reduceat(values, heads), np.add.reduceat(values, heads)


def _row(name: str, remark: str, *figures: Any) -> Row:
    rate, size, exact, drawn = figures or ("", "", "", "")
    return {
        "columns, 1 h x 10 channels": name if not remark else f"{name}: {remark}",
        "backlog values/s": rate,
        "bytes/value": size,
        "exact hour of one channel, ms": exact,
        "1000 points of it, ms": drawn,
    }
