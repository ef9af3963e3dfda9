"""`cityops` and `python -m app`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from core.errors import CityOpsError
from core.yamlfile import Mistakes

ROOT = Path(__file__).resolve().parent.parent
#: Command → its module and its name there, imported only when it is asked for: most commands need little of the whole.
COMMANDS = {
    "run": "run.run",
    "reset": "run.reset",
    "check-config": "check.check_config",
    "migrate": "check.migrate",
    "status": "status.status",
    "doctor": "status.doctor",
    "user": "users.user",
    "city": "city.city",
    "import": "imports.import_",
    "layers": "layers.layers",
    "plan": "plan.plan",
    "simulate": "simulate.simulate",
    "score": "score.score",
    "shot": "shot.shot",
    "backtest": "backtest.backtest",
    "detect": "detect.detect",
    "bench": "bench.bench",
    "gateway": "gateways.gateway",
    "device": "devices.device",
    "backfill": "backfill.backfill",
}


class Commands(click.Group):
    """Loads a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(".")
        command = getattr(importlib.import_module(f"app.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), default=ROOT / "config.yaml", show_default=False,
    help="Settings file (default: config.yaml of the checkout).",
)  # fmt: skip
@click.pass_context
def cityops(ctx: click.Context, config: Path) -> None:
    """CityOps 一网统管: an open city operations command center."""
    ctx.obj = config


def main() -> None:
    """Run a command. Wrong settings and declarations are named one by one, then exit code 2."""
    try:
        cityops(prog_name="cityops")
    except Mistakes as wrong:
        click.echo(f"{len(wrong.mistakes)} mistake(s) in the settings or declarations:", err=True)
        for mistake in wrong.mistakes:
            click.echo(f"  {mistake}", err=True)
        sys.exit(2)
    except CityOpsError as failed:
        click.echo(f"cityops: {words(failed)}", err=True)
        sys.exit(1)


def words(error: CityOpsError) -> str:
    """The sentence of an error, Chinese and English, from the text files."""
    from app.declared import ROOMS
    from core import text

    texts = text.load(ROOT / room for room in ROOMS)
    return " / ".join(texts(error.key, language, **error.params) for language in ("zh", "en"))


if __name__ == "__main__":
    main()
