"""A city's things as assets: the same ids, in the same order, for the same city."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import shapely

from gis.asset import Asset, Provenance
from gis.city import City
from gis.facilities import Facility
from gis.gas import REGULATOR_KPA, STATION_MPA
from gis.lines import Floats, Geometry, Polylines, points
from gis.water import OnPipe

SIMULATED = "CityOps"
SIMULATED_LICENCE = "Apache-2.0"

#: How far around its pipes a metering district is drawn.
DISTRICT_MARGIN_M = 70.0

Told = Mapping[str, object]
Names = tuple[str, str]


def inventory(city: City) -> Iterator[Asset]:
    """Every asset of a city. What was measured keeps its source and licence; what was made says `simulated`."""
    yield from _areas(city)
    yield from _roads(city)
    yield from _surfaces(city)
    yield from _buildings(city)
    yield from _landmarks(city)
    yield from (_facility(city, each) for each in city.facilities)
    yield from _districts(city)
    yield from _pipes(city)
    yield from _pipe_nodes(city)
    for kind, group in (("valve", city.water.valves), ("hydrant", city.water.hydrants),
                        ("district_meter", city.water.meters)):  # fmt: skip
        yield from _on_pipes(city, kind, group)
    yield from _water_pumps(city)
    yield from _reducers(city)
    yield from _drains(city)
    yield from _manholes(city)
    yield from _gas(city)
    yield from _grid(city)


# -- of the base map --------------------------------------------------------------------------------------------


def _measured(  # noqa: PLR0913 - the columns of an asset
    city: City,
    asset: str,
    kind: str,
    shape: Geometry,
    names: Names,
    told: Told,
    *,
    zone: str = "",
    area: str = "",
) -> Asset:
    """A thing of the base map, with the map's source; `simulated` where the base itself was generated."""
    provenance: Provenance = "simulated" if city.base.simulated else "real"
    return Asset(
        asset, kind, shape, *names, zone, area, told, city.base.source, city.base.licence, provenance
    )


def _roads(city: City) -> Iterator[Asset]:
    roads = city.base.roads
    areas = city.area_ids(_middles(roads.lines))
    shapes = _lines(city, roads.lines)
    length, speed = roads.lines.length_m.round(1).tolist(), roads.speed_kmh.tolist()
    for row, name in enumerate(roads.id):
        told = {
            "class": roads.klass[row],
            "oneway": int(roads.oneway[row]),
            "lanes": int(roads.lanes[row]),
            "level": int(roads.level[row]),
            "tunnel": bool(roads.tunnel[row]),
            "bridge": bool(roads.bridge[row]),
            "speed_kmh": speed[row],
            "length_m": length[row],
        }
        names = roads.name[row], roads.name_en[row]
        yield _measured(city, name, "road", shapes[row], names, told, area=areas[row])


def _surfaces(city: City) -> Iterator[Asset]:
    for each in city.base.surfaces:
        shape = shapely.transform(each.shape, city.plane.lonlats)
        told = {"class": each.klass, **({"inferred": True} if each.inferred else {})}
        names = each.name, each.name_en
        if each.inferred:
            yield _simulated(each.id, each.kind, shape, told, names=names)
        else:
            yield _measured(city, each.id, each.kind, shape, names, told)


def _buildings(city: City) -> Iterator[Asset]:
    all_ = city.base.buildings
    areas = city.area_ids(shapely.get_coordinates(shapely.centroid(all_.shape)))
    shapes = shapely.transform(all_.shape, city.plane.lonlats)
    zone = city.water.nodes.zone[city.water.junction[all_.junction]].tolist()
    floors = all_.floors.tolist()
    for row, name in enumerate(all_.id):
        told = {
            "height": float(all_.height_m[row]),
            "min_height": float(all_.base_m[row]),
            "floors": floors[row],
            "measured": bool(all_.measured[row]),
            "part": bool(all_.part[row]),
            "use": all_.use[row],
        }
        names = all_.name[row], all_.name_en[row]
        district = city.water.districts[zone[row]].id
        yield _measured(city, name, "building", shapes[row], names, told, zone=district, area=areas[row])


def _landmarks(city: City) -> Iterator[Asset]:
    all_ = city.base.landmarks
    xy = np.array([each.xy for each in all_]).reshape(-1, 2)
    for each, shape, area in zip(all_, _points(city, xy), city.area_ids(xy), strict=True):
        yield _measured(
            city, each.id, "place", shape, (each.name, each.name_en), {"class": each.kind}, area=area
        )


# -- simulated --------------------------------------------------------------------------------------------------


def _simulated(
    asset: str,
    kind: str,
    shape: Geometry,
    told: Told,
    *,
    names: Names = ("", ""),
    zone: str = "",
    area: str = "",
) -> Asset:
    return Asset(
        asset, kind, shape, *names, zone, area, told, SIMULATED, SIMULATED_LICENCE, provenance="simulated"
    )


def _series(
    city: City,
    kind: str,
    ids: Sequence[str],
    shapes: Sequence[Geometry],
    at: Floats,
    zones: Sequence[str],
    told: Iterable[Told],
) -> Iterator[Asset]:
    """Assets of a simulated network; the places `at` decide their areas."""
    rows = zip(ids, shapes, city.area_ids(at), zones, told, strict=True)
    return (
        _simulated(name, kind, shape, each, zone=zone, area=area) for name, shape, area, zone, each in rows
    )


def _areas(city: City) -> Iterator[Asset]:
    for area in city.base.areas:
        if area.id in city.area_shapes:
            surface = shapely.transform(city.area_shapes[area.id], city.plane.lonlats)
            told = {
                "district": area.district,
                "district_en": area.district_en,
                "code": area.code,
                "approximate": True,
            }
            yield _simulated(area.id, "area", surface, told, names=(area.name, area.name_en), area=area.id)


def _facility(city: City, each: Facility) -> Asset:
    shape = shapely.Point(each.xy) if each.shape is None else each.shape
    told = {**each.attributes, **({"roads": list(each.roads)} if each.roads else {})}
    service = each.attributes.get("service")
    names = [
        city.words(
            f"asset.title.{each.kind}",
            language,
            street=street,
            service=city.words(f"asset.service.{service}", language) if service else "",
        )
        for language, street in (("zh", each.street), ("en", each.street_en or each.street))
    ]
    area = city.area_ids(np.array([each.xy]))[0]
    surface = shapely.transform(shape, city.plane.lonlats)
    return _simulated(each.id, each.kind, surface, told, names=(names[0], names[1]), area=area)


def _districts(city: City) -> Iterator[Asset]:
    """Each metering district's surface: a margin around its pipes, cleared of its neighbours'."""
    net = city.water
    lines = net.pipes.lines.shapes()
    around = [
        shapely.buffer(shapely.multilinestrings(lines[net.pipes.zone == zone]), DISTRICT_MARGIN_M)
        for zone in range(len(net.districts))
    ]
    tree = shapely.STRtree(around)
    for zone, district in enumerate(net.districts):
        earlier = [around[row] for row in sorted(tree.query(around[zone]).tolist()) if row < zone]
        left = shapely.difference(around[zone], shapely.union_all(earlier))
        shape = max(shapely.get_parts(left), key=shapely.area)
        area = city.area_ids(shapely.get_coordinates(shape.representative_point()))[0]
        names = [
            city.words(
                "asset.title.district", language, area=_area_name(city, area, language), number=zone + 1
            )
            for language in ("zh", "en")
        ]
        told = {
            "network": "water_supply",
            "demand_lps": round(district.demand_lps, 2),
            "meters": [net.meters.id[row] for row in district.inlets],
        }
        surface = shapely.transform(shapely.simplify(shape, 3.0), city.plane.lonlats)
        yield _simulated(
            district.id, "district", surface, told, names=(names[0], names[1]), zone=district.id, area=area
        )


def _area_name(city: City, area: str, language: str) -> str:
    named = {each.id: each.name if language == "zh" else each.name_en for each in city.base.areas}
    return named.get(area, "")


def _zone_names(city: City) -> list[str]:
    """By row of the district; row -1 is no district."""
    return [*(each.id for each in city.water.districts), ""]


def _pipes(city: City) -> Iterator[Asset]:
    pipes, nodes, zones = city.water.pipes, city.water.nodes, _zone_names(city)
    told = (
        {
            "network": "water_supply",
            "role": pipes.role[row],
            "diameter_mm": int(pipes.diameter_mm[row]),
            "material": pipes.material[row],
            "year": int(pipes.year[row]),
            "length_m": round(float(pipes.length_m[row]), 1),
            "street": city.base.streets.name[pipes.street[row]],
            "tail": nodes.id[pipes.tail[row]],
            "head": nodes.id[pipes.head[row]],
            "shut": pipes.role[row] == "boundary",
        }
        for row in range(len(pipes))
    )
    where = [zones[zone] for zone in pipes.zone]
    return _series(city, "pipe", pipes.id, _lines(city, pipes.lines), _middles(pipes.lines), where, told)


def _pipe_nodes(city: City) -> Iterator[Asset]:
    nodes, zones = city.water.nodes, _zone_names(city)
    shapes, areas = _points(city, nodes.xy), city.area_ids(nodes.xy)
    households = nodes.households.tolist()
    for row, name in enumerate(nodes.id):
        kind = "water_source" if nodes.kind[row] == "source" else "junction"
        told = {
            "network": "water_supply",
            "role": nodes.kind[row],
            "elevation_m": round(float(nodes.elevation_m[row]), 2),
            "demand_lps": round(float(nodes.demand_lps[row]), 4),
            "households": households[row],
        }
        yield _simulated(name, kind, shapes[row], told, zone=zones[nodes.zone[row]], area=areas[row])


def _on_pipes(city: City, kind: str, group: OnPipe) -> Iterator[Asset]:
    pipes, nodes, zones = city.water.pipes, city.water.nodes, _zone_names(city)
    told = (
        {
            "network": "water_supply",
            "pipe": pipes.id[pipe],
            "node": nodes.id[node],
            "diameter_mm": int(pipes.diameter_mm[pipe]),
            "shut": kind == "valve" and pipes.role[pipe] == "boundary",
            "street": city.base.streets.name[pipes.street[pipe]],
        }
        for pipe, node in zip(group.pipe.tolist(), group.node.tolist(), strict=True)
    )
    where = [zones[zone] for zone in pipes.zone[group.pipe]]
    return _series(city, kind, group.id, _points(city, group.xy), group.xy, where, told)


def _water_pumps(city: City) -> Iterator[Asset]:
    pumps = city.water.pumps
    xy = np.array([pump.xy for pump in pumps]).reshape(-1, 2)
    told = (
        {"network": "water_supply", "flow_lps": round(pump.flow_lps, 1), "lift_m": round(pump.lift_m, 1)}
        for pump in pumps
    )
    return _series(
        city, "water_pump", [pump.id for pump in pumps], _points(city, xy), xy, [""] * len(xy), told
    )


def _reducers(city: City) -> Iterator[Asset]:
    net = city.water
    xy = np.array([each.xy for each in net.reducers]).reshape(-1, 2)
    told = ({"network": "water_supply", "set_m": each.set_m} for each in net.reducers)
    zones = _zone_names(city)
    where = [zones[net.nodes.zone[each.head]] for each in net.reducers]
    return _series(city, "reducer", [each.id for each in net.reducers], _points(city, xy), xy, where, told)


def _drains(city: City) -> Iterator[Asset]:
    drains, holes = city.drainage.drains, city.drainage.manholes
    told = (
        {
            "network": "drainage",
            "role": drains.role[row],
            "diameter_mm": int(drains.size_mm[row]),
            "length_m": round(float(drains.length_m[row]), 1),
            "upper_m": round(float(drains.upper_m[row]), 3),
            "lower_m": round(float(drains.lower_m[row]), 3),
            "street": city.base.streets.name[drains.street[row]],
            "tail": holes.id[drains.tail[row]],
            "head": holes.id[drains.head[row]],
        }
        for row in range(len(drains))
    )
    where = [city.drainage.catchments[row].id for row in drains.catchment]
    return _series(city, "drain", drains.id, _lines(city, drains.lines), _middles(drains.lines), where, told)


def _manholes(city: City) -> Iterator[Asset]:
    holes = city.drainage.manholes
    kinds = {"manhole": "manhole", "pump_station": "drain_pump_station", "outfall": "outfall"}
    shapes, areas = _points(city, holes.xy), city.area_ids(holes.xy)
    for row, name in enumerate(holes.id):
        told = {
            "network": "drainage",
            "ground_m": round(float(holes.ground_m[row]), 2),
            "invert_m": round(float(holes.invert_m[row]), 2),
            "area_m2": round(float(holes.area_m2[row])),
            "street": city.base.streets.name[holes.street[row]],
        }
        zone = city.drainage.catchments[holes.catchment[row]].id
        yield _simulated(name, kinds[holes.kind[row]], shapes[row], told, zone=zone, area=areas[row])


def _gas(city: City) -> Iterator[Asset]:
    net, streets = city.gas, city.base.streets
    told: Iterable[Told] = (
        {
            "network": "gas",
            "level": net.level[row],
            "diameter_mm": int(net.diameter_mm[row]),
            "material": net.material[row],
            "length_m": round(float(net.length_m[row]), 1),
            "street": streets.name[net.street[row]],
            "tail": net.node_id[net.tail[row]],
            "head": net.node_id[net.head[row]],
        }
        for row in range(len(net.pipe_id))
    )
    yield from _plain(city, "gas_pipe", net.pipe_id, _lines(city, net.lines), _middles(net.lines), told)
    at = net.node_xy[net.stations]
    told = ({"network": "gas", "outlet_mpa": STATION_MPA} for _ in at)
    yield from _plain(
        city, "gas_station", [net.node_id[row] for row in net.stations], _points(city, at), at, told
    )
    at = net.node_xy[net.regulator_tail]
    told = ({"network": "gas", "outlet_kpa": REGULATOR_KPA} for _ in at)
    yield from _plain(city, "gas_regulator", net.regulator_id, _points(city, at), at, told)
    told = (
        {"network": "gas", "pipe": net.pipe_id[pipe], "street": streets.name[net.street[pipe]]}
        for pipe in net.valve_pipe.tolist()
    )
    yield from _plain(city, "gas_valve", net.valve_id, _points(city, net.valve_xy), net.valve_xy, told)


def _plain(
    city: City, kind: str, ids: Sequence[str], shapes: Sequence[Geometry], at: Floats, told: Iterable[Told]
) -> Iterator[Asset]:
    return _series(city, kind, ids, shapes, at, [""] * len(ids), told)


def _grid(city: City) -> Iterator[Asset]:
    """Unit cells by their codes, and the communities and officers' grids that they make up."""
    grid = city.grid
    for cell in grid.cells:
        told = {"community": cell.community, "grid": cell.grid, "beat": cell.beat}
        shape = shapely.transform(grid.shape(cell), city.plane.lonlats)
        yield _simulated(cell.code, "grid_cell", shape, told, area=cell.area)
    for part, kind in (("community", "community"), ("grid", "officer_grid")):
        area_of = {str(getattr(cell, part)): cell.area for cell in grid.cells}
        for name, shape in grid.shapes_of(part).items():
            number = int(name.rpartition(".")[2][1:])
            names = [
                city.words(
                    f"asset.title.{kind}",
                    language,
                    area=_area_name(city, area_of[name], language),
                    number=number,
                )
                for language in ("zh", "en")
            ]
            surface = shapely.transform(shape, city.plane.lonlats)
            yield _simulated(name, kind, surface, {}, names=(names[0], names[1]), area=area_of[name])


# -- shapes -----------------------------------------------------------------------------------------------------


def _points(city: City, xy: Floats) -> list[Geometry]:
    found: list[Geometry] = points(city.plane.lonlats(xy)).tolist()
    return found


def _lines(city: City, lines: Polylines) -> list[Geometry]:
    found: list[Geometry] = Polylines(city.plane.lonlats(lines.xy), lines.start).shapes().tolist()
    return found


def _middles(lines: Polylines) -> Floats:
    middle = (lines.start[:-1] + lines.start[1:] - 1) // 2
    found: Floats = lines.xy[middle]
    return found
