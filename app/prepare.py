"""Make an installation ready to run: schema, credentials, the scene and its history; then say where to begin."""

from __future__ import annotations

import asyncio
import json

from app.auth import LINK_S, Auth, new_token
from app.declared import ROOMS, ROOT, Declared
from app.supervise import tell
from core import db, migrate
from core.clock import Clock, to_datetime
from core.db import Database
from core.role import QUERIES

#: Where the scene keeps what a restart must know.
FOLDER = "scene"
#: Name on the terminal, user, and the page that the one-time link opens.
LINKS = (
    ("operator", "operator", "/console"),
    ("wall", "viewer", "/wall"),
    ("responder", "responder", "/responder"),
)


async def prepare(declared: Declared, dsn: str, clock: Clock, *, scene_restart: bool) -> str:
    """All of it, as often as wanted; JSON with the new run's id and its one-time links."""
    with db.connect_sync(dsn) as connection:
        migrate.migrate(connection, migrate.find(ROOT / room for room in ROOMS))
    settings = declared.settings
    database = Database(dsn, 4)
    await database.open()
    try:
        if not await database.fetch(
            QUERIES["current_run"]
        ):  # nobody ran on it: new, or its first start was killed
            await first(declared, database, clock)
        elif scene_restart:
            from simulators import live

            live.begin(settings.data / FOLDER, clock.now_us())
        run = await new_run(database, clock)
        auth = Auth(database, clock, settings.web.session)
        links = {
            name: f"/once/{await auth.open_session(user, 'link', LINK_S, target)}"
            for name, user, target in LINKS
        }
    finally:
        await database.close()
    return json.dumps({"run": run, "links": links})


async def first(declared: Declared, database: Database, clock: Clock) -> None:
    """The first start of an installation: everything that later ones find. Later the scene's role looks after it."""
    from app.demo import demo_of  # the city and the scene: later starts do without them
    from app.seed import Seed
    from app.town import map_of
    from simulators import live

    settings = declared.settings
    seed = Seed(declared, database, clock, tell)
    tiles = asyncio.create_task(asyncio.to_thread(map_of(settings, database, clock).tiles))
    demo = await asyncio.to_thread(demo_of, settings)
    await seed.credentials(demo)
    if demo is not None:
        await seed.scene(demo)
        await seed.map()
        now_us = clock.now_us()
        await seed.history(demo.scene, now_us)
        live.begin(settings.data / FOLDER, now_us)
    await tiles


async def new_run(database: Database, clock: Clock) -> str:
    run = new_token()[:12]
    await database.execute(QUERIES["start_run"], id=run, now=to_datetime(clock.now_us()))
    return run


async def current_run(dsn: str, clock: Clock) -> str:
    """The run that a role started alone takes part in: the newest, or a new one."""
    database = Database(dsn, 2)
    await database.open()
    try:
        row = await database.fetch_one(QUERIES["current_run"])
        return str(row["id"]) if row else await new_run(database, clock)
    finally:
        await database.close()
