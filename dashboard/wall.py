"""The wall: its declaration (`wall.yaml`) and its frame, zones with nothing in them.

`assets/wall/main.mjs` fills the zones from the live feed. They are empty leaves, so that React never touches what the
module draws; while they are empty CSS shows blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from dash import html
from dash.development.base_component import Component
from pydantic import ConfigDict, Field

from core import yamlfile
from core.schema import Declared, Key, Span
from core.text import Texts

Hour = Annotated[int, Field(ge=0, le=23)]


class Scene(Declared):
    """What the wall looks at: domains whose vital signs come first, networks that the map shows."""

    key: Key
    domains: list[Key] = []
    networks: list[str] = []


class Step(Declared):
    """One caption of the guided tour."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    key: Key
    scene: Key
    lasts: Annotated[Span, Field(alias="for")]


class Care(Declared):
    """How the panel is spared."""

    shift_every: Span
    dim_from: Hour
    dim_to: Hour
    reload_at: Hour


class Profile(Declared):
    """A wall as it hangs: its visible width, how far its farthest reader sits, bezels that no text may cross."""

    width_mm: Annotated[float, Field(gt=0)]
    farthest_reader_m: Annotated[float, Field(gt=0)]
    #: Middles of the vertical bezels, from the left edge of the picture.
    seams_mm: list[Annotated[float, Field(gt=0)]] = []
    sound: bool = False


class WallDecl(Declared):
    """`wall.yaml`."""

    scenes: Annotated[list[Scene], Field(min_length=1)]
    rotate: Span
    tour: list[Step]
    care: Care
    profiles: dict[Key, Profile] = {}
    #: The number under which the map may be shown (审图号); empty while there is none.
    approval: str = ""


def load(path: Path | None = None) -> WallDecl:
    """Read `wall.yaml`. Raises `core.yamlfile.Mistakes`."""
    path = path or Path(__file__).with_name("wall.yaml")
    return yamlfile.parse(yamlfile.read(path, path.name), WallDecl)


def layout(texts: Texts, language: str) -> Component:
    """The page `/wall`: top · left, centre, right · foot."""
    words = {f"data-{name}": texts(f"wall.{name}", language) for name in ("loading", "broken")}

    def zone(name: str) -> Component:
        attributes: dict[str, Any] = {"data-zone": name, **words}
        return html.Div(id=name, **attributes)

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
            html.Aside([zone("video"), zone("steps")], className="beyond"),
            html.Aside(
                [zone(name) for name in ("counters", "stream", "dispatch", "resources")], className="right"
            ),
            zone("foot"),
            zone("over"),
        ],
    )


def setup(
    decl: WallDecl,
    *,
    city: dict[str, str],
    timezone: str,
    base_map: Mapping[str, object] | None,
) -> dict[str, object]:
    """What the browser must know before it draws (`GET /api/v1/wall`)."""
    return {
        "city": city,
        "timezone": timezone,
        "map": base_map,
        "profiles": {name: profile.model_dump() for name, profile in decl.profiles.items()},
        "scenes": [scene.model_dump() for scene in decl.scenes],
        "rotate_s": decl.rotate,
        "approval": decl.approval,
        "tour": [{"key": step.key, "scene": step.scene, "lasts_s": step.lasts} for step in decl.tour],
        "care": {
            "shift_every_s": decl.care.shift_every,
            "dim_from": decl.care.dim_from,
            "dim_to": decl.care.dim_to,
            "reload_at": decl.care.reload_at,
        },
    }
