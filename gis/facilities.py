"""Places that are neither street nor pipe: underpasses, low points, construction sites, depots, fire stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gis.buildings import Buildings
from gis.lines import Floats, Geometry
from gis.roads import Roads
from gis.routing import Router
from gis.streets import Streets

#: Services that have depots of their own; keys of `asset.service.*` texts.
SERVICES = ("water_supply", "drainage", "gas", "road", "urban_management")

UNDERPASS_DEPTH_M = 5.2
LOW_POINT_APART_M = 260.0
FIRE_S = 285.0
CANDIDATES = 160
SITE_M2 = (3_000.0, 32_000.0)
SITE_APART_M = 550.0

STAGES = ("earthwork", "foundation", "structure")

#: What a road below ground is called that is no underpass: a river tunnel, and slip roads.
NOT_UNDERPASS = ("隧道", "入口", "出口")


@dataclass(frozen=True, slots=True, eq=False)
class Facility:
    """One such place, in metres of the plane; `shape` is its surface where it has one."""

    id: str
    kind: str
    xy: tuple[float, float]
    street: str = ""
    street_en: str = ""
    shape: Geometry | None = None
    roads: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)


def underpasses(
    roads: Roads, streets: Streets, ground_m: Floats, bounds: tuple[float, float, float, float]
) -> list[Facility]:
    """Short stretches of a named road below ground: where water collects and cars drown."""
    west, south, east, north = bounds
    groups: dict[str, list[int]] = {}
    for row in np.flatnonzero(roads.driven & roads.tunnel & (roads.level == -1)).tolist():
        x, y = roads.lines[row].mean(axis=0)
        inside = west < x < east and south < y < north
        name = roads.name[row]
        underpass = name and not any(word in name for word in NOT_UNDERPASS)
        if inside and underpass and 60.0 < roads.lines.length_m[row] < 420.0:
            groups.setdefault(name, []).append(row)
    found = []
    for number, (name, rows) in enumerate(sorted(groups.items()), 1):
        row = max(rows, key=lambda each: float(roads.lines.length_m[each]))
        length = float(roads.lines.length_m[row])
        x, y = roads.lines.at(row, length / 2)
        nearest = int(np.argmin(np.hypot(*(streets.node_xy - (x, y)).T)))
        level = round(float(ground_m[nearest]) - UNDERPASS_DEPTH_M, 2)
        found.append(
            Facility(
                f"UP-{number:02d}", "underpass", (x, y),
                name.removesuffix("地道"), roads.name_en[row].removesuffix(" Tunnel"),
                roads=tuple(roads.id[each] for each in rows),
                attributes={"road_level_m": level, "length_m": round(length), "clearance_m": 4.5, "pumps": 3},
            )
        )  # fmt: skip
    return found


def low_points(streets: Streets, ground_m: Floats, count: int) -> list[Facility]:
    """Street junctions lower than all around them, the deepest first: where rain stands."""
    order = np.argsort(ground_m, kind="stable")
    chosen: list[int] = []
    for node in order.tolist():
        gap = np.hypot(*(streets.node_xy[chosen] - streets.node_xy[node]).T) if chosen else np.array([np.inf])
        if gap.min() >= LOW_POINT_APART_M:
            chosen.append(node)
        if len(chosen) == count:
            break
    names = _Names(streets)
    return [
        Facility(
            f"LP-{number:02d}", "low_point", _xy(streets, node), *names.at(node),
            attributes={"ground_m": round(float(ground_m[node]), 2)},
        )
        for number, node in enumerate(chosen, 1)
    ]  # fmt: skip


def sites(streets: Streets, buildings: Buildings, keep_off: Sequence[Geometry], count: int) -> list[Facility]:
    """Construction sites on the emptiest ground of street blocks; simulated, and named after their street."""
    blocks = shapely.get_parts(shapely.polygonize(streets.lines.shapes()))
    taken = np.array([*buildings.shape[~buildings.part], *keep_off], object)
    block, thing = shapely.STRtree(taken).query(blocks, predicate="intersects").reshape(2, -1)
    covered = np.bincount(block, np.minimum(shapely.area(taken), 2e5)[thing], len(blocks))
    emptiest = np.argsort(covered - shapely.area(blocks), kind="stable")[: 8 * count]
    free = [_free_ground(blocks[row], taken[thing[block == row]]) for row in emptiest.tolist()]
    ranked = sorted((each for each in free if each.area > SITE_M2[0] / 2), key=lambda each: -each.area)
    names = _Names(streets)
    found: list[Facility] = []
    for ground in ranked:
        centre = ground.representative_point()
        square = shapely.box(centre.x - 75, centre.y - 75, centre.x + 75, centre.y + 75)
        plot = shapely.buffer(shapely.intersection(ground, square), 8.0, join_style="mitre")
        plot = shapely.simplify(plot, 2.0)
        apart = all(
            np.hypot(centre.x - other.xy[0], centre.y - other.xy[1]) > SITE_APART_M for other in found
        )
        if not apart or plot.geom_type != "Polygon" or not SITE_M2[0] < plot.area < SITE_M2[1]:
            continue
        told = {"area_m2": round(plot.area), "stage": STAGES[len(found) % len(STAGES)]}
        at = (centre.x, centre.y)
        found.append(
            Facility(f"SITE-{len(found) + 1:02d}", "site", at, *names.near(*at), plot, attributes=told)
        )
        if len(found) == count:
            break
    return found


def _free_ground(block: Geometry, taken: NDArray[Any]) -> Geometry:
    """The largest piece of a block that is clear of its streets and of what stands in it."""
    inner = shapely.buffer(block, -18.0)
    clear = shapely.difference(inner, shapely.union_all(shapely.buffer(taken, 6.0)))
    parts = shapely.get_parts(shapely.buffer(clear, -10.0))
    return max(parts, key=shapely.area, default=shapely.Point())


def depots(streets: Streets, per_service: int) -> list[Facility]:
    """Where crews start from: spread over the city, each service shifted against the others."""
    names = _Names(streets)
    places = [
        (service, node)
        for turn, service in enumerate(SERVICES, 1)
        for node in _spread(streets.node_xy, per_service, turn)
    ]
    return [
        Facility(
            f"DEPOT-{number:02d}",
            "depot",
            _xy(streets, node),
            *names.at(node),
            attributes={"service": service},
        )
        for number, (service, node) in enumerate(places, 1)
    ]


def fire_stations(streets: Streets, router: Router) -> list[Facility]:
    """As few as reach every junction in `FIRE_S`, the one that reaches most of what is left chosen next."""
    names = _Names(streets)
    places = [_xy(streets, node) for node in range(streets.nodes)]
    candidates = _spread(streets.node_xy, min(streets.nodes, max(24, streets.nodes // 8), CANDIDATES), 1)
    reached = router.seconds_among([places[node] for node in candidates], places) <= FIRE_S
    left = reached.any(axis=0)
    found: list[Facility] = []
    while left.any():
        best = int(np.argmax((reached & left).sum(axis=1)))
        left &= ~reached[best]
        node = candidates[best]
        name, told = f"FS-{len(found) + 1:02d}", {"service": "fire"}
        found.append(Facility(name, "fire_station", places[node], *names.at(node), attributes=told))
    return found


def _spread(xy: Floats, count: int, turn: int) -> list[int]:
    """`count` junctions that leave no junction far away (k-centre, greedy), from another begin for each turn."""
    angle = 2.4 * turn
    chosen = [int(np.argmax(xy @ (np.cos(angle), np.sin(angle))))]
    gap = np.hypot(*(xy - xy[chosen[0]]).T)
    while len(chosen) < count:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.hypot(*(xy - xy[chosen[-1]]).T))
    return chosen


def _xy(streets: Streets, node: int) -> tuple[float, float]:
    return float(streets.node_xy[node, 0]), float(streets.node_xy[node, 1])


class _Names:
    """Names of streets in both languages: at a junction, and near a place."""

    def __init__(self, streets: Streets) -> None:
        self._streets = streets
        self._named = np.flatnonzero(np.array(streets.name) != "")
        self._tree = shapely.STRtree(streets.lines.shapes()[self._named])

    def _of(self, row: int) -> tuple[str, str]:
        return self._streets.name[row], self._streets.name_en[row] or self._streets.name[row]

    def near(self, x: float, y: float) -> tuple[str, str]:
        """Of the nearest named street; empty where none has a name."""
        return (
            self._of(int(self._named[self._tree.nearest(shapely.Point(x, y))]))
            if len(self._named)
            else ("", "")
        )

    def at(self, node: int) -> tuple[str, str]:
        """Of the most important street that meets there, otherwise of the nearest one."""
        meets = (self._streets.tail[self._named] == node) | (self._streets.head[self._named] == node)
        rows = self._named[meets]
        if not len(rows):
            return self.near(*_xy(self._streets, node))
        return self._of(int(rows[np.argmin(self._streets.rank[rows])]))
