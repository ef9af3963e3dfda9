"""Things filed by time, name and place: what is near a place in a span of time is found by looking at few.

One question of an alert must cost a few µs, so this is written for speed: no calls within the loops over what is
looked at, and an index by a name or by squares of one size begins with the first question that needs it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from events.place import METRES_A_DEGREE, Place
from events.types import Near, Sameness

#: So few of the right time are all looked at.
FEW = 6

Cell = tuple[int, int]


class Spot:
    """A place in metres, and the squares that it lies in, computed once for all who ask.

    Metres to the east are counted from a meridian that all of one correlation share; near it squares are square.
    """

    __slots__ = ("_cells", "_east_m", "half_east_m", "lon", "north_m", "place")

    def __init__(self, place: Place, meridian: float) -> None:
        self.place = place
        self.lon = place.lon
        self.north_m = place.lat * METRES_A_DEGREE
        #: Half the metres of a degree to the east: two places' halves make the metres between them.
        self.half_east_m = METRES_A_DEGREE / 2 * math.cos(math.radians(place.lat))
        self._east_m = (place.lon - meridian) * 2 * self.half_east_m
        self._cells: dict[float, tuple[Cell, Cell, Cell, Cell]] = {}

    def cells(self, side_m: float) -> tuple[Cell, Cell, Cell, Cell]:
        """The square of a side that the place lies in, and the three that complete what is within half a side."""
        known = self._cells.get(side_m)
        if known is None:
            north, east = self.north_m / side_m, self._east_m / side_m
            row, column = math.floor(north), math.floor(east)
            beyond = row + 1 if north - row >= 0.5 else row - 1
            beside = column + 1 if east - column >= 0.5 else column - 1
            known = ((row, column), (row, beside), (beyond, column), (beyond, beside))
            self._cells[side_m] = known
        return known


class Placed(Protocol):
    """What can be filed."""

    spot: Spot
    onset_us: int

    @property
    def group(self) -> object:
        """What it belongs to, if to one; None: to many, or to none."""


Thing = TypeVar("Thing", bound=Placed)
Key = TypeVar("Key", str, Cell)
#: A thing and what nearly every question compares: onset, metres to the north, degrees to the east, half the metres
#: of one.
Card = tuple[int, float, float, float, Thing]
Drawer = list[Card[Thing]]


class Shelf(Generic[Thing]):
    """Things of one kind, ascending by time, and what of them is near a place."""

    def __init__(self) -> None:
        self._all: Drawer[Thing] = []
        self._named: dict[Sameness, dict[str, Drawer[Thing]]] = {}
        self._cells: dict[float, dict[Cell, Drawer[Thing]]] = {}

    def put(self, thing: Thing) -> None:
        spot = thing.spot
        card = (thing.onset_us, spot.north_m, spot.lon, spot.half_east_m, thing)
        _insert(self._all, card)
        for same, named in self._named.items():
            _file(named, spot.place.named(same), card)
        for side_m, cells in self._cells.items():
            _file(cells, spot.cells(side_m)[0], card)

    def take_out(self, thing: Thing) -> None:
        _remove(self._all, thing)
        for same, named in self._named.items():
            _unfile(named, thing.spot.place.named(same), thing)
        for side_m, cells in self._cells.items():
            _unfile(cells, thing.spot.cells(side_m)[0], thing)

    def newest_us(self) -> int:
        """When the last of them began."""
        return self._all[-1][0] if self._all else 0

    def near(
        self,
        near: Near,
        spot: Spot,
        span_us: tuple[int, int],
        joined: Callable[[Thing], bool] | None = None,
        fits: Callable[[Thing], bool] | None = None,
    ) -> list[Thing]:
        """Things of times in a span, ends included, that are near a spot by name or metres, or `joined` within reach.

        One that is near in several ways may come several times, one that does not fit not at all. Of a group in which
        one was found the next are passed over: in a flood nearly all are of one.
        """
        found: list[Thing] = []
        few = _between(self._all, span_us)
        if not few:
            return found
        for same in near.same:
            if name := spot.place.named(same):
                if len(few) <= FEW:
                    _choose([card for card in few if card[4].spot.place.named(same) == name], fits, found)
                else:
                    _choose(_between(self._by_name(same).get(name, []), span_us), fits, found)
        if near.reach_m:
            pool = few if len(few) <= FEW else self._around(near.reach_m, spot, span_us)
            _measure(pool, near, spot, joined, fits, found)
        return found

    def _by_name(self, same: Sameness) -> dict[str, Drawer[Thing]]:
        named = self._named.get(same)
        if named is None:
            named = self._named[same] = {}
            for card in self._all:
                _file(named, card[4].spot.place.named(same), card)
        return named

    def _around(self, reach_m: float, spot: Spot, span_us: tuple[int, int]) -> Drawer[Thing]:
        """All within reach and some more."""
        side_m = 2.1 * reach_m  # meridians converge: squares far from ours are a little askew
        cells = self._cells.get(side_m)
        if cells is None:
            cells = self._cells[side_m] = {}
            for card in self._all:
                _file(cells, card[4].spot.cells(side_m)[0], card)
        pool: Drawer[Thing] = []
        for cell in spot.cells(side_m):
            if cell in cells:
                pool += _between(cells[cell], span_us)
        return pool


def _choose(pool: Drawer[Thing], fits: Callable[[Thing], bool] | None, found: list[Thing]) -> None:
    """Put what fits to what was found."""
    known = found[-1].group if found else None
    for card in pool:
        thing = card[4]
        if (known is None or thing.group is not known) and (fits is None or fits(thing)):
            found.append(thing)
            known = thing.group


def _measure(
    pool: Drawer[Thing],
    near: Near,
    spot: Spot,
    joined: Callable[[Thing], bool] | None,
    fits: Callable[[Thing], bool] | None,
    found: list[Thing],
) -> None:
    """Put what lies near enough, or is joined within reach, to what was found."""
    north_m, lon, half_east_m = spot.north_m, spot.lon, spot.half_east_m
    sure, reach = near.within_m**2 or -1.0, near.reach_m**2
    known = found[-1].group if found else None
    for _, thing_north_m, thing_lon, thing_half_m, thing in pool:
        if known is not None and thing.group is known:
            continue
        away = (thing_north_m - north_m) ** 2 + ((thing_lon - lon) * (half_east_m + thing_half_m)) ** 2
        if away > reach:
            continue
        if (away <= sure or (joined is not None and joined(thing))) and (fits is None or fits(thing)):
            found.append(thing)
            known = thing.group


def _between(drawer: Drawer[Thing], span_us: tuple[int, int]) -> Drawer[Thing]:
    """What began in a span, ends included."""
    from_us, to_us = span_us
    if not drawer or drawer[-1][0] < from_us:
        return []
    begin = bisect_left(drawer, (from_us,))
    if drawer[-1][0] <= to_us:
        return drawer[begin:]
    return drawer[begin : bisect_left(drawer, (to_us + 1,))]


def _insert(drawer: Drawer[Thing], card: Card[Thing]) -> None:
    if not drawer or drawer[-1][0] <= card[0]:
        drawer.append(card)
    else:
        drawer.insert(bisect_left(drawer, (card[0] + 1,)), card)


def _remove(drawer: Drawer[Thing], thing: Thing) -> None:
    at = bisect_left(drawer, (thing.onset_us,))
    while drawer[at][4] is not thing:
        at += 1
    del drawer[at]


def _file(drawers: dict[Key, Drawer[Thing]], key: Key, card: Card[Thing]) -> None:
    """Nothing is filed under no name."""
    drawer = drawers.get(key)
    if drawer is not None:
        _insert(drawer, card)
    elif key:
        drawers[key] = [card]


def _unfile(drawers: dict[Key, Drawer[Thing]], key: Key, thing: Thing) -> None:
    drawer = drawers.get(key)
    if drawer is not None:
        _remove(drawer, thing)
        if not drawer:
            del drawers[key]
