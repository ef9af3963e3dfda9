"""One scored run as one HTML page that needs nothing else: map, time line, hydrographs, tables; SVG, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from app.score.scenarios import Run, figures
from core.clock import MINUTE_US, rfc3339
from gis.city import City

Floats = NDArray[np.float64]
STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:24px auto;max-width:1100px;color:#1d2733;background:#fff}
h1{font-size:22px}h2{font-size:16px;margin:28px 0 8px}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #d7dee6;padding:4px 8px;text-align:left;font-variant-numeric:tabular-nums}
.good{color:#0a7d3c}.bad{color:#b3261e}svg{background:#f6f8fa;border:1px solid #d7dee6;width:100%}
small{color:#5a6b7b}
"""
#: Curves of the picture.
MOST_DRAWN = 3
MOST_CURVES = 12


def page(run: Run, city: City) -> str:
    """The page of a run."""
    scenario = run.scenario
    about = f"seed {run.seed} · {rfc3339(run.world.begun_us)} · {scenario.lasts / 3600:.3g} h"
    parts = [
        f"<h1>{escape(scenario.key)} <small>{escape(about)}</small></h1>",
        "<h2>Expected and said</h2>", _expected(run),
        "<h2>Map</h2>", _map(run, city),
        "<h2>Time line</h2>", _timeline(run),
        "<h2>Hydrographs</h2>", _curves(run),
        "<h2>Figures</h2>", _table(sorted(figures(run).items()), ("figure", "value")),
    ]  # fmt: skip
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(scenario.key)}</title><style>{STYLE}</style>'
    return head + "\n".join(parts) + "\n"


def _expected(run: Run) -> str:
    rows: list[Sequence[object]] = []
    for match in run.ours.matches:
        said = match.said
        rows.append(
            (
                match.expected.cause, "/".join(match.expected.types),
                "found" if said else "missed",
                f"{match.delay_s:.0f} s of {match.expected.within:.0f} s" if said else "",
                f"{match.off_m:.0f} m" if said and match.spot.asset else "",
                match.cause_rank() or "–" if said else "",
            )
        )  # fmt: skip
    rows += [("–", said.type, "false", _clock(run, said.opened_us), said.zone, "") for said in run.ours.false]
    return _table(rows, ("cause", "type", "verdict", "delay", "off by", "rank of the true cause"))


def _table(rows: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    def cell(value: object) -> str:
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        mark = {"found": "good", "missed": "bad", "false": "bad"}.get(shown, "")
        return f'<td class="{mark}">{escape(shown)}</td>'

    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr>{body}</table>"


def _map(run: Run, city: City) -> str:
    """Streets, devices, causes (crosses) and incidents (circles)."""
    west, south, east, north = city.bounds
    width, height = 1060.0, 1060.0 * (north - south) / (east - west) * 1.17

    def at(lon: float, lat: float) -> tuple[float, float]:
        return (lon - west) / (east - west) * width, (north - lat) / (north - south) * height

    lines = []
    for row in range(len(city.base.streets)):
        line = city.base.streets.lines[row]
        points = " ".join(
            f"{x:.0f},{y:.0f}" for x, y in (at(*each) for each in city.plane.lonlats(line).tolist())
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="#c4ced8" stroke-width="1"/>')
    for device in run.world.devices:
        x, y = at(device.spot.lon, device.spot.lat)
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2" fill="#7b8da0"/>')
    for told in run.world.told.values():
        if told.spot.asset:
            x, y = at(told.spot.lon, told.spot.lat)
            lines.append(
                f'<path d="M{x - 8:.0f} {y - 8:.0f}l16 16m0-16l-16 16" stroke="#b3261e" stroke-width="3"/>'
                f'<text x="{x + 10:.0f}" y="{y - 8:.0f}" font-size="14" fill="#b3261e">{escape(told.name)}</text>'
            )
    for said in run.live_incidents:
        x, y = at(said.lon, said.lat)
        lines.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="14" fill="none" stroke="#0b57d0" stroke-width="3"/>'
            f'<text x="{x + 16:.0f}" y="{y + 16:.0f}" font-size="13" fill="#0b57d0">{escape(said.type)}</text>'
        )
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}">{"".join(lines)}</svg>'


def _clock(run: Run, time_us: int) -> str:
    return f"+{(time_us - run.world.begun_us) / MINUTE_US:.1f} min"


def _timeline(run: Run) -> str:
    """A row an action, a row an incident, a tick an alert."""
    begun, span = run.world.begun_us, run.world.ends_us - run.world.begun_us

    def x(time_us: int) -> float:
        return 180 + 860 * min(max((time_us - begun) / span, 0.0), 1.0)

    rows: list[tuple[str, int, int, str]] = [
        (told.name, told.from_us, told.until_us or run.world.ends_us, "#b3261e")
        for told in run.world.told.values()
    ]
    rows += [
        (said.type, said.opened_us, said.resolved_us or run.world.ends_us, "#0b57d0")
        for said in run.live_incidents
    ]
    shapes = []
    for number, (name, from_us, to_us, colour) in enumerate(rows):
        y = 14 + 22 * number
        shapes.append(
            f'<text x="4" y="{y + 5}" font-size="12">{escape(name[:26])}</text>'
            f'<rect x="{x(from_us):.1f}" y="{y - 6}" width="{max(x(to_us) - x(from_us), 2):.1f}" height="12" '
            f'fill="{colour}" opacity=".75"/>'
        )
    bottom = 20 + 22 * len(rows)
    for row in run.product.alerts.values():
        at = x(int(row["raised_us"]))
        shapes.append(f'<path d="M{at:.1f} {bottom}v14" stroke="#5a6b7b" stroke-width="1"/>')
    shapes.append(f'<text x="4" y="{bottom + 12}" font-size="12">alerts</text>')
    return f'<svg viewBox="0 0 1060 {bottom + 22}">{"".join(shapes)}</svg>'


def _curves(run: Run) -> str:
    """What the points that raised alerts showed, as they said it."""
    subjects = list(dict.fromkeys(str(row["subject"]) for row in run.product.alerts.values()))[:MOST_CURVES]
    charts = []
    for subject in subjects:
        said = run.heard.get(subject, [])
        if len(said) > 1:
            time, value = np.array(said).T
            charts.append(f"<small>{escape(subject)}</small>{_chart(time, value, run)}")
    return "".join(charts) or "<p>no alert was raised</p>"


def _chart(time_us: Floats, value: Floats, run: Run) -> str:
    span = run.world.ends_us - run.world.begun_us
    x = 60 + 990 * (time_us - run.world.begun_us) / span
    low, high = float(value.min()), float(value.max())
    y = 70 - 60 * (value - low) / (high - low or 1.0)
    step = max(1, len(x) // 1500)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[::step], y[::step], strict=True))
    return (
        f'<svg width="1060" height="80" viewBox="0 0 1060 80"><text x="2" y="14" font-size="11">{high:.3g}</text>'
        f'<text x="2" y="74" font-size="11">{low:.3g}</text>'
        f'<polyline points="{points}" fill="none" stroke="#0b57d0" stroke-width="1.3"/></svg>'
    )


def picture(run: Run) -> str:
    """One SVG of its own: what the first points that raised alerts said; red: what was done, blue: what was said."""
    begun, span = run.world.begun_us, run.world.ends_us - run.world.begun_us
    subjects = [
        key
        for key in dict.fromkeys(str(row["subject"]) for row in run.product.alerts.values())
        if key in run.heard
    ]
    rows = subjects[:MOST_DRAWN]
    height = 96 * len(rows) + 20
    marks = [(told.from_us, "#b3261e", told.name) for told in run.world.told.values()]
    marks += [(said.opened_us, "#0b57d0", said.type) for said in run.live_incidents]
    parts = []
    for at_us, colour, name in marks:
        x = 60 + 990 * (at_us - begun) / span
        parts.append(
            f'<path d="M{x:.1f} 4V{height - 18}" stroke="{colour}"/>'
            f'<text x="{x + 3:.1f}" y="{height - (4 if colour == "#b3261e" else 14)}" font-size="11" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    for number, subject in enumerate(rows):
        time, value = np.array(run.heard[subject]).T
        parts.append(
            f'<g transform="translate(0 {96 * number})">{_chart(time, value, run)}'
            f'<text x="64" y="88" font-size="11" fill="#5a6b7b">{escape(subject)}</text></g>'
        )
    size = f'width="1060" height="{height}" viewBox="0 0 1060 {height}" font-family="sans-serif"'
    paper = f'<rect width="1060" height="{height}" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{paper}{"".join(parts)}</svg>\n'
