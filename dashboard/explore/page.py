"""The Dash page `/explore`: its frame, and the callback behind it. The address is the only state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dash
import psycopg
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from psycopg_pool import PoolTimeout

from core.actor import Actor
from core.errors import Unavailable
from core.text import Texts
from dashboard.explore.figure import BARE, Paper, figure
from dashboard.explore.source import ACTION, Explorer, Line
from dashboard.explore.view import MOST_POINTS, SPANS, View, bucket_of, instant, local, shown
from dashboard.theme import Theme

AWAY = (psycopg.OperationalError, PoolTimeout, Unavailable)
#: Words of the list of points.
LIST = (
    "select_all",
    "deselect_all",
    "selected_count",
    "search",
    "clear_search",
    "clear_selection",
    "no_options_found",
)
#: What the browser's zoom says of the axis of time.
ZOOM = ("xaxis.range[0]", "xaxis.range[1]")
DRAWN = [
    Output("explore-address", "search"), Output("explore-chart", "figure"), Output("explore-facts", "children"),
    Output("explore-points", "value"), Output("explore-span", "value"), Output("explore-from", "value"),
    Output("explore-to", "value"), Output("explore-csv", "href"), Output("explore-points", "options"),
]  # fmt: skip
#: Callback id → the policy action that whoever triggers it needs.
CALLBACKS: Mapping[str, str] = {
    "..{}..".format("...".join(f"{each.component_id}.{each.component_property}" for each in DRAWN)): ACTION,
}


def layout(texts: Texts, language: str) -> Component:
    """The frame: what is asked, the lines, their figures, the map over time."""

    def word(key: str, **values: object) -> str:
        return texts(f"explore.{key}", language, **values)

    heading = html.Header(
        [
            html.H1(texts("page.explore", language)),
            html.Nav(
                [html.A(texts(f"page.{page}", language), href=f"/{page}") for page in ("console", "wall")]
            ),
            html.A(texts("explore.language", language), id="explore-language", href="?"),
        ]
    )
    labels: Any = {key: word(f"list.{key}") for key in LIST}
    points = dcc.Dropdown(
        id="explore-points", multi=True, value=[], options=[], placeholder=word("seek", n=MOST_POINTS),
        search_value="", closeOnSelect=False, debounce=True,
        labels=labels,
    )  # fmt: skip
    span = dcc.RadioItems(
        id="explore-span",
        inline=True,
        options=[{"value": span, "label": word(f"spans.{span}")} for span in SPANS],
    )
    times = {name: dcc.Input(id=f"explore-{name}", type="text", debounce=True) for name in ("from", "to")}
    leaves = html.Div(
        [
            html.A(word("csv"), id="explore-csv", className="button"),
            html.Button(word("png"), id="explore-png"),
            html.Button(word("link"), id="explore-link"),
        ],
        className="actions",
    )
    fields = {"points": points, "span": span, **times}
    named = [_field(name, word(name), component) for name, component in fields.items()]
    config: dcc.Graph.Config = {"displayModeBar": False, "doubleClick": "reset"}
    chart = dcc.Graph(id="explore-chart", responsive=True, config=config)
    parts = [
        html.Section([*named, leaves], className="asked", **_named(word("asked"))),
        chart,
        html.Section(id="explore-facts", **_named(word("facts"))),
        html.Section(id="explore-then", **_named(word("then"))),
    ]
    return html.Div(
        [dcc.Location(id="explore-address", refresh=False), heading, html.Main(parts)],
        id="explore",
        lang="zh-CN" if language == "zh" else "en",
    )


def _named(label: str) -> dict[str, Any]:
    return {"aria-label": label}


def _field(id_: str, label: str, component: Component) -> Component:
    """A control under its name: a text has a label, what consists of several is a group."""
    words = html.Span(label, id=f"{id_}-label")
    if isinstance(component, dcc.Input):
        return html.Label([words, component], className="field")
    named: dict[str, Any] = {"aria-labelledby": f"{id_}-label"}
    return html.Div([words, component], className="field", role="group", **named)


def register(app: Dash, explorer: Explorer, theme: Theme) -> None:
    """Wire the callback. It asks the policy for the person behind the request."""

    def actor() -> Actor:
        found = app.backend.request_adapter().context.actor
        assert isinstance(found, Actor)
        explorer.policy.require(found, ACTION)
        return found

    async def turn(  # noqa: PLR0913, PLR0917 - one argument a control
        search: str | None, points: list[str], sought: str, span: str, begin: str, end: str,
        zoom: dict[str, Any] | None, lang: str,
    ) -> list[object]:  # fmt: skip
        asking, language = actor(), "zh" if lang.startswith("zh") else "en"
        same: list[object] = [dash.no_update] * len(DRAWN)
        if search is None:  # the address is not read yet
            return same
        before = view = View.of(search)
        match dash.ctx.triggered_id, dash.ctx.triggered_prop_ids:
            case "explore-points", {"explore-points.search_value": _}:
                return [*same[:-1], offered(explorer, asking, sought or "", view, language)]
            case "explore-points", _:
                view = view.comparing(points or ())
            case "explore-span", _ if span:
                view = view.ending_now(span)
            case (("explore-from" | "explore-to"), _):
                view = between(view, begin, end, explorer)
            case "explore-chart", _:
                view = zoomed(view, zoom or {}, explorer)
        if dash.ctx.triggered_id != "explore-address" and view == before:
            return same
        found = await drawn(explorer, theme, asking, view, language)
        return [dash.no_update if view == before else view.search, *found]

    app.callback(
        DRAWN, Input("explore-address", "search"), Input("explore-points", "value"),
        Input("explore-points", "search_value"), Input("explore-span", "value"), Input("explore-from", "value"),
        Input("explore-to", "value"), Input("explore-chart", "relayoutData"), State("explore", "lang"),
    )(turn)  # fmt: skip


def offered(explorer: Explorer, actor: Actor, sought: str, view: View, language: str) -> list[dict[str, str]]:
    """What the list of points offers: those chosen, and those whose names hold the words sought."""
    kept = [point for key in view.points if (point := explorer.point(actor, key, language))]
    found = {point.key: point for point in [*kept, *explorer.points(actor, sought, language)]}
    return [
        {"value": key, "label": point.label, "search": f"{point.label} {key} {sought}"}
        for key, point in found.items()
    ]


def between(view: View, begin: str, end: str, explorer: Explorer) -> View:
    """The view between two times as people typed them; as it was when they cannot be read."""
    first, last = local(begin or "", explorer.zone), local(end or "", explorer.zone)
    return view if first is None or last is None else view.fixed(first, last)


def zoomed(view: View, zoom: Mapping[str, Any], explorer: Explorer) -> View:
    """The view between the edges that were drawn on the chart; a double click goes back to the span."""
    if zoom.get("xaxis.autorange"):
        return view.ending_now(view.span)
    first, last = (local(str(zoom.get(edge, "")), explorer.zone) for edge in ZOOM)
    return (
        view
        if first is None or last is None
        else view.fixed(first // 1_000_000 * 1_000_000, last // 1_000_000 * 1_000_000)
    )


async def drawn(explorer: Explorer, theme: Theme, actor: Actor, view: View, language: str) -> list[object]:
    """What the page shows of a view, in the order of `DRAWN` without the address."""
    texts, zone, now_us = explorer.texts, explorer.zone, explorer.clock.now_us()
    begin_us, end_us = view.between_us(now_us)
    words = {key: texts(f"explore.{key}", language) for key in ("empty", "doubtful", "away", "unknown")}
    lines: list[Line] = []
    try:
        lines = await explorer.lines(actor, view, language)
        if view.points and not lines:
            words["empty"] = words["unknown"]
    except AWAY:
        words["empty"] = words["away"]
    bucket = texts(f"explore.bucket.{bucket_of(begin_us, end_us)}", language)
    kinds = sorted({line.point.device.provenance for line in lines} - {"real"})
    told = [explorer.city[language], bucket]
    if kinds:
        what = " + ".join(texts(f"provenance.{kind}", language) for kind in kinds)
        told.append(texts("explore.source", language, what=what))
    rest = dict(view.rest)
    paper = Paper(
        begin_us, end_us, zone, theme, words,
        " · ".join([*told, shown(now_us, zone)]),
        instant(rest.get("at", "")), "light" if rest.get("theme") == "light" else "dark",
    )  # fmt: skip
    fixed = replace(view, begin_us=begin_us, end_us=end_us)
    return [
        figure(lines, paper), facts(lines, paper, texts, language),
        [line.point.key for line in lines] or list(view.points),
        None if view.begin_us is not None else view.span, shown(begin_us, zone), shown(end_us, zone),
        f"/api/v1/explore/csv{fixed.search}" if lines else "", offered(explorer, actor, "", view, language),
    ]  # fmt: skip


def facts(lines: list[Line], paper: Paper, texts: Texts, language: str) -> Component | None:
    """A row a line: how many readings, least, mean, most, and the last."""
    if not lines:
        return None
    heads = [
        texts(f"explore.col.{key}", language) for key in ("point", "n", "low", "mean", "high", "last", "at")
    ]
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(head, scope="col") for head in heads])),
            html.Tbody([row(n, line, paper) for n, line in enumerate(lines)]),
        ]
    )


def row(number: int, line: Line, paper: Paper) -> Component:
    series, unit = line.series, line.point.channel.decl.unit
    mark = html.I(style={"background": f"var(--series-{number % len(paper.colours.series)})"})
    name = html.Th([mark, line.point.label, html.Small(line.point.key)], scope="row")
    if not len(series):
        return html.Tr([name, html.Td("0"), *[html.Td("—") for _ in range(5)]])
    count = int(series.n.sum()) if series.n is not None else len(series)
    low = series.low if series.low is not None else series.value
    high = series.high if series.high is not None else series.value
    # every step counts alike, however often the point spoke in it
    said = [float(low.min()), float(series.value.mean()), float(high.max()), float(series.value[-1])]
    shown_unit = "" if unit in BARE else f" {unit}"
    cells = [
        f"{count:,}",
        *[f"{value:.4g}{shown_unit}".replace("-", "−") for value in said],
        shown(int(series.time_us[-1]), paper.zone),
    ]
    return html.Tr([name, *[html.Td(cell, className="n") for cell in cells]])
