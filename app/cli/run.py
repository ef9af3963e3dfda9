"""`cityops run` and `cityops reset`."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import segno

from app import declared, place
from app.auth import LINK_S, Auth, new_token
from app.declared import ROOMS, ROOT, Declared
from app.postgres import EmbeddedPostgres
from app.supervise import AlreadyRunning, Role, Supervisor, check_ports, only_one, tell
from core import db, migrate
from core import settings as reading
from core.clock import SystemClock, to_datetime
from core.db import Database
from core.role import QUERIES

LINKS = (
    ("operator", "operator", "/console"),
    ("wall", "viewer", "/wall"),
    ("responder", "responder", "/responder"),
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--role", help="Run one role alone: worker, web or sim.")
@click.option("--run-id", default="", hidden=True)
@click.option("--parent", type=int, hidden=True, help="Pipe of the supervisor.")
@click.option("--scene-restart", is_flag=True, help="Play the demonstration scene from its beginning.")
@click.pass_obj
def run(config: Path, role: str | None, run_id: str, parent: int | None, scene_restart: bool) -> None:
    """Run the main job: database, worker, web and the demonstration scene. Ctrl-C stops it all."""
    if role is not None:
        from app.roles import ROLES, serve

        if role not in ROLES:
            raise click.UsageError(f"unknown role {role}; known are {', '.join(ROLES)}")
        serve(role, config, run_id or current_run(config), parent)
        return
    found = declared.load(config)
    with only_one(found.settings.data):
        main_job(config, found, scene_restart=scene_restart)


def current_run(config: Path) -> str:
    """The run that a role started alone takes part in: the newest, or a new one."""
    dsn = place.dsn(reading.load(config))
    with db.connect_sync(dsn) as connection:
        row = connection.execute(QUERIES["current_run"]).fetchone()
    return str(row["id"]) if row else new_run(dsn)


def new_run(dsn: str) -> str:
    run_id = new_token()[:12]
    with db.connect_sync(dsn) as connection:
        connection.execute(QUERIES["start_run"], {"id": run_id, "now": to_datetime(SystemClock().now_us())})
    return run_id


def main_job(config: Path, found: Declared, *, scene_restart: bool) -> None:
    """Everything in the order in which it must stand, then watch over it."""
    settings = found.settings
    check_ports(settings)
    server = place.embedded(settings)
    dsn = server.start() if server else settings.database.url.get_secret_value()
    try:
        with db.connect_sync(dsn) as connection:
            migrate.migrate(connection, migrate.find(ROOT / room for room in ROOMS))
        run_id = new_run(dsn)
        links = asyncio.run(prepare(found, dsn, scene_restart=scene_restart))
        names = ["worker", "web"] + (["sim"] if settings.scene != "off" else [])
        command = [sys.executable, "-m", "app", "--config", str(config), "run", "--run-id", run_id, "--role"]
        supervisor = Supervisor([Role(name, [*command, name]) for name in names], server)
        announce(settings, links)
        supervisor.run()
    finally:
        if server is not None:
            server.stop()


async def prepare(found: Declared, dsn: str, *, scene_restart: bool) -> dict[str, str]:
    """Credentials, scene and history of a first start; one-time links of every start, by name."""
    from app.demo import demo_of
    from app.seed import Seed
    from app.sim_role import FOLDER
    from simulators import live

    settings = found.settings
    clock = SystemClock()
    database = Database(dsn, 4)
    await database.open()
    try:
        demo = await asyncio.to_thread(demo_of, settings)
        seed = Seed(found, database, clock, tell)
        await seed.credentials(demo)
        if demo is not None:
            await seed.scene(demo)
            now_us = clock.now_us()
            if await seed.history(demo.scene, now_us) or scene_restart:
                live.begin(settings.data / FOLDER, now_us)
        auth = Auth(database, clock, settings.web.session)
        return {
            name: f"/once/{await auth.open_session(user, 'link', LINK_S, target)}"
            for name, user, target in LINKS
        }
    finally:
        await database.close()


def announce(settings: reading.Settings, links: dict[str, str]) -> None:
    """What to open, on the terminal; a QR code when phones of the network can reach us."""
    open_to_network = settings.web.bind not in LOOPBACK
    host = own_address() if open_to_network else "127.0.0.1"
    base = f"http://{host}:{settings.web.port}"
    tell("")
    for name, path in links.items():
        tell(f"  {name:10} {base}{path}")
    tell(f"  credentials: {settings.data / 'credentials.yaml'}")
    if open_to_network:
        tell("  responder's link for a phone in this network:")
        segno.make(base + links["responder"], micro=False).terminal(out=sys.stderr, compact=True)
    else:
        tell("  (phones can open the responder's link when config.yaml says web.bind: 0.0.0.0)")
    tell("")


def own_address() -> str:
    """This machine's address in its network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(config: Path, yes: bool) -> None:
    """Stop the product of this checkout and delete its data: database, spool, tiles, credentials."""
    settings = reading.load(config)
    if not yes:
        click.confirm(f"Delete all data in {settings.data}?", abort=True)
    stop_running(settings.data)
    if settings.database.embedded:
        EmbeddedPostgres.beside(settings.data).destroy()
    shutil.rmtree(settings.data, ignore_errors=True)
    click.echo("deleted")


def stop_running(data: Path) -> None:
    """End a supervisor that is running on this data folder, and wait until it is gone."""
    lock = data / "run.lock"
    pid = lock.read_text().strip() if lock.exists() else ""
    if not pid.isdigit() or subprocess.run(["kill", pid], capture_output=True, check=False).returncode:
        return
    for _ in range(300):
        try:
            with only_one(data):
                return
        except AlreadyRunning:
            time.sleep(0.1)
