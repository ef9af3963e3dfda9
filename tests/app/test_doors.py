"""The doors of the worker: what the settings open, and that nothing of the worker ends with the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from app.doors import Doors, broker_settings, lasting, limits_of_gateways
from core import settings
from core.clock import SystemClock
from core.errors import Unavailable
from core.metrics import Metrics
from core.settings import Settings
from core.yamlfile import Mistakes
from ingest.tap import TappedIntake
from tests.iot import sample


def read(folder: Path, text: str) -> Settings:
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return settings.load(path)


async def known(name: str, password: bytes) -> str | None:
    return name if password else None


@pytest.mark.parametrize("why", [Unavailable("error.database_away"), psycopg.OperationalError("gone")])
async def test_what_ends_because_the_database_is_away_begins_again(why: Exception) -> None:
    begun = asyncio.Event()
    times = 0

    async def fragile() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise why
        begun.set()

    task = asyncio.create_task(lasting(fragile, "test"))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()


async def test_a_fault_of_our_own_is_not_hidden() -> None:
    async def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lasting(wrong, "test")


def test_only_the_doors_that_are_declared_are_there(tmp_path: Path) -> None:
    found = read(tmp_path, "tcp: {hj212: 18212}\nmqtt: {mode: external, shared: crew, messages_per_s: 50}")
    doors = Doors(found, TappedIntake(), SystemClock(), Metrics(), known, sample.registry)
    assert (doors.endpoint, list(doors.servers)) == (None, ["hj212"])
    assert broker_settings(found.mqtt).shared == "crew"
    assert limits_of_gateways(found.mqtt).messages_s == 50
    assert doors.alarms() == {}
    doors.session_lost(0)
    assert doors.alarms() == {"broker_session_lost": "1970-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "wrong",
    [
        "mqtt: {tls_port: 8883}",
        "tcp: {hj212: 1883}",
        "ingest: {pushes: [{name: a, gateway: g, mapping: none, check: token, secret: 0123456789abcdef}]}",
        "ingest: {mappings: [{name: a, device: d, channel: c, value: '[['}]}",
    ],
)
def test_doors_that_could_not_be_opened_are_mistakes_of_the_settings(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Mistakes):
        read(tmp_path, wrong)
