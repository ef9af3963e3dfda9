"""The host side of Sparkplug B: what each edge node has said since its birth, and asking for a rebirth.

A decoder like the others, but with a memory; it sees messages in the order in which they came. After a restart it
knows nobody, so the first message of each node asks it to be born again.
"""

from __future__ import annotations

from collections.abc import Callable

from core.clock import Clock
from iot.codecs import sparkplug
from iot.codecs.frame import Columns, MalformedError, Parcel, Reason
from iot.codecs.sparkplug import EdgeNode, Topic

#: A node that does not obey is asked again after this.
ASK_AGAIN_S = 5.0
NODES = 100_000


class SparkplugHost:
    """`ask(topic, payload)` sends a command to an edge node. `born`: take nodes as born that were not heard yet."""

    def __init__(self, clock: Clock, ask: Callable[[str, bytes], None], *, born: bool = False) -> None:
        self._born = born
        self._clock = clock
        self._ask = ask
        self._nodes: dict[tuple[str, str], EdgeNode] = {}
        self._asked_s: dict[tuple[str, str], float] = {}

    def __call__(self, parcel: Parcel, into: Columns) -> None:
        for payload in parcel.payloads:
            rows, refusals = len(into), len(into.refused)
            try:
                self._hear(Topic.of(parcel.topic), payload, into)
            except MalformedError as wrong:
                into.rollback(rows, refusals)
                into.refuse(0, wrong.reason, str(wrong))
            into.counts.append(len(into) - rows)

    def _hear(self, topic: Topic, payload: bytes, into: Columns) -> None:
        key = (topic.group, topic.node)
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= NODES:
                raise MalformedError("too many edge nodes")
            node = self._nodes[key] = EdgeNode(topic.node, self._born)
        heard = node.hear(topic, sparkplug.parse(payload))
        for reading in heard.readings:
            into.add(reading.record, reading.name, reading.value, reading.time_s, mark=reading.mark)
        for record, name in heard.unknown:
            into.refuse(record, Reason.BAD_NAME, f"{topic.node} {name}: not in its birth")
        if heard.ask_rebirth:
            if not heard.readings and not heard.unknown:
                into.refuse(0, Reason.NOT_BORN, f"{topic.node}: {heard.ask_rebirth}")
            self._ask_rebirth(key, topic)

    def _ask_rebirth(self, key: tuple[str, str], topic: Topic) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._asked_s.get(key, -ASK_AGAIN_S) >= ASK_AGAIN_S:
            self._asked_s[key] = now_s
            self._ask(topic.commands, sparkplug.rebirth(self._clock.now_us() // 1000))


def state(host: str, now_ms: int, *, online: bool) -> tuple[str, bytes]:
    """Topic and payload of the host's retained STATE, for edge nodes that wait for a primary host."""
    flag = b"true" if online else b"false"
    return f"spBv1.0/STATE/{host}", b'{"online":%s,"timestamp":%d}' % (flag, now_ms)
