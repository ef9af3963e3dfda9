"""Things filed by time, name and place: what is near a place in a span of time is found by looking at few.

One question of an alert must cost a few µs, so this is written for speed: no calls within the loops over what is
looked at, and an index by a name or by squares of one size begins with the first question that needs it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from events.place import METRES_A_DEGREE, Place
from events.types import Near, Sameness

#: So few of the right time are all looked at.
FEW = 6

Cell = tuple[int, int]


class Spot:
    """A place, metres a degree there, and the squares that it lies in, computed once for all who ask."""

    __slots__ = ("_cells", "east_m", "lat", "lon", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.lon, self.lat = place.lon, place.lat
        self.east_m = METRES_A_DEGREE * math.cos(math.radians(place.lat))
        self._cells: dict[float, tuple[Cell, Cell, Cell, Cell]] = {}

    def cells(self, side_m: float) -> tuple[Cell, Cell, Cell, Cell]:
        """The square of a side that the place lies in, and the three that complete what is within half a side."""
        known = self._cells.get(side_m)
        if known is None:
            north = self.lat * METRES_A_DEGREE / side_m
            row = math.floor(north)
            beyond = row + 1 if north - row >= 0.5 else row - 1
            east, there = self._east(row, side_m), self._east(beyond, side_m)
            column, first = math.floor(east), math.floor(there - 0.5)
            beside = column + 1 if east - column >= 0.5 else column - 1
            known = ((row, column), (row, beside), (beyond, first), (beyond, first + 1))
            self._cells[side_m] = known
        return known

    def _east(self, row: int, side_m: float) -> float:
        """Sides to the east of the meridian of Greenwich, all along a row by one latitude: that of its middle."""
        lat = math.radians((row + 0.5) * side_m / METRES_A_DEGREE)
        return self.lon * METRES_A_DEGREE * math.cos(lat) / side_m

    def shares(self, same: Sameness, other: Spot) -> bool:
        """Whether two places have the same name; nothing is the same as nobody knows."""
        name = self.place.named(same)
        return bool(name) and name == other.place.named(same)


class Placed(Protocol):
    """What can be filed."""

    spot: Spot
    onset_us: int


Thing = TypeVar("Thing", bound=Placed)


class _Drawer(Generic[Thing]):
    """Things ascending by time."""

    __slots__ = ("things", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.things: list[Thing] = []

    def put(self, thing: Thing) -> None:
        times, time_us = self.times, thing.onset_us
        if not times or times[-1] <= time_us:
            times.append(time_us)
            self.things.append(thing)
            return
        at = bisect_right(times, time_us)
        times.insert(at, time_us)
        self.things.insert(at, thing)

    def take_out(self, thing: Thing) -> None:
        at = self.things.index(thing, bisect_left(self.times, thing.onset_us))
        del self.times[at], self.things[at]


class Shelf(Generic[Thing]):
    """Things of one kind, and what of them is near a place."""

    def __init__(self) -> None:
        self._all: _Drawer[Thing] = _Drawer()
        self._named: dict[Sameness, dict[str, _Drawer[Thing]]] = {}
        self._cells: dict[float, dict[Cell, _Drawer[Thing]]] = {}

    def put(self, thing: Thing) -> None:
        self._all.put(thing)
        for same, named in self._named.items():
            _file(named, thing.spot.place.named(same), thing)
        for side_m, cells in self._cells.items():
            _file(cells, thing.spot.cells(side_m)[0], thing)

    def take_out(self, thing: Thing) -> None:
        self._all.take_out(thing)
        for same, named in self._named.items():
            _unfile(named, thing.spot.place.named(same), thing)
        for side_m, cells in self._cells.items():
            _unfile(cells, thing.spot.cells(side_m)[0], thing)

    def near(
        self, near: Near, spot: Spot, from_us: int, to_us: int, joined: Callable[[Thing], bool] | None = None
    ) -> list[Thing]:
        """Things of times in [from, to] that are near a spot by name or metres, or are `joined` within reach of it.

        One that is near in several ways may come several times.
        """
        times = self._all.times
        if not times or times[-1] < from_us:
            return []
        begin, end = bisect_left(times, from_us), bisect_right(times, to_us)
        if end - begin <= FEW:
            few = self._all.things[begin:end]
            found = [thing for same in near.same for thing in few if spot.shares(same, thing.spot)]
            pools: list[Sequence[Thing]] = [few]
        else:
            found = []
            for same in near.same:
                if name := spot.place.named(same):
                    found += _between(self._by_name(same).get(name), from_us, to_us)
            pools = self._around(near.reach_m, spot, from_us, to_us) if near.reach_m else []
        reach_m, lat, lon, east_m = near.reach_m, spot.lat, spot.lon, spot.east_m / 2
        sure, possible = near.within_m**2 or -1.0, reach_m**2 if joined is not None else -1.0
        degrees = reach_m / METRES_A_DEGREE
        for pool in pools:
            for thing in pool:
                other = thing.spot
                north = other.lat - lat
                if -degrees <= north <= degrees:
                    away = (north * METRES_A_DEGREE) ** 2
                    away += ((other.lon - lon) * (east_m + other.east_m / 2)) ** 2
                    if away <= sure or (away <= possible and joined is not None and joined(thing)):
                        found.append(thing)
        return found

    def _around(self, reach_m: float, spot: Spot, from_us: int, to_us: int) -> list[Sequence[Thing]]:
        """All within reach and some more."""
        side_m = 2.02 * reach_m  # rows are measured by the latitude of their middle: not all by the same
        cells = self._cells.get(side_m)
        if cells is None:
            cells = self._cells[side_m] = {}
            for thing in self._all.things:
                _file(cells, thing.spot.cells(side_m)[0], thing)
        return [_between(cells.get(cell), from_us, to_us) for cell in spot.cells(side_m)]

    def _by_name(self, same: Sameness) -> dict[str, _Drawer[Thing]]:
        named = self._named.get(same)
        if named is None:
            named = self._named[same] = {}
            for thing in self._all.things:
                _file(named, thing.spot.place.named(same), thing)
        return named


Key = TypeVar("Key", str, Cell)


def _file(drawers: dict[Key, _Drawer[Thing]], key: Key, thing: Thing) -> None:
    """Nothing is filed under no name."""
    drawer = drawers.get(key)
    if drawer is None and key:
        drawer = drawers[key] = _Drawer()
    if drawer is not None:
        drawer.put(thing)


def _unfile(drawers: dict[Key, _Drawer[Thing]], key: Key, thing: Thing) -> None:
    drawer = drawers.get(key)
    if drawer is not None:
        drawer.take_out(thing)
        if not drawer.times:
            del drawers[key]


def _between(drawer: _Drawer[Thing] | None, from_us: int, to_us: int) -> Sequence[Thing]:
    if drawer is None or drawer.times[-1] < from_us:
        return ()
    times = drawer.times
    return drawer.things[bisect_left(times, from_us) : bisect_right(times, to_us)]
