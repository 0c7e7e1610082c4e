"""A record that another account keeps: read where it may be, and told apart from a damaged one where it may not."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from acquisition.errors import NoRecord, StoreError
from acquisition.store import Store, check, schema
from tests.store.records import Recording, Source

NOBODY = 65534


@pytest.fixture
def shared():
    """A folder that every account can reach, and none but its owner can write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Recording(folder) as writer:
            writer.put(Source().chunk(5))
        (folder / schema.FILE).chmod(0o444)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@contextlib.contextmanager
def another_account():
    """Be nobody for a while; who is not root has no rights to give up."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_a_closed_record_is_read_by_an_account_that_may_write_nothing_beside_it(shared):
    with another_account(), Store(shared) as store:
        assert len(store.read("ldf").time) == 5
    with another_account():
        assert check(shared).ok


def test_who_may_not_write_beside_a_log_hears_what_to_copy(shared):
    (shared / "record.db-wal").touch()
    with another_account(), pytest.raises(StoreError, match=r"another account writes it; next: .*copy record\.db and"):
        Store(shared)


@pytest.mark.parametrize("closed", [".", schema.FILE])
def test_a_record_that_this_account_may_not_read_is_not_called_damaged(shared, closed):
    (shared / closed).chmod(0)
    with another_account(), pytest.raises(NoRecord, match=r"this account may not read the record") as caught:
        Store(shared)
    assert "damaged" not in str(caught.value)
    (shared / closed).chmod(0o755)
