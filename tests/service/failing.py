"""`perfusion run` on a disk that fails as a file says: `python -m tests.service.failing FAULT-FILE run …`."""

import sys
from pathlib import Path

import apsw

from acquisition.cli import main
from acquisition.store import StoreWriter
from tests.faults.disk import Disk, failure

FAULTS = {
    "full": (("write",), lambda: apsw.FullError("no space left")),
    "write error": (("write",), failure),
    "sync error": (("sync",), lambda: failure(apsw.SQLITE_IOERR_FSYNC)),
    "read-only": (("write", "truncate", "delete"), lambda: apsw.ReadOnlyError("read-only")),
    "gone": (("open", "write", "sync", "truncate", "delete"), failure),
}
"""What fails, and how; the file holds one of these names, or nothing while the disk is well."""


class Failing(Disk):
    """A disk that looks into a file before each operation."""

    def __init__(self, name, fault):
        super().__init__(name)
        self.fault = fault

    def ask(self, what, path):
        operations, error = FAULTS.get(self.fault.read_text(), ((), None))
        if what in operations:
            raise error()

    def note(self, *entry):
        """Keep no log: nobody cuts this disk's power."""


if __name__ == "__main__":
    with Failing("failing", Path(sys.argv.pop(1))) as disk:
        StoreWriter.__init__.__kwdefaults__["vfs"] = disk.name
        main()
