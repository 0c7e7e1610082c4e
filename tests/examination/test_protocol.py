"""Protocols are data: the shipped ones are whole, and a faulty one names its fault."""

import pytest

from acquisition.config import resources
from acquisition.errors import ConfigurationError
from acquisition.examination.protocol import KIND, load, read
from acquisition.signals.walking import StopReason
from acquisition.treadmill.protocol import load_walk

SHIPPED = resources.names(KIND)


def test_every_examination_of_the_trial_has_a_protocol():
    assert {load(name).measures for name in SHIPPED} == {
        "porh", "heating", "flowmotion", "tcpo2", "oxygen", "walking", "entries",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_protocol_can_be_walked_through_from_its_first_phase_to_its_last(name):
    protocol = load(name)
    phase = protocol.phase[0].name
    while protocol.after(phase) is not None:
        openers = [rule.opens for rule in protocol.marks_in(phase) if rule.opens]
        following = protocol.after(phase).name
        assert openers in ([], [following]), "a mark opens the next phase, and only that"
        phase = following
    for rule in protocol.mark:
        assert rule.say
        assert rule.key, "each mark has a key of its own"
    if protocol.belt is not None:
        assert load_walk(protocol.belt).stage


def test_a_walk_ends_for_a_reason_that_the_analysis_knows():
    for name in SHIPPED:
        for rule in load(name).mark:
            if rule.name == "stop":
                assert set(rule.values) == {str(reason) for reason in StopReason}


def test_one_beside_the_configuration_goes_before_the_shipped_one(tmp_path):
    (tmp_path / KIND).mkdir()
    text = (resources.find(KIND, "porh")).read_text("utf-8").replace("version = 1", "version = 7")
    (tmp_path / KIND / "porh.toml").write_text(text, "utf-8")
    assert load("porh", tmp_path).version == 7
    assert load("porh").version == 1


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"flowmotion.*porh"):
        load("pohr")


MINIMAL = """
title = "a"
version = 1
measures = "porh"
source = "b"
[[phase]]
name = "rest"
say = "c"
seconds = 10
[[phase]]
name = "later"
say = "d"
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("version = 1", "version = 0"), r"\$\.version"),
        (('measures = "porh"', 'measures = "pulse"'), r"\$\.measures.*'porh'"),
        (('source = "b"', ""), "the key 'source' is missing"),
        (('name = "later"', 'name = "rest"'), "the name 'rest' is taken"),
        (("seconds = 10", "seconds = 10\nleast = 20"), "longer than the phase"),
        (('say = "d"', 'say = "d"\n[[mark]]\nname="m"\nsay="e"\nopens="gone"'), "no phase 'gone'"),
        (('say = "d"', 'say = "d"\n[[mark]]\nname="m"\nsay="e"\nphases=["later"]\nopens="rest"'), "later phase only"),
        (('say = "d"', 'say = "d"\ncolour = "red"'), "unknown key"),
        (('say = "d"', 'say = "d"\n[settings]\ncutoff = nan'), "no finite number"),
    ],
)
def test_a_fault_is_named_with_its_key(tmp_path, change, message):
    path = tmp_path / "odd.toml"
    path.write_text(MINIMAL, "utf-8")
    assert read(path).title == "a"
    path.write_text(MINIMAL.replace(*change), "utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read(path)
