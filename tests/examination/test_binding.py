"""Roles find their channels by name, and ask where more than one would do."""

import pytest

from acquisition.errors import Refused
from acquisition.examination.binding import Address, bind
from acquisition.examination.protocol import load
from acquisition.model import Channel, Header, Stream


def header(device, stream, *channels, site=""):
    return Header(
        device, Stream(stream, tuple(Channel(c, "1") for c in channels), 1.0), "a driver", "documented", "a test", True,
        placement={"site": site},
    )  # fmt: skip


LDF = [header("ldf", "flux", "flux"), header("ldf", "cuff_pressure", "cuff_pressure")]
TC = [header("tcpo2", name, "tcpo2", "tcpco2") for name in ("chest", "calf", "thigh")]
BELT = [header("treadmill", "belt", "speed", "grade")]


def test_the_only_channel_of_a_name_plays_its_role():
    assert bind(load("porh"), LDF + TC) == {"flux": ["ldf/flux/flux"], "cuff": ["ldf/cuff_pressure/cuff_pressure"]}


def test_an_optional_role_may_stay_empty_and_a_needed_one_not():
    assert bind(load("porh"), LDF[:1]) == {"flux": ["ldf/flux/flux"]}
    with pytest.raises(Refused, match="no channel 'flux' is recorded"):
        bind(load("porh"), TC)


def test_the_chest_is_no_limb():
    found = bind(load("tcpo2-rest"), TC)
    assert found == {"chest": ["tcpo2/chest/tcpo2"], "limb": ["tcpo2/calf/tcpo2", "tcpo2/thigh/tcpo2"]}
    assert bind(load("walking-constant"), TC + BELT)["belt"] == ["treadmill/belt/speed"]


def test_an_electrode_is_known_by_its_place_or_its_channels_name_too():
    placed = [header("a", "tcpo2", "tcpo2", site="chest"), header("b", "tcpo2", "tcpo2", site="dorsum")]
    assert bind(load("tcpo2-rest"), placed) == {"chest": ["a/tcpo2/tcpo2"], "limb": ["b/tcpo2/tcpo2"]}
    named = [header("daq", "tcpo2_chest", "tcpo2_chest"), header("daq", "tcpo2_foot", "tcpo2_foot")]
    assert bind(load("tcpo2-rest"), named)["chest"] == ["daq/tcpo2_chest/tcpo2_chest"]


def test_two_that_would_do_are_asked_about():
    both = [*LDF, header("other", "flux", "flux")]
    with pytest.raises(Refused, match=r"ldf/flux/flux, other/flux/flux.*--bind flux=ldf/flux/flux"):
        bind(load("porh"), both)
    assert bind(load("porh"), both, {"flux": ["other/flux/flux"]})["flux"] == ["other/flux/flux"]


def test_what_is_said_must_exist():
    with pytest.raises(Refused, match="nothing records 'ldf/x/y'"):
        bind(load("porh"), LDF, {"flux": ["ldf/x/y"]})
    with pytest.raises(Refused, match="no role 'pulse'"):
        bind(load("porh"), LDF, {"pulse": ["ldf/flux/flux"]})


def test_an_address_reads_as_it_is_written():
    assert Address.of("tcpo2/calf/tcpo2") == Address("tcpo2", "calf", "tcpo2")
    assert str(Address("tcpo2", "calf", "tcpo2")) == "tcpo2/calf/tcpo2"
