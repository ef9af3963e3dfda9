"""`cityops score`: what the product says, held against what the simulators know."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core import settings as reading
from core.http import to_json

if TYPE_CHECKING:  # the scorer's libraries are loaded when something is scored
    from app.score.benchmark import Bench
    from app.score.scenarios import Run


@click.command()
@click.argument("name")
@click.option(
    "--seed", type=int, default=None, help="Seed of a scenario, or the first of a benchmark's seeds."
)
@click.option("--seeds", type=click.IntRange(1, 200), default=None, help="How many seeds a benchmark takes.")
@click.option("--rate", type=click.IntRange(0, 20_000), default=300, help="storm-25: false alarms an hour.")
@click.option("--level", default="normal", help="dust-40: easy, normal or hard.")
@click.option(
    "--network", type=click.Path(dir_okay=False, path_type=Path), default=None,
    help="battledim-replica: L-TOWN.inp, where the package epyt is not installed.",
)  # fmt: skip
@click.option(
    "--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    help="sf-fire: DataSF's fire department calls for service, as CSV.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
    help="nab: the benchmark's folder of data files.",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    help="nab: the benchmark's combined_windows.json.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write an HTML page here.")
@click.pass_obj
def score(config: Path, /, name: str, as_json: bool, report: Path | None, **asked: Any) -> None:  # noqa: ANN401 - click's options
    """Score NAME: a scenario, `all` of them, or a benchmark.

    Benchmarks: storm-25, dust-40, battledim-replica, flood-csi, dispatch, sf-fire, nab.
    Virtual time; only sf-fire needs a database, and makes one of its own.
    """
    from app.score import benchmark

    settings = reading.load(config)
    bar = _Bar(quiet=as_json)
    bench = benchmark.Bench(settings.domains, settings.zone, bar.tell)
    try:
        found = bench.score(name, benchmark.Asked(**asked))
    except benchmark.Unknown as wrong:
        raise click.BadParameter(str(wrong)) from None
    bar.end()
    if report is not None:
        _write(report, bench)
    if as_json:
        peers, machine = benchmark.peers(name, asked["rate"]), benchmark.machine()
        click.echo(to_json({"figures": found, "peers": peers, "machine": machine}).decode())
        return
    width = max(map(len, found))
    for key, value in found.items():
        click.echo(f"{key:{width}}  {'–' if math.isnan(value) else f'{value:.4g}'}")


def _write(folder: Path, bench: Bench) -> None:
    """A page and a picture a run."""
    from app.score import report as pages

    folder.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = bench.runs
    for run in runs:
        path = folder / f"{run.scenario.key}-{run.seed}.html"
        path.write_text(pages.page(run, bench.city, bench.zone), encoding="utf-8")
        path.with_suffix(".svg").write_text(pages.picture(run, bench.zone), encoding="utf-8")
        click.echo(f"report: {path}", err=True)


class _Bar:
    """Progress on a terminal, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._open = False

    def tell(self, what: str, share: float) -> None:
        if not self._quiet:
            click.echo(f"\r{what:24} {round(100 * share):3d} %", nl=False, err=True)
            self._open = True

    def end(self) -> None:
        if self._open:
            click.echo("", err=True)
