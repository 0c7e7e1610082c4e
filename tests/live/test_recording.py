"""The status of the record: from what the writer knows, whatever the disk does."""

import os

import pytest

from acquisition.live.recording import RecordStatus
from acquisition.model import Instant
from tests.store.records import Recording, Source


def test_the_size_of_the_record_is_told_and_no_disk_is_asked(tmp_path, monkeypatch):
    def asked(*_, **__):
        pytest.fail("a disk that stands still would hold the page, and whoever asks the daemon")

    with Recording(tmp_path) as writer:
        status = RecordStatus(tmp_path, lambda: writer.stats)
        writer.put(Source().chunk(1000))
        assert writer.flush()
        size = sum((tmp_path / name).stat().st_size for name in ("record.db", "record.db-wal"))
        with monkeypatch.context() as still:
            for each in ("stat", "lstat", "open"):
                still.setattr(os, each, asked)
            told = status.describe(Instant(0, 0), 1.0)
    assert (told["bytes"], told["samples"], told["recording"]) == (size, 1000, True)
