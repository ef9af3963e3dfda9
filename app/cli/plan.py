"""`cityops plan check` and `cityops plan dry-run`: plans are tested like code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from app import declared, policy
from app.declared import Declared
from dispatch import dry_run, plan_check
from dispatch.plan_check import Known
from dispatch.plans import Plan, PlanDecl, Scenario

#: Roles that have no account of their own: crews by their phone, owners by telephone, our own rules.
WITHOUT_ACCOUNT = frozenset({"system", "crew", "utility_control", "site_commander"})


@click.group()
def plan() -> None:
    """Check plans, and play them against their drills."""


@plan.command("check")
@click.option("--json", "as_json", is_flag=True, help="one object on standard output")
@click.pass_obj
def check(config: Path, as_json: bool) -> None:
    """Name everything in the plans that cannot work, with file and line; exit code 1 when there is anything."""
    found = declared.load(config)
    mistakes = plan_check.check(found.domains, known(found), found.texts)
    if as_json:
        shown = [{"file": m.file, "line": m.line, "key": m.key, "reason": m.reason} for m in mistakes]
        click.echo(json.dumps({"plans": len(found.plans.by_key), "mistakes": shown}, ensure_ascii=False))
    else:
        for mistake in mistakes:
            click.echo(str(mistake))
        click.echo(f"{len(found.plans.by_key)} plans, {len(mistakes)} mistakes")
    sys.exit(1 if mistakes else 0)


@plan.command("dry-run")
@click.argument("key", required=False)
@click.option("--scenario", help="one of the plan's drills; all of them when it is not named")
@click.option("--json", "as_json", is_flag=True, help="one object on standard output")
@click.pass_obj
def dry(config: Path, key: str | None, scenario: str | None, as_json: bool) -> None:
    """Play a plan, or all of them, against their drills: nobody is told, nothing is stored."""
    found = declared.load(config)
    plans = list(found.plans.by_key.values()) if key is None else [one(found, key)]
    played = [
        dry_run.play(each.decl, drill)
        for each in plans
        for drill in each.decl.drills
        if scenario in (None, drill.key)
    ]
    if not played:
        raise click.UsageError(f"no such scenario: {scenario}")
    if as_json:
        click.echo(json.dumps({"played": [as_dict(found, each) for each in played]}, ensure_ascii=False))
    else:
        for each in played:
            click.echo(as_text(found, each))
    sys.exit(0 if all(as_expected(found, each) for each in played) else 1)


def known(found: Declared) -> Known:
    """What plans may refer to in this installation."""
    rules, _ = policy.load()
    roles = frozenset(role for names in rules.allowed.values() for role in names) | WITHOUT_ACCOUNT
    channels = frozenset(name.partition(".")[2] for name in found.catalogue.channels)
    return Known(roles=roles, channels=channels, incidents=frozenset(found.model.types))


def one(found: Declared, key: str) -> Plan:
    plan_ = found.plans.get(key)
    if plan_ is None:
        raise click.UsageError(f"no plan {key}; known are {', '.join(sorted(found.plans.by_key))}")
    return plan_


def drill_of(found: Declared, played: dry_run.Played) -> tuple[PlanDecl, Scenario]:
    decl = one(found, played.plan).decl
    return decl, next(each for each in decl.drills if each.key == played.scenario)


def as_expected(found: Declared, played: dry_run.Played) -> bool:
    _, drill = drill_of(found, played)
    return played.started is drill.starts and played.good


def as_dict(found: Declared, played: dry_run.Played) -> dict[str, object]:
    return {
        "plan": played.plan,
        "scenario": played.scenario,
        "started": played.started,
        "good": as_expected(found, played),
        "closed_s": played.closed_s,
        "late": list(played.late),
        "stuck": list(played.stuck),
        "moments": [
            {"at_s": m.at_s, "task": m.task, "state": m.what, "left_s": m.left_s} for m in played.moments
        ],
    }


def as_text(found: Declared, played: dry_run.Played) -> str:
    """A time line for a person."""
    good = "✓" if as_expected(found, played) else "✗"
    if not played.started:
        return f"{good} {played.plan} · {played.scenario}: does not start\n"
    lines = [f"{good} {played.plan} · {played.scenario}"]
    for m in played.moments:
        left = "" if m.left_s is None or m.what != "done" else f"  ({m.left_s / 60:+.1f} min)"
        word = found.texts(f"plan.{played.plan}.task.{m.task}", found.settings.city.language)
        lines.append(f"  T+{m.at_s / 60:7.1f} min  {m.what:8} {m.task:20} {word}{left}")
    end = (
        f"closed at T+{played.closed_s / 60:.0f} min"
        if played.closed_s is not None
        else f"stuck: {played.stuck}"
    )
    return "\n".join([*lines, f"  {end}", ""])
