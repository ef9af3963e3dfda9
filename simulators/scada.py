"""Pumping and gas stations behind SCADA: an edge node that speaks Sparkplug B 3.0. Pure.

What devices measure becomes DDATA without a place in the sequence (`EdgeNode.data`), which whoever brings it to the
product keeps as long as it must; on its way out it gets its place (`sent`), after the birth of the session. What was
kept from an earlier session is marked historical.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iot.codecs import sparkplug
from iot.codecs.sparkplug import Kind, Metric, Payload, Type

GROUP = "cityops-sim"
#: Device kind → the edge node that its PLC hangs on.
NODES = {
    "dr_pump_station": "gw-scada-drain", "gas_station": "gw-scada-gas", "ws_quality_station": "gw-scada-water",
}  # fmt: skip
#: Channels that are no measured numbers.
TYPES = {"power_ok": Type.BOOLEAN, "pumps_running": Type.INT32, "pumps_available": Type.INT32}

Frame = tuple[str, bytes]
"""(topic, payload)"""


@dataclass(slots=True)
class EdgeNode:
    """One edge node. `channels`: device → its channels, which get their aliases in this order."""

    node: str
    channels: Mapping[str, Sequence[str]]
    bd_seq: int = 0
    _seq: int = 0
    _alias: dict[tuple[str, str], int] = field(default_factory=dict)
    _type: dict[int, Type] = field(default_factory=dict)
    _last: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = [(device, channel) for device, channels in self.channels.items() for channel in channels]
        self._alias = {point: number for number, point in enumerate(points, 1)}
        self._type = {self._alias[point]: type_of(point[1]) for point in points}

    def topic(self, kind: Kind, device: str = "") -> str:
        return f"spBv1.0/{GROUP}/{kind}/{self.node}" + (f"/{device}" if device else "")

    def death(self) -> Frame:
        """What the broker publishes when this session breaks off: the will, told at connecting."""
        return self.topic(Kind.NDEATH), sparkplug.encode(Payload((self._session(),)))

    def births(self, now_us: int) -> list[Frame]:
        """Of the node and of all its devices, each with what was last measured; the sequence begins anew."""
        now_ms, self._seq = now_us // 1000, 0
        rebirth = Metric(sparkplug.REBIRTH, None, now_ms, Type.BOOLEAN, value=False)
        node = Payload((self._session(), rebirth), now_ms, 0)
        found = [(self.topic(Kind.NBIRTH), sparkplug.encode(node))]
        for device, channels in self.channels.items():
            metrics = tuple(self._born(device, channel, now_ms) for channel in channels)
            payload = sparkplug.encode(Payload(metrics, now_ms))
            found.append((self.topic(Kind.DBIRTH, device), self.sent(payload)))
        return found

    def data(self, device: str, readings: Iterable[tuple[str, int, float]]) -> Frame:
        """DDATA of (channel, time µs, value), not yet in the sequence."""
        metrics = []
        for channel, time_us, value in readings:
            self._last[device, channel] = time_us, value
            metrics.append(Metric("", self._alias[device, channel], time_us // 1000, type_of(channel), value))
        return self.topic(Kind.DDATA, device), sparkplug.encode(Payload(tuple(metrics), metrics[-1].time_ms))

    def sent(self, payload: bytes, *, historical: bool = False) -> bytes:
        """A payload with its place in the sequence of this session."""
        said = sparkplug.parse(payload)
        self._seq = (self._seq + 1) % 256
        metrics = tuple(
            replace(each, datatype=self._type[each.alias or 0], historical=historical)
            for each in said.metrics
        )
        return sparkplug.encode(Payload(metrics, said.time_ms, self._seq))

    def asked(self, payload: bytes) -> bool:
        """Is this command a wish for a rebirth?"""
        return any(
            metric.name == sparkplug.REBIRTH and metric.value for metric in sparkplug.parse(payload).metrics
        )

    def _session(self) -> Metric:
        return Metric(sparkplug.BD_SEQ, None, None, Type.INT64, self.bd_seq)

    def _born(self, device: str, channel: str, now_ms: int) -> Metric:
        time_us, value = self._last.get((device, channel), (now_ms * 1000, None))
        return Metric(channel, self._alias[device, channel], time_us // 1000, type_of(channel), value)


def type_of(channel: str) -> Type:
    return TYPES.get(channel, Type.DOUBLE)
