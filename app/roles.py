"""A role's process: it runs until it is told to stop or its supervisor is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import uvloop

from app import declared, place
from app.declared import Declared
from core import log, settings
from core.clock import SystemClock

Job = Callable[[Declared, str, str], Awaitable[None]]


#: The engine decides in a thread beside the loop; the loop shall not wait 5 ms for its turn.
SWITCH_S = 0.001
ENDPOINT_PATIENCE_S = 30.0


async def worker(found: Declared, dsn: str, run: str) -> None:
    from app.worker import Worker

    sys.setswitchinterval(SWITCH_S)
    await Worker(found, dsn, run, SystemClock()).run()


async def web(found: Declared, dsn: str, run: str) -> None:
    from app.web_role import Web

    await Web(found, dsn, run, SystemClock()).run()


async def sim(found: Declared, dsn: str, run: str) -> None:
    from app.sim_role import play

    await play(found, dsn, run, SystemClock())


ROLES: dict[str, Job] = {"worker": worker, "web": web, "sim": sim}


def serve(role: str, config: Path, run: str, parent: int | None, *, scene_restart: bool = False) -> None:
    """Run a role until SIGTERM, SIGINT, or the end of the pipe from its supervisor."""
    if role not in (*ROLES, "prepare"):
        print(f"unknown role {role}; known are {', '.join(ROLES)}", file=sys.stderr)  # noqa: T201 - for the terminal
        sys.exit(2)
    if role == "sim":
        wait_for_the_endpoint(config)
    found = declared.load(config)
    log.configure(role, found.settings.log.level, found.settings.log.format)
    dsn = place.dsn(found.settings)
    if role == "prepare":
        from app.prepare import prepare

        if sys.stdin.readline() != "go\n":  # the supervisor says when the database stands, or is gone
            sys.exit(1)
        print(uvloop.run(prepare(found, dsn, SystemClock(), scene_restart=scene_restart)))  # noqa: T201 - the answer
        return
    uvloop.run(until_stopped(start(role, found, dsn, run), parent))


def wait_for_the_endpoint(config: Path) -> None:
    """The scene speaks only the wire: until somebody listens there it leaves the cores to who must start first."""
    mqtt = settings.load(config).mqtt
    end = time.monotonic() + ENDPOINT_PATIENCE_S
    while mqtt.mode == "embedded" and time.monotonic() < end:
        with suppress(OSError), socket.create_connection((place.reachable(mqtt.bind), mqtt.port), 1):
            return
        time.sleep(0.2)


async def start(role: str, found: Declared, dsn: str, run: str) -> None:
    if not run:
        from app.prepare import current_run

        run = await current_run(dsn, SystemClock())
    await ROLES[role](found, dsn, run)


async def until_stopped(job: Awaitable[None], parent: int | None) -> None:
    task = asyncio.ensure_future(job)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    if parent is not None:
        os.set_blocking(parent, False)
        loop.add_reader(parent, orphaned, loop, parent, task)
    try:
        await task
    except asyncio.CancelledError:
        pass  # we were told to stop


def orphaned(loop: asyncio.AbstractEventLoop, parent: int, task: asyncio.Future[None]) -> None:
    """The pipe is readable only when its other end was closed: the supervisor is gone."""
    loop.remove_reader(parent)
    task.cancel()
