"""Two hundred simulated participants of a class: what must be found in nearly all of them, and what in none."""

import pytest

from acquisition.signals.biological_zero import OcclusionVerdict
from benchmarks.participants import FALL, KINDS, cuffs, ever_stable, has_hyperaemia

pytestmark = pytest.mark.proof
N = 200


def test_critical_ischaemia_shows_no_hyperaemia_and_every_healthy_skin_does():
    assert sum(has_hyperaemia("cli", seed) for seed in range(N)) <= 0.05 * N
    assert all(has_hyperaemia("healthy", seed) for seed in range(N))


@pytest.mark.parametrize("kind", KINDS)
def test_a_leaking_cuff_and_absent_flow_are_never_taken_for_each_other(kind):
    for row in cuffs(kind, N):
        wrong = (
            OcclusionVerdict.NO_REST_FLOW
            if row["what happened"].startswith("the cuff leaks")
            else OcclusionVerdict.INCOMPLETE
        )
        assert str(wrong) not in row["said"], row
        if kind != "cli":
            assert str(OcclusionVerdict.INDETERMINATE) not in row["said"], "its pulse tells"


def test_a_fall_of_0_4_a_minute_is_called_stable_in_no_more_than_5_per_cent():
    assert FALL == 0.4
    for kind in KINDS:
        assert sum(ever_stable(kind, seed, FALL) for seed in range(N)) <= 0.05 * N, kind
