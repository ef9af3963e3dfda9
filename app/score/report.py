"""One scored run as one HTML page that needs nothing else: map, time line, hydrographs, tables; SVG, no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.score import baselines
from app.score.scenarios import Run, asked, figures
from core.clock import HOUR_US, MINUTE_US, to_datetime
from gis.city import City

Floats = NDArray[np.float64]
#: What was done, what was said, what stands under water, what only surrounds it.
DONE, SAID, WATER, QUIET = "#c2410c", "#1d4ed8", "#38bdf8", "#64748b"
STYLE = f"""
body{{font:14px/1.5 system-ui,sans-serif;margin:24px auto;max-width:1120px;padding:0 16px;color:#0f172a}}
h1{{font-size:24px;margin:0}}h2{{font-size:16px;margin:32px 0 8px}}p{{margin:4px 0;color:{QUIET}}}
table{{border-collapse:collapse;width:100%}}small{{color:{QUIET}}}
td,th{{border-bottom:1px solid #e2e8f0;padding:4px 8px;text-align:left;font-variant-numeric:tabular-nums}}
th{{font-weight:600;color:#334155}}
.good{{color:#15803d;font-weight:600}}.bad{{color:#b91c1c;font-weight:600}}
svg{{background:#f8fafc;border:1px solid #e2e8f0;border-radius:6px;display:block}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:8px;margin:16px 0}}
.tile{{border:1px solid #e2e8f0;border-radius:6px;padding:8px 12px}}.tile b{{display:block;font-size:20px}}
.charts{{display:grid;grid-template-columns:1fr 1fr;gap:12px}}.charts svg{{width:100%}}
.key{{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 12px}}
"""
MOST_CURVES, MOST_DRAWN = 12, 4
WIDE = 1088.0
#: Figures that everybody looks at first: name, what it is called, its unit.
TILES = (
    ("recall", "recall", ""), ("precision", "precision", ""), ("delay_p50_s", "delay, median", "s"),
    ("localisation_p50_m", "off by, median", "m"), ("cause_top1", "cause named first", ""),
    ("b3f", "grouping, B³-F", ""), ("operator_alarms_10min", "busiest 10 min", "alarms"),
    ("dispatch_p90_s", "crew there, 90 %", "s"),
    ("kept", "readings kept", ""), ("cpu_s_per_1000_readings", "CPU a 1 000 readings", "s"),
)  # fmt: skip


def page(run: Run, city: City, zone: ZoneInfo) -> str:
    """The page of a run; times are local."""
    scenario, found = run.scenario, figures(run)
    clock = _Clock(run, zone)
    begun = to_datetime(run.world.begun_us).astimezone(zone)
    about = f"seed {run.seed} · {begun:%d %b %Y %H:%M} · {_span(scenario.lasts)}"
    parts = [
        f"<h1>{escape(scenario.key)}</h1><p>{escape(about)}</p>",
        _tiles(found),
        "<h2>Expected and said</h2>", _expected(run, clock), _asked(run, found),
        "<h2>Map</h2>", _map(run, city), _keys(),
        "<h2>Time line</h2>", _timeline(run, clock),
        "<h2>What was measured where alerts were raised</h2>", _curves(run, clock),
        "<h2>Figures, ours and of public methods on the same alerts</h2>", _compared(found),
        "<h2>Hardware that failed</h2>", _faults(run, clock),
    ]  # fmt: skip
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(scenario.key)}</title><style>{STYLE}</style>'
    return head + "\n".join(parts) + "\n"


class _Clock:
    """Times of a run as places on an axis and as people read them."""

    def __init__(self, run: Run, zone: ZoneInfo) -> None:
        self._zone = zone
        self.begun_us, self.ends_us = run.world.begun_us, run.world.ends_us

    def x(self, time_us: float, left: float, width: float) -> float:
        share = (time_us - self.begun_us) / (self.ends_us - self.begun_us)
        return left + width * min(max(share, 0.0), 1.0)

    def told(self, time_us: int) -> str:
        days = self.ends_us - self.begun_us > 36 * HOUR_US
        return f"{to_datetime(time_us).astimezone(self._zone):{'%d %b %H:%M' if days else '%H:%M:%S'}}"

    def axis(self, left: float, width: float, height: float) -> str:
        """About six lines at whole steps, with their times under them."""
        span = self.ends_us - self.begun_us
        steps = [5, 10, 15, 30, 60, 120, 240, 720, 1440, 2880, 7200]
        step = next((each for each in steps if span / (each * MINUTE_US) <= 7), steps[-1]) * MINUTE_US
        days = span > 36 * HOUR_US
        lines = []
        offset = to_datetime(self.begun_us).astimezone(self._zone).utcoffset()
        shift = round(offset.total_seconds() * 1e6) if offset else 0
        for at in range(-(-(self.begun_us + shift) // step) * step - shift, self.ends_us, step):
            x = self.x(at, left, width)
            label = f"{to_datetime(at).astimezone(self._zone):{'%d %b' if days else '%H:%M'}}"
            lines.append(
                f'<path d="M{x:.1f} 0V{height - 14:.0f}" stroke="#e2e8f0"/>'
                f'<text x="{x:.1f}" y="{height - 3:.0f}" font-size="10" text-anchor="middle" fill="{QUIET}">'
                f"{label}</text>"
            )
        return "".join(lines)


def _span(seconds: float) -> str:
    return f"{seconds / 86_400:.3g} d" if seconds > 36 * 3600 else f"{seconds / 3600:.3g} h"


def _shown(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.2f}"


def _tiles(found: Mapping[str, float]) -> str:
    tiles = (
        f'<div class="tile"><small>{name}</small><b>{_shown(found[key])} <small>{unit}</small></b></div>'
        for key, name, unit in TILES
    )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(rows: Iterable[Sequence[object]], head: Sequence[str], empty: str = "nothing") -> str:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"<td>{_shown(value)}</td>"
        mark = {"found": "good", "yes": "good", "missed": "bad", "false": "bad", "no": "bad"}.get(
            str(value), ""
        )
        return f'<td class="{mark}">{escape(str(value))}</td>'

    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    if not body:
        return f"<p>{empty}</p>"
    return f"<table><tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr>{body}</table>"


def _expected(run: Run, clock: _Clock) -> str:
    rows: list[Sequence[object]] = []
    for match in run.ours.matches:
        said = match.said
        late = f"{match.delay_s:,.0f} s of {match.expected.within:,.0f} s" if said else ""
        off = f"{match.off_m:,.0f} m" if said and match.spot.asset else ""
        rank = str(match.cause_rank() or "not named") if said else ""
        types = " or ".join(match.expected.types)
        rows.append((match.expected.cause, types, "found" if said else "missed", late, off, rank))
    rows += [("–", said.type, "false", clock.told(said.opened_us), said.zone, "") for said in run.ours.false]
    head = ("cause", "type", "verdict", "delay", "off by", "place of the true cause")
    return _table(rows, head, "Nothing was to be said, and nothing was.")


def _asked(run: Run, found: Mapping[str, float]) -> str:
    rows = [(name, _shown(found[name]), "yes" if met else "no") for name, met in asked(run, found).items()]
    return "<h2>What the scenario asks</h2>" + _table(rows, ("figure", "reached", "as asked"))


def _map(run: Run, city: City) -> str:
    """Streets, devices, water, causes (crosses) and incidents (rings)."""
    west, south, east, north = city.bounds
    height = WIDE * (north - south) / (east - west) / math.cos(math.radians((north + south) / 2))

    def at(lon: float, lat: float) -> tuple[float, float]:
        return (lon - west) / (east - west) * WIDE, (north - lat) / (north - south) * height

    lines = []
    for row in range(len(city.base.streets)):
        line = city.plane.lonlats(city.base.streets.lines[row]).tolist()
        points = " ".join(f"{x:.0f},{y:.0f}" for x, y in (at(*each) for each in line))
        lines.append(f'<polyline points="{points}" fill="none" stroke="#cbd5e1"/>')
    size = 10.0 / 95_200 / (east - west) * WIDE
    for lon, lat, depth in run.world.roads.flooded:
        x, y = at(lon, lat)
        lines.append(
            f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:.1f}" height="{2 * size:.1f}" '
            f'fill="{WATER}" opacity="{min(1.0, 0.4 + depth):.1f}"/>'
        )
    for device in run.world.devices:
        x, y = at(device.spot.lon, device.spot.lat)
        lines.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2.2" fill="{QUIET}"/>')
    for told in run.world.told.values():
        if told.spot.asset:
            x, y = at(told.spot.lon, told.spot.lat)
            lines.append(
                f'<path d="M{x - 7:.0f} {y - 7:.0f}l14 14m0-14l-14 14" stroke="{DONE}" stroke-width="3"/>'
                + _label(x + 18, y - 8, told.name, DONE)
            )
    for said in run.live_incidents:
        x, y = at(said.lon, said.lat)
        lines.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="13" fill="none" stroke="{SAID}" stroke-width="3"/>'
            + _label(x + 18, y + 14, said.type, SAID)
        )
    return f'<svg viewBox="0 0 {WIDE:.0f} {height:.0f}">{"".join(lines)}</svg>'


def _label(x: float, y: float, words: str, colour: str) -> str:
    halo = 'stroke="#f8fafc" stroke-width="4" paint-order="stroke"'
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="13" fill="{colour}" {halo}>{escape(words)}</text>'


def _keys() -> str:
    keys = (
        (DONE, "what was done"),
        (SAID, "what was said"),
        (WATER, "15 cm of water and more"),
        (QUIET, "a device"),
    )
    return "<p>" + "".join(f'<span class="key" style="background:{c}"></span>{w}' for c, w in keys) + "</p>"


def _timeline(run: Run, clock: _Clock) -> str:
    """A row an action, a row an incident, a tick an alert."""
    left, width, ends = 190.0, WIDE - 200, run.world.ends_us
    rows = [(told.name, told.from_us, told.until_us or ends, DONE) for told in run.world.told.values()]
    rows += [(said.type, said.opened_us, said.resolved_us or ends, SAID) for said in run.live_incidents]
    bottom = 10 + 20 * len(rows)
    shapes = [clock.axis(left, width, bottom + 36)]
    for number, (name, from_us, to_us, colour) in enumerate(rows):
        y, x = 12 + 20 * number, clock.x(from_us, left, width)
        long = max(clock.x(to_us, left, width) - x, 2.0)
        shapes.append(
            f'<text x="8" y="{y + 5}" font-size="12">{escape(name[:28])}</text>'
            f'<rect x="{x:.1f}" y="{y - 5}" height="10" width="{long:.1f}" fill="{colour}" rx="2"/>'
        )
    for row in run.product.alerts.values():
        at = clock.x(int(row["raised_us"]), left, width)
        shapes.append(f'<path d="M{at:.1f} {bottom}v14" stroke="{QUIET}"/>')
    shapes.append(f'<text x="8" y="{bottom + 12}" font-size="12">alerts</text>')
    return f'<svg viewBox="0 0 {WIDE:.0f} {bottom + 36}">{"".join(shapes)}</svg>'


def _subjects(run: Run) -> list[str]:
    """Points that raised alerts and said anything: one of each sort first, then the others in order of time."""
    raised = dict.fromkeys(str(row["subject"]) for row in run.product.alerts.values())
    said = [subject for subject in raised if len(run.heard.get(subject, ())) > 1]
    sort = {subject: (subject[:5], subject.rpartition("/")[2]) for subject in said}
    first = {sort[subject]: subject for subject in reversed(said)}
    return sorted(said, key=lambda subject: first[sort[subject]] != subject)


def _curves(run: Run, clock: _Clock) -> str:
    charts = [
        f"<div><small>{escape(subject)}</small>{_svg(_chart(run, subject, clock, 530, 110), 530, 110)}</div>"
        for subject in _subjects(run)[:MOST_CURVES]
    ]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else "<p>No alert was raised.</p>"


def _svg(inside: str, width: float, height: float) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}">{inside}</svg>'


def _chart(run: Run, subject: str, clock: _Clock, width: float, height: float) -> str:
    """One curve over the whole run, with what was done and what was said."""
    time_us, value = np.array(sorted(run.heard[subject])).T
    left, span = 46.0, width - 56
    low, high = float(value.min()), float(value.max())
    y = height - 24 - (height - 36) * (value - low) / (high - low or 1.0)
    step = max(1, len(y) // 1500)
    points = " ".join(
        f"{clock.x(at, left, span):.1f},{b:.1f}" for at, b in zip(time_us[::step], y[::step], strict=True)
    )
    marks = [(told.from_us, DONE) for told in run.world.told.values()]
    marks += [(said.opened_us, SAID) for said in run.live_incidents]
    lines = "".join(
        f'<path d="M{clock.x(at, left, span):.1f} 6V{height - 16:.0f}" stroke="{colour}" opacity=".55"/>'
        for at, colour in marks
    )
    return (
        clock.axis(left, span, height) + lines
        + f'<text x="40" y="16" font-size="10" text-anchor="end" fill="{QUIET}">{high:.4g}</text>'
        f'<text x="40" y="{height - 22:.0f}" font-size="10" text-anchor="end" fill="{QUIET}">{low:.4g}</text>'
        f'<polyline points="{points}" fill="none" stroke="#0f172a" stroke-width="1.4"/>'
    )  # fmt: skip


def _compared(found: Mapping[str, float]) -> str:
    """Figures by name, a column for us and each public method."""
    prefixes = tuple(f"{name}_" for name in baselines.BASELINES)
    ours = [name for name in found if not name.startswith(prefixes)]
    rows = [(name, found[name], *(found.get(prefix + name, "") for prefix in prefixes)) for name in ours]
    return _table(rows, ("figure", "ours", *baselines.BASELINES))


def _faults(run: Run, clock: _Clock) -> str:
    rows = [
        (
            label.device,
            label.kind,
            clock.told(label.from_us),
            clock.told(label.to_us) if label.to_us else "the end",
        )
        for label in run.world.labels
    ]
    return _table(rows, ("device", "fault", "from", "until"), "None was made to fail.")


def picture(run: Run, zone: ZoneInfo) -> str:
    """One SVG of its own: what the first points that raised alerts said, what was done, and what was said of it."""
    clock, rows = _Clock(run, zone), _subjects(run)[:MOST_DRAWN]
    height = 120 * len(rows) + 24
    charts = [
        f'<g transform="translate(0 {120 * number + 20})"><text x="46" y="-4" font-size="12" fill="#334155">'
        f"{escape(subject)}</text>{_chart(run, subject, clock, WIDE, 100)}</g>"
        for number, subject in enumerate(rows)
    ]
    names = [(told.from_us, told.name, DONE) for told in run.world.told.values()]
    names += [(said.opened_us, said.type, SAID) for said in run.live_incidents]
    words = "  ".join(
        f'<tspan fill="{colour}">{clock.told(at)} {escape(name)}</tspan>'
        for at, name, colour in sorted(names)[:9]
    )
    size = f'width="{WIDE:.0f}" height="{height}" viewBox="0 0 {WIDE:.0f} {height}" font-family="sans-serif"'
    paper = f'<rect width="{WIDE:.0f}" height="{height}" fill="#fff"/>'
    foot = f'<text x="46" y="{height - 6}" font-size="11" xml:space="preserve">{words}</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{paper}{"".join(charts)}{foot}</svg>\n'
