"""Find a place by its name in Chinese, in pinyin (whole, begun or initials), in English, or by its asset id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gis.asset import Asset
from gis.crs import Plane

#: What people look for comes first among equals.
WEIGHT: Mapping[str, int] = {
    "area": 6,
    "place": 5,
    "road": 5,
    "building": 4,
    "underpass": 4,
    "site": 3,
    "district": 3,
}

#: Kinds whose names are not looked for: there are too many of them, and their ids are known.
NAMELESS = frozenset({"grid_cell", "officer_grid", "boundary", "rail"})


@dataclass(frozen=True, slots=True)
class Found:
    """A place that fits: the asset's id and kind, its names, a WGS 84 point on it; the best score is 100."""

    id: str
    kind: str
    name: str
    name_en: str
    lon: float
    lat: float
    score: int


@dataclass(frozen=True, slots=True)
class _Entry:
    asset: Asset
    lonlat: tuple[float, float]
    latin: str  # English name and id in lower case, without blanks
    readings: tuple[tuple[str, ...], ...] = field(default=())  # of each character of the name


class Search:
    """The names and ids of some assets. Streets that have many stretches are found once, in their middle."""

    def __init__(self, assets: Iterable[Asset], plane: Plane) -> None:
        every = list(assets)
        self._ids = {asset.id.lower(): asset for asset in every}
        self._readings = _Readings()
        named = [asset for asset in every if asset.name and asset.kind not in NAMELESS]
        self._entries = [
            _Entry(asset, lonlat, _plain(asset.name_en), self._readings.of(asset.name))
            for asset, lonlat in _once(named, plane)
        ]

    def find(self, query: str, limit: int = 10, kinds: Sequence[str] = ()) -> list[Found]:
        """The best fits. An id that is typed whole comes first; nothing fits an empty query."""
        asked = query.strip()
        plain = _plain(asked)
        if not plain:
            return []
        exact = self._ids.get(asked.lower())
        hits = [] if exact is None else [_found(exact, exact.lonlat, 100)]
        latin = plain.isascii()
        for entry in self._entries:
            score = self._score(entry, plain, latin=latin)
            if score and entry.asset is not exact:
                hits.append(_found(entry.asset, entry.lonlat, score))
        if len(plain) > 2 and latin:
            begun = (a for name, a in self._ids.items() if name.startswith(asked.lower()) and a is not exact)
            hits += [_found(a, a.lonlat, 40) for a in begun]
        if kinds:
            hits = [hit for hit in hits if hit.kind in kinds]
        hits.sort(key=lambda hit: (-hit.score, -WEIGHT.get(hit.kind, 0), len(hit.name), hit.id))
        return list({hit.id: hit for hit in reversed(hits)}.values())[::-1][:limit]

    def _score(self, entry: _Entry, plain: str, *, latin: bool) -> int:
        if not latin:
            return _of_text(_plain(entry.asset.name), plain)
        best = _of_text(entry.latin, plain) if len(plain) > 1 else 0
        return max(best, self._readings.fits(entry.readings, plain))


def _found(asset: Asset, lonlat: tuple[float, float], score: int) -> Found:
    return Found(asset.id, asset.kind, asset.name, asset.name_en, *lonlat, score)


def _plain(text: str) -> str:
    return "".join(text.lower().split())


def _of_text(name: str, asked: str) -> int:
    """95 for the whole name, 85 for its begin, 65 for a part of it."""
    if name == asked:
        return 95
    if name.startswith(asked):
        return 85
    return 65 if asked in name else 0


def _once(assets: Sequence[Asset], plane: Plane) -> Iterable[tuple[Asset, tuple[float, float]]]:
    """Each asset with its point; of roads of one name only the stretch nearest to the middle of all of them."""
    roads: dict[str, list[Asset]] = {}
    for asset in assets:
        if asset.kind == "road":
            roads.setdefault(asset.name, []).append(asset)
        else:
            yield asset, asset.lonlat
    for stretches in roads.values():
        places = np.array([asset.lonlat for asset in stretches])
        xy = plane.points(places)
        best = int(np.argmin(np.hypot(*(xy - np.median(xy, axis=0)).T)))
        yield stretches[best], (float(places[best, 0]), float(places[best, 1]))


class _Readings:
    """All readings of Chinese characters, without tones. Loaded with the first search."""

    def __init__(self) -> None:
        from xpinyin import Pinyin

        self._table: Mapping[str, str] = Pinyin().pinyins

    def of(self, name: str) -> tuple[tuple[str, ...], ...]:
        """The readings of each character; a letter or digit reads as itself."""
        return tuple(self._one(character) for character in name if not character.isspace())

    def _one(self, character: str) -> tuple[str, ...]:
        told = self._table.get(f"{ord(character):X}", "")
        found = {reading.rstrip("012345").lower().replace("u:", "v") for reading in told.split()}
        return tuple(sorted(found)) or (character.lower(),)

    @staticmethod
    def fits(readings: Sequence[Sequence[str]], asked: str) -> int:
        """How well letters spell a name: 90 whole, 80 from its begin, 60 from a later character, 0 not at all.

        Each character may be spelled whole or by its first letter, the last one may be only begun: `binjiang`,
        `bjdd` and `binj` all fit 滨江大道.
        """
        for first in range(len(readings)):
            if not any(reading.startswith(asked[0]) for reading in readings[first]):
                continue
            reached = {0}
            for place in range(first, len(readings)):
                following: set[int] = set()
                for at in reached:
                    rest = asked[at:]
                    for reading in readings[place]:
                        if rest.startswith(reading):
                            following.add(at + len(reading))
                        if rest[0] == reading[0]:
                            following.add(at + 1)
                        if reading.startswith(rest):
                            following.add(len(asked))
                if len(asked) in following:
                    if first:
                        return 60
                    return 90 if place == len(readings) - 1 else 80
                reached = {at for at in following if at < len(asked)}
                if not reached:
                    break
        return 0
