"""`cityops simulate`: a scenario without the product, as frames and truth in files; or load on a running endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import psycopg

from core import settings as reading
from core.http import to_json


@click.group()
def simulate() -> None:
    """Play a scenario into files, or put load on the running product."""


@simulate.command()
@click.argument("name")
@click.option("--seed", type=int, default=None)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the files."
)
@click.pass_obj
def scenario(config: Path, name: str, seed: int | None, out: Path) -> None:
    """Write the wire tape (`frames.tape`) and the truth (`truth.jsonl`) of a scenario; one seed, the same bytes."""
    from gis.city import sample_city
    from simulators import record
    from simulators import scenario as scripts
    from simulators.sample import places_of
    from simulators.scene import FORMATS, Scene
    from simulators.world import World

    settings = reading.load(config)
    script = scripts.find(name)
    city = sample_city(1)
    world = World(Scene(places_of(city), settings.zone, speaks=FORMATS), script, city, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    with record.Recorder(out / "frames.tape") as tape:
        while world.now_us < world.ends_us:
            tape.add(world.now_us, world.advance())
    world.close()
    record.write_truth(out / "truth.jsonl", world)
    click.echo(f"{tape.frames} frames, {world.said} readings: {out / 'frames.tape'}")


@simulate.command()
@click.option("--rate", type=click.FloatRange(1, 1_000_000), default=1000.0, help="Readings a second.")
@click.option("--gateways", type=click.IntRange(1, 64), default=4)
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=10.0)
@click.option("--shape", type=click.Choice(["constant", "burst", "reconnect-storm"]), default="constant")
@click.option("--pack", type=click.IntRange(1, 1000), default=10, help="Readings a message.")
@click.option("--devices", type=click.IntRange(0, 100_000), default=0, help="Of all gateways together.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def load(  # noqa: PLR0913, PLR0917 - its options
    config: Path,
    rate: float,
    gateways: int,
    seconds: float,
    shape: str,
    pack: int,
    devices: int,
    as_json: bool,
) -> None:
    """Publish with QoS 1 to the running product, count what was acknowledged, and compare with what is stored."""
    from app import loading

    plan = loading.Plan(rate, gateways, seconds, shape, pack, devices)
    try:
        found = asyncio.run(loading.run(reading.load(config), plan))
    except psycopg.OperationalError as away:
        raise click.ClickException(f"the database does not answer; is the product running? {away}") from None
    if as_json:
        click.echo(to_json(found).decode())
        return
    for key, value in found.items():
        click.echo(f"{key:22} {value}")
