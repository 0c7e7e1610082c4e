"""Block decoders are worth their numpy: several times a plain parser of the same bytes, on any machine."""

import pytest

from benchmarks import drivers as benchmark

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ENOUGH", 0.1)
        return {row["block_decoder"]: row for row in benchmark.blocks()}


@pytest.mark.parametrize("name", ["di1100", "snuadc", "34465a, binary"])
def test_a_block_decoder_is_faster_than_a_parser_of_frames(rows, name):
    assert rows[name]["times_faster"] >= 2, rows[name]


@pytest.mark.parametrize("name", ["di1100", "snuadc", "34465a, binary"])
def test_a_block_decoder_makes_twenty_million_values_of_a_second(rows, name):
    assert rows[name]["million_values_per_s"] >= 20, rows[name]
