"""Records of earlier versions: what was recorded reads the same for ever, and an index changes only with its method."""

import json

import pytest

from tests.earlier.make import makers
from tests.earlier.reading import EXPECTED, HERE, OUTCOMES, PACKED, analysed, lasting, unpack

RECORDS = sorted(file.parent for file in HERE.glob(f"v*/*/{PACKED}"))
CHANGELOG = HERE.parents[1] / "CHANGELOG.md"


def name(record):
    return f"{record.parent.name}/{record.name}"


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_what_was_recorded_reads_as_it_did(tmp_path, record):
    assert lasting(unpack(record, tmp_path / "rec")) == json.loads((record / EXPECTED).read_text("utf-8"))


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_an_index_of_the_same_method_has_the_value_that_it_had(tmp_path, record):
    expected = json.loads((record / OUTCOMES).read_text("utf-8"))
    found = analysed(unpack(record, tmp_path / "rec"))
    assert set(found) == set(expected)
    for key, indices in expected.items():
        now = found[key]
        differ = {index: (was, now.get(index)) for index, was in indices.items() if not same(was, now.get(index))}
        assert not differ, (
            f"{key}: where the method changed, give it a version, and list old and new in {CHANGELOG.name}"
        )


def same(was, now):
    """Whether two readings of an index agree: numbers to nine digits, as processors round differently."""
    return now is not None and all(
        a == b or (isinstance(a, float) and isinstance(b, float) and a == pytest.approx(b, rel=1e-9, abs=1e-12))
        for a, b in zip(was, now, strict=True)
    )


def test_every_kind_of_session_and_every_driver_has_a_record():
    assert {record.name for record in RECORDS} >= set(makers())


def test_they_stay_small():
    assert sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file()) < 3 << 20
