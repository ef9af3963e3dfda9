"""`cityops run` and `cityops reset`. The supervisor stays small: what needs the whole product runs in children."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import click

from app import place
from app.postgres import EmbeddedPostgres
from app.supervise import AlreadyRunning, Role, Supervisor, check_ports, only_one, tell
from core import settings as reading
from core.settings import Settings

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
        from app import roles

        roles.serve(role, config, run_id, parent, scene_restart=scene_restart)
        return
    settings = reading.load(config)
    with only_one(settings.data):
        main_job(config, settings, scene_restart=scene_restart)


def main_job(config: Path, settings: Settings, *, scene_restart: bool) -> None:
    """Everything in the order in which it must stand, then watch over it."""
    check_ports(settings)
    command = [sys.executable, "-m", "app", "--config", str(config), "run", "--role"]
    preparing = begin_prepare([*command, "prepare", *(["--scene-restart"] if scene_restart else [])])
    server = place.embedded(settings)
    try:
        if server is not None:
            server.start()
        run_id, links = prepared(preparing)
        names = ["worker", "web"] + (["sim"] if settings.scene != "off" else [])
        roles = [Role(name, [*command, name, "--run-id", run_id]) for name in names]
        announce(settings, links)
        Supervisor(roles, server).run()
    finally:
        if server is not None:
            server.stop()


def begin_prepare(command: list[str]) -> subprocess.Popen[str]:
    """Schema, credentials, scene and history, in a child that reads all declarations while PostgreSQL starts."""
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def prepared(child: subprocess.Popen[str]) -> tuple[str, dict[str, str]]:
    """Tell the child that the database stands; the run's id and its links. Its failure is ours."""
    told, _ = child.communicate("go\n")
    if child.returncode:
        sys.exit(child.returncode)
    answer = json.loads(told)
    return answer["run"], answer["links"]


def announce(settings: Settings, links: dict[str, str]) -> None:
    """What to open, on the terminal; a QR code when phones of the network can reach us."""
    open_to_network = settings.web.bind not in LOOPBACK
    host = own_address() if open_to_network else "127.0.0.1"
    base = f"http://{host}:{settings.web.port}"
    tell("")
    for name, path in links.items():
        tell(f"  {name:10} {base}{path}")
    tell(f"  credentials: {settings.data / 'credentials.yaml'}")
    if open_to_network:
        import segno

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
