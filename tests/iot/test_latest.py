"""Last values and signs of life: the newest counts, whatever the order; the future does not outlive its receipt."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.batch import Batch, Quality
from core.clock import SECOND_US
from iot.health import Health
from iot.latest import Latest
from iot.views import DeviceFilter, latest
from tests.iot.sample import NOW_US, registry

CITY = registry()
PRESSURE = CITY.channels["water.pressure"].number


def batch(*rows: tuple[int, int, float], quality: int = 0) -> Batch:
    device, seconds, value = zip(*rows, strict=True)
    return Batch.of(
        device=device, channel=PRESSURE, time_us=[NOW_US + s * SECOND_US for s in seconds], received_us=NOW_US,
        value=value, quality=quality, gateway=1,
    )  # fmt: skip


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 99)), min_size=1), max_size=6
    )
)
def test_the_newest_of_each_point_is_known_whatever_the_order(
    parts: list[list[tuple[int, int, int]]],
) -> None:
    found = Latest(CITY)
    expected: dict[int, tuple[int, float]] = {}
    for part in parts:
        touched = found.add(batch(*part))
        assert set(CITY.device_of[touched].tolist()) <= {row[0] for row in part}
        assert len(set(touched.tolist())) == len(touched)
        for device, seconds, value in part:
            if device not in expected or seconds >= expected[device][0]:
                expected[device] = (seconds, float(value))
    told = found.batch()
    assert len(found) == len(expected)
    assert {
        d: ((t - NOW_US) // SECOND_US, v)
        for d, t, v in zip(told.device.tolist(), told.time_us.tolist(), told.value.tolist(), strict=True)
    } == expected


def test_a_reading_from_the_future_counts_as_of_its_receipt() -> None:
    found = Latest(CITY)
    found.add(batch((1, 3600, 5.0), quality=int(Quality.FUTURE)))
    found.add(batch((1, 1, 6.0)))
    assert found.batch().value.tolist() == [6.0]


def test_columns_name_devices_and_channels_and_can_be_narrowed() -> None:
    found = Latest(CITY)
    found.add(batch((1, 0, 5.0), (2, 0, 6.0)))
    columns = latest(found, DeviceFilter())
    assert list(columns.device) == ["d0", "d1"]
    assert list(columns.channel) == ["pressure", "pressure"]
    assert list(latest(found, DeviceFilter(gateway="gw-1")).device) == ["d1"]
    assert list(latest(found, DeviceFilter(domain="gas")).device) == []
    assert list(latest(found, DeviceFilter(bbox=(121, 31, 122, 32))).value) == [5.0, 6.0]
    assert list(latest(found, DeviceFilter(bbox=(0, 0, 1, 1))).value) == []


def test_a_grown_registry_keeps_what_was_said_and_heard() -> None:
    small, large = registry(2), registry(50)
    found, health = Latest(small), Health(small)
    found.add(batch((1, 0, 5.0)))
    health.take(batch((1, 0, 5.0)))
    found.use(large)
    health.use(large)
    found.add(batch((40, 0, 7.0)))
    health.take(batch((40, 0, 7.0)))
    assert found.batch().value.tolist() == [5.0, 7.0]
    assert health.last_of_device("d0") == NOW_US
    assert health.last_of_device("d39") == NOW_US
    assert health.last_of_device("d3") is None
    assert health.last_of_gateway("gw-0") == NOW_US
    assert health.last_of_gateway("gw-1") is None


def test_an_empty_batch_changes_nothing() -> None:
    found = Latest(CITY)
    assert len(found.add(Batch.empty())) == 0
    assert np.array_equal(found.batch().device, np.empty(0, np.int32))
