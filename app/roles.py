"""A role's process: it runs until it is told to stop or its supervisor is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from app import declared, place
from app.declared import Declared
from core import log
from core.clock import SystemClock

Job = Callable[[Declared, str, str], Awaitable[None]]


async def worker(found: Declared, dsn: str, run: str) -> None:
    from app.worker import Worker

    await Worker(found, dsn, run, SystemClock()).run()


async def web(found: Declared, dsn: str, run: str) -> None:
    from app.web_role import Web

    await Web(found, dsn, run, SystemClock()).run()


async def sim(found: Declared, dsn: str, run: str) -> None:
    from app.sim_role import play

    await play(found, dsn, run, SystemClock())


ROLES: dict[str, Job] = {"worker": worker, "web": web, "sim": sim}


def serve(role: str, config: Path, run: str, parent: int | None) -> None:
    """Run a role until SIGTERM, SIGINT, or the end of the pipe from its supervisor."""
    import uvloop

    found = declared.load(config)
    log.configure(role, found.settings.log.level, found.settings.log.format)
    uvloop.run(until_stopped(ROLES[role](found, place.dsn(found.settings), run), parent))


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
