"""The words for people: labels, digits, units."""

import pytest

from acquisition.live import labels


@pytest.mark.parametrize(
    ("stream", "channel", "alone", "label"),
    [
        ("flux", "flux", False, "flux"),
        ("cuff_pressure", "cuff_pressure", False, "cuff pressure"),
        ("chest", "tcpo2", False, "chest tcPO₂"),
        ("calf", "tcpco2", False, "calf tcPCO₂"),
        ("belt", "speed", True, "speed"),
    ],
)
def test_a_channel_is_called_so_that_it_is_told_from_its_neighbours(stream, channel, alone, label):
    assert labels.label(stream, channel, alone) == label


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (55.349, "[arb'U]", "55.3"),
        (68.4, "mm[Hg]", "68"),
        (None, "Cel", "—"),
        (-0.3, "mm[Hg]", "0"),
        (-0.04, "%", "0.0"),
        (-0.6, "mm[Hg]", "-1"),
        (1.23456, "unheard of", "1.23"),
    ],
)
def test_digits_are_as_many_as_the_unit_bears_and_never_minus_zero(value, unit, text):
    assert labels.digits(value, unit) == text


def test_perfusion_units_are_not_plaque_forming_units():
    assert labels.display_unit("[arb'U]") == "PU"
    assert "[PFU]" not in labels.UNITS
