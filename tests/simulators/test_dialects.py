"""Devices that speak field protocols: the product's decoder finds in the frames what the device measured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from app.score.product import FORMATS, registry_of
from core.clock import MINUTE_US
from core.domains import Domains
from ingest.assemble import Assembler, Limits
from ingest.field import PROTOCOLS
from iot import kinds
from iot.codecs.frame import Parcel, Refusal
from iot.registry_store import DeviceRow
from simulators import dialects
from simulators.dial import Station
from simulators.fleet import Sample, packs
from simulators.outbox_store import Outbox
from tests.ingest.house import until

NOW_US = 1_795_300_020 * 1_000_000
KINDS = [(protocol, kind) for protocol, found in dialects.CODES.items() for kind in found]
VALUES = {
    "tsp": 181.0, "pm10": 97.0, "pm25": 41.0, "laeq_1m": 63.7, "air_temp": -3.5, "humidity": 68.2, "wind_speed": 2.3,
    "wind_dir": 135.0, "sys_fire": 1, "sys_fault": 0, "sys_shield": 0, "manual_mode": 1, "main_power": 1,
    "backup_power": 0, "alarm": 1, "fault": 0, "shield": 1, "running": 1, "power_ok": 0, "auto_mode": 1,
    "water_pressure": 0.163, "tank_level": 3.21, "river_level": 3.456, "rain_5m": 7.4,
    "rain_1h": 31.2, "rain_24h": 60.0,
}  # fmt: skip


class Silent:
    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None: ...


@pytest.mark.parametrize(("protocol", "kind"), KINDS)
def test_the_codes_are_those_of_the_declared_kind(protocol: str, kind: str, shipped: Domains) -> None:
    factors = {str(name): codes for name, codes in kinds.load(shipped).kinds[kind].decl.factors.items()}[
        protocol
    ]
    for channel, code in dialects.CODES[protocol][kind].items():
        assert factors[code] == channel


@pytest.mark.parametrize(("protocol", "kind"), KINDS)
def test_the_product_reads_what_the_device_measured(protocol: str, kind: str, shipped: Domains) -> None:
    catalogue = kinds.load(shipped)
    speaker = dialects.speaker(kind, 3, 7)
    row = DeviceRow(
        "it", kind, "它", "it", 121.5, 31.2, protocol, speaker.names[0], provenance="simulated",
        params={"wire": {"names": list(speaker.names[1:])}},
    )  # fmt: skip
    registry = registry_of([row], catalogue)
    said = {channel: float(VALUES[channel]) for channel in dialects.CODES[protocol][kind]}
    samples = [Sample("it", channel, NOW_US, value) for channel, value in said.items()]
    wires = packs(samples, {"it": protocol}, {"it": speaker})
    parcels = [
        Parcel(w.gateway, FORMATS[w.topic.partition("/")[0]], [w.payload], NOW_US, Silent()) for w in wires
    ]
    done = Assembler(registry, Limits()).assemble(parcels)
    assert not any(done.refused.values())
    names = {channel.number: channel.name for channel in registry.channel_by_number.values()}
    batch = done.batch
    heard = {
        names[int(c)]: float(v)
        for c, v in zip(batch.channel, batch.value, strict=True)
        if names[int(c)] in said
    }
    assert heard == pytest.approx(said)
    step = MINUTE_US if protocol == "sl651" else 1_000_000
    assert np.all(batch.time_us == NOW_US // step * step)


def test_a_frame_of_states_carries_those_that_did_not_change() -> None:
    speaker = dialects.speaker("fire_detector", 1, 1)
    first = speaker.frames([("alarm", NOW_US, 1.0), ("shield", NOW_US, 0.0)])
    second = speaker.frames([("shield", NOW_US + 10**6, 1.0)])
    assert len(first) == len(second) == 1
    assert first[0][36:38] == b"\x02\x00"
    assert second[0][36:38] == b"\x0a\x00"


def test_a_gauging_station_says_one_thing_a_minute() -> None:
    speaker = dialects.speaker("fl_river", 1, 1)
    readings = [
        ("river_level", NOW_US // MINUTE_US * MINUTE_US + second * 10**6, 2.0) for second in (0, 20, 40, 60)
    ]
    assert len(speaker.frames(readings)) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_station_keeps_a_frame_until_the_products_own_answer(protocol: str) -> None:
    """The far side is the product's protocol; it is silent at first and cuts the line, then it answers."""
    kind = next(iter(dialects.CODES[protocol]))
    speaker = dialects.speaker(kind, 1, 1)
    channel = next(iter(dialects.CODES[protocol][kind]))
    frames = [f for n in range(3) for f in speaker.frames([(channel, NOW_US + n * MINUTE_US, float(n % 2))])]
    heard: list[bytes] = []
    calls = left = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls, left
        calls += 1
        side = PROTOCOLS[protocol]()
        framer = side.framer()
        while data := await reader.read(4096):
            for frame in framer.feed(data):
                found = side.hear(frame, NOW_US)
                heard.append(frame)
                if calls > 1:
                    writer.write(found.safe + found.now)
            if calls == 1:
                break
        writer.close()
        await writer.wait_closed()
        left += 1

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    station = Station(protocol, speaker.station, "127.0.0.1", server.sockets[0].getsockname()[1], Outbox())
    for frame in frames:
        station.submit("", frame)
    station.start()
    await until(lambda: station.waiting == 0)
    station.stop()
    await until(lambda: left == calls)
    server.close()
    await server.wait_closed()
    assert heard[0] == heard[1] == frames[0]
    assert heard[1:] == frames
    assert station.counts["acknowledged"] == 3
