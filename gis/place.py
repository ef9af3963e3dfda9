"""From a position to words: 滨江大道 / 建设路口 东 40 m. Also the area (street, 街道) that a place lies in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gis.lines import Floats
from gis.roads import Roads

#: A street farther away than this does not name a place.
BESIDE_M = 200.0

#: A place far from every other, for where there are no landmarks.
NOWHERE = (1e12, 1e12)

#: Nearer to a crossing than this a place is at it.
AT_CROSSING_M = 12.0

#: What a place may be told by: things that stand for long and that people know.
KNOWN_BY = frozenset(
    [
        "park",
        "attraction",
        "museum",
        "hospital",
        "school",
        "university",
        "station",
        "subway_entrance",
        "monument",
        "viewpoint",
        "ferry_terminal",
        "mall",
        "government",
        "police",
        "fire_station",
        "library",
        "place_of_worship",
        "communications_tower",
        "hotel",
    ]
)

DIRECTIONS = ("east", "north_east", "north", "north_west", "west", "south_west", "south", "south_east")

Words = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Street:
    """A name in both languages; `en` is the Chinese one where no other is known."""

    zh: str
    en: str

    def in_(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a place is: on a street, and how far which way from the nearest crossing of it."""

    street: Street | None = None
    crossing: Street | None = None
    direction: str = ""
    metres: int = 0
    landmark: Street | None = None

    def told(self, words: Words, language: str) -> str:
        """A sentence. `words(key, language, **values)` gives the texts `place.*`."""
        if self.street is None:
            if self.landmark is None:
                return words("place.nowhere", language)
            return words("place.near", language, landmark=self.landmark.in_(language))
        street = self.street.in_(language)
        if self.crossing is None:
            return words("place.on_street", language, street=street)
        crossing = self.crossing.in_(language)
        if not self.metres:
            return words("place.at_crossing", language, street=street, crossing=crossing)
        toward = words(f"place.{self.direction}", language)
        return words("place.from_crossing", language, street=street, crossing=crossing, direction=toward,
                     metres=self.metres)  # fmt: skip


class Gazetteer:
    """Names around a position (metres of the plane). Made once from the roads and the named places."""

    def __init__(self, roads: Roads, landmarks: list[tuple[Street, float, float]]) -> None:
        named = np.flatnonzero(roads.driven & (np.array(roads.name) != "") & ~roads.tunnel)
        self._streets = [Street(roads.name[row], roads.name_en[row] or roads.name[row]) for row in named]
        self._shapes = roads.lines.shapes()[named]
        self._tree = shapely.STRtree(self._shapes)
        self._crossings = _crossings(roads, named)
        self._landmarks = [name for name, _, _ in landmarks]
        self._landmark_tree = cKDTree([(x, y) for _, x, y in landmarks] or [NOWHERE])

    def find(self, x: float, y: float) -> Whereabouts:
        """What a person would say of this place."""
        point = shapely.Point(x, y)
        row = self._tree.query_nearest(point, max_distance=BESIDE_M, all_matches=False)
        if not len(row):
            gap, nearest = self._landmark_tree.query((x, y))
            return Whereabouts(landmark=self._landmarks[int(nearest)] if gap < 2 * BESIDE_M else None)
        street = self._streets[int(row[0])]
        crossings = self._crossings.get(street.zh)
        if crossings is None:
            return Whereabouts(street)
        others, places = crossings
        away = np.hypot(*(places - (x, y)).T)
        best = int(np.argmin(away))
        metres = float(away[best])
        if metres < AT_CROSSING_M:
            return Whereabouts(street, others[best])
        angle = np.degrees(np.arctan2(y - places[best, 1], x - places[best, 0]))
        direction = DIRECTIONS[round(angle / 45.0) % 8]
        return Whereabouts(street, others[best], direction, max(10, round(metres / 10) * 10))


def _crossings(roads: Roads, named: NDArray[np.intp]) -> dict[str, tuple[list[Street], Floats]]:
    """Street name → (names of the streets it crosses, where)."""
    meets: dict[int, dict[str, Street]] = defaultdict(dict)
    for row in named.tolist():
        street = Street(roads.name[row], roads.name_en[row] or roads.name[row])
        meets[int(roads.tail[row])][street.zh] = street
        meets[int(roads.head[row])][street.zh] = street
    found: dict[str, tuple[list[Street], list[Floats]]] = defaultdict(lambda: ([], []))
    for node, streets in meets.items():
        for name in streets:
            for other in streets.values():
                if other.zh != name:
                    found[name][0].append(other)
                    found[name][1].append(roads.node_xy[node])
    return {name: (others, np.array(places)) for name, (others, places) in found.items()}
