"""The one theme: `theme.yaml` read and checked, and everything that is made from it.

CSS variables for our pages, tokens for the MapLibre style, a template for Plotly. Nothing else names a colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from core import yamlfile
from core.schema import Declared

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-F]{6}([0-9A-F]{2})?$")]
Rem = Annotated[float, Field(gt=0)]
Shade = Literal["dark", "light"]


class Palette(Declared):
    """The colours of one shade; what each is for stands in `theme.yaml`."""

    bg: Colour
    surface: Colour
    raised: Colour
    line: Colour
    t1: Colour
    t2: Colour
    t3: Colour
    normal: Colour
    trace: Colour
    band: Colour
    accent: Colour
    accent_ink: Colour
    l1: Colour
    l2: Colour
    l3: Colour
    l4: Colour
    ink: Colour
    stale: Colour
    stale_fill: Colour
    on_stale: Colour
    #: The least value of a scale; from it by `accent` to `t1`.
    scale_low: Colour
    #: Lines that are compared: none has the hue of a level.
    series: Annotated[list[Colour], Field(min_length=4)]


class MapPalette(Declared):
    """The colours of the base map, by the names of `gis.style`, and of what is drawn over it."""

    ground: Colour
    land: Colour
    park: Colour
    water: Colour
    shore: Colour
    road_path: Colour
    road_minor: Colour
    road_middle: Colour
    road_major: Colour
    road_ring: Colour
    rail: Colour
    district: Colour
    site: Colour
    building_0: Colour
    building_1: Colour
    building_2: Colour
    building_3: Colour
    label: Colour
    label_dim: Colour
    halo: Colour
    supply: Colour
    drainage: Colour
    gas: Colour
    fitting: Colour
    facility: Colour
    sensor: Colour
    flood: Colour
    flood_edge: Colour
    plume: Colour
    pipe_hit: Colour


class Maps(Declared):
    dark: MapPalette
    light: MapPalette


class Canvas(Declared):
    width_px: int
    height_px: int
    width_rem: int
    height_rem: int


class Theme(Declared):
    """Everything of `theme.yaml`. `type` and `space` are rem of the wall's canvas."""

    dark: Palette
    light: Palette
    map: Maps
    canvas: Canvas
    type: dict[str, Rem]
    space: dict[str, Rem]
    fonts: dict[str, str]

    def palette(self, shade: Shade) -> Palette:
        return self.light if shade == "light" else self.dark

    def map_tokens(self, shade: Shade = "dark") -> dict[str, str]:
        """Colour tokens of the base map by name, for the MapLibre style."""
        return (self.map.light if shade == "light" else self.map.dark).model_dump()


def load(path: Path | None = None) -> Theme:
    """Read the theme. Raises `core.yamlfile.Mistakes`."""
    path = path or Path(__file__).with_name("theme.yaml")
    return yamlfile.parse(yamlfile.read(path, path.name), Theme)


def css(theme: Theme) -> str:
    """The theme as CSS custom properties: dark by default, light where `data-theme` asks and on paper."""
    sizes = [f"--type-{name}: {value:g}rem" for name, value in theme.type.items()]
    sizes += [f"--{dashed(name)}: {value:g}rem" for name, value in theme.space.items()]
    sizes += [f"--font-{name}: {value}" for name, value in theme.fonts.items()]
    canvas = theme.canvas
    sizes.append(f"--root: min(100vw / {canvas.width_rem}, 100vh / {canvas.height_rem})")
    light = _block(_colours(theme, "light"))
    return (
        f":root {_block([*_colours(theme, 'dark'), *sizes, 'color-scheme: dark'])}\n"
        f':root[data-theme="light"] {light}\n'
        f"@media print {{ :root {light} }}\n"
    )


def _colours(theme: Theme, shade: Shade) -> list[str]:
    named = [*theme.palette(shade).model_dump(exclude={"series"}).items()]
    named += [(f"series_{n}", value) for n, value in enumerate(theme.palette(shade).series)]
    named += [(f"map_{name}", value) for name, value in theme.map_tokens(shade).items()]
    return [f"--{dashed(name)}: {value}" for name, value in named]


def _block(declarations: list[str]) -> str:
    return "{ " + "; ".join(declarations) + " }"


def dashed(name: str) -> str:
    return name.replace("_", "-")


def plotly_template(theme: Theme, shade: Shade = "dark") -> dict[str, Any]:
    """A Plotly template in the theme's colours; figures name no colour of their own."""
    colour = theme.palette(shade)
    axis = {
        "gridcolor": colour.line, "linecolor": colour.line, "zerolinecolor": colour.line,
        "tickfont": {"color": colour.t3}, "title": {"font": {"color": colour.t2}},
    }  # fmt: skip
    return {
        "layout": {
            "paper_bgcolor": colour.surface, "plot_bgcolor": colour.surface,
            "font": {"family": theme.fonts["numbers"], "color": colour.t2, "size": 14},
            "colorway": colour.series,
            "xaxis": axis, "yaxis": axis,
            "hoverlabel": {"bgcolor": colour.raised, "font": {"color": colour.t1}},
            "margin": {"l": 56, "r": 20, "t": 56, "b": 44},
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "yref": "paper", "x": 0},
        }
    }  # fmt: skip


# -- contrast (WCAG 2.2, relative luminance) ----------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours `#RRGGBB`, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


def pairs() -> Iterator[tuple[str, str, float]]:
    """(foreground, ground, least ratio asked) of every pair that our pages really draw."""
    for ground in ("bg", "surface", "raised"):
        for text in ("t1", "t2", "t3", "accent", "l1", "l2", "l3", "l4", "stale"):
            yield text, ground, 4.5
        yield "normal", ground, 3.0
        yield "trace", ground, 3.0
    for level in ("l1", "l2", "l3", "l4"):
        yield "ink", level, 4.5
    yield "accent_ink", "accent", 4.5
    yield "on_stale", "stale_fill", 4.5
