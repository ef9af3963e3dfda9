"""A gateway on the real wire: a paho-mqtt client with QoS 1, store-and-forward, birth and last will.

A frame is forgotten when its PUBACK has come, not before: through a broken connection paho sends again what was
under way, and through a restart the outbox does.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.clock import Clock
from core.log import logger
from iot.codecs.sparkplug import Kind
from simulators.outbox_store import Outbox
from simulators.scada import EdgeNode

#: Frames that are handed to paho and not yet acknowledged; the rest waits in the outbox.
UNDER_WAY = 200
KEEPALIVE_S = 20
RECONNECT_S = (1, 10)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where gateways connect, and as whom: the secret of each gateway by its id."""

    host: str
    port: int
    secrets: dict[str, str] = field(default_factory=dict)


class MqttGateway:
    """One gateway. `submit` keeps a frame, `turn` (call it often) sends and forgets; both from one thread."""

    def __init__(self, gateway: str, broker: Broker, outbox: Outbox, *, clean: bool = False) -> None:
        self.id = gateway
        self.outbox = outbox
        self.counts: Counter[str] = Counter()
        self._broker = broker
        self._acks: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._sent: dict[int, int] = {}  # paho's message id → sequence
        self._handed = 0  # the last sequence that paho has
        self._refusals: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=gateway, clean_session=clean)
        self._client.username_pw_set(gateway, broker.secrets.get(gateway, ""))
        self._client.will_set(f"status/{gateway}", b'{"state":"offline"}', qos=1, retain=True)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(UNDER_WAY)
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    @property
    def waiting(self) -> int:
        """Frames that nobody has acknowledged."""
        return len(self.outbox)

    def start(self) -> None:
        """Connect, and go on trying: the other side may come later."""
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def submit(self, topic: str, payload: bytes) -> int:
        """Keep a frame for sending; its sequence number."""
        self.counts["submitted"] += 1
        return self.outbox.put(topic, payload)

    def turn(self) -> None:
        """Forget what was acknowledged and hand over what waits."""
        done: list[int] = []
        while not self._acks.empty():
            sequence = self._sent.pop(self._acks.get_nowait(), None)
            if sequence is not None:
                done.append(sequence)
        if done:
            self.outbox.acknowledged(done)
            self.counts["acknowledged"] += len(done)
        while not self._refusals.empty():
            logger("simulators").warning(
                "refused", gateway=self.id, told=self._refusals.get_nowait().decode()
            )
            self.counts["refused"] += 1
        room = UNDER_WAY - len(self._sent)
        if room <= 0 or not self._client.is_connected():
            return
        for sequence, topic, payload in self.outbox.after(self._handed, room):
            sent = self._client.publish(topic, payload, qos=1)
            self._sent[sent.mid] = sequence
            self._handed = sequence

    def stop(self) -> None:
        """Say good-bye; what is not acknowledged stays in the outbox."""
        if self._client.is_connected():
            self._farewell()
        self._client.disconnect()
        self._client.loop_stop()
        self.turn()
        self.outbox.close()

    def _farewell(self) -> None:
        self._client.publish(f"status/{self.id}", b'{"state":"offline"}', qos=1, retain=True)

    # called by paho, in its own thread

    def _on_connect(
        self,
        client: mqtt.Client,
        _told: object,
        _flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if code.is_failure:
            logger("simulators").warning("not_connected", gateway=self.id, reason=str(code))
            return
        client.subscribe([(f"refused/{self.id}", 0), (f"command/{self.id}", 1)])
        self._begin(client)

    def _begin(self, client: mqtt.Client) -> None:
        birth = msgspec.json.encode({"state": "online", "boot": self.outbox.boot})
        client.publish(f"status/{self.id}", birth, qos=1, retain=True)

    def _on_publish(
        self, _client: mqtt.Client, _told: object, mid: int, _code: ReasonCode, _more: Properties | None
    ) -> None:
        self._acks.put(mid)

    def _on_message(self, _client: mqtt.Client, _told: object, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith("refused/"):
            self._refusals.put(bytes(message.payload[:500]))


class EdgeGateway(MqttGateway):
    """An edge node of Sparkplug B: clean sessions, QoS 0, NDEATH as its will, born again at each connection.

    As the specification has it nobody acknowledges data: a frame is forgotten when the line has taken it. What was
    kept from before a birth is sent after it, marked historical.
    """

    def __init__(self, node: EdgeNode, clock: Clock, broker: Broker, outbox: Outbox) -> None:
        super().__init__(node.node, broker, outbox, clean=True)
        node.bd_seq = outbox.boot
        self._node = node
        self._clock = clock
        self._to_bear = threading.Event()
        self._kept = 0
        self._client.on_pre_connect = self._on_pre_connect

    def turn(self) -> None:
        """Be born if that is due, and send what waits."""
        if not self._client.is_connected():
            return
        if self._to_bear.is_set():
            self._to_bear.clear()
            self._kept = self.outbox.last
            for topic, payload in self._node.births(self._clock.now_us()):
                self._client.publish(topic, payload, qos=0)
        done: list[int] = []
        for sequence, topic, payload in self.outbox.after(0, UNDER_WAY):
            data = self._node.sent(payload, historical=sequence <= self._kept)
            if self._client.publish(topic, data, qos=0).rc != mqtt.MQTT_ERR_SUCCESS:
                break
            done.append(sequence)
        self.outbox.acknowledged(done)
        self.counts["acknowledged"] += len(done)

    def _farewell(self) -> None:
        topic, payload = self._node.death()
        self._client.publish(topic, payload, qos=1)

    # called by paho, in its own thread

    def _on_pre_connect(self, client: mqtt.Client, _told: object) -> None:
        self._node.bd_seq = (self._node.bd_seq + 1) % 256
        topic, payload = self._node.death()
        client.will_set(topic, payload, qos=1)

    def _begin(self, client: mqtt.Client) -> None:
        client.subscribe(self._node.topic(Kind.NCMD))
        self._to_bear.set()

    def _on_message(self, client: mqtt.Client, told: object, message: mqtt.MQTTMessage) -> None:
        if message.topic != self._node.topic(Kind.NCMD):
            super()._on_message(client, told, message)
        elif self._node.asked(bytes(message.payload)):
            self._to_bear.set()
