"""Options of the device's entry, and the messages that may be written."""

import pytest

from acquisition.errors import ConfigurationError
from tests.digitiser import driver, entry, inputs


@pytest.mark.parametrize(
    ("name", "wired", "options", "words"),
    [
        ("daq970a", (), {}, "no input is configured"),
        ("daq970a", (entry(401, "flux"),), {}, "has no input 401"),
        ("daq970a", (entry("A", "flux"),), {}, "has no input A"),
        ("34980a", (entry(101, "flux"),), {}, "has no input 101"),
        ("34465a", (entry(101, "flux"),), {}, "has no input 101"),
        ("daq970a", inputs(), {"nplc": 0.5}, "integration time"),
        ("daq970a", inputs(), {"range": 5.0}, "no range"),
        ("daq970a", inputs(), {"interval": 0.0505}, "steps of 1 ms"),
        ("daq970a", inputs(), {"nplc": 10.0}, "at least 0.5 s"),
        ("daq970a", inputs(), {"binary": True}, "as text only"),
    ],
)
def test_what_the_instrument_cannot_do_is_refused(name, wired, options, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        driver(name, wired, **options)
    assert caught.value.where
    assert caught.value.remedy


def test_only_the_declared_messages_pass():
    host = driver()
    for allowed in (b"*IDN?\n", b"R? 399\n", b"INIT\n", b"TRIG:TIM 0.05\n"):
        assert any(query.fullmatch(allowed) for query in host.queries)
    for other in (
        b"*RST\n",
        b"R? 400\n",
        b"ROUT:SCAN (@104)\n",
        b"*IDN?\n*RST\n",
        b"TRIG:TIM 0.050\n",
        b"TRIG:TIM 0x05\n",
    ):
        assert not any(query.fullmatch(other) for query in host.queries)
