"""Somebody at the other end of the wire: takes every message and acknowledges it. `python -m app.bench.sink PORT`."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from ingest import mqtt
from ingest.mqtt import Code, Kind, Packet, Run, Slicer


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One gateway of MQTT 3.1.1, until it hangs up."""
    slicer = Slicer()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            for item in slicer.feed(data):
                writer.write(_answer(item))
    writer.close()


def _answer(packet: Packet | Run) -> bytes:
    if isinstance(packet, Run):
        return mqtt.acknowledge(Kind.PUBACK, packet.ids)
    if packet.kind == Kind.CONNECT:
        return mqtt.connack(mqtt.V311, Code.SUCCESS)
    if packet.kind == Kind.SUBSCRIBE:
        asked = mqtt.read_subscribe(packet.body, mqtt.V311)
        return mqtt.suback(mqtt.V311, asked.id, [1] * len(asked.filters))
    return mqtt.packet(Kind.PINGRESP, 0, b"") if packet.kind == Kind.PINGREQ else b""


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("ready", flush=True)  # noqa: T201 - the answer to who started us
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
