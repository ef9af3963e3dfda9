"""Mutated frames: no exception that was not declared, no hang, no value out of a frame whose check is wrong.

Each format gets 2 000 frames here and 200 000 in the long run, from a seed, so that a failure can be had again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.random import Generator

from core.clock import ManualClock
from core.payload import PayloadMapping
from ingest.sparkplug import SparkplugHost
from iot.codecs import arrow, gbt26875, hj212, senml, senml_cbor, sl651, table, thingsboard
from iot.codecs.china import Framer
from iot.codecs.frame import Columns, Decoder
from iot.codecs.plain import Mapper
from tests.iot import test_arrow, test_files, test_foreign, test_gbt26875, test_hj212, test_sl651
from tests.iot.frames import read
from tests.iot.sample import NOW_US

HANG_S = 0.05
PACK = senml.encode([(f"d{n}/temp", "Cel", NOW_US + n, 8.5) for n in range(6)], "x")
CBOR = senml_cbor.encode([(f"d{n}/temp", "Cel", NOW_US + n, 8.5) for n in range(6)], "x")
BOARD = b'{"d0": [{"ts": 1769904000000, "values": {"temp": 1, "pressure": 2.5}}], "d2": [{"temp": 3}]}'


@dataclass(frozen=True)
class Target:
    """A format, good frames of it, and a second opinion on the check (None = it has none)."""

    decoder: Callable[[], Decoder]
    good: Sequence[bytes]
    sound: Callable[[bytes], bool] | None = None
    framer: Callable[[], Framer] | None = None
    topic: str = ""


def slow_crc(data: bytes, *, throw_away: bool) -> int:
    """Bit by bit, as the standards describe it: another implementation than the one under test."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte if throw_away else register ^ byte
        for _ in range(8):
            low, register = register & 1, register >> 1
            register ^= 0xA001 if low else 0
    return register


def hj_sound(frame: bytes) -> bool:
    body = frame.removesuffix(b"\r\n")
    return body[-4:].upper() == b"%04X" % slow_crc(body[6:-4], throw_away=True)


def gb_sound(frame: bytes) -> bool:
    return len(frame) > 5 and frame[-3] == sum(frame[2:-3]) % 256


def sl_sound(frame: bytes) -> bool:
    return slow_crc(frame[:-2], throw_away=False).to_bytes(2, "big") == frame[-2:]


def sparkplug_host() -> Decoder:
    return SparkplugHost(ManualClock(NOW_US), lambda _topic, _payload: None)


TARGETS = {
    "senml": Target(lambda: senml.decode, [PACK, *(v for v in [b'[{"n":"a/b","v":1}]'])]),
    "senml-cbor": Target(lambda: senml_cbor.decode, [CBOR]),
    "csv": Target(lambda: table.decode, [test_files.CSV.encode(), test_files.CSV.encode("gb18030")]),
    "arrow": Target(lambda: arrow.decode, [test_arrow.ours(20), test_arrow.theirs()]),
    "thingsboard-device": Target(lambda: thingsboard.device, [b'{"temp": 8.5, "open": true}', BOARD]),
    "thingsboard-gateway": Target(lambda: thingsboard.gateway, [BOARD]),
    "sparkplug": Target(sparkplug_host, list(test_foreign.BYTES.values()), topic="spBv1.0/plant/NBIRTH/gw-0"),
    "plain": Target(
        lambda: Mapper(PayloadMapping.model_validate({"name": "x", **test_foreign.WIDE})),
        [b'{"data":[{"id":"d"}]}'],
    ),
    "hj212": Target(lambda: hj212.decode, test_hj212.FRAMES, hj_sound, hj212.framer),
    "gbt26875": Target(
        lambda: gbt26875.decode, list(test_gbt26875.FRAMES.values()), gb_sound, gbt26875.framer
    ),
    "sl651": Target(lambda: sl651.decode, list(test_sl651.FRAMES.values()), sl_sound, sl651.framer),
}


def mutated(rng: Generator, good: Sequence[bytes]) -> bytes:
    """Flip, cut, insert, double, swap: one to four times."""
    frame = bytearray(good[int(rng.integers(len(good)))])
    for _ in range(int(rng.integers(1, 5))):
        if not frame:
            break
        place = int(rng.integers(len(frame)))
        match int(rng.integers(7)):
            case 0:
                frame[place] ^= 1 << int(rng.integers(8))
            case 1:
                frame[place] = int(rng.integers(256))
            case 2:
                del frame[place : place + int(rng.integers(1, 9))]
            case 3:
                frame[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case 4:
                frame[place:place] = frame[place : place + int(rng.integers(1, 30))]
            case 5:
                frame = frame[:place]
            case _:
                frame[place : place + 4] = b"\xff\xff\xff\xff"
    return bytes(frame)


def timed(decoder: Decoder, frame: bytes, topic: str) -> tuple[Columns, float]:
    began = time.process_time()
    columns = read(decoder, frame, topic=topic)
    return columns, time.process_time() - began


def fuzz(target: Target, cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoder = target.decoder()
    for _ in range(cases):
        frame = mutated(rng, target.good)
        columns, took_s = timed(decoder, frame, target.topic)
        if took_s > HANG_S:  # a busy machine, or a hang?
            took_s = min(timed(target.decoder(), frame, target.topic)[1] for _ in range(3))
        assert took_s < HANG_S, f"hangs on {frame.hex()}"
        if target.sound is not None and not target.sound(frame):
            assert not columns.names, f"a value out of {frame.hex()}"


def resynchronise(target: Target, cases: int, seed: int) -> None:
    """After any rubbish the second good frame at the latest is found, whatever the pieces."""
    assert target.framer is not None
    rng = np.random.default_rng(seed)
    for _ in range(cases):
        good = target.good[int(rng.integers(len(target.good)))]
        stream = mutated(rng, target.good) + good + good
        framer = target.framer()
        found: list[bytes] = []
        at = 0
        began = time.process_time()
        while at < len(stream):
            step = int(rng.integers(1, 200))
            found += framer.feed(stream[at : at + step])
            at += step
        assert time.process_time() - began < HANG_S * 10
        assert good.removesuffix(b"\r\n") in [frame.removesuffix(b"\r\n") for frame in found], stream.hex()
        assert framer.waiting <= framer.most


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_frames_are_refused_or_read(name: str) -> None:
    fuzz(TARGETS[name], 2_000, 1)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.framer])
def test_streams_are_found_again_after_rubbish(name: str) -> None:
    resynchronise(TARGETS[name], 1_000, 2)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", TARGETS)
def test_two_hundred_thousand_mutated_frames(name: str) -> None:
    fuzz(TARGETS[name], 200_000, 3)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.framer])
def test_fifty_thousand_broken_streams(name: str) -> None:
    resynchronise(TARGETS[name], 50_000, 4)
