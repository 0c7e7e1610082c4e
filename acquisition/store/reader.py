"""The reading side of a record: exact samples, columns for plots, gaps and events; beside a writing daemon too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from acquisition.errors import StoreError
from acquisition.model import Nanoseconds, Quality
from acquisition.store import channel_names, joining, merged_read, overview, rows, schema
from acquisition.store.arguments import chosen, optional, text, whole
from acquisition.store.facts import Facts, told
from acquisition.store.overview import Overview
from acquisition.store.rows import Samples
from acquisition.store.timestamps import FIRST, LAST, When, key, named
from acquisition.store.views import Columns, SampleBlock

Spans = Sequence[tuple[int | None, int | None]]
"""From which key to before which, each; None for an open end."""


class Store(Facts):
    """Reads a record, given its folder or file, also while a daemon writes it.

    Rows whose checksum fails are never served, but counted in `damaged`. Remotes read by sequence number
    (`ends`, `after`, `events`, `cursors`), people by time (`read`, `blocks`, `columns`, `overview`).
    """

    def after(self, stream: int, sequence: int, limit: int = 5000) -> Samples | None:
        """The next accepted samples of a stream from a sequence number on, None where there are none yet.

        At most `limit` consecutive ones of one run and connection; `first` is later than `sequence` where
        those before it are missing. The next call takes `following`. The same number always names the
        same sample, in whichever tier it is stored.
        """
        return self._after(whole(stream, "stream"), whole(sequence, "sequence"), whole(limit, "limit"))

    @told
    def _after(self, stream: int, sequence: int, limit: int) -> Samples | None:
        channels = merged_read.widths(self.headers(stream))
        parts: list[Samples] = []
        count = 0
        for row in merged_read.walk(self._connection, stream, channels, sequence):
            if row.samples is None:
                self.damaged.add(row.name)
                continue
            samples = rows.cut(row.samples, sequence - row.samples.first, len(row.samples))
            if not len(samples):
                continue
            sequence = samples.following
            if parts and not rows.continues(parts[-1], samples):
                break
            parts.append(rows.cut(samples, 0, limit - count))
            count += len(parts[-1])
            if count >= limit:
                break
        return rows.join(parts) if parts else None

    def read(
        self,
        device: str,
        channels: Sequence[str] | str | None = None,
        start: When | None = None,
        stop: When | None = None,
        stream: str | None = None,
    ) -> SampleBlock:
        """Samples of one device with start <= time < stop, exactly as they were accepted.

        Whole numbers are time keys in ns. Python's or numpy's times and ISO 8601 text (UTC where they name no zone) are
        of the wall clock, each run by its own (`wall`); the block's `time` are keys in any case.
        Channels of one stream come as that stream's rows. Channels of several streams are merged by time:
        each stream's sample has a row of its own where the others have none there, NaN and INVALID. Where
        streams share a channel's name, it is `stream.channel`; the name alone is then an error.
        """
        name, part = text(device, "device"), optional(stream, "stream")
        return self._read(name, chosen(channels), self._spans(start, stop), part)

    @told
    def _read(self, device: str, channels: Sequence[str] | str | None, spans: Spans, stream: str | None) -> SampleBlock:
        own = [i for i in self.streams() if i.device == device and (stream is None or i.stream == stream)]
        held = {info.stream: [c.name for c in info.header.stream.channels] for info in own}
        where = f"{self.path}, device {device!r}"
        wanted = (
            [channels]
            if isinstance(channels, str)
            else list(channel_names.labels(held) if channels is None else channels)
        )
        found = {name: channel_names.find(held, name, where) for name in wanted}
        unknown = [name for name, place in found.items() if place is None]
        if not own or unknown:
            what = f"no channel {unknown[0]!r}" if own else "no such device or stream"
            known = ", ".join(channel_names.labels(held) if own else [f"{i.device}/{i.stream}" for i in self.streams()])
            raise StoreError(f"the record has {what}", where, remedy=f"it holds: {known or 'nothing'}")
        parts = []
        for info in own:
            chosen = {name: place[1] for name, place in found.items() if place is not None and place[0] == info.stream}
            if chosen:
                blocks = self._blocks(device, info.stream, list(chosen.values()), spans)
                parts.append(joining.join(list(chosen), blocks, self._expected(info.number, spans)))
        return joining.merge(parts, wanted)

    def _expected(self, number: int, spans: Spans) -> int:
        """About how many samples of a stream lie there."""
        total = 0
        for low, high in spans:
            before = 0 if low is None else merged_read.row_before(self._connection, number, low)
            behind = merged_read.row_behind(self._connection, number, merged_read.MANY if high is None else high)
            total += max(behind - before, 0)
        return min(total, joining.MOST)

    def _spans(self, start: When | None, stop: When | None) -> Spans:
        """The spans of keys from `start` to `stop`: one, unless times of the wall clock fall into several runs."""
        low, high = _ends(start, stop)
        if not named(start) and not named(stop):
            return [(low, high)]
        found = self.wall().spans(low if named(start) else None, high if named(stop) else None)
        least, most = FIRST if named(start) or low is None else low, LAST if named(stop) or high is None else high
        held = [(max(begin, least), min(end, most)) for begin, end, _ in found]
        return joining.touching((begin, end) for begin, end in held if begin < end)

    def blocks(
        self,
        device: str,
        stream: str,
        channels: Sequence[str],
        start: When | None = None,
        stop: When | None = None,
    ) -> Iterator[SampleBlock]:
        """Samples of one stream, piece by piece in order of sequence; a long record never stands in memory whole."""
        spans = self._spans(start, stop)
        asked = chosen(channels) or ()
        wanted = [asked] if isinstance(asked, str) else asked
        return self._blocks(text(device, "device"), text(stream, "stream"), wanted, spans)

    def _blocks(self, device: str, stream: str, channels: Sequence[str], spans: Spans) -> Iterator[SampleBlock]:
        self._check_open()
        for low, high in spans:
            yield from self._within(device, stream, channels, low, high)

    def _within(
        self, device: str, stream: str, channels: Sequence[str], low: int | None, high: int | None
    ) -> Iterator[SampleBlock]:
        pieces = self._samples(device, stream, channels, low, high)
        while True:
            with schema.telling(self.path):
                samples, places = next(pieces, (None, []))
            if samples is None:
                return
            left = 0 if low is None else int(np.searchsorted(samples.time, low))
            right = len(samples) if high is None else int(np.searchsorted(samples.time, high))
            if left >= right:
                continue
            part = rows.cut(samples, left, right)
            values, quality = part.values, part.quality
            if -1 in places:
                values, quality = (
                    joining.pick(values, places, np.nan),
                    joining.pick(quality, places, int(Quality.INVALID)),
                )
            yield SampleBlock(tuple(channels), part.time, values, quality, part.device_time)

    def columns(self, device: str, stream: str, channel: str, start: int, stop: int, points: int) -> Columns:
        """The channel's least and greatest value in each of `points` equal bins of [start, stop) ns."""
        drawn = self.overview(device, [channel], start, stop, points, stream)
        return Columns(drawn.edges, drawn.low[:, 0], drawn.high[:, 0])

    def overview(
        self,
        device: str,
        channels: Sequence[str] | str | None = None,
        start: When | None = None,
        stop: When | None = None,
        points: int = 1000,
        stream: str | None = None,
        exact: bool = False,
    ) -> Overview:
        """Channels of a device drawn from `points` equal bins of [start, stop): the cost hardly grows with the span.

        With `exact` no bin reaches over its edges, which costs a look at the samples around each edge.
        Channels and times are named as in `read`, and what is not said is all there is; a channel that the
        record does not hold is empty. Where a time of the wall clock is named, the bins and their `edges` are of it,
        and each holds whatever any run recorded then.
        """
        text(device, "device"), optional(stream, "stream")
        wanted, ends = chosen(channels), _ends(start, stop)
        if whole(points, "points") < 1:
            raise ValueError(f"an overview of {points} points: at least one is needed")
        shown = self.wall() if named(start) or named(stop) else None
        begin, end = ends
        if wanted is None or begin is None or end is None:
            wanted, begin, end = self._whole(device, stream, wanted, begin, end)
        if shown is not None:
            begin, end = (at if named(when) else shown.of(at) for at, when in ((begin, start), (end, stop)))
        if end <= begin:
            raise ValueError("an overview needs a start and a later stop")
        spans = [(begin, end, 0)] if shown is None else shown.spans(begin, end)
        edges = begin + np.linspace(0, end - begin, points + 1).astype(np.int64)
        self._check_open()
        with schema.telling(self.path):
            every = [wanted] if isinstance(wanted, str) else wanted
            return self._draw(device, every, edges, spans, stream, exact or len(spans) > 1)

    def _whole(
        self,
        device: str,
        stream: str | None,
        channels: Sequence[str] | str | None,
        start: int | None,
        stop: int | None,
    ) -> tuple[Sequence[str] | str, int, int]:
        """Every channel of a device, and from its first sample to its last, where nothing else is said."""
        own = [i for i in self.streams() if i.device == device and stream in (None, i.stream) and i.first is not None]
        if not own:
            raise StoreError("the record holds no samples of this device", f"{self.path}, device {device!r}")
        every = list(channel_names.labels({i.stream: [c.name for c in i.header.stream.channels] for i in own}))
        first, last = min(i.first for i in own if i.first is not None), max(i.last for i in own if i.last is not None)
        return (
            every if channels is None else channels,
            first if start is None else start,
            last + 1 if stop is None else stop,
        )

    def _draw(
        self,
        device: str,
        channels: Sequence[str],
        edges: Nanoseconds,
        spans: Sequence[tuple[int, int, int]],
        stream: str | None,
        exact: bool,
    ) -> Overview:
        shape = (len(edges) - 1, len(channels))
        count, quality = np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
        low, high, mean = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        numbers = {
            name: number
            for number, name in self._connection.execute("SELECT id, name FROM stream WHERE device = ?", (device,))
            if stream is None or name == stream
        }
        held = {
            name: {run: [c.name for c in header.stream.channels] for run, header in self.headers(number).items()}
            for name, number in numbers.items()
        }
        ever = {name: list(dict.fromkeys(c for each in runs.values() for c in each)) for name, runs in held.items()}
        found = [channel_names.find(ever, channel, f"{self.path}, device {device!r}") for channel in channels]
        for name, number in numbers.items():
            own = {i: place[1] for i, place in enumerate(found) if place is not None and place[0] == name}
            if not own:
                continue
            picks = {
                run: [joining.index(each, channel) for channel in own.values()] for run, each in held[name].items()
            }
            headers = self.headers(number)
            for start, stop, shift in spans:
                # The bins that the span has a part in, as keys.
                inner = edges[(edges > start + shift) & (edges < stop + shift)] - shift
                parts = np.concatenate([[start], inner, [stop]])
                drawn = overview.draw(self._connection, number, picks, merged_read.widths(headers), parts, exact)
                if drawn is None:
                    continue
                bins = np.ix_(np.searchsorted(edges, drawn.start + shift, side="right") - 1, np.array(list(own)))
                low[bins], high[bins] = np.fmin(low[bins], drawn.low), np.fmax(high[bins], drawn.high)
                mean[bins] = joining.mean_of_both(mean[bins], count[bins], drawn.mean, drawn.count)
                count[bins], quality[bins] = count[bins] + drawn.count, quality[bins] | drawn.quality
        return Overview(tuple(channels), edges, count, low, high, mean, quality)

    def _samples(
        self, device: str, stream: str, channels: Sequence[str], start: int | None, stop: int | None
    ) -> Iterator[tuple[Samples | None, list[int]]]:
        """Rows with only these channels, and where each channel stands in them; -1 where that run has it not."""
        number = merged_read.number(self._connection, device, stream)
        if number is None:
            return
        headers = self.headers(number)
        known = {run: [c.name for c in header.stream.channels] for run, header in headers.items()}
        columns = {run: [held.index(name) for name in channels if name in held] for run, held in known.items()}
        places = {run: joining.places([name in held for name in channels]) for run, held in known.items()}
        first = 0 if start is None else merged_read.row_before(self._connection, number, start)
        for row in merged_read.walk(self._connection, number, merged_read.widths(headers), first, columns=columns):
            if row.samples is None:
                self.damaged.add(row.name)
                continue
            if stop is not None and row.samples.time[0] >= stop:
                return
            yield rows.cut(row.samples, first - row.samples.first, len(row.samples)), places[row.run]
            first = max(first, row.samples.following)


def _ends(start: When | None, stop: When | None) -> tuple[int | None, int | None]:
    return None if start is None else key(start), None if stop is None else key(stop)
