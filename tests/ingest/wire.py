"""A bare MQTT client that shows every packet: what paho would hide, tests of an endpoint want to see."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ingest import mqtt
from ingest.mqtt import Kind, Message, Packet, Run, Slicer

PASSWORD = "secret"


class Client:
    def __init__(
        self, port: int, name: str = "gw-0", *, version: int = mqtt.V311, password: str = PASSWORD
    ) -> None:
        self.port = port
        self.name = name
        self.version = version
        self.password = password
        self._slicer = Slicer()
        self._slicer.version = version
        self._ready: list[Run | Packet] = []
        self._number = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def dial(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def connect(
        self,
        *,
        client_id: str | None = None,
        clean: bool = True,
        keep_alive: int = 60,
        will: Message | None = None,
        values: mqtt.Properties | None = None,
        then: bytes = b"",
    ) -> Packet:
        """Dial and sign in; the CONNACK. `then` follows CONNECT in the same breath."""
        await self.dial()
        self.writer.write(self.connect_packet(client_id, keep_alive, will, values or {}, clean=clean) + then)
        return await self.packet(Kind.CONNACK)

    def connect_packet(
        self,
        client_id: str | None,
        keep_alive: int,
        will: Message | None,
        values: mqtt.Properties,
        *,
        clean: bool,
    ) -> bytes:
        five = self.version == mqtt.V5
        flags = 0xC0 | clean << 1
        tail = mqtt.text(self.name if client_id is None else client_id)
        if will:
            flags |= 4 | will.qos << 3 | will.retain << 5
            tail += mqtt.properties({"will_delay": values.pop("will_delay", 0)}) if five else b""
            tail += mqtt.text(will.topic) + mqtt.binary(will.payload)
        tail += mqtt.text(self.name) + mqtt.text(self.password)
        head = mqtt.text("MQTT") + struct.pack(">BBH", self.version, flags, keep_alive)
        return mqtt.packet(Kind.CONNECT, 0, head + (mqtt.properties(values) if five else b"") + tail)

    def send(self, topic: str, payload: bytes | object, qos: int = 1, *, retain: bool = False) -> int:
        """Publish; the packet identifier."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._number = self._number % 65_535 + 1
        message = Message(topic, data, qos, retain)
        self.writer.write(mqtt.publish(message, version=self.version, number=self._number))
        return self._number

    def subscribe(self, *filters: str, options: int = 1) -> None:
        body = struct.pack(">H", 9) + (b"\0" if self.version == mqtt.V5 else b"")
        body += b"".join(mqtt.text(each) + bytes((options,)) for each in filters)
        self.writer.write(mqtt.packet(Kind.SUBSCRIBE, 2, body))

    async def next(self, patience_s: float = 10.0) -> Run | Packet:
        """The next packet. Raises TimeoutError, ConnectionError at the end."""
        while not self._ready:
            data = await asyncio.wait_for(self.reader.read(1 << 16), patience_s)
            if not data:
                raise ConnectionError("closed")
            self._ready += self._slicer.feed(data)
        return self._ready.pop(0)

    async def packet(self, kind: Kind) -> Packet:
        item = await self.next()
        assert isinstance(item, Packet), item
        assert item.kind == kind, item
        return item

    async def message(self) -> tuple[str, bytes]:
        """The next published message, acknowledged."""
        item = await self.next()
        assert isinstance(item, Run), item
        if item.ids:
            self.writer.write(mqtt.acknowledge(Kind.PUBACK, item.ids[:1]))
        topic, payload = item.topic, item.payloads.pop(0)
        if item.payloads:
            del item.ids[:1]
            self._ready.insert(0, item)
        return topic, payload

    async def acknowledged(self, ids: Sequence[int], kind: Kind = Kind.PUBACK) -> None:
        """Wait for these acknowledgements, in this order."""
        for number in ids:
            packet = await self.packet(kind)
            assert mqtt.read_acknowledgement(packet.body, self.version)[0] == number

    async def closed(self, patience_s: float = 10.0) -> list[Run | Packet]:
        """Everything until the other side closes."""
        found: list[Run | Packet] = []
        try:
            while True:
                found.append(await self.next(patience_s))
        except ConnectionError:
            return found

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the other side was quicker
