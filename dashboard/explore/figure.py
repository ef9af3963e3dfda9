"""The Plotly figure of the analysis page: one panel a unit, one line a point, the range of each roll-up behind it.

Pure. Colours come from the theme's template; `words` are the texts that the figure shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL
from core.clock import to_datetime
from dashboard.explore.source import Line
from dashboard.theme import Palette, Shade, Theme, plotly_template

#: A hole in a line: no reading for so many usual steps.
HOLE_STEPS = 3.5
#: Space between panels, as a share of the height.
BETWEEN = 0.06
#: Where the stamp stands below the axis: under its two lines of times, apart from the legend above.
STAMP_PX = 36
DASHES = ("solid", "dash", "dot")
#: Units that nobody says.
BARE = frozenset({"1", "count"})


@dataclass(frozen=True, slots=True)
class Paper:
    """What a figure is drawn on: its time, its language, its colours, and what is printed at its foot."""

    begin_us: int
    end_us: int
    zone: tzinfo
    theme: Theme
    words: Mapping[str, str]
    stamp: str
    marked_us: int | None = None
    shade: Shade = "dark"

    @property
    def colours(self) -> Palette:
        return self.theme.palette(self.shade)


def figure(lines: Sequence[Line], paper: Paper) -> dict[str, Any]:
    """A Plotly figure as JSON."""
    units = list(dict.fromkeys(line.point.channel.decl.unit for line in lines))
    data = [
        trace
        for number, line in enumerate(lines)
        for trace in traces(line, number, units.index(line.point.channel.decl.unit), paper, alone=len(lines) == 1)
    ]  # fmt: skip
    return {"data": data, "layout": layout(units, paper)}


def layout(units: Sequence[str], paper: Paper) -> dict[str, Any]:
    found = plotly_template(paper.theme, paper.shade)["layout"]
    across = {
        "type": "date", "range": [local_iso(paper.begin_us, paper.zone), local_iso(paper.end_us, paper.zone)],
        "anchor": axis_name("y", max(len(units) - 1, 0)), "domain": [0, 1],
        "tickformatstops": [
            {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
            {"dtickrange": [60_000, 86_399_999], "value": "%H:%M\n%m-%d"},
            {"dtickrange": [86_400_000, None], "value": "%m-%d\n%Y"},
        ],
    }  # fmt: skip
    axes: dict[str, Any] = {"xaxis": {**found["xaxis"], **across}}
    notes = [note(paper.stamp, paper, x=1, y=0, yshift=-STAMP_PX, xanchor="right", yanchor="top")]
    high = (1 - BETWEEN * (len(units) - 1)) / max(len(units), 1)
    for number, unit in enumerate(units):
        top = 1 - number * (high + BETWEEN)
        notes.append(note("" if unit in BARE else unit, paper, x=0, y=top, xanchor="right", yanchor="bottom"))
        domain = [max(0.0, top - high), top]
        axes[axis_name("yaxis", number)] = {
            **found["yaxis"], "domain": domain, "fixedrange": True, "automargin": True,
        }  # fmt: skip
    shapes = []
    if paper.marked_us is not None:
        at = local_iso(paper.marked_us, paper.zone)
        line = {"color": paper.colours.accent, "width": 1}
        shapes.append({"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line})
    if not units:
        notes.append(note(paper.words["empty"], paper, x=0.5, y=0.5, size=16))
        axes["yaxis"] = {**found["yaxis"], "visible": False}
    return {
        **found,
        **axes,
        "annotations": notes,
        "shapes": shapes,
        "margin": {**found["margin"], "b": STAMP_PX + 22},
        "hovermode": "x unified",
        "dragmode": "zoom",
    }


def note(text: str, paper: Paper, size: int = 12, **place: object) -> dict[str, Any]:
    font = {"size": size, "color": paper.colours.t3}
    return {"text": text, "xref": "paper", "yref": "paper", "showarrow": False, "font": font, **place}


def traces(line: Line, number: int, panel: int, paper: Paper, *, alone: bool) -> list[dict[str, Any]]:
    """The range of the roll-up (of a line that stands alone), the line, and what is doubtful on it."""
    series, colours = line.series, paper.colours.series
    colour = colours[number % len(colours)]
    x, holes = times(series.time_us, paper.zone)
    y_axis = axis_name("y", panel)
    found: list[dict[str, Any]] = []
    if alone and series.low is not None and series.high is not None:
        edge = {
            "mode": "lines",
            "line": {"width": 0},
            "x": x,
            "yaxis": y_axis,
            "showlegend": False,
            "hoverinfo": "skip",
        }
        band = {"fill": "tonexty", "fillcolor": paper.colours.band, "connectgaps": False}
        found += [{**edge, "y": column(series.low, holes)}, {**edge, **band, "y": column(series.high, holes)}]
    found.append(
        {
            "x": x, "y": column(series.value, holes), "yaxis": y_axis, "name": line.point.label, "mode": "lines",
            "line": {"color": colour, "width": 1.6, "dash": DASHES[number // len(colours) % len(DASHES)]},
            "hovertemplate": f"%{{y:.4~g}} {unit_of(line)}",
        }
    )  # fmt: skip
    if series.quality is not None:
        doubt = (series.quality & int(DOUBTFUL)) != 0
        if doubt.any():
            found.append(
                {
                    "x": times(series.time_us[doubt], paper.zone, whole=True)[0], "y": series.value[doubt].tolist(),
                    "yaxis": y_axis, "mode": "markers", "name": paper.words["doubtful"],
                    "marker": {"symbol": "circle-open", "color": paper.colours.stale, "size": 7},
                }
            )  # fmt: skip
    return found


def unit_of(line: Line) -> str:
    unit = line.point.channel.decl.unit
    return "" if unit in BARE else unit


def axis_name(axis: str, number: int) -> str:
    return axis if number == 0 else f"{axis}{number + 1}"


def times(
    time_us: NDArray[np.int64], zone: tzinfo, *, whole: bool = False
) -> tuple[list[str], NDArray[np.int64]]:
    """Times as the city's clock showed them, and the places where the line breaks because nothing was heard."""
    if not len(time_us):
        return [], np.empty(0, np.int64)
    shift = np.array([offset_us(int(us), zone) for us in (time_us[0], time_us[-1])])
    moved = time_us + (
        shift[0] if shift[0] == shift[1] else np.array([offset_us(int(us), zone) for us in time_us])
    )
    steps = np.diff(time_us)
    holes = np.empty(0, np.int64)
    if len(steps) > 2 and not whole:
        holes = np.flatnonzero(steps > HOLE_STEPS * np.median(steps)) + 1
    shown_us = np.insert(moved, holes, moved[holes] - 1) if len(holes) else moved
    return np.datetime_as_string(shown_us.astype("datetime64[us]"), unit="ms").tolist(), holes


def offset_us(us: int, zone: tzinfo) -> int:
    offset = to_datetime(us).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1_000_000)


def column(values: NDArray[np.float64], holes: NDArray[np.int64]) -> list[float | None]:
    rows: list[float | None] = values.tolist()
    for hole in reversed(holes.tolist()):
        rows.insert(hole, None)
    return rows


def local_iso(us: int, zone: tzinfo) -> str:
    return to_datetime(us).astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
