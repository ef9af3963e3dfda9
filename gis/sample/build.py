"""Make `gis/sample/shanghai/*.geojson.gz` from raw OpenStreetMap extracts; run again only when those change.

    python -m gis.sample.build FOLDER

FOLDER holds `shanghai_center.osm` (streets with their junctions, wide), `shanghai_huangpu_osmnx_2026-07.osm`
(elevated roads) and `derived/*.geojson` (buildings, land use, water, places of the core). Coordinates are kept
to 1e-6 degree: streets that share an OSM node share a coordinate, which is what their topology is read from.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from gis.crs import Plane
from gis.sample import ATTRIBUTION, CENTRE, HOME

DECIMALS = 6

Feature = dict[str, Any]
Properties = dict[str, Any]

GREEN = {"park", "grass", "forest", "garden", "natural_wood", "recreation_ground", "pitch", "protected_area"}
GROUND = {"residential", "commercial", "retail", "school", "hospital", "parking", "pier", "pedestrian"}
NOT_PLACES = {"gate", "traffic_signals", "bicycle_parking"}
#: Streets only the detail extract has; the wide one has the classes from primary down to residential.
DETAIL_ONLY = {"service", "footway", "path", "pedestrian", "cycleway", "steps", "living_street"}


RIVER_M2 = 50_000.0
STREET_GAP_M = 110.0

#: About where the middle of the river runs beyond the core (ours), and how wide it may be there.
MIDDLE = (
    (121.4850, 31.1945), (121.5000, 31.2048), (121.5062, 31.2115), (121.5072, 31.2165), (121.5050, 31.2225),
    (121.5007, 31.2268), (121.4960, 31.2320), (121.4925, 31.2400), (121.5000, 31.2470), (121.5060, 31.2478),
    (121.5130, 31.2487), (121.5200, 31.2492), (121.5280, 31.2525), (121.5365, 31.2572), (121.5430, 31.2620),
)  # fmt: skip
HALF_WIDTH_M = 175.0

#: Street offices (街道) of the core by points inside them; where they meet is nearer to whom, so only about right.
AREAS = (
    ("A-waitan", "外滩街道", "Waitan Subdistrict", "310101", ((121.4875, 31.2370),)),
    ("A-nanjingdong", "南京东路街道", "Nanjing East Road Subdistrict", "310101", ((121.4815, 31.2365),)),
    ("A-yuyuan", "豫园街道", "Yuyuan Subdistrict", "310101", ((121.4875, 31.2285),)),
    ("A-xiaodongmen", "小东门街道", "Xiaodongmen Subdistrict", "310101", ((121.4955, 31.2275),)),
    ("A-sichuanbei", "四川北路街道", "Sichuan North Road Subdistrict", "310109", ((121.4825, 31.2492),)),
    ("A-beiwaitan", "北外滩街道", "North Bund Subdistrict", "310109", ((121.4925, 31.2490), (121.5050, 31.2545))),
    ("A-lujiazui", "陆家嘴街道", "Lujiazui Subdistrict", "310115",
     ((121.5030, 31.2400), (121.5120, 31.2370), (121.5150, 31.2430), (121.5050, 31.2335))),
    ("A-weifang", "潍坊新村街道", "Weifang Xincun Subdistrict", "310115", ((121.5140, 31.2265), (121.5195, 31.2310))),
    ("A-yangjing", "洋泾街道", "Yangjing Subdistrict", "310115", ((121.5290, 31.2430),)),
)  # fmt: skip

DISTRICTS = {
    "310101": ("黄浦区", "Huangpu"),
    "310109": ("虹口区", "Hongkou"),
    "310115": ("浦东新区", "Pudong"),
}


def main(folder: Path) -> None:
    derived = folder / "derived"
    streets = [
        *_osm_ways(folder / "shanghai_center.osm"),
        *_osm_ways(folder / "shanghai_huangpu_osmnx_2026-07.osm", {"trunk", "trunk_link"}),
    ]
    known = {way["properties"]["osm"] for way in streets}
    layers = {
        "roads": [*streets, *_detail_roads(_read(derived / "roads.geojson"), known)],
        "buildings": _buildings(_read(derived / "buildings.geojson")),
        "water": _with_river_beyond(_water(_read(derived / "water.geojson")), streets),
        "ground": _ground(_read(derived / "landuse.geojson")),
        "places": _places([*_read(derived / "pois.geojson"), *_read(derived / "transit.geojson")]),
        "rails": _rails(_read(derived / "transit.geojson")),
        "boundaries": _boundaries(_read(derived / "boundaries.geojson")),
        "areas": _areas(),
    }
    for name, features in layers.items():
        size = _write(HOME / f"{name}.geojson.gz", features)
        sys.stdout.write(f"{name:12} {len(features):6} features {size / 1000:8.1f} kB\n")


def _read(path: Path) -> list[Feature]:
    found: list[Feature] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return found


def _write(path: Path, features: list[Feature]) -> int:
    """One feature a line, sorted, without a time stamp: the same input gives the same bytes."""
    ordered = sorted(features, key=lambda each: (str(each["properties"]["osm"]), str(each["geometry"])))
    lines = ",\n".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in ordered)
    head = json.dumps({"type": "FeatureCollection", "attribution": ATTRIBUTION}, ensure_ascii=False)
    text = f'{head[:-1]},"features":[\n{lines}\n]}}\n'
    data = gzip.compress(text.encode(), 9, mtime=0)
    path.write_bytes(data)
    return len(data)


def _feature(kind: str, coordinates: Any, properties: Properties) -> Feature:  # noqa: ANN401 - GeoJSON
    kept = {key: value for key, value in properties.items() if value not in (None, "", 0, False)}
    return {
        "type": "Feature",
        "properties": kept,
        "geometry": {"type": kind, "coordinates": _round(coordinates)},
    }


def _round(coordinates: Any) -> Any:  # noqa: ANN401 - nested lists of any depth
    if isinstance(coordinates[0], (int, float)):
        return [round(value, DECIMALS) for value in coordinates]
    rounded = [_round(part) for part in coordinates]
    if isinstance(rounded[0][0], float):  # a line: rounding may have made two points one
        rounded = [a for a, b in zip(rounded, [None, *rounded], strict=False) if a != b]
    return rounded


def _osm_ways(path: Path, classes: set[str] | None = None) -> Iterable[Feature]:
    """Ways of an OSM XML file with a highway tag, each once."""
    root = ET.parse(path).getroot()  # noqa: S314 - see above
    nodes = {
        node.get("id"): (float(node.get("lon", 0)), float(node.get("lat", 0))) for node in root.iter("node")
    }
    for way in root.iter("way"):
        tags = {tag.get("k", ""): tag.get("v", "") for tag in way.iter("tag")}
        line = [nodes[nd.get("ref")] for nd in way.iter("nd")]
        if classes is not None and tags["highway"] not in classes:
            continue
        if classes is not None and line[0] == line[-1] and len(line) % 2:  # out and back: both directions
            line = line[: len(line) // 2 + 1]
        yield _feature(
            "LineString", line, {"osm": int(way.get("id", 0)), "class": tags["highway"], **_street(tags)}
        )


def _street(tags: Mapping[str, str]) -> Properties:
    one_way = {"yes": 1, "true": 1, "1": 1, "-1": -1}.get(tags.get("oneway", ""), 0)
    lanes = tags.get("lanes", "")
    return {
        "name": tags.get("name:zh-Hans") or tags.get("name:zh") or tags.get("name"),
        "name_en": tags.get("name:en"),
        "oneway": one_way,
        "lanes": int(lanes) if lanes.isdigit() else None,
        "maxspeed": int(tags["maxspeed"]) if tags.get("maxspeed", "").isdigit() else None,
        "layer": int(tags["layer"]) if tags.get("layer", "").lstrip("-").isdigit() else None,
        "tunnel": int(tags.get("tunnel", "no") != "no"),
        "bridge": int(tags.get("bridge", "no") != "no"),
    }


def _names(properties: Properties) -> Properties:
    return {"name": properties.get("name"), "name_en": properties.get("name:en")}


def _lines(feature: Feature) -> list[Any]:
    geometry = feature["geometry"]
    return [geometry["coordinates"]] if geometry["type"] == "LineString" else geometry["coordinates"]


def _detail_roads(features: list[Feature], known: set[int]) -> Iterable[Feature]:
    """Paths and service roads, and tunnels that the wide extract lacks; they carry no traffic of ours."""
    for feature in features:
        properties = feature["properties"]
        detail = properties.get("kind_detail")
        tunnel = int(bool(properties.get("is_tunnel")))
        wanted = detail in DETAIL_ONLY or (tunnel and detail in {"primary", "trunk"})
        if properties["osm_id"] in known or not wanted:
            continue
        for line in _lines(feature):
            yield _feature(
                "LineString",
                line,
                {"osm": properties["osm_id"], "class": detail, **_names(properties), "tunnel": tunnel,
                 "bridge": int(bool(properties.get("is_bridge"))), "detail": 1},
            )  # fmt: skip


def _polygons(features: Iterable[Feature]) -> Iterable[tuple[Properties, Any]]:
    """(properties, polygon) of every object once: parts that a tile border had cut are joined again."""
    from shapely import make_valid, set_precision, union_all
    from shapely.geometry import mapping, shape

    parts: dict[int, list[Any]] = defaultdict(list)
    told: dict[int, Properties] = {}
    for feature in features:
        if feature["geometry"]["type"] in {"Polygon", "MultiPolygon"}:
            osm = feature["properties"]["osm_id"]
            parts[osm].append(make_valid(shape(feature["geometry"])))
            told.setdefault(osm, {}).update(feature["properties"])
    for osm, shapes in parts.items():
        joined = set_precision(union_all(shapes), 10.0**-DECIMALS)
        for polygon in getattr(joined, "geoms", [joined]):
            if polygon.geom_type == "Polygon" and not polygon.is_empty:
                yield told[osm], mapping(polygon)["coordinates"]


def _buildings(features: list[Feature]) -> list[Feature]:
    chosen = [each for each in features if each["properties"]["kind"] in {"building", "building_part"}]
    return [
        _feature(
            "Polygon",
            polygon,
            {
                "osm": properties["osm_id"],
                **_names(properties),
                "use": properties.get("kind_detail"),
                "part": int(properties["kind"] == "building_part"),
                "height": properties.get("height"),
                "min_height": properties.get("min_height"),
                "street": properties.get("addr_street"),
                "number": properties.get("addr_housenumber"),
            },
        )
        for properties, polygon in _polygons(chosen)
    ]


def _water(features: list[Feature]) -> list[Feature]:
    """Surfaces, and the middle lines of rivers and canals for their labels."""
    surfaces = [
        _feature(
            "Polygon",
            polygon,
            {"osm": properties["osm_id"], "class": properties["kind"], **_names(properties)},
        )
        for properties, polygon in _polygons(features)
    ]
    middles = [
        _feature("LineString", line, {"osm": each["properties"]["osm_id"], "class": each["properties"]["kind"],
                                      **_names(each["properties"])})
        for each in features if each["properties"]["kind"] in {"river", "canal"} for line in _lines(each)
    ]  # fmt: skip
    return [*surfaces, *middles]


def _with_river_beyond(water: list[Feature], streets: list[Feature]) -> list[Feature]:
    """The river also where only streets are known: the wide gap between them that continues it; `inferred`.

    And the shores of all of it as lines, so that no border of a tile or of the known part is drawn as a bank.
    """
    from shapely import LineString, buffer, get_parts, line_merge, simplify, transform, union_all
    from shapely.geometry import box, mapping, shape

    plane = Plane(*CENTRE)

    def metres(feature: Feature) -> Any:  # noqa: ANN401 - a Shapely geometry
        return transform(shape(feature["geometry"]), plane.points)

    known = [metres(each) for each in water if each["geometry"]["type"] == "Polygon"]
    river = union_all([each for each in known if each.area > RIVER_M2])
    dry = [metres(each) for each in streets if not {"tunnel", "bridge"} & each["properties"].keys()]
    reach = LineString(plane.points(MIDDLE)).buffer(HALF_WIDTH_M)
    gap = reach.difference(union_all(buffer(dry, STREET_GAP_M, quad_segs=3))).difference(box(*river.bounds))
    wide = gap.buffer(-50.0).buffer(50.0)
    beyond = union_all([part for part in get_parts(wide) if part.distance(river) < 2 * STREET_GAP_M])
    beyond = beyond.buffer(STREET_GAP_M - 30.0).difference(box(*river.bounds)).buffer(-20.0).buffer(20.0)
    parts = [part for part in get_parts(simplify(beyond, 4.0)) if part.distance(river) < 5.0]
    told = {"class": "water", "name": "黄浦江", "name_en": "Huangpu River", "inferred": 1}
    found = [
        _feature(
            "Polygon",
            mapping(transform(part, plane.lonlats))["coordinates"],
            {"osm": f"inferred-{row}", **told},
        )
        for row, part in enumerate(parts, 1)
    ]
    surface = union_all([*(each.buffer(1.0) for each in [*known, *parts])])
    ends = LineString(plane.points(MIDDLE)).boundary.buffer(
        HALF_WIDTH_M + 40.0
    )  # where our knowledge ends, no bank
    seen = line_merge(surface.boundary.difference(ends))
    shores = [
        _feature("LineString", mapping(transform(simplify(line, 0.5), plane.lonlats))["coordinates"],
                 {"osm": f"shore-{row}", "class": "shore"})
        for row, line in enumerate(get_parts(seen), 1)
    ]  # fmt: skip
    return [*water, *found, *shores]


def _ground(features: list[Feature]) -> list[Feature]:
    chosen = [each for each in features if each["properties"]["kind"] in GREEN | GROUND]
    return [
        _feature(
            "Polygon",
            polygon,
            {
                "osm": properties["osm_id"],
                "class": "green" if properties["kind"] in GREEN else properties["kind"],
                **_names(properties),
            },
        )
        for properties, polygon in _polygons(chosen)
    ]


def _places(features: list[Feature]) -> list[Feature]:
    found = []
    for each in features:
        properties, geometry = each["properties"], each["geometry"]
        kind = properties["kind"]
        named = properties.get("name") or kind in {"hospital", "fire_station", "police", "school", "bus_stop"}
        if geometry["type"] == "Point" and named and kind not in NOT_PLACES:
            told = {"osm": properties["osm_id"], "class": kind, **_names(properties)}
            found.append(_feature("Point", geometry["coordinates"], told))
    return found


def _rails(features: list[Feature]) -> list[Feature]:
    return [
        _feature("LineString", line, {"osm": each["properties"]["osm_id"], "class": "subway",
                                      **_names(each["properties"])})
        for each in features if each["properties"]["kind"] == "subway" for line in _lines(each)
    ]  # fmt: skip


def _boundaries(features: list[Feature]) -> list[Feature]:
    return [
        _feature("LineString", line, {"osm": each["properties"]["osm_id"], "class": "district",
                                      "left": each["properties"].get("name:left"),
                                      "right": each["properties"].get("name:right")})
        for each in features for line in _lines(each)
    ]  # fmt: skip


def _areas() -> list[Feature]:
    return [
        _feature("MultiPoint", points, {"osm": key, "name": zh, "name_en": en, "code": code,
                                        "district": DISTRICTS[code][0], "district_en": DISTRICTS[code][1]})
        for key, zh, en, code, points in AREAS
    ]  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
