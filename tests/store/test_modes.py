"""Modes of a record's files: readable by the account that records, under any umask, and by nobody through a link."""

import logging
import os
import stat

import pytest

from acquisition.device.replay import cut
from acquisition.device.tape import Label, Piece, TapeWriter
from acquisition.errors import PerfusionError, Refused, StoreError
from acquisition.model import Instant
from acquisition.store import backup, check, modes
from tests.store.records import Recording, Source

NOBODY = 65534


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(folder):
    """What under a folder, and the folder itself, has any permission for others."""
    paths = [folder, *folder.rglob("*")]
    return {path.name: oct(path.stat().st_mode & 0o777) for path in paths if path.stat().st_mode & 0o077}


@pytest.mark.usefixtures("umask")
def test_no_other_account_can_read_what_the_record_is_made_of(tmp_path):
    folder, label = tmp_path / "rec", Label("ldf", "a driver", 1, 1)
    with Recording(folder) as writer:
        writer.put(Source().chunk())
        assert writer.flush()
        tape = TapeWriter(folder / "tapes", label)
        tape.add(Piece("read", Instant(1, 1), b"1"))
        tape.close(Instant(2, 2))
        assert open_to_others(folder) == {}
        backup(folder, tmp_path / "copy")
    assert open_to_others(tmp_path / "copy") == {}
    assert check(tmp_path / "copy").ok


@pytest.mark.usefixtures("umask")
def test_a_case_cut_from_a_tape_is_closed_to_others_too(tmp_path, monkeypatch):
    monkeypatch.setattr("acquisition.device.replay.write_expected", lambda *_: None)
    source = tmp_path / "ldf-1-1-0000.tape"
    source.write_bytes(b"a tape")
    source.chmod(0o644)
    cut(type("T", (), {"files": [source]}), type("P", (), {"rows": {}}), tmp_path / "case")
    assert open_to_others(tmp_path / "case") == {}
    assert (tmp_path / "case" / source.name).read_bytes() == b"a tape"


def test_a_record_that_was_open_to_others_is_closed_at_the_start_and_that_is_told(tmp_path, caplog):
    folder = tmp_path / "rec"
    with Recording(folder) as writer:
        writer.put(Source().chunk())
    (folder / "tapes").mkdir(mode=0o755)
    (folder / "mine.txt").touch(0o644)
    for path, mode in ((folder, 0o2775), (folder / "record.db", 0o644), (folder / "lock", 0o640)):
        path.chmod(mode)
    with caplog.at_level(logging.WARNING), Recording(folder) as writer:
        writer.put(Source(first=4, run=2).chunk())
        assert writer.flush()
        assert open_to_others(folder) == {"mine.txt": "0o644"}, "what is not the record's is left alone"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2700
    assert "was open to other accounts (2775)" in caplog.text
    assert "record.db was open to other accounts (0644)" in caplog.text


def test_a_folder_that_every_account_may_write_is_refused_with_what_to_do(tmp_path):
    folder = tmp_path / "rec"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(Refused, match=r"every account .* may write.*next: .*chmod 700"):
        Recording(folder).__enter__()
    assert list(folder.iterdir()) == []


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    folder, victim = tmp_path / "rec", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    (folder / "lock").symlink_to(victim)
    with pytest.raises(StoreError, match=r"the lock is a symbolic link.*next: "):
        Recording(folder).__enter__()
    assert victim.read_text() == "precious"


def test_a_folder_behind_a_link_of_this_account_is_followed_and_anothers_is_not(tmp_path):
    folder, link = tmp_path / "rec", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    with Recording(link) as writer:
        writer.put(Source().chunk())
    assert check(folder).ok
    if os.geteuid() != 0:
        pytest.skip("only root can make a link of another account")
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(PerfusionError, match="a symbolic link of another account"):
        Recording(link).__enter__()


def test_a_new_file_takes_no_place_that_is_taken(tmp_path):
    (tmp_path / "record.db").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        modes.make_file(tmp_path / "record.db")
    assert not (tmp_path / "victim").exists()
