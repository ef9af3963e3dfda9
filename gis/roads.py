"""Streets as they are driven: road edges between junctions, one per stretch, with class, name and direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gis.crs import Plane
from gis.lines import Floats, Ints, Polylines

#: Travel speed in km/h where no limit is signed, by OSM class; ours, for a fire engine or a repair van in town.
SPEED_KMH: Mapping[str, float] = {
    "motorway": 70, "motorway_link": 45, "trunk": 60, "trunk_link": 40, "primary": 40, "primary_link": 30,
    "secondary": 35, "secondary_link": 30, "tertiary": 30, "tertiary_link": 25, "residential": 20,
    "unclassified": 20, "living_street": 10, "service": 12,
}  # fmt: skip

#: The share of a signed limit that is driven in town.
DRIVEN = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Roads:
    """n road edges, parallel columns. `tail`, `head` index `node_xy`; -1 where nothing is driven (paths).

    oneway: 1 only tail→head, -1 only head→tail, 0 both. `level` is OSM's layer: below 0 under the ground.
    """

    id: tuple[str, ...]
    klass: tuple[str, ...]
    name: tuple[str, ...]
    name_en: tuple[str, ...]
    oneway: NDArray[np.int8]
    lanes: NDArray[np.int8]
    level: NDArray[np.int8]
    tunnel: NDArray[np.bool_]
    bridge: NDArray[np.bool_]
    speed_kmh: Floats
    lines: Polylines
    tail: Ints
    head: Ints
    node_xy: Floats

    def __len__(self) -> int:
        return len(self.id)

    @property
    def driven(self) -> NDArray[np.bool_]:
        return self.tail >= 0


Way = tuple[Mapping[str, object], Sequence[Sequence[float]]]


def build(ways: Sequence[Way], plane: Plane, label: str = "R-{way}-{part}") -> Roads:
    """Cut ways at their junctions, and call the stretches by `label`.

    A way is (properties, [[lon, lat], …]) with the properties of the sample's roads layer: osm, class, name, name_en,
    oneway, lanes, maxspeed, layer, tunnel, bridge, detail.

    Two ways meet where they have the very same coordinate, as OSM's shared nodes do; `detail` ways meet nothing.
    """
    lonlat = np.concatenate([np.empty((0, 2)), *(np.asarray(line, np.float64) for _, line in ways)])
    counts = np.array([len(line) for _, line in ways], np.int64)
    ends = np.cumsum(counts)
    starts = ends - counts
    drives = np.array([not properties.get("detail") for properties, _ in ways], bool)
    xy = plane.points(lonlat)

    keys = np.round(lonlat * 1e6).astype(np.int64)
    _, point = np.unique(keys[:, 0] * 1_000_000_000 + keys[:, 1], return_inverse=True)
    used = np.repeat(drives, counts)
    weight = used.astype(np.int64)
    weight[starts[drives]] += 1  # an end is a node even where nothing else meets it
    weight[ends[drives] - 1] += 1
    is_node = np.bincount(point, weight) >= 2
    breaks = is_node[point] & used

    pieces: list[Floats] = []
    source: list[int] = []
    part: list[int] = []
    tails: list[int] = []
    heads: list[int] = []
    pieces_of: Counter[object] = Counter()  # a way of the source may come in several parts
    for way, (first, last) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        osm = ways[way][0]["osm"]
        marks = (np.flatnonzero(breaks[first:last]) + first).tolist() if drives[way] else [first, last - 1]
        for a, b in pairwise(marks):
            pieces.append(xy[a : b + 1])
            source.append(way)
            part.append(pieces_of[osm])
            pieces_of[osm] += 1
            tails.append(int(point[a]) if drives[way] else -1)
            heads.append(int(point[b]) if drives[way] else -1)
    tail, head, node_xy = _renumber(np.array(tails, np.int64), np.array(heads, np.int64), point, xy)
    told = [ways[way][0] for way in source]
    return Roads(
        id=tuple(label.format(way=each["osm"], part=number) for each, number in zip(told, part, strict=True)),
        klass=tuple(str(each["class"]) for each in told),
        name=tuple(str(each.get("name", "")) for each in told),
        name_en=tuple(str(each.get("name_en", "")) for each in told),
        oneway=_column(told, "oneway"),
        lanes=_column(told, "lanes"),
        level=_column(told, "layer"),
        tunnel=np.array(
            [bool(each.get("tunnel")) or _sunken(str(each.get("name", ""))) for each in told], bool
        ),
        bridge=_column(told, "bridge").astype(bool),
        speed_kmh=np.array([_speed(each) for each in told], np.float64),
        lines=Polylines.of(pieces),
        tail=tail,
        head=head,
        node_xy=node_xy,
    )


def _column(told: Sequence[Mapping[str, object]], key: str) -> NDArray[np.int8]:
    return np.array([each.get(key, 0) for each in told], np.int8)


def _sunken(name: str) -> bool:
    """Ramps carry the name of their tunnel, but not always its tag."""
    return any(word in name for word in ("隧道", "地道", "Tunnel"))


def _speed(properties: Mapping[str, object]) -> float:
    signed = properties.get("maxspeed")
    if isinstance(signed, int | float) and signed > 0:
        return DRIVEN * signed
    return SPEED_KMH.get(str(properties["class"]), 15.0)


def _renumber(
    tail: NDArray[np.integer], head: NDArray[np.integer], point: NDArray[np.integer], xy: Floats
) -> tuple[Ints, Ints, Floats]:
    """Dense node numbers 0 … n-1 for the points that edges end in, in the order of the points."""
    nodes = np.unique(np.concatenate([tail, head]))
    nodes = nodes[nodes >= 0]
    place = np.zeros((int(point.max(initial=0)) + 1, 2))
    place[point] = xy
    dense = np.full(len(place) + 1, -1, np.int32)  # the last one stays -1: what is not driven
    dense[nodes] = np.arange(len(nodes), dtype=np.int32)
    return dense[tail], dense[head], place[nodes]
