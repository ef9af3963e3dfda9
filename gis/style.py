"""The map's style for MapLibre from a theme's colours: day-to-day base map, networks on demand, 3-D buildings.

No `glyphs` and no `sprite`: text is drawn with fonts of the machine or the page, and nothing is asked of any
other address. Overlays (flood, plume, crews …) are the screen's own and go above the last layer here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gis.place import KNOWN_BY

Tokens = Mapping[str, str]
Json = dict[str, Any]

#: The dark theme of the wall; a theme may override any of these.
DARK: Tokens = {
    "ground": "#10161D", "land": "#131B22", "park": "#141F20", "water": "#0D2536", "shore": "#2F5A78",
    "road_path": "#1A232C", "road_minor": "#1F2A34", "road_middle": "#2A3743", "road_major": "#3E4E5B",
    "road_ring": "#56697C", "rail": "#33414E", "district": "#5B6C7C", "site": "#8A7A4C",
    "building_0": "#26323D", "building_1": "#34424F", "building_2": "#4A5C6C", "building_3": "#6A7F92",
    "label": "#B4BFCA", "label_dim": "#8795A3", "halo": "#10161D",
    "supply": "#4E8FB8", "drainage": "#94826E", "gas": "#B89A4E", "fitting": "#7C93A6", "facility": "#93A5B5",
    "font": "Noto Sans CJK SC",
}  # fmt: skip

#: The light theme, for print and bright rooms.
LIGHT: Tokens = {
    "ground": "#F4F6F8", "land": "#ECEFF2", "park": "#DDEBDD", "water": "#BFD9EA", "shore": "#7FA8C4",
    "road_path": "#E4E8EC", "road_minor": "#DCE2E8", "road_middle": "#C9D2DA", "road_major": "#B2BEC9",
    "road_ring": "#93A3B1", "rail": "#B9C3CC", "district": "#7C8A97", "site": "#B59A4A",
    "building_0": "#DDE2E7", "building_1": "#D0D7DE", "building_2": "#BCC6CF", "building_3": "#A3B0BC",
    "label": "#2A3642", "label_dim": "#5A6774", "halo": "#FFFFFF",
    "supply": "#1F6E9E", "drainage": "#7A5C3E", "gas": "#8A6A12", "fitting": "#55687A", "facility": "#3E4E5B",
    "font": "Noto Sans CJK SC",
}  # fmt: skip

SOURCE = "city"

#: Groups of layers that a screen may switch; those of `NETWORKS` begin hidden.
NETWORKS = ("supply", "drainage", "gas", "districts", "fittings", "grid")

#: Road classes from the smallest to the largest: (token, width in px at zoom 11, at zoom 18, classes).
ROADS = (
    ("road_path", 0.3, 2.5, ["footway", "path", "steps", "cycleway", "pedestrian", "service"]),
    ("road_minor", 0.5, 8.0, ["residential", "unclassified", "living_street"]),
    ("road_middle", 0.8, 12.0, ["tertiary", "tertiary_link", "secondary", "secondary_link"]),
    ("road_major", 1.2, 16.0, ["primary", "primary_link"]),
    ("road_ring", 1.8, 18.0, ["trunk", "trunk_link", "motorway", "motorway_link"]),
)


@dataclass(frozen=True, slots=True)
class View:
    """How the map is looked at. `scale` enlarges lines and letters for a distant screen, `language` is zh or en."""

    center: tuple[float, float]
    zoom: float = 13.6
    pitch: float = 0.0
    bearing: float = 0.0
    scale: float = 1.0
    language: str = "zh"


def style(tokens: Tokens, tiles_url: str, view: View, attribution: str = "") -> Json:
    """A MapLibre style. `tiles_url` is a `pmtiles://` address, or a template with {z}, {x} and {y}.

    Features carry the asset's id, so `setFeatureState({source: "city", sourceLayer, id: "P-0123"})` colours a pipe.
    """
    colours = {**DARK, **tokens}
    source: Json = {"type": "vector", "attribution": attribution, "promoteId": "id"}
    if "{z}" in tiles_url:
        source |= {"tiles": [tiles_url], "minzoom": 9, "maxzoom": 16}
    else:
        source["url"] = tiles_url
    return {
        "version": 8,
        "name": "cityops",
        "center": list(view.center),
        "zoom": view.zoom,
        "pitch": view.pitch,
        "bearing": view.bearing,
        "light": {"anchor": "viewport", "color": "#FFFFFF", "intensity": 0.25},
        "sources": {SOURCE: source},
        "layers": [
            *_surfaces(colours),
            *_roads(colours, view.scale),
            *_borders(colours, view.scale),
            *_grid(colours, view.scale),
            *_networks(colours, view.scale),
            *_buildings(colours, flat=view.pitch == 0),
            *_facilities(colours, view.scale),
            *_labels(colours, view),
        ],
    }


def with_stored(made: Json, layers: Sequence[str], tokens: Tokens, view: View) -> Json:
    """The style with layers that were imported on top, as the group `imported`: surfaces, lines, points, names."""
    colours = {**DARK, **tokens}
    for number, layer in enumerate(layers):
        address = f"/api/v1/tiles/{quote(layer, safe='')}/{{z}}/{{x}}/{{y}}.mvt"
        source: Json = {"type": "vector", "tiles": [address], "minzoom": 8, "maxzoom": 16, "promoteId": "id"}
        made["sources"][f"imported-{number}"] = source
        made["layers"] += [
            {
                **each,
                "id": f"imported-{number}-{each['id']}",
                "source": f"imported-{number}",
                "source-layer": layer,
            }
            for each in _stored(colours, view)
        ]
    return made


def _stored(c: Tokens, view: View) -> list[Json]:
    """How any imported layer is drawn; buildings with a height stand up where the view is tilted."""
    colour, scale = c["facility"], view.scale
    surface, line, point = (["==", ["geometry-type"], kind] for kind in ("Polygon", "LineString", "Point"))
    house: list[Any] = ["all", surface, ["has", "height"]]
    group = {"metadata": {"group": "imported"}}
    made: list[Json] = [
        {"id": "surface", "type": "fill", "filter": surface, "paint": {"fill-color": colour, "fill-opacity": 0.15}},
        {"id": "border", "type": "line", "filter": surface,
         "paint": {"line-color": colour, "line-width": scale, "line-opacity": 0.6}},
        {"id": "line", "type": "line", "filter": line, "layout": {"line-cap": "round", "line-join": "round"},
         "paint": {"line-color": colour, "line-width": _grows(0.8, 3.0, scale)}},
        {"id": "point", "type": "circle", "filter": point,
         "paint": {"circle-color": colour, "circle-radius": _grows(1.2, 5.0, scale)}},
        {"id": "name", "type": "symbol", "filter": ["has", "name"], "minzoom": 15,
         "layout": {"text-field": _named(view), "text-font": [c["font"]], "text-size": 11 * scale,
                    "text-offset": [0, 0.9], "text-anchor": "top", "text-optional": True},
         "paint": {"text-color": c["label_dim"], "text-halo-color": c["halo"], "text-halo-width": 1.4 * scale}},
    ]  # fmt: skip
    if view.pitch:
        made.insert(1, {"id": "house", "type": "fill-extrusion", "filter": house, "paint": {
            "fill-extrusion-color": c["building_2"], "fill-extrusion-height": ["get", "height"]}})  # fmt: skip
    return [{**each, **group} for each in made]


def _named(view: View) -> list[Any]:
    return ["get", "name"] if view.language == "zh" else ["coalesce", ["get", "name_en"], ["get", "name"]]


def _layer(name: str, kind: str, source_layer: str, group: str, **more: Any) -> Json:  # noqa: ANN401 - JSON
    hidden = {"visibility": "none"} if group in NETWORKS else {}
    layout = {**hidden, **more.pop("layout", {})}
    made: Json = {"id": name, "type": kind, "source": SOURCE, "source-layer": source_layer,
                  "metadata": {"group": group}, **more}  # fmt: skip
    return {**made, "layout": layout} if layout else made


def _grows(at_11: float, at_18: float, scale: float) -> list[Any]:
    return ["interpolate", ["exponential", 1.6], ["zoom"], 11, at_11 * scale, 18, at_18 * scale]


def _surfaces(c: Tokens) -> list[Json]:
    green = ["==", ["get", "class"], "green"]
    return [
        {"id": "ground", "type": "background", "paint": {"background-color": c["ground"]}},
        _layer("land", "fill", "ground", "base", filter=["!", green], paint={"fill-color": c["land"]}),
        _layer("green", "fill", "ground", "base", filter=green, paint={"fill-color": c["park"]}),
        _layer("water", "fill", "water", "base", paint={"fill-color": c["water"]}),
        _layer("shore", "line", "water_lines", "base", filter=["==", ["get", "class"], "shore"],
               paint={"line-color": c["shore"], "line-width": _grows(0.6, 2.0, 1)}),
    ]  # fmt: skip


def _roads(c: Tokens, scale: float) -> list[Json]:
    made = [
        _layer("road-tunnel", "line", "roads", "base", filter=["==", ["get", "tunnel"], True], minzoom=12,
               paint={"line-color": c["road_middle"], "line-width": _grows(0.6, 6.0, scale),
                      "line-dasharray": [2, 2], "line-opacity": 0.7}),
        _layer("rail", "line", "rails", "base", minzoom=12,
               paint={"line-color": c["rail"], "line-width": _grows(0.5, 2.0, scale), "line-dasharray": [4, 2]}),
    ]  # fmt: skip
    for token, thin, wide, classes in ROADS:
        chosen = ["all", ["in", ["get", "class"], ["literal", classes]], ["!=", ["get", "tunnel"], True]]
        made.append(
            _layer(token.replace("_", "-"), "line", "roads", "base", filter=chosen,
                   layout={"line-cap": "round", "line-join": "round"},
                   paint={"line-color": c[token], "line-width": _grows(thin, wide, scale)})
        )  # fmt: skip
    return made


def _borders(c: Tokens, scale: float) -> list[Json]:
    dashed = {"line-color": c["district"], "line-dasharray": [3, 2]}
    return [
        _layer("area-border", "line", "areas", "areas",
               paint={**dashed, "line-width": _grows(0.6, 1.4, scale), "line-opacity": 0.35}),
        _layer("district-border", "line", "boundaries", "base",
               paint={**dashed, "line-width": _grows(0.8, 2.5, scale), "line-opacity": 0.7}),
        _layer("site", "fill", "sites", "sites", paint={"fill-color": c["site"], "fill-opacity": 0.14}),
        _layer("site-border", "line", "sites", "sites",
               paint={"line-color": c["site"], "line-width": _grows(0.6, 2.0, scale), "line-opacity": 0.6}),
    ]  # fmt: skip


def _grid(c: Tokens, scale: float) -> list[Json]:
    return [
        _layer("grid-cell", "line", "grid", "grid", minzoom=14,
               paint={"line-color": c["district"], "line-width": 0.5 * scale, "line-opacity": 0.35}),
        _layer("grid-officer", "line", "officer_grids", "grid", minzoom=13,
               paint={"line-color": c["label_dim"], "line-width": 1.4 * scale, "line-opacity": 0.7}),
    ]  # fmt: skip


def _networks(c: Tokens, scale: float) -> list[Json]:
    by_size = [
        "interpolate",
        ["linear"],
        ["get", "diameter_mm"],
        100,
        0.8 * scale,
        600,
        2.4 * scale,
        2000,
        5 * scale,
    ]
    shut = ["==", ["get", "role"], "boundary"]
    round_ends = {"line-cap": "round", "line-join": "round"}
    return [
        _layer("dma", "fill", "districts", "districts", paint={"fill-color": c["supply"], "fill-opacity": 0.06}),
        _layer("dma-border", "line", "districts", "districts",
               paint={"line-color": c["supply"], "line-width": 1.2 * scale, "line-opacity": 0.6,
                      "line-dasharray": [2, 2]}),
        _layer("supply-pipe", "line", "pipes", "supply", filter=["!", shut], layout=round_ends,
               paint={"line-color": c["supply"], "line-width": by_size, "line-opacity": 0.75}),
        _layer("supply-boundary", "line", "pipes", "supply", filter=shut,
               paint={"line-color": c["supply"], "line-width": by_size, "line-opacity": 0.4, "line-dasharray": [1, 2]}),
        _layer("drain", "line", "drains", "drainage", layout=round_ends,
               paint={"line-color": c["drainage"], "line-width": by_size, "line-opacity": 0.75}),
        _layer("gas-pipe", "line", "gas_pipes", "gas", layout=round_ends,
               paint={"line-color": c["gas"], "line-opacity": 0.75,
                      "line-width": ["match", ["get", "level"], "medium", 2.0 * scale, 1.0 * scale]}),
        _layer("fitting", "circle", "fittings", "fittings", minzoom=15,
               paint={"circle-color": c["fitting"], "circle-radius": _grows(1.0, 3.5, scale), "circle-opacity": 0.8}),
    ]  # fmt: skip


def _buildings(c: Tokens, *, flat: bool) -> list[Json]:
    ramp = ["interpolate", ["linear"], ["coalesce", ["get", "height"], 8], 0, c["building_0"], 60, c["building_1"],
            180, c["building_2"], 420, c["building_3"]]  # fmt: skip
    if flat:
        return [_layer("building", "fill", "buildings", "buildings", minzoom=13,
                       paint={"fill-color": ramp, "fill-opacity": 0.8})]  # fmt: skip
    return [
        _layer("building", "fill-extrusion", "buildings", "buildings", minzoom=12.5,
               paint={"fill-extrusion-color": ramp, "fill-extrusion-opacity": 0.92,
                      "fill-extrusion-height": ["coalesce", ["get", "height"], 8],
                      "fill-extrusion-base": ["coalesce", ["get", "min_height"], 0],
                      "fill-extrusion-vertical-gradient": True})
    ]  # fmt: skip


def _facilities(c: Tokens, scale: float) -> list[Json]:
    return [
        _layer("facility", "circle", "facilities", "facilities", minzoom=13.5,
               paint={"circle-color": c["ground"], "circle-radius": _grows(1.5, 5.0, scale),
                      "circle-stroke-color": c["facility"], "circle-stroke-width": 1.2 * scale,
                      "circle-opacity": 0.8, "circle-stroke-opacity": 0.8})
    ]  # fmt: skip


def _labels(c: Tokens, view: View) -> list[Json]:
    scale = view.scale
    name = _named(view)
    font = [c["font"]]
    paint = {"text-color": c["label_dim"], "text-halo-color": c["halo"], "text-halo-width": 1.4 * scale}

    def text(size: float, **more: Any) -> Json:  # noqa: ANN401 - JSON
        return {"text-field": name, "text-font": font, "text-size": size * scale, **more}

    along = {"symbol-placement": "line", "symbol-spacing": 420 * scale, "text-letter-spacing": 0.06}
    spread = text(11, **{"text-max-width": 9, "text-padding": 6})
    known = ["in", ["get", "class"], ["literal", sorted(KNOWN_BY)]]
    under = ["==", ["get", "tunnel"], True]
    main = ["in", ["get", "class"], ["literal", ["primary", "secondary", "trunk"]]]
    return [
        _layer("label-water", "symbol", "water_lines", "labels", filter=["has", "name"],
               layout=text(15, **{**along, "text-letter-spacing": 0.4}), paint={**paint, "text-color": c["shore"]}),
        _layer("label-road-main", "symbol", "roads", "labels", minzoom=13,
               filter=["all", ["has", "name"], ["!", under], main], layout=text(11.5, **along), paint=paint),
        _layer("label-road", "symbol", "roads", "labels", minzoom=15,
               filter=["all", ["has", "name"], ["!", under], ["!", main]], layout=text(10.5, **along), paint=paint),
        _layer("label-place", "symbol", "labels", "labels", minzoom=15,
               filter=["all", ["has", "name"], known], layout=spread, paint=paint),
        _layer("label-shop", "symbol", "labels", "labels", minzoom=17,
               filter=["all", ["has", "name"], ["!", known]], layout=spread, paint=paint),
        _layer("label-facility", "symbol", "facilities", "labels", minzoom=15.5, filter=["has", "name"],
               layout=text(11, **{"text-offset": [0, 1.1], "text-anchor": "top", "text-optional": True}), paint=paint),
        _layer("label-area", "symbol", "area_labels", "labels", maxzoom=15.5,
               layout=text(15, **{"text-letter-spacing": 0.2, "text-padding": 10}),
               paint={**paint, "text-color": c["label"]}),
    ]  # fmt: skip
