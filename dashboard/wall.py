"""The frame of the wall: its zones and nothing in them. `static/wall/main.mjs` fills them from the live feed.

Zones are empty leaves, so that React never touches what the module draws; while they are empty CSS shows blocks.
"""

from __future__ import annotations

from typing import Any, Literal

from dash import html
from dash.development.base_component import Component

from core.text import Texts

Density = Literal["full", "half", "few"]


def layout(texts: Texts, language: str, density: Density = "full") -> Component:
    """The page `/wall`: top · left, centre, right · foot."""
    loading = texts("wall.loading", language)

    def zone(name: str) -> Component:
        attributes: dict[str, Any] = {"data-zone": name, "data-loading": loading}
        return html.Div(id=name, **attributes)

    dense: dict[str, Any] = {"data-density": density}

    return html.Div(
        id="wall",
        lang="zh-CN" if language == "zh" else "en",
        children=[
            html.Header([zone("brand"), zone("posture"), zone("weather"), zone("clock")], className="top"),
            html.Div([zone("vitals")], id="left"),
            html.Main(
                [
                    zone("kpis"),
                    html.Div(
                        [zone("map"), zone("leader"), zone("card"), zone("legend")],
                        id="map-zone",
                        className="map-zone",
                    ),
                    zone("trends"),
                ],
                className="centre",
            ),
            html.Aside(
                [zone(name) for name in ("counters", "stream", "dispatch", "resources")], className="right"
            ),
            zone("foot"),
        ],
        **dense,
    )
