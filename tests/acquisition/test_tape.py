"""A tape holds every piece with its stamps; a cut end is dropped, damage is an error."""

import pytest

from acquisition.errors import PerfusionError
from acquisition.model import Instant
from acquisition.tape import Piece, TapeWriter, pieces

PIECES = [
    Piece(False, Instant(1, 1_700_000_000_000_000_000), b"C0"),
    Piece(True, Instant(2, 1_700_000_000_000_000_001), b"\xd01"),
    Piece(True, Instant(-3, 0), bytes(range(256))),
    Piece(True, Instant(4, 5), b""),
]


@pytest.fixture
def tape(tmp_path):
    path = tmp_path / "tapes" / "box-1-1.tape"
    writer = TapeWriter(path)
    for piece in PIECES:
        (writer.read if piece.incoming else writer.wrote)(piece.data, piece.at)
    writer.close()
    return path


def test_what_was_recorded_comes_back(tape):
    assert list(pieces(tape)) == PIECES


def test_a_tape_is_never_overwritten(tape):
    with pytest.raises(FileExistsError):
        TapeWriter(tape)


def test_a_cut_end_costs_its_last_piece_only(tape):
    whole = tape.read_bytes()
    for size in range(len(whole) - 1, 10, -1):
        tape.write_bytes(whole[:size])
        read = list(pieces(tape))
        assert read == PIECES[: len(read)]


def test_another_file_is_no_tape(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"GIF89a")
    with pytest.raises(PerfusionError, match="no tape"):
        list(pieces(path))


def test_damage_names_the_byte(tape):
    raw = bytearray(tape.read_bytes())
    raw[10] = 0x7F
    tape.write_bytes(raw)
    with pytest.raises(PerfusionError, match=r"byte 10"):
        list(pieces(tape))
