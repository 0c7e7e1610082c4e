"""A tape holds every piece with its stamps; a cut end is dropped, damage is an error; a full disk ends it, no more."""

import dataclasses

import pytest

from acquisition.device import tape as tapes
from acquisition.device.tape import Label, Piece, TapeWriter, label, pieces
from acquisition.driverkit.driver import Order
from acquisition.errors import PerfusionError
from acquisition.model import Instant

BOX = Label("box", "trackmaster", 3, 7, {"unit": "mph"}, seed=9)
PIECES = [
    Piece("start", Instant(0, 1_700_000_000_000_000_000)),
    Piece("wrote", Instant(1, 1_700_000_000_000_000_000), b"C0"),
    Piece("read", Instant(2, 1_700_000_000_000_000_001), b"\xd01"),
    Piece.order(Order("speed", 3.2, "a person"), Instant(3, 0)),
    Piece("read", Instant(-3, 0), bytes(range(256))),
    Piece("poll", Instant(4, 5)),
    Piece("stop", Instant(5, 6)),
]
END = Piece("end", Instant(9, 9))


@pytest.fixture
def tape(tmp_path):
    writer = TapeWriter(tmp_path / "tapes", BOX)
    for piece in PIECES:
        writer.add(piece)
    writer.close(END.at)
    return tmp_path / "tapes" / "box-3-7-0000.tape"


def test_what_was_recorded_comes_back(tape):
    assert label(tape) == BOX
    assert list(pieces(tape)) == [*PIECES, END]


def test_a_tape_is_never_overwritten(tape, caplog):
    before = tape.read_bytes()
    TapeWriter(tape.parent, BOX).add(PIECES[0])
    assert tape.read_bytes() == before
    assert "the tape ends here" in caplog.text


def test_a_full_disk_ends_the_tape_and_says_so_once(tmp_path, caplog):
    writer = TapeWriter(tmp_path, BOX)

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    writer._file.close()
    writer._file = Full()
    for piece in PIECES:
        writer.add(piece)
    writer.close(END.at)
    assert caplog.text.count("No space left") == 1


def test_a_long_tape_goes_on_in_another_part(tmp_path, monkeypatch):
    monkeypatch.setattr(tapes, "PART", 600)
    writer = TapeWriter(tmp_path, BOX)
    for piece in PIECES * 5:
        writer.add(piece)
    writer.close(END.at)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 2
    assert [piece for part in parts for piece in pieces(part)] == [*PIECES * 5, END]
    assert [label(part) for part in parts] == [dataclasses.replace(BOX, part=n) for n in range(len(parts))]


def test_a_cut_end_costs_its_last_piece_only(tape):
    whole = tape.read_bytes()
    begin = len(whole) - sum(21 + len(piece.data) for piece in [*PIECES, END])
    for size in range(len(whole) - 1, begin, -1):
        tape.write_bytes(whole[:size])
        read = list(pieces(tape))
        assert read == PIECES[: len(read)]


@pytest.mark.parametrize("content", [b"GIF89a", b"", b"PERFTAPE2\n", b"PERFTAPE2\n\x05\0\0\0{]{]{"])
def test_another_file_is_no_tape(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(PerfusionError, match=r"no tape|label is damaged"):
        list(pieces(path))


def test_damage_names_the_byte(tape):
    raw = bytearray(tape.read_bytes())
    begin = len(raw) - sum(21 + len(piece.data) for piece in [*PIECES, END])
    raw[begin] = 0x7F
    tape.write_bytes(raw)
    with pytest.raises(PerfusionError, match=f"byte {begin}:"):
        list(pieces(tape))
