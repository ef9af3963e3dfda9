"""The role `sim`: the play at 1× on the real wire. A gateway each speaks MQTT; orders are read over HTTP.

Everything that a restart must know stands in its folder: `scene.json` (when it began, what has happened), one outbox
a gateway, and `truth.jsonl`, which says what really happened and is never sent to anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from core.clock import SECOND_US, Clock, rfc3339
from core.log import logger
from simulators import stage
from simulators.dial import Station
from simulators.orders_feed import OrdersFeed
from simulators.outbox_store import Outbox
from simulators.publish import Broker, EdgeGateway, MqttGateway
from simulators.scene import Scene
from simulators.stage import Stage, State, TruthLine, Visit

TICK_S = 1.0
KEEP_EVERY_S = 5.0
ASK_EVERY_S = 3.0
SCENE, TRUTH = "scene.json", "truth.jsonl"


def begin(folder: Path, now_us: int) -> None:
    """Start the play anew at the next run: what the scene did before is forgotten, what gateways hold is not.

    `now_us` is where history ends: the devices go on from there.
    """
    _keep(folder, stage.fresh(now_us))


def load(folder: Path) -> State | None:
    """Where the play stands; None when there was none, or its file cannot be read."""
    try:
        return msgspec.json.decode((folder / SCENE).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _keep(folder: Path, state: State) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{SCENE}.new"
    new.write_bytes(msgspec.json.encode(state))
    new.replace(folder / SCENE)


@dataclass(slots=True)
class Live:
    """One run of the role. `run` never returns by itself; cancel it."""

    scene: Scene
    broker: Broker
    folder: Path
    clock: Clock
    orders: OrdersFeed | None = None
    #: Field protocol → (host, port) of the product; who speaks one dials there, a connection a station.
    doors: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    gateways: dict[str, MqttGateway | Station] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _visits: list[Visit] = field(default_factory=list)

    async def run(self) -> None:
        """Play on from where the folder says, or from the beginning."""
        state = load(self.folder) or stage.fresh(self.clock.now_us())
        if state.said_until_us == state.started_us:
            state.started_us = self.clock.now_us()  # the curtain rises now; history ended a little earlier
        play = Stage(self.scene, state)
        for row in self.scene.gateways():
            if row.id in play.nodes:
                node, outbox = play.nodes[row.id], self._outbox(row.id)
                self.gateways[row.id] = EdgeGateway(node, self.clock, self.broker, outbox)
            elif row.id not in self.doors:
                self.gateways[row.id] = MqttGateway(row.id, self.broker, self._outbox(row.id))
        for id_, speaker in self.scene.speakers().items():
            protocol = self.scene.gateway_of[id_]
            line = f"{protocol}/{speaker.station}"
            if line not in self.gateways:
                outbox = self._outbox(line.replace("/", "-"))
                self.gateways[line] = Station(protocol, speaker.station, *self.doors[protocol], outbox)
        for gateway in self.gateways.values():
            gateway.start()
        watch = asyncio.create_task(self._watch_orders())
        try:
            await self._play(play)
        finally:
            watch.cancel()
            _keep(self.folder, play.state)
            for gateway in self.gateways.values():
                gateway.stop()
            play.close()

    def _outbox(self, name: str) -> Outbox:
        return Outbox(self.folder / "outbox" / f"{name}.sqlite")

    async def _play(self, play: Stage) -> None:
        kept_s = self.clock.monotonic_s()
        while True:
            now_us = self.clock.now_us()
            play.visited(self._visits, now_us)
            for wire in play.advance(now_us):
                line = wire.topic if wire.gateway in self.doors else wire.gateway
                self.gateways[line].submit(wire.topic, wire.payload)
                self.counts["frames"] += 1
            for gateway in self.gateways.values():
                gateway.turn()
            self._tell(play.truth)
            if self.clock.monotonic_s() - kept_s >= KEEP_EVERY_S:
                _keep(self.folder, play.state)
                kept_s = self.clock.monotonic_s()
            await asyncio.sleep(TICK_S - self.clock.now_us() % SECOND_US / SECOND_US * TICK_S)

    def _tell(self, lines: list[TruthLine]) -> None:
        if not lines:
            return
        with (self.folder / TRUTH).open("ab") as log:
            for line in lines:
                told = {"at": rfc3339(line.at_us), **msgspec.to_builtins(line)}
                log.write(msgspec.json.encode(told) + b"\n")
                logger("simulators").info("truth", what=line.what, cause=line.cause, asset=line.asset)
        lines.clear()

    async def _watch_orders(self) -> None:
        while self.orders is not None:
            self._visits = await asyncio.to_thread(self.orders.visits, self.clock.now_us())
            await asyncio.sleep(ASK_EVERY_S)

    def detail(self) -> dict[str, object]:
        """For the heartbeat."""
        return {
            "frames": self.counts["frames"],
            "waiting": sum(gateway.waiting for gateway in self.gateways.values()),
            "acknowledged": sum(gateway.counts["acknowledged"] for gateway in self.gateways.values()),
            "connected": sum(gateway.connected for gateway in self.gateways.values()),
        }
