"""Real brokers for tests: the `iotcore` wheel everywhere, Mosquitto where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import iotcore
import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which(
    "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
)
NAMES = [
    "iotcore",
    pytest.param("mosquitto", marks=pytest.mark.skipif(not MOSQUITTO, reason="not installed")),
]

CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
persistence false
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def broker(name: str, folder: Path, port: int | None = None) -> Iterator[int]:
    """A broker on a port of its own, gone at the end with everything it held."""
    port = port or free_port()
    if name == "iotcore":
        with iotcore.Broker(port=port, listen="127.0.0.1", max_inflight_count=1000):
            yield port
        return
    config = folder / "mosquitto.conf"
    config.write_text(CONFIG.format(port=port))
    process = subprocess.Popen([MOSQUITTO or "", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
