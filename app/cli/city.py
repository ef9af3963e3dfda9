"""`cityops city generate`: a city of any size from nothing, as files and, if wanted, onto the map."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import click
import orjson
import shapely

from app import place
from core import settings as reading
from core.clock import SystemClock
from core.db import Database
from gis import generate as generator
from gis import instruments, store, tiles
from gis import sample as sample_data
from gis.city import City, sample_city
from gis.store import Layer


@click.group()
def city() -> None:
    """The sample city, and cities from nothing."""


@city.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--size",
    type=click.IntRange(100, 2_000_000),
    default=10_000,
    show_default=True,
    help="About so many sensors.",
)
@click.option("--sample", is_flag=True, help="The shipped Bund and Lujiazui instead of a city from nothing.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the files.")
@click.option(
    "--store",
    "into_database",
    is_flag=True,
    help="Put its assets onto the map as layer `generated`, or `sample`.",
)
@click.option("--json", "as_json", is_flag=True, help="Counts as JSON.")
@click.pass_obj
def generate(
    config: Path, seed: int, size: int, *, sample: bool, out: Path | None, into_database: bool, as_json: bool
) -> None:  # fmt: skip
    """Make a city: the same seed and size give the same one. Files: assets, devices, EPANET and SWMM models, tiles."""
    made = sample_city(seed) if sample else generator.city(seed, size)
    placed = list(instruments.placements(made))
    told: dict[str, object] = {
        "seed": seed,
        "sensors": len(placed),
        "assets": len(made.assets),
        "streets": len(made.base.streets),
        "street_km": round(float(made.base.streets.lines.length_m.sum()) / 1000, 1),
        "buildings": len(made.base.buildings),
        "districts": len(made.water.districts),
    }
    if out is not None:
        told["files"] = [path.name for path in write(made, placed, out)]
    if into_database:
        layer = Layer(
            sample_data.LAYER, "OpenStreetMap", licence=sample_data.ATTRIBUTION, fingerprint=str(seed)
        )
        if not sample:
            name = f"generated {seed} {size}"
            layer = Layer("generated", name, fingerprint=name)
        asyncio.run(_store(place.dsn(reading.load(config)), made, layer))
    if as_json:
        click.echo(json.dumps(told))
    else:
        for key, value in told.items():
            click.echo(f"{key:10} {', '.join(value) if isinstance(value, list) else value}")


def write(made: City, placed: list[instruments.Placement], folder: Path) -> list[Path]:
    """A city as files: assets.geojsonl, devices.csv, supply.inp, drainage.inp and the tiles of the map."""
    folder.mkdir(parents=True, exist_ok=True)
    assets, devices, supply, drains = (
        folder / name for name in ("assets.geojsonl", "devices.csv", "supply.inp", "drainage.inp")
    )
    with assets.open("wb") as file:
        for asset in made.assets.values():
            told = {
                "name": asset.name,
                "name_en": asset.name_en,
                "kind": asset.kind,
                "zone": asset.zone,
                "area": asset.area,
                "provenance": asset.provenance,
                "licence": asset.licence,
                **asset.attributes,
            }
            feature = {"type": "Feature", "id": asset.id, "properties": told,
                       "geometry": orjson.Fragment(shapely.to_geojson(asset.geometry))}  # fmt: skip
            file.write(orjson.dumps(feature, option=orjson.OPT_APPEND_NEWLINE))
    with devices.open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "kind", "asset", "lon", "lat", "zone", "area"])
        writer.writerows(
            [p.id, p.kind, p.asset, f"{p.lon:.6f}", f"{p.lat:.6f}", p.zone, p.area] for p in placed
        )
    supply.write_text(made.water.inp(), encoding="utf-8")
    drains.write_text(made.drainage.inp(rain_mm_h=[0.0, 20.0, 40.0, 20.0, 0.0]), encoding="utf-8")
    return [assets, devices, supply, drains, tiles.build(enumerate(made.assets.values(), 1), folder)]


async def _store(dsn: str, made: City, layer: Layer) -> None:
    database = Database(dsn, 2)
    await database.open()
    try:
        await store.seed_city(database, list(made.assets.values()), layer, SystemClock().now_us())
    finally:
        await database.close()
