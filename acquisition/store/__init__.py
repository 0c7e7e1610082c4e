"""The embedded record: one file of samples and events that survives what the machine does not."""

from acquisition.store.backup import backup
from acquisition.store.check import Report, StreamReport, check
from acquisition.store.overview import Overview
from acquisition.store.reader import Store
from acquisition.store.retention import Retention
from acquisition.store.rows import Samples
from acquisition.store.views import Columns, Cursor, Recorded, SampleBlock, StreamInfo
from acquisition.store.writer import LastSample, Stats, StoreWriter

__all__ = [
    "Columns",
    "Cursor",
    "LastSample",
    "Overview",
    "Recorded",
    "Report",
    "Retention",
    "SampleBlock",
    "Samples",
    "Stats",
    "Store",
    "StoreWriter",
    "StreamInfo",
    "StreamReport",
    "backup",
    "check",
]
