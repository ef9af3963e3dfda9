"""A gateway loses nothing: over broken connections, over its own death, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulators.outbox_store import Outbox
from simulators.publish import Broker, MqttGateway
from tests.simulators import wires
from tests.simulators.wires import Cable


@pytest.fixture
def cable() -> Iterator[Cable]:
    with wires.broker() as port:
        laid = Cable(port)
        yield laid
        laid.close()


@pytest.fixture
def heard(cable: Cable) -> Iterator[list[tuple[str, bytes]]]:
    with wires.listening(cable.far_port, "telemetry/#") as found:
        yield found


def wait_until(done: Callable[[], bool], gateway: MqttGateway, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gateway.turn()
        if done():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {gateway.waiting} frames wait, {gateway.counts}")


def test_nothing_is_lost_over_a_cable_that_is_cut_again_and_again(
    cable: Cable, heard: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    gateway = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "gw-1.sqlite"))
    gateway.start()
    sent = []
    for turn in range(1500):
        sent.append(f"frame {turn}".encode())
        gateway.submit("telemetry/gw-1", sent[-1])
        gateway.turn()
        if turn in (300, 700, 1100):
            cable.cut()
        if turn in (400, 900, 1200):
            cable.mend()
            wait_until(lambda: gateway.connected, gateway)
        time.sleep(0.0005)
    wait_until(lambda: gateway.waiting == 0, gateway)
    gateway.stop()
    assert {payload for _, payload in heard} == set(sent)
    assert gateway.counts["acknowledged"] == len(sent)


def test_what_was_not_acknowledged_outlives_the_gateway(
    cable: Cable, heard: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    cable.cut()
    first = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "o.sqlite"))
    first.start()
    for turn in range(20):
        first.submit("telemetry/gw-1", f"before {turn}".encode())
        first.turn()
    first.stop()
    cable.mend()
    second = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "o.sqlite"))
    assert second.outbox.boot == first.outbox.boot + 1
    second.start()
    second.submit("telemetry/gw-1", b"after")
    wait_until(lambda: second.waiting == 0 and len(heard) >= 21, second)
    second.stop()
    assert [payload for _, payload in heard] == [*(f"before {turn}".encode() for turn in range(20)), b"after"]


def test_a_full_memory_loses_its_oldest_frames_and_says_so() -> None:
    outbox = Outbox(limit=3)
    numbers = [outbox.put("t", f"{n}".encode()) for n in range(5)]
    assert [payload for _, _, payload in outbox.after(0)] == [b"2", b"3", b"4"]
    assert outbox.lost == 2
    outbox.acknowledged(numbers[:4])
    assert len(outbox) == 1
    assert outbox.put("t", b"x") > max(numbers)
