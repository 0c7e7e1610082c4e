"""The generic ASCII driver: profiles that are checked before anything is connected, and lines taken whole or not."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

from acquisition import config
from acquisition.config import resources, toml
from acquisition.driverkit.driver import Serial, Setup
from acquisition.errors import ConfigurationError
from acquisition.model import Notice, Quality, Readings
from drivers.ascii import Ascii, Options
from drivers.ascii.checksums import CHECKSUMS, digits
from drivers.ascii.pattern import compile_safely
from drivers.ascii.profile import AsciiProfile
from simulators.ascii import Ascii as Instrument
from simulators.ascii import Options as Habits
from simulators.patient.physiology import Participant
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan

SHIPPED = resources.names("ascii")
STREAM = """
name = "flow"
instrument = "none"
source = "unconfirmed"
citation = "made up"
baud = 9600
interval_s = 0.5
terminator = "0D 0A"
longest = 20
pattern = 'F (?P<flux>[^ ]+) PU'
missing = ["----"]
channels = [{ name = "flux", unit = "[arb'U]", scale = 10.0, offset = 1.0, valid_min = 0, valid_max = 1000 }]
examples = [{ line = "F 12.5 PU", values = { flux = 126 } }, { line = "F ---- PU" }]
"""
KILOPASCAL = """
name = "flow"
instrument = "none"
source = "unconfirmed"
citation = "made up"
baud = 9600
interval_s = 0.5
terminator = "0D 0A"
longest = 20
pattern = 'C (?P<tcpo2_chest>[^ ]+)'
channels = [{ name = "tcpo2_chest", unit = "kPa", valid_min = 0, valid_max = 107 }]
examples = [{ line = "C 08.13", values = { tcpo2_chest = 8.13 } }]
"""
BENCH = """
[[device]]
name = "monitor"
driver = "ascii"
port = "socket://127.0.0.1:9"
options = { profile = "flow" }
"""


def profile(folder, text):
    """Write a profile and a configuration that names it; answer the configuration's path."""
    (folder / "ascii").mkdir(exist_ok=True)
    (folder / "ascii" / "flow.toml").write_text(text)
    (folder / "bedside.toml").write_text(BENCH)
    return folder / "bedside.toml"


def driver(folder, text=STREAM):
    return build(config.load(profile(folder, text)).devices[0])


def build(device):
    return device.driver(device.setup())


def said(built, data, at=0.0):
    return list(built.receive(data, at))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_sound_and_says_that_it_is_an_example(name):
    path = resources.find("ascii", name)
    read = toml.convert(toml.read(path), AsciiProfile, path)
    read.check()
    assert read.name == name
    assert "example" in name
    assert "EXAMPLE" in path.read_text()


def test_the_file_beside_the_configuration_is_found_and_goes_before_the_shipped_one(tmp_path):
    built = driver(tmp_path)
    assert built.setup.documents["profile"].citation == "made up"
    assert built.serial == Serial(9600)
    (tmp_path / "ascii" / f"{SHIPPED[0]}.toml").write_text(STREAM)
    (tmp_path / "bedside.toml").write_text(BENCH.replace("flow", SHIPPED[0]))
    assert build(config.load(tmp_path / "bedside.toml").devices[0]).setup.documents["profile"].name == "flow"


def test_an_unknown_profile_is_refused_with_those_that_exist(tmp_path):
    (tmp_path / "bedside.toml").write_text(BENCH)
    with pytest.raises(ConfigurationError, match=r"bedside.toml.*options.profile.*flow") as refused:
        config.load(tmp_path / "bedside.toml")
    assert SHIPPED[0] in str(refused.value)


@pytest.mark.parametrize(("change", "key", "words"), [
    (("baud = 9600", "baud = 'fast'"), "$.baud", "int"),
    (("interval_s = 0.5", ""), "$.interval_s", "missing"),
    (("terminator = \"0D 0A\"", "terminator = \"CR\""), "$.terminator", "[0-9A-Fa-f]"),
    (("missing =", "colour = 3\nmissing ="), "$.colour", "unknown key"),
    (("(?P<flux>[^ ]+)", "(?P<flux>[^ ]+"), "$.pattern", "no regular expression"),
    (("(?P<flux>[^ ]+)", "(?P<flow>[^ ]+)"), "$.channels[0].name", "no group 'flux'"),
    (("(?P<flux>[^ ]+)", "(?P<flux>[^ ]+?)"), "$.pattern", "lazy"),
    (("(?P<flux>[^ ]+)", "(?P<flux>.+)"), "$.examples[0].line", "does not read it"),
    ((" PU'", " (?P<unit>PU)'"), "$.pattern", "unit"),
    (("valid_max = 1000", "valid_max = 0"), "$.channels[0].valid_max", "not over"),
    (("unit = \"[arb'U]\"", "unit = ''"), "$.channels[0].unit", "no unit"),
    (("offset = 1.0,", "status = 's',"), "$.channels[0].status", "no group 's'"),
    (("flux = 126", "flux = 125"), "$.examples[0].values.flux", "reads 126"),
    (("flux = 126", "flux = 126, po2 = 3"), "$.examples[0].values.po2", "no such channel"),
    (("F ---- PU", "F 1.0 PU"), "$.examples[1].values.flux", "reads 11"),
    (("valid_max = 1000", "valid_max = 100"), "$.examples[0].quality.flux", "RANGE"),
    (("F ---- PU", "F ---- PU and far too much of it"), "$.examples[1].line", "too long"),
    (("missing =", "checksum = { kind = 'sum8' }\nmissing ="), "$.checksum", "group"),
    (("missing =", "status = { N = 'GOOD' }\nmissing ="), "$.status", "no channel"),
])  # fmt: skip
def test_a_wrong_profile_fails_before_anything_is_connected_and_names_the_key(tmp_path, change, key, words):
    assert change[0] in STREAM
    with pytest.raises(ConfigurationError) as refused:
        driver(tmp_path, STREAM.replace(*change))
    assert f"{key}:" in str(refused.value).replace(f"{key};", f"{key}:")
    assert str(tmp_path / "ascii" / "flow.toml") in str(refused.value)
    assert words in str(refused.value)


def test_a_line_becomes_a_sample_with_scale_offset_and_range(tmp_path):
    built = driver(tmp_path)
    said(built, b"the rest of a line\r\n")
    low, none, high, words = said(built, b"F 12.5 PU\r\nF ---- PU\r\nF 100 PU\r\nF abc PU\r\n")
    assert low.values.tolist() == [[126.0]]
    assert low.quality.tolist() == [[Quality.GOOD]]
    assert np.isnan(none.values).all()
    assert none.quality.tolist() == [[Quality.INVALID]]
    assert (high.values.tolist(), high.quality.tolist()) == ([[1001.0]], [[Quality.RANGE]])
    assert np.isnan(words.values).all()
    assert built.queries == ()


def test_half_a_line_at_the_beginning_is_not_taken_for_a_smaller_value(tmp_path):
    text = STREAM.replace("F (?P<flux>[^ ]+) PU", "(?P<flux>[^ ]+)").replace("F ---- PU", "----")
    built = driver(tmp_path, text.replace("F 12.5 PU", "12.5"))
    assert said(built, b"2.5\r\n") == []
    (sample,) = said(built, b"12.5\r\n")
    assert sample.values.tolist() == [[126.0]]


@pytest.mark.parametrize("junk", [b"F 1.0 P\r\n", b"G 1.0 PU\r\n", b"\xff" * 200 + b"\r\n", b"F 1.0 PU F 2.0 PU\r\n"])
def test_what_is_no_line_is_noise_and_the_next_line_is_taken(tmp_path, junk):
    built = driver(tmp_path)
    said(built, b"\r\n")
    *noise, sample = said(built, junk + b"F 12.5 PU\r\n")
    assert {notice.kind for notice in noise} == {"noise"}
    assert sum(notice.details["bytes"] for notice in noise) == len(junk)
    assert sample.values.tolist() == [[126.0]]


def polled():
    setup = Setup("ascii", Options(SHIPPED[0]))
    found = config.documents(Ascii, setup.options, Path("bedside.toml"))
    return Ascii(Setup("ascii", setup.options, documents=found))


def test_the_request_is_all_that_is_written_and_each_line_answers_one():
    built = polled()
    built.start(0.0)
    assert built.to_send() == [b"\x02R1\r"]
    assert [pattern.pattern for pattern in built.queries] == [
        rb"\x02R1\r".replace(rb"\x02", b"\x02").replace(rb"\r", b"\\\r")
    ]
    line = b"\x0201,061,R,024,R,2C\r\n"
    sample, again = said(built, line + line)
    assert sample.values.tolist() == [[61.0, 24.0]]
    assert again == Notice("noise", "a line that is not taken: nobody asked for it", {"bytes": len(line)})
    built.poll(1.0)
    built.poll(2.0)
    (late,) = said(built, line, 2.1)
    assert late.lost == 1
    assert built.deadline() == 3.0


def test_status_tokens_and_missing_values_are_kept_apart():
    built = polled()
    built.start(0.0)
    (sample,) = said(built, b"\x0201,061,C,024,Z,%s\r\n" % digits("xor8", b"01,061,C,024,Z,"))
    assert sample.values.tolist() == [[61.0, 24.0]]
    assert sample.quality.tolist() == [[Quality.CALIBRATING, Quality.QUESTIONABLE]]
    built.poll(1.0)
    (sample,) = said(built, b"\x0201,061,F,---,C,%s\r\n" % digits("xor8", b"01,061,F,---,C,"))
    assert np.isnan(sample.values).all()
    assert sample.quality.tolist() == [[Quality.INVALID, Quality.INVALID | Quality.CALIBRATING]]


def test_every_single_changed_bit_is_found_by_the_checksum():
    line = b"\x0201,061,R,024,R,2C\r\n"
    for bit in range(8 * (len(line) - 2)):
        built = polled()
        built.start(0.0)
        changed = bytearray(line)
        changed[bit // 8] ^= 1 << bit % 8
        for item in said(built, bytes(changed)):
            assert isinstance(item, Notice) or item.values.tolist() == [[61.0, 24.0]]


# The check values of the catalogue of parametrised CRC algorithms for the text 123456789.
@pytest.mark.parametrize(("kind", "text"), [
    ("crc16-x25", b"906E"), ("crc16-modbus", b"4B37"), ("sum8", b"DD"), ("xor8", b"31"),
])  # fmt: skip
def test_checksums_have_their_check_values(kind, text):
    assert digits(kind, b"123456789") == text
    swapped = text[2:] + text[:2] if len(text) == 4 else text
    assert digits(kind, b"123456789", low_first=True) == swapped


@pytest.mark.parametrize("kind", CHECKSUMS)
@pytest.mark.parametrize("low_first", ["true", "false"])
def test_a_checksum_is_over_all_before_it_unless_the_pattern_says_otherwise(tmp_path, kind, low_first):
    total = digits(kind, b"F 12.5*", low_first == "true").decode().lower()
    text = STREAM.replace("F (?P<flux>[^ ]+) PU", r"F (?P<flux>[-.0-9]+)\*(?P<checksum>[0-9A-Fa-f]+)")
    text = text[: text.index("examples")].replace(
        "missing =", f"checksum = {{ kind = '{kind}', low_first = {low_first} }}\nmissing ="
    )
    built = driver(tmp_path, text + f"examples = [{{ line = 'F 12.5*{total}', values = {{ flux = 126 }} }}]\n")
    said(built, b"\r\n")
    good, bad = said(built, f"F 12.5*{total}\r\nF 12.6*{total}\r\n".encode())
    assert good.values.tolist() == [[126.0]]
    assert "checksum" in bad.text


@pytest.mark.parametrize(("pattern", "safe"), [
    ("a*b+c?d{2}e{1,}", "a*+b++c?+d{2}+e{1,}+"),
    (r"\*\+[*+?]\?", r"\*\+[*+?]\?"),
    (r"(?P<x>[^]]+)(?:y)*(?=z)", r"(?P<x>[^]]++)(?:y)*+(?=z)"),
    ("a++b{x}", "a++b{x}"),
])  # fmt: skip
def test_repetitions_become_possessive(pattern, safe):
    assert compile_safely(pattern).pattern == safe.encode()


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", ".*.*.*.*.*.*b", r"(\w*\w*)*x", "(a?){200}b"])
def test_no_line_makes_a_pattern_take_long(pattern):
    compiled = compile_safely(pattern)
    started = time.thread_time()
    assert compiled.fullmatch(b"a" * 1024) is None
    assert time.thread_time() - started < 0.05


@pytest.mark.parametrize("pattern", ["a" * 2001, "°C", "(", "a*?", "(?P<x>a)(?P<x>b)"])
def test_what_cannot_be_made_safe_is_refused(pattern):
    with pytest.raises(ValueError, match=r"longer|ASCII|regular|lazy"):
        compile_safely(pattern)


def test_the_simulator_fills_any_profile_with_the_participants_values(tmp_path):
    profile(tmp_path, STREAM)
    rows = []
    plan = Plan("ascii", Participant("healthy", "rest", 1), Habits("flow", str(tmp_path)), ledger=rows.append)
    heard = converse(driver(tmp_path), Instrument(plan), 60.0)
    sent = np.array([row["values"] for row in rows])
    values = heard.values("line")
    assert len(values) == len(sent) - 1
    assert np.array_equal(values, sent[1:])
    assert np.ptp(values) > 5


def test_the_simulator_sends_the_participants_values_in_the_unit_of_the_profile(tmp_path):
    profile(tmp_path, KILOPASCAL)
    plan = Plan("ascii", Participant("healthy", "rest", 1), Habits("flow", str(tmp_path)))
    heard = converse(driver(tmp_path, KILOPASCAL), Instrument(plan), 30.0).values("line").ravel()
    truth = plan.bench.values("tcpo2_chest", np.array([30.0]))[0] * 0.133322387415
    assert heard[-1] == pytest.approx(truth, rel=0.05)


def test_a_detached_electrode_is_invalid_and_no_value_is_made_up():
    instrument = Instrument(Plan("ascii", Participant("healthy", "rest", 1)))
    assert instrument.fault("detached", True)
    heard = converse(polled(), instrument, 10.0)
    assert len(heard.readings) >= 9
    assert all(np.isnan(reading.values).all() for reading in heard.readings)


def test_random_noise_between_lines_costs_no_line(tmp_path):
    chance = random.Random(4)
    built = driver(tmp_path)
    said(built, b"\r\n")
    count = 0
    for _ in range(300):
        noise = bytes(byte for byte in chance.randbytes(chance.randrange(60)) if byte not in b"\r\n")
        count += sum(isinstance(item, Readings) for item in said(built, noise + b"\r\nF 12.5 PU\r\n"))
    assert count == 300
