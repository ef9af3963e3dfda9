"""Load: every gateway's readings, counted as they are acknowledged by a real broker."""

from __future__ import annotations

import json

import pytest

from simulators import load_publish
from simulators.load_publish import Plan
from simulators.publish import Broker
from tests.simulators import wires

BEGUN_US = 1_795_300_000_000_000


@pytest.mark.parametrize("shape", ["constant", "burst", "reconnect-storm"])
def test_everything_that_is_sent_is_acknowledged_and_arrives(shape: str) -> None:
    plan = Plan(rate=400, gateways=2, seconds=1.0, shape=shape, pack=10, devices=60)
    with wires.broker() as port, wires.listening(port, "telemetry/#") as heard:
        tallies, seconds = load_publish.publish(plan, Broker("127.0.0.1", port), BEGUN_US)
        assert sum(tally.sent for tally in tallies) == sum(tally.acknowledged for tally in tallies) == 40
        assert seconds < 30
        packs = {(topic, payload) for topic, payload in heard}
    assert len(packs) >= 38  # the listener may be behind by a moment; the broker has promised


def test_no_key_comes_twice_and_every_device_speaks() -> None:
    plan = Plan(rate=1000, gateways=2, seconds=1.0, shape="constant", pack=10, devices=100)
    keys = [
        (record["n"], record["t"])
        for gateway in range(plan.gateways)
        for message in range(plan.messages)
        for record in json.loads(load_publish.pack(plan, gateway, message, BEGUN_US))
    ]
    assert len(keys) == len(set(keys)) == 1000
    assert len({name for name, _ in keys}) == 100


def test_a_burst_sends_everything_in_the_first_tenth() -> None:
    plan = Plan(rate=100, gateways=1, seconds=10.0, shape="burst", pack=1)
    assert plan.due_s(plan.messages) == pytest.approx(1.0)
