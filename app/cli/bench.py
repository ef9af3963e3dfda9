"""`cityops bench NAME`: measured figures of this machine, with a server and a worker of their own."""

from __future__ import annotations

import importlib
import json
import sys
import time

import click

from app.bench.rig import Measured, Say, report, rounded

#: Name → the module that measures it: `run(say) -> Measured`.
BENCHES = {
    "ingest": "app.bench.ingest",
    "store": "app.bench.store",
    "query": "app.bench.query",
    "dispatch": "app.bench.dispatch",
    "gis": "app.bench.gis",
    "sim": "app.bench.sim",
    "engine": "app.bench.engine",
    "wall": "app.bench.wall",
}


@click.command()
@click.argument("name", type=click.Choice([*BENCHES, "all"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench(name: str, as_json: bool) -> None:
    """Measure one part of the product, or all. Nothing of this installation is touched."""
    found = Measured({})
    for each in BENCHES if name == "all" else [name]:
        found |= measure(each, quiet if as_json and not sys.stderr.isatty() else tell)
    if as_json:
        click.echo(json.dumps(report(found)))
        return
    for figure, value in rounded(found.figures).items():
        click.echo(f"{figure:32} {value:>12g}")
    for peer, figures in found.peers.items():
        click.echo(f"{peer}: " + "  ".join(f"{key} {value:g}" for key, value in rounded(figures).items()))


def measure(name: str, say: Say) -> Measured:
    run = importlib.import_module(BENCHES[name]).run
    found = run(say)
    assert isinstance(found, Measured)
    return found


def tell(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def quiet(_text: str) -> None:
    """Nobody watches."""
