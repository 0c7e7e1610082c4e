"""From the objects of one reply to a sample: quality, units, and what is left out."""

import math

import numpy as np
import pytest

from acquisition.model import Quality, Readings
from drivers.intellivue import attributes, electrodes, exchange, frames
from tests import intellivue as known
from tests.drivers.intellivue.monitor import BOTH, CHEST, TCPO2, reader
from tests.drivers.intellivue.replies import gas, one, talk


@pytest.mark.parametrize(
    ("state", "quality", "kept"),
    [
        (0x0000, Quality.GOOD, True),
        (0x8000, Quality.INVALID, False),
        (0x4000, Quality.QUESTIONABLE, True),
        (0x2000, Quality.INVALID, False),
        (0x1000, Quality.CALIBRATING, True),
        (0x0800, Quality.DEMO, True),
        (0x0400, Quality.DEMO, True),
        (0x0080, Quality.GOOD, True),
        (0x0040, Quality.QUESTIONABLE, True),
        (0x0020, Quality.GOOD, True),
        (0x0003, Quality.GOOD, True),
        (0x5400, Quality.QUESTIONABLE | Quality.CALIBRATING | Quality.DEMO, True),
        (0xA400, Quality.INVALID | Quality.DEMO, False),
    ],
)
def test_state_bits_become_quality(state, quality, kept):
    reading = one(talk(reader(CHEST), gas(257, state=state)))
    assert reading.quality[0, TCPO2] == quality
    assert math.isnan(reading.values[0, TCPO2]) != kept


def test_a_missing_number_is_invalid_whatever_its_state():
    reading = one(talk(reader(CHEST), gas(257, math.nan)))
    assert reading.quality[0, TCPO2] == Quality.INVALID


def test_what_an_electrode_does_not_deliver_is_invalid():
    reading = one(talk(reader(CHEST), gas(257)))
    assert reading.values[0, TCPO2] == 68
    assert np.isnan(reading.values[0, 1:]).all()
    assert (reading.quality[0, 1:] == Quality.INVALID).all()


def test_kilopascal_are_converted_and_said_once():
    driver = reader(CHEST)
    items = talk(driver, gas(257, 9.1, unit=electrodes.KPA)) + talk(driver, gas(257, 9.0, unit=electrodes.KPA))
    values = [item.values[0, TCPO2] for item in items if isinstance(item, Readings)]
    assert values == pytest.approx([9.1 * 7.50062, 9.0 * 7.50062])
    assert len([i for i in items if not isinstance(i, Readings) and "kPa" in i.text]) == 1


def test_a_value_in_an_unlike_unit_is_refused_loudly():
    items = talk(reader(CHEST), gas(257, unit=electrodes.CELSIUS))
    assert math.isnan(one(items).values[0, TCPO2])
    assert one(items).quality[0, TCPO2] == Quality.INVALID
    assert any("unit 17A0" in i.text and i.kind == "warning" for i in items if not isinstance(i, Readings))


def test_values_that_no_skin_has_are_marked_and_kept():
    reading = one(talk(reader(CHEST), gas(257, 950.0)))
    assert reading.values[0, TCPO2] == 950
    assert reading.quality[0, TCPO2] == Quality.RANGE


def test_an_object_that_cannot_be_read_costs_only_itself():
    odd = attributes.Observed(
        0, 12, ((attributes.COMPOUND_NUMERIC, b"\x00\x05\x00\x02ab"), (attributes.LABEL_STRING, b"x"))
    )
    items = talk(reader(CHEST), odd, gas(257))
    assert one(items).values[0, TCPO2] == 68
    assert any("handle 12 cannot be read" in i.text for i in items if not isinstance(i, Readings))


def test_an_echoing_line_is_reported_once():
    driver = reader(CHEST)
    driver.start(0.0)
    items = [item for _ in range(3) for item in driver.receive(known.POLL_FRAME, 0.1)]
    assert [item.kind for item in items] == ["warning"]


def test_a_repeated_reply_is_stored_once():
    driver = reader(*BOTH)
    talk(driver, gas(257), gas(258))
    driver.poll(driver.deadline())
    request = driver._pending
    first = talk(driver, gas(257), gas(258))
    frame = frames.frame(
        exchange.PollResult(
            request.invoke,
            request.number,
            None,
            8_000_000 + 8080,
            attributes.NO_DATE,
            attributes.NUMERICS,
            0,
            (gas(257),),
        ).encode()
    )
    assert len([i for i in first if isinstance(i, Readings)]) == 2
    assert list(driver.receive(frame, 1.02)) == []


def test_a_reply_with_the_time_of_the_last_is_not_a_new_sample():
    driver = reader(CHEST)
    assert talk(driver, gas(257), time=9_000_000)
    assert talk(driver, gas(257), time=9_000_000) == []
    assert talk(driver, gas(257), time=9_016_000)
