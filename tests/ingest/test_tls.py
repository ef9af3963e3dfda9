"""MQTT over TLS: a gateway that shows a certificate of the city's own authority is let in, the others are not."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from app.doors import Doors
from core import settings
from core.clock import SystemClock
from core.db import Database
from core.metrics import Metrics
from tests.ingest.brokers import free_port
from tests.ingest.house import House, known
from tests.ingest.wire import Client
from tests.iot.sample import NOW_US, stored_registry

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(
    not OPENSSL, reason="openssl is not installed: nothing makes certificates here"
)


class Sealed(Client):
    """A client that dials with TLS."""

    context: ssl.SSLContext

    async def dial(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)


def certify(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """A key and a certificate for two days; signed by itself, or by what `more` says."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    where = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([str(OPENSSL), *made, *named, *where, *more], check=True, capture_output=True)
    return certificate, key


async def test_only_a_gateway_with_a_certificate_of_our_own_gets_in(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    authority, its_key = await asyncio.to_thread(certify, tmp_path, "authority")
    signed = ("-CA", str(authority), "-CAkey", str(its_key), "-addext", "basicConstraints=critical,CA:FALSE")
    server, server_key = await asyncio.to_thread(certify, tmp_path, "server", *signed)
    own, own_key = await asyncio.to_thread(certify, tmp_path, "gateway", *signed)
    stranger, stranger_key = await asyncio.to_thread(certify, tmp_path, "stranger")
    port = free_port()
    ours = f"tls_certificate: {server}, tls_key: {server_key}, tls_ca: {authority}"
    config = tmp_path / "config.yaml"
    config.write_text(f"mqtt: {{port: {free_port()}, tls_port: {port}, {ours}}}\n", "utf-8")
    registry = await stored_registry(database)
    async with House(dsn, registry, tmp_path / "spool") as house:
        found = await asyncio.to_thread(settings.load, config)
        doors = Doors(found, house.intake, SystemClock(), Metrics(), known, lambda: registry)
        await doors.open()
        for certificate, key, welcome in (
            (own, own_key, True),
            (stranger, stranger_key, False),
            (None, None, False),
        ):
            client = Sealed(port)
            client.context = ssl.create_default_context(cafile=authority)
            if certificate is not None:
                client.context.load_cert_chain(certificate, key)
            if welcome:
                await client.connect()
                record = {"n": "d0/pressure", "v": 300.0, "t": NOW_US / 1e6}
                await client.acknowledged([client.send("telemetry/gw-0", [record])])
                await client.close()
            else:
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    await client.connect()
        await doors.close()
    assert house.rows == 1
