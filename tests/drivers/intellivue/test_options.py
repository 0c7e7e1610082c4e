"""Options of the device's entry."""

import pytest

from acquisition.config import load
from acquisition.errors import ConfigurationError
from tests import intellivue as known

ENTRY = '[[device]]\nname = "tc"\ndriver = "intellivue"\nport = "/dev/ttyS0"\noptions = {}\n'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('{ electrodes = [{ name = "a", handle = 1 }, { name = "a", handle = 2 }] }', "the same name"),
        ('{ electrodes = [{ name = "a", handle = 1 }, { name = "b", handle = 3, also = [1] }] }', "the same handle"),
        ('{ electrodes = [{ name = "Calf", handle = 1 }] }', "name"),
        ("{ interval = 2.0 }", 'poll = "single"'),
        ("{ interval = 0.1 }", "interval"),
    ],
)
def test_wrong_options_are_refused_with_their_key(tmp_path, options, message):
    path = tmp_path / "bed.toml"
    path.write_text(ENTRY.replace("{}", options))
    with pytest.raises(ConfigurationError, match=message) as error:
        load(path)
    assert "$.device[0].options" in str(error.value)


def test_a_udp_port_makes_the_driver_speak_in_datagrams(tmp_path):
    path = tmp_path / "bed.toml"
    path.write_text(ENTRY.replace("/dev/ttyS0", "udp://192.168.1.60:24105"))
    (device,) = load(path).devices
    assert device.setup().datagrams
    driver = device.driver(device.setup())
    driver.start(0.0)
    assert driver.to_send()[1] == known.ASSOCIATION_REQUEST


def test_the_options_of_the_shipped_configuration_are_taken(tmp_path):
    path = tmp_path / "bed.toml"
    path.write_text(
        ENTRY.replace("{}", '{ electrodes = [{ name = "chest", handle = 257 }, { name = "calf", handle = 258 }] }')
    )
    (device,) = load(path).devices
    streams = device.driver(device.setup()).streams
    assert [stream.name for stream in streams] == ["chest", "calf"]
    names = ["tcpo2", "tcpco2", "site_time", "sensor_temperature", "heating_power"]
    assert [channel.name for channel in streams[0].channels] == names
