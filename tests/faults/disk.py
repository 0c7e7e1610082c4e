"""A disk for SQLite that can fail, and whose power can be cut: unsynced sectors are kept, dropped, torn or garbled."""

import threading
import time
from collections import defaultdict
from pathlib import Path

import apsw

SECTOR = 512


class Disk(apsw.VFS):
    """A VFS on top of the real one; `with Disk(name) as disk` registers it.

    It writes down every change in `log`, from which `Replay` makes what a power cut leaves. `room` bounds
    the bytes of all files; `refuse` is asked before each operation (what, path) and may raise.
    """

    def __init__(self, name):
        self.name = name
        self.log = []
        self.room = None
        self.refuse = None
        self.slow = 0.0
        self.sizes = defaultdict(int)
        self.lock = threading.Lock()
        super().__init__(name, "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unregister()

    def excepthook(self, *_):
        """Say nothing of a failure that SQLite can tell nobody, such as one in closing."""

    def note(self, *entry):
        with self.lock:
            self.log.append(entry)

    def ask(self, what, path):
        if self.refuse is not None:
            self.refuse(what, path)

    def begun(self, data):
        """What of a write is done; a subclass may stop in the middle."""
        return data

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = None if path is None else Path(path).name
        self.ask("open", path)
        return File(self, path, name, flags)

    def xDelete(self, name, syncdir):
        self.ask("delete", Path(name).name)
        super().xDelete(name, syncdir)
        self.note("delete", Path(name).name)
        self.sizes.pop(Path(name).name, None)


class File(apsw.VFSFile):
    def __init__(self, disk, path, name, flags):
        self.disk, self.path = disk, path
        super().__init__("", name, flags)
        self.disk.note("open", path)
        self.disk.sizes[path] = max(self.disk.sizes[path], self.xFileSize())

    def excepthook(self, *_):
        """As for the disk."""

    def xWrite(self, data, offset):
        self.disk.ask("write", self.path)
        size = max(self.disk.sizes[self.path], offset + len(data))
        others = sum(self.disk.sizes.values()) - self.disk.sizes[self.path]
        if self.disk.room is not None and size > self.disk.sizes[self.path] and others + size > self.disk.room:
            raise apsw.FullError("no space left")
        super().xWrite(self.disk.begun(data), offset)
        self.disk.sizes[self.path] = size
        self.disk.note("write", self.path, offset, bytes(data))

    def xTruncate(self, size):
        self.disk.ask("truncate", self.path)
        super().xTruncate(size)
        self.disk.sizes[self.path] = size
        self.disk.note("truncate", self.path, size)

    def xSync(self, flags):
        end = time.monotonic() + self.disk.slow
        while time.monotonic() < end and self.disk.slow:  # until it is well again
            time.sleep(0.005)
        try:
            self.disk.ask("sync", self.path)
        except apsw.Error:
            # As Linux does it: the pages count as clean, readers see them, the disk never got them.
            self.disk.note("lost", self.path)
            raise
        self.disk.note("sync", self.path)


def failure(extended=apsw.SQLITE_IOERR_WRITE):
    """What a failing disk raises."""
    error = apsw.IOError("input/output error")
    error.extendedresult = extended
    return error


class Replay:
    """The disk's state while its log is played: what is safe, and what is on its way."""

    def __init__(self):
        self.safe = {}
        self.pending = defaultdict(list)
        self.gone = {}

    def play(self, entry):
        what, path, *rest = entry
        if path is None or what == "mark":
            return
        if what == "open":
            self.safe.setdefault(path, bytearray())
        elif what in ("write", "truncate"):
            self.pending[path].append((what, *rest))
        elif what == "sync":
            for each in self.pending.pop(path, ()):
                apply(self.safe[path], each)
            self.gone.clear()
        elif what == "lost":
            self.pending.pop(path, None)
        elif what == "delete":
            self.pending.pop(path, None)
            self.gone[path] = self.safe.pop(path)

    def cut(self, rng):
        """The files that a power cut at this moment leaves, by chance."""
        mode = rng.choice(("mixed", "mixed", "mixed", "none", "all", "prefix"))
        image = {}
        for path, content in [*self.safe.items(), *(item for item in self.gone.items() if rng.random() < 0.5)]:
            content = bytearray(content)
            pending = self.pending.get(path, ())
            stop = rng.randrange(len(pending) + 1) if mode == "prefix" else len(pending)
            for each in pending[:stop]:
                if mode in ("all", "prefix"):
                    apply(content, each)
                elif mode == "mixed":
                    scatter(content, each, rng)
            image[path] = bytes(content)
        return image


def apply(content, change):
    if change[0] == "truncate":
        del content[change[1] :]
        return
    _, offset, data = change
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def scatter(content, change, rng):
    """Let each sector of a write meet a fate of its own."""
    if change[0] == "truncate":
        if rng.random() < 0.5:
            apply(content, change)
        return
    _, offset, data = change
    first, last = offset // SECTOR, (offset + len(data) - 1) // SECTOR
    fates = rng.choices(("keep", "drop", "tear", "garble"), (5, 3, 1, 1), k=last - first + 1)
    for sector, fate in zip(range(first, last + 1), fates, strict=True):
        left, right = max(offset, sector * SECTOR), min(offset + len(data), (sector + 1) * SECTOR)
        part = data[left - offset : right - offset]
        if fate == "keep":
            apply(content, ("write", left, part))
        elif fate == "tear":
            apply(content, ("write", left, part[: rng.randrange(len(part) + 1)]))
        elif fate == "garble":
            # The whole sector, neighbours that were safe included: nothing says that a disk spares them.
            apply(content, ("write", sector * SECTOR, rng.randbytes(SECTOR)))
