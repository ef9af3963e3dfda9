"""A city from nothing: streets, a river, buildings, areas, of any size, from a seed. All of it is simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gis import roads, streets
from gis.buildings import FLOOR_M, Buildings
from gis.city import Area, Base, City, Landmark, Surface, assemble
from gis.crs import Plane
from gis.lines import Floats, Ints
from gis.roads import Roads, Way
from gis.streets import Streets

#: Where generated cities lie: a plain with nothing of its own (WGS 84 degrees).
CENTRE = (118.0, 31.0)

BLOCK_M = 135.0
RIVER_M = 210.0
#: Every how many lines of the grid a street of a class comes; the rest are residential.
EVERY = (("primary", 8), ("secondary", 4), ("tertiary", 2))
CLOSED = 0.10  # of the residential stretches do not exist
UNDERPASS = 0.025  # of the stretches of main roads dive below another
AREA_BLOCKS = 9
SOURCE, LICENCE = "CityOps", "Apache-2.0"

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """A warped grid of n × n junctions: `xy[row, column]`, rows from south to north."""

    n: int
    xy: Floats
    wet: Bools  # junctions in the river
    river: shapely.Polygon

    def line_class(self, line: int) -> str:
        """The class of the streets along a line of the grid; the same for rows and columns."""
        shifted = line - self.n // 2
        return next((klass for klass, every in EVERY if shifted % every == 0), "residential")


def city(seed: int, sensors: int) -> City:
    """A city large enough for about so many sensors. The same seed and size give the same city."""
    return assemble(base(seed, stretches=max(60, round(sensors / SENSORS_A_STRETCH))), seed)


#: How many devices the instruments of `gis.instruments` put on a stretch of street, on average (measured).
SENSORS_A_STRETCH = 14.7


def base(seed: int, stretches: int) -> Base:
    """Streets of about so many stretches with what stands between them."""
    rng = np.random.default_rng([seed, 7])
    lines = round(
        (4.0 + np.sqrt(16.0 + 7.2 * stretches)) / 3.6
    )  # a grid of n lines has about 1.8 n² - 4 n stretches
    grid = _grid(max(8, lines), rng)
    plane = Plane(*CENTRE)
    names = _names()
    all_roads = _roads(grid, names, plane, rng)
    half = grid.n * BLOCK_M
    bounds = (-half, -half, half, half)
    lying = streets.collapse(all_roads, bounds)
    return Base(
        plane=plane,
        bounds=_tight(grid),
        roads=all_roads,
        streets=lying,
        buildings=_buildings(grid, lying, rng),
        surfaces=(Surface("W-1", "water", "water", grid.river, "清江", "Qing River"),
                  Surface("W-2", "water", "river", _middle(grid), "清江", "Qing River")),
        landmarks=_landmarks(grid, names, rng),
        areas=_areas(grid, names),
        shore=grid.river,
        source=SOURCE,
        licence=LICENCE,
        simulated=True,
    )  # fmt: skip


def _grid(n: int, rng: np.random.Generator) -> _Grid:
    """A grid warped by two long waves and a little by chance, with a river winding through it."""
    line = (np.arange(n) - (n - 1) / 2) * BLOCK_M
    x, y = np.meshgrid(line, line)
    size = n * BLOCK_M
    a, b = rng.uniform(0, 2 * np.pi, 2)
    wave = min(220.0, 0.05 * size)
    warped_x = x + wave * np.sin(2 * np.pi * y / size + a) + rng.normal(0, 7.0, x.shape)
    warped_y = y + wave * np.sin(2 * np.pi * x / size + b) + rng.normal(0, 7.0, x.shape)
    along = np.linspace(-0.8 * size, 0.8 * size, 90)
    across = 0.12 * size * np.sin(2 * np.pi * along / size * 1.3 + a + b) - 0.12 * size
    river = shapely.LineString(np.column_stack([along, across])).buffer(min(RIVER_M, 0.05 * size) / 2)
    xy = np.stack([warped_x, warped_y], axis=-1)
    wet = shapely.contains_xy(river, xy[..., 0], xy[..., 1])
    return _Grid(n, xy, wet, river)


def _middle(grid: _Grid) -> shapely.LineString:
    """The middle of the river, for its name."""
    size = grid.n * BLOCK_M
    marks = np.linspace(-0.7 * size, 0.7 * size, 40)
    cuts = [grid.river.intersection(shapely.LineString([(x, -size), (x, size)])) for x in marks]
    return shapely.LineString([each.centroid for each in cuts])


def _tight(grid: _Grid) -> tuple[float, float, float, float]:
    flat = grid.xy.reshape(-1, 2)
    return (*(flat.min(axis=0) - 60.0).tolist(), *(flat.max(axis=0) + 60.0).tolist())


def _names() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "street_names.txt").read_text(encoding="utf-8")
    lines = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(zh, en) for zh, en in lines]


def _street_name(names: list[tuple[str, str]], line: int, way: tuple[str, str]) -> tuple[str, str]:
    """The name of the street along a line: those of one direction share the kind of way, and none repeats."""
    zh, en = names[line % len(names)]
    turn = line // len(names)
    number = "" if not turn else f"{'一二三四五六七八九'[(turn - 1) % 9]}"
    return f"{zh}{number}{way[0]}", f"{en} {way[1]}{f' {turn + 1}' if turn else ''}"


def _roads(grid: _Grid, names: list[tuple[str, str]], plane: Plane, rng: np.random.Generator) -> Roads:
    """Every stretch of the grid that is not closed; only main roads cross the river, on bridges."""
    degrees = plane.lonlats(grid.xy.reshape(-1, 2)).round(6)
    ways: list[Way] = []
    for direction, kind in enumerate((("路", "Road"), ("街", "Street"))):
        places = grid.xy if direction == 0 else grid.xy.transpose(1, 0, 2)
        numbers = np.arange(grid.n**2).reshape(grid.n, grid.n)
        numbers = numbers if direction == 0 else numbers.T
        steps = np.stack([places[:, :-1], places[:, 1:]], axis=2)
        wet = np.asarray(shapely.intersects(shapely.linestrings(steps), shapely.buffer(grid.river, 8.0)))
        for line in range(grid.n):
            klass, (name, name_en) = grid.line_class(line), _street_name(names, line, kind)
            main = klass in {"primary", "secondary"}
            closed = rng.uniform(size=grid.n - 1) < (CLOSED if klass == "residential" else 0.0)
            sunken = rng.uniform(size=grid.n - 1) < (UNDERPASS if klass == "primary" else 0.0)
            for step in np.flatnonzero(~closed & (main | ~wet[line])).tolist():
                below = bool(sunken[step] and not wet[line, step])
                told = {
                    "osm": len(ways) + 1,
                    "class": klass,
                    "name": name,
                    "name_en": name_en,
                    "bridge": int(wet[line, step]),
                    "tunnel": int(below),
                    "layer": -int(below),
                    "lanes": {"primary": 6, "secondary": 4}.get(klass, 2),
                }
                ways.append((told, degrees[numbers[line, step : step + 2]].tolist()))
    return roads.build(ways, plane)


def _buildings(grid: _Grid, lying: Streets, rng: np.random.Generator) -> Buildings:
    """Up to four boxes in each block, higher towards the centre, none in the water; some blocks stay green or bare."""
    corners = np.stack([grid.xy[:-1, :-1], grid.xy[:-1, 1:], grid.xy[1:, :-1], grid.xy[1:, 1:]])
    centre = corners.mean(axis=0).reshape(-1, 2)
    built = np.repeat(rng.uniform(size=len(centre)) > 0.12, 4)
    middle = np.repeat(centre, 4, axis=0) + np.tile(
        [[-27.0, -27.0], [27.0, -27.0], [-27.0, 27.0], [27.0, 27.0]], (len(centre), 1)
    )
    half = rng.uniform(7.0, 19.0, (len(middle), 2))
    shapes = shapely.box(*(middle - half).T, *(middle + half).T)
    wet = shapely.intersects(grid.river.buffer(15.0), shapes)
    kept = np.flatnonzero(built & ~wet & (rng.uniform(size=len(middle)) > 0.15))
    far = np.hypot(*middle[kept].T) / (grid.n * BLOCK_M / 2)
    floors = np.clip(rng.gamma(2.2, 3.2 + 8.0 * np.exp(-3.0 * far)), 1, 90).round()
    uses = np.array(["residential", "office", "retail", "school", "hospital"])
    use = uses[np.searchsorted([0.72, 0.88, 0.97, 0.99], rng.uniform(size=len(kept)))]
    return Buildings(
        id=tuple(f"B-{row}" for row in range(1, len(kept) + 1)),
        shape=shapes[kept],
        height_m=floors * FLOOR_M,
        base_m=np.zeros(len(kept)),
        measured=np.zeros(len(kept), bool),
        part=np.zeros(len(kept), bool),
        use=tuple(use.tolist()),
        name=("",) * len(kept),
        name_en=("",) * len(kept),
        junction=_nearest(lying.node_xy, middle[kept]),
    )


def _nearest(places: Floats, to: Floats) -> Ints:
    found: Ints = cKDTree(places).query(to)[1].astype(np.int32)
    return found


def _landmarks(grid: _Grid, names: list[tuple[str, str]], rng: np.random.Generator) -> tuple[Landmark, ...]:
    """Hospitals, schools and stations at dry junctions."""
    kinds = (("hospital", "医院", "Hospital"), ("school", "小学", "School"), ("station", "站", "Station"))
    dry = np.argwhere(~grid.wet)
    chosen = rng.choice(len(dry), size=min(len(dry), max(6, grid.n)), replace=False)
    found = []
    for number, row in enumerate(chosen.tolist(), 1):
        kind, zh, en = kinds[number % len(kinds)]
        name, name_en = names[number % len(names)]
        x, y = grid.xy[tuple(dry[row])]
        found.append(
            Landmark(f"L-{number}", kind, f"{name}{zh}", f"{name_en} {en}", (float(x) + 30, float(y) + 30))
        )
    return tuple(found)


def _areas(grid: _Grid, names: list[tuple[str, str]]) -> tuple[Area, ...]:
    """Street offices of about nine by nine blocks."""
    marks = np.arange(AREA_BLOCKS // 2, grid.n, AREA_BLOCKS)
    found = []
    for number, (row, column) in enumerate(((r, c) for r in marks for c in marks), 1):
        zh, en = _street_name(names, number, ("街道", "Subdistrict"))
        district = ("城东区", "Chengdong") if grid.xy[row, column, 0] > 0 else ("城西区", "Chengxi")
        found.append(Area(f"A-{number:03d}", zh, en, *district, "000000", grid.xy[row, column].reshape(1, 2)))
    return tuple(found)
