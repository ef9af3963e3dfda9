"""`cityops detect FILE…`: a rule over recorded series, a score and an alert for each row."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app import declared
from app import detect as series
from core import settings
from core.errors import Invalid
from core.http import to_json
from events.citytime import CityTime
from events.recorded import novelty
from events.rules import RuleDecl


@click.command()
@click.argument(
    "inputs", nargs=-1, required=True, metavar="FILE|DIR…", type=click.Path(exists=True, path_type=Path)
)
@click.option("--rule", default="", help="Key of a declared rule (default: novelty, which needs no limits).")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("detected"), show_default=True,
    help="Folder of the results; folders of the inputs are kept in it.",
)  # fmt: skip
@click.option(
    "--param", "params", multiple=True, metavar="NAME=NUMBER", help="What a rule takes from its device."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_obj
def detect(
    config: Path, inputs: tuple[Path, ...], rule: str, out: Path, params: tuple[str, ...], as_json: bool
) -> None:
    """Score each row of CSV files with the columns timestamp (or time) and value, each file as its own series.

    Writes the same rows with the columns `score` (0..1; 0.5 where the rule's condition begins) and `alert` (1 while
    its alert stands). What is said of a row rests on the rows up to it alone. Folders are searched for *.csv.
    """
    decl, zone = _rule(config, rule), settings.load(config).zone
    try:
        places = series.places(inputs, out)
    except series.Clash as wrong:
        raise click.UsageError(str(wrong)) from None
    read, unusable = {}, 0
    for path in places:
        try:
            read[path] = series.read(path, zone)
        except series.Unusable as wrong:
            unusable += 1
            click.echo(f"{path}: {wrong}", err=True)
    for share in series.run(list(read.values()), decl, CityTime(zone), _numbers(params)):
        if sys.stderr.isatty() and not as_json:
            click.echo(f"\rdetect {round(100 * share):3d} %", nl=share == 1, err=True)
    told = []
    for path, rows in read.items():
        series.write(rows, places[path])
        for line in series.refusals(path, rows):
            click.echo(line, err=True)
        told.append(
            {
                "file": str(path), "out": str(places[path]), "rows": len(rows.value), "refused": len(rows.refused),
                "alerts": rows.alerts, "highest": round(float(rows.score.max(initial=0.0)), 6),
            }
        )  # fmt: skip
    if as_json:
        click.echo(to_json({"rule": decl.key, "unusable": unusable, "files": told}).decode())
    else:
        for each in told:
            click.echo(
                "{out}  {rows} rows, {refused} refused, {alerts} alerts, highest {highest:.3f}".format_map(
                    each
                )
            )
    if unusable or not told:
        sys.exit(1)


def _rule(config: Path, key: str) -> RuleDecl:
    """The declared rule of a key, or novelty. Raises `Invalid`."""
    if key in ("", "novelty"):
        return novelty()
    rule = declared.load(config).model.rules.by_key.get(key)
    if rule is None:
        raise Invalid("error.no_rule", field="rule", rule=key)
    return rule.decl


def _numbers(params: tuple[str, ...]) -> dict[str, float]:
    try:
        return {name: float(number) for name, _, number in (each.partition("=") for each in params)}
    except ValueError:
        raise click.BadParameter("must be NAME=NUMBER", param_hint="--param") from None
