"""Edge nodes of Sparkplug B: the product's own host understands them, through deaths, dumps and lost memories."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.clock import ManualClock, SystemClock
from core.domains import Domains
from ingest.sparkplug import SparkplugHost
from iot import kinds
from iot.codecs import sparkplug
from iot.codecs.frame import Columns, Parcel
from iot.codecs.sparkplug import Kind, Topic
from simulators import scada
from simulators.fleet import Wire
from simulators.hardware import Network
from simulators.outbox_store import Outbox
from simulators.publish import Broker, EdgeGateway
from simulators.scada import EdgeNode
from simulators.scenario import GatewayOut
from tests.simulators import wires
from tests.simulators.test_dialects import Silent
from tests.simulators.wires import Cable

NOW_US = 1_795_300_020 * 1_000_000
NODE = "gw-scada-drain"
CHANNELS = {"pump-1": ("forebay_level", "pumps_running", "power_ok"), "pump-2": ("flow",)}
OUT = GatewayOut.model_validate({"at": "0s", "do": "gateway_out", "gateway": NODE, "dump_per_s": 100})


class Host:
    """The product's host, and what it has asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self._clock = ManualClock(NOW_US)
        self._host = SparkplugHost(self._clock, lambda topic, payload: self.asked.append((topic, payload)))

    def hear(self, frames: list[Wire]) -> list[tuple[str, float]]:
        """(point, value) of every reading; nothing may be refused."""
        into = Columns()
        for wire in frames:
            self._host(Parcel(NODE, "sparkplug", [wire.payload], NOW_US, Silent(), wire.topic), into)
        assert not into.refused
        return list(zip(into.names, into.values, strict=True))


def kinds_of(frames: list[Wire]) -> list[str]:
    return [Topic.of(wire.topic).kind for wire in frames]


def said(node: EdgeNode, level: float, after_s: int = 0) -> Wire:
    at = NOW_US + after_s * 1_000_000
    readings = [("forebay_level", at, level), ("pumps_running", at, 2.0), ("power_ok", at, 0.0)]
    return Wire(NODE, *node.data("pump-1", readings))


def test_the_product_reads_what_was_measured_after_the_births() -> None:
    node, host = EdgeNode(NODE, CHANNELS), Host()
    frames = Network({NODE: node}).carry([said(node, 1.62)], NOW_US, 1.0)
    assert kinds_of(frames) == [Kind.NBIRTH, Kind.DBIRTH, Kind.DBIRTH, Kind.DDATA]
    assert [sparkplug.parse(wire.payload).seq for wire in frames] == [0, 1, 2, 3]
    told = {"pump-1/forebay_level": 1.62, "pump-1/pumps_running": 2.0, "pump-1/power_ok": 0.0}
    assert dict(host.hear(frames)) == told
    assert not host.asked


def test_the_sequence_runs_round_and_a_host_without_a_memory_gets_a_rebirth() -> None:
    node, first, second = EdgeNode(NODE, CHANNELS), Host(), Host()
    network = Network({NODE: node})
    for turn in range(300):
        first.hear(network.carry([said(node, 1.0 + turn)], NOW_US, 1.0))
    assert not first.asked
    lost = network.carry([said(node, 7.0)], NOW_US, 1.0)
    with pytest.raises(AssertionError):
        second.hear(lost)
    assert second.asked
    network.hear(second.asked)
    assert ("pump-1/forebay_level", 8.0) in second.hear(network.carry([said(node, 8.0)], NOW_US, 1.0))


def test_a_node_that_was_cut_off_dies_and_is_born_again_before_it_dumps_as_history() -> None:
    node, host = EdgeNode(NODE, CHANNELS), Host()
    network = Network({NODE: node})
    host.hear(network.carry([said(node, 1.0)], NOW_US, 1.0))
    network.begin(OUT)
    death = network.carry([said(node, 2.0)], NOW_US, 1.0)
    assert kinds_of(death) == [Kind.NDEATH]
    host.hear(death)
    network.end(NODE)
    back = network.carry([said(node, 3.0)], NOW_US, 1.0)
    assert kinds_of(back) == [Kind.NBIRTH, Kind.DBIRTH, Kind.DBIRTH, Kind.DDATA, Kind.DDATA]
    held = [sparkplug.parse(wire.payload).metrics[0].historical for wire in back[3:]]
    assert held == [False, True]
    levels = [value for point, value in host.hear(back) if point == "pump-1/forebay_level"]
    assert levels == [3.0, 3.0, 2.0], "born with the last that was measured, then live, then what was held"
    assert not host.asked
    assert network.held == 0


def test_nodes_stand_for_kinds_that_declare_sparkplug(shipped: Domains) -> None:
    catalogue = kinds.load(shipped)
    for kind in scada.NODES:
        assert "sparkplug" in catalogue.kinds[kind].decl.formats


def test_on_the_wire_a_cut_node_leaves_its_will_and_comes_back_with_what_it_kept(tmp_path: Path) -> None:
    node, host = EdgeNode(NODE, CHANNELS), Host()
    with wires.broker() as port, wires.listening(port, "spBv1.0/#") as heard:
        cable = Cable(port)
        outbox = Outbox(tmp_path / "node.sqlite")
        gateway = EdgeGateway(node, SystemClock(), Broker("127.0.0.1", cable.port), outbox)
        gateway.start()
        _until(gateway, lambda: gateway.connected)
        for turn in range(3):
            gateway.submit(*said(node, float(turn))[1:])
        _until(gateway, lambda: gateway.waiting == 0 and len(heard) == 6)
        cable.cut()
        _until(gateway, lambda: not gateway.connected)
        for turn in range(3, 6):
            gateway.submit(*said(node, float(turn))[1:])
        cable.mend()
        _until(gateway, lambda: gateway.waiting == 0 and len(heard) == 13)
        gateway.stop()
        cable.close()
    found = [Wire(NODE, topic, payload) for topic, payload in heard]
    assert Kind.NDEATH in kinds_of(found)
    assert sorted(set(kinds_of(found))) == ["DBIRTH", "DDATA", "NBIRTH", "NDEATH"]
    host.hear(found[:13])
    data = [sparkplug.parse(w.payload).metrics[0] for w in found if Topic.of(w.topic).kind == Kind.DDATA]
    assert [metric.value for metric in data] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [metric.historical for metric in data[3:]] == [True, True, True]


def _until(gateway: EdgeGateway, done: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{gateway.waiting} wait, {gateway.counts}"
        gateway.turn()
        time.sleep(0.01)
