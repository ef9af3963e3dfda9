"""The usual script, for the ratio: paho, json and executemany. `python -m app.bench.peer BROKER_PORT DSN COUNT`.

It acknowledges before it stores, keeps no key and no quality; that is what most scripts do.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

ROWS = 1000


def main(port: int, dsn: str, count: int) -> dict[str, float]:
    rows: list[tuple[str, datetime, float]] = []
    done = threading.Event()
    stored = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS peer (name text, time timestamptz, value float8)")
        connection.execute("CREATE INDEX IF NOT EXISTS peer_name ON peer (name, time)")

        def flush() -> None:
            nonlocal rows, stored
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("INSERT INTO peer VALUES (%s, %s, %s)", rows)
            stored += len(rows)
            rows = []
            if stored >= count:
                done.set()

        def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
            records = json.loads(message.payload)
            rows.extend(
                (record["n"], datetime.fromtimestamp(record["t"], UTC), record["v"]) for record in records
            )
            if len(rows) >= ROWS or stored + len(rows) >= count:
                flush()

        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="peer")
        client.on_message = on_message
        ready = threading.Event()
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        client.subscribe("telemetry/#", 1)
        ready.wait(10)
        print("ready", flush=True)  # noqa: T201 - the answer to who started us
        sys.stdin.readline()
        began_s, cpu_s = time.perf_counter(), time.process_time()
        done.wait(300)
        took_s = time.perf_counter() - began_s
        client.loop_stop()
        return {"readings": stored, "seconds": took_s, "cpu_s": time.process_time() - cpu_s}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))), flush=True)  # noqa: T201 - the answer
