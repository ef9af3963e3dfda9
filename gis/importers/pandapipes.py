"""Networks saved by pandapipes as JSON (gas, heat, water), read without pandapipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import shapely

from gis.importers.encoding import decode
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Geometry

Table = Mapping[int, Mapping[str, Any]]

#: Kind of asset by the network's fluid; anything else is gas, which the format was made for.
KINDS = {
    "water": ("junction", "pipe", "water_source", "water_supply"),
    "gas": ("gas_node", "gas_pipe", "gas_station", "gas"),
    "heat": ("heat_node", "heat_pipe", "heat_source", "heat"),
}


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """Junctions, pipes, feeds and consumers with coordinates. The file states no reference system."""
    text, _ = decode(path.read_bytes(), plan.encoding, path.name)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise FileRefused("import.not_json", file=path.name, line=wrong.lineno, column=wrong.colno) from None
    net = document.get("_object") if isinstance(document, Mapping) else None
    if not isinstance(net, Mapping) or "junction" not in net or "pipe" not in net:
        raise FileRefused("import.not_pandapipes", file=path.name)
    refused: list[Refusal] = []
    features = [*_features(net, plan, refused)]
    progress(len(features), len(features))
    return Reading("pandapipes", features, refused, mixed=True)


def table(net: Mapping[str, Any], name: str) -> Table:
    """A data frame of the file as rows by their index; empty where there is none."""
    held = net.get(name)
    body = held.get("_object") if isinstance(held, Mapping) else None
    if isinstance(body, str):
        body = orjson.loads(body)
    if not isinstance(body, Mapping) or "data" not in body:
        return {}
    names = body["columns"]
    return {
        int(row): dict(zip(names, values, strict=True))
        for row, values in zip(body["index"], body["data"], strict=True)
    }


def _fluid(net: Mapping[str, Any], plan: Plan) -> str:
    if plan.kind.startswith("heat"):
        return "heat"
    held = net.get("fluid")
    told = str(held.get("_object", "")) if isinstance(held, Mapping) else ""
    return "water" if '"water"' in told else "gas"


def _features(net: Mapping[str, Any], plan: Plan, refused: list[Refusal]) -> Iterator[Feature]:
    node_kind, pipe_kind, source_kind, network = KINDS[_fluid(net, plan)]
    junctions, places = table(net, "junction"), _places(net)
    fed = {int(row["junction"]) for row in table(net, "ext_grid").values()}
    use: dict[int, float] = {}
    for row in table(net, "sink").values():
        flow = float(row.get("mdot_kg_per_s") or 0.0) * float(row.get("scaling") or 1.0)
        use[int(row["junction"])] = use.get(int(row["junction"]), 0.0) + flow
    for index, row in junctions.items():
        told = {"network": network, "name_in_model": row.get("name"), "height_m": row.get("height_m"),
                "nominal_bar": row.get("pn_bar"), "use_kg_s": use.get(index)}  # fmt: skip
        shape: Geometry | None = shapely.Point(places[index]) if index in places else None
        kind = source_kind if index in fed else node_kind
        yield Feature(f"junction {index}", shape, f"node.{index}", kind, attributes=told)
    corners = {index: row.get("coords") for index, row in table(net, "pipe_geodata").items()}
    for index, row in table(net, "pipe").items():
        tail, head = int(row["from_junction"]), int(row["to_junction"])
        if tail not in junctions or head not in junctions:
            missing = tail if tail not in junctions else head
            field = "from_junction" if tail not in junctions else "to_junction"
            refused.append(Refusal(f"pipe {index}", field, "import.no_such_node", {"node": missing}))
            continue
        told = {
            "network": network, "name_in_model": row.get("name"), "tail": f"node.{tail}", "head": f"node.{head}",
            "length_m": float(row.get("length_km") or 0.0) * 1000, "diameter_mm": _diameter_mm(row),
            "material": row.get("stanet_std_type") or row.get("std_type"), "in_service": row.get("in_service"),
        }  # fmt: skip
        shape = _line(corners.get(index), places.get(tail), places.get(head))
        yield Feature(f"pipe {index}", shape, f"link.{index}", pipe_kind, attributes=told)


def _places(net: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """x, y of the junctions: in a table of their own, or (newer files) as GeoJSON beside them."""
    places = {
        index: (float(row["x"]), float(row["y"])) for index, row in table(net, "junction_geodata").items()
    }
    for index, row in table(net, "junction").items():
        if index not in places and row.get("geo"):
            x, y = orjson.loads(row["geo"])["coordinates"][:2]
            places[index] = (float(x), float(y))
    return places


def _diameter_mm(row: Mapping[str, Any]) -> float | None:
    for name, factor in (("inner_diameter_mm", 1.0), ("diameter_mm", 1.0), ("diameter_m", 1000.0)):
        if row.get(name):
            return round(float(row[name]) * factor, 2)
    return None


def _line(
    corners: Sequence[Sequence[float]] | None,
    tail: tuple[float, float] | None,
    head: tuple[float, float] | None,
) -> Geometry | None:
    if corners and len(corners) > 1:
        return shapely.LineString([(float(place[0]), float(place[1])) for place in corners])
    return shapely.LineString([tail, head]) if tail and head and tail != head else None
