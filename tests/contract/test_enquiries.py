"""Enquiries that each driver allows on a port of which nobody knows what is plugged in there."""

import numpy as np
import pytest

from acquisition.driverkit.driver import Enquiry, Serial
from acquisition.driverkit.registry import drivers
from drivers import csafe, intellivue, keysight_daq, trackmaster, woodway
from tests.contract.pairs import NAMES, driver
from tests.line_rates import misread

ENQUIRING = [name for name in NAMES if isinstance(drivers()[name].enquiry, Enquiry)]
MOVING = set(range(0xA0, 0xAD)) | {ord("T")}
"""Codes by which Trackmaster and Woodway treadmills start, stop or set a belt, and the letter of the self-test."""
BELTS = (4800, 9600)
"""Line rates at which such treadmills listen."""


def obeyed(enquiry):
    """Bytes of an enquiry that a treadmill at another rate would take for an order, clocks within 3 % of each other."""
    return {
        byte
        for message in (*enquiry.questions, *enquiry.farewell)
        for heard in BELTS
        if heard != enquiry.line.baud
        for skew in np.linspace(-0.03, 0.03, 25)
        for byte in misread(message, enquiry.line.baud, heard, skew)
        if byte in MOVING
    }


def test_bytes_at_their_own_rate_are_read_as_they_were_sent():
    everything = bytes(range(256))
    assert misread(everything, 9600, 9600, 0.02) == everything
    assert misread(b"\xc3", 4800, 9600) == b"\x1e"


@pytest.mark.parametrize("name", NAMES)
def test_every_driver_says_how_it_is_asked_for_or_why_not(name):
    enquiry = drivers()[name].enquiry
    assert isinstance(enquiry, Enquiry) or len(enquiry.split()) > 5


@pytest.mark.parametrize("name", ENQUIRING)
def test_an_enquiry_writes_only_what_the_driver_may_write_to_read(name):
    enquiry, queries = drivers()[name].enquiry, driver(name).queries
    for message in (*enquiry.questions, *enquiry.farewell):
        assert any(pattern.fullmatch(message) for pattern in queries), message


@pytest.mark.parametrize("name", [name for name in ENQUIRING if {"serial", "asrl"} & set(drivers()[name].about.links)])
def test_no_treadmill_obeys_a_question_that_goes_to_unknown_ports(name):
    enquiry = drivers()[name].enquiry
    assert enquiry.reserved or not obeyed(enquiry)


def test_the_reserved_question_of_a_monitor_would_start_a_belt():
    assert 0xA0 in obeyed(intellivue.IntelliVue.enquiry)


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ((b"\xd01", b"\xd30000"), "trackmaster"),
        ((b"\xd03", b"\xd30020"), "trackmaster"),
        ((b"\xd0\x00", b"\xd3\x00\x01\x02\x03"), "woodway"),
        ((b"\xd01", b"\xd3\x00\x01\x02\x03"), "woodway"),
        ((b"\xd04", b"\xd30000"), None),
        ((b"\xd01",), None),
        ((b"\xd01\xd1", b"\xd30000"), None),
        ((b"\xd01", b"\xd30000\x80\x12"), None),
        ((b"\xbf", b"\xbf"), None),
    ],
)
def test_treadmills_are_told_apart_by_the_form_of_their_answers(answers, known):
    found = [each for each in (trackmaster.Trackmaster.enquiry, woodway.Woodway.enquiry) if each.recognise(answers)]
    assert [each.recognise(answers).driver for each in found] == ([] if known is None else [known])


def test_a_life_fitness_console_that_leaves_the_identity_out_is_known_as_csafe():
    recognise = csafe.Csafe.enquiry.recognise
    found = recognise((bytes.fromhex("F18989F2"),))
    assert (found.driver, found.model, found.serial) == ("csafe", "", "")
    assert "offline" in found.text
    assert "neither version nor serial number" in found.text
    assert recognise((bytes.fromhex("F18988F2"),)) is None
    assert recognise((b"\xf1\x00\xf2",)) is None


def test_the_answer_of_a_scpi_instrument_names_its_driver_where_there_is_one():
    enquiry = keysight_daq.KeysightDaq.enquiry
    found = enquiry.recognise((b"Keysight Technologies,DAQ970A,MY58000001,A.02.02-01.00-02.01-00.02-02.00-03-03\n",))
    assert (found.driver, found.model, found.serial) == ("daq970a", "DAQ970A", "MY58000001")
    other = enquiry.recognise((b"RIGOL TECHNOLOGIES,DP832,DP8A1,00.01.16\n",))
    assert (other.driver, other.model) == ("", "DP832")
    assert "no driver" in other.text
    assert enquiry.recognise((b"hello\n",)) is None
    assert enquiry.line == Serial(57600)
