"""A small city for tests: 12 × 12 crossings, one source, a pilot district, and a spot of every sort."""

from __future__ import annotations

from simulators.places import Places, Spot

SIDE = 12
STREET_M = 110.0
LON, LAT = 121.49, 31.235
PILOT = "DMA-01"


def inp() -> str:
    junctions = [f"n{x}_{y} {3 + 0.1 * x} 0.35 DAY" for x in range(SIDE) for y in range(SIDE)]
    pipes = [
        f"h{x}_{y} n{x}_{y} n{x + 1}_{y} {STREET_M} {200 if y == 0 else 150} 120"
        for x in range(SIDE - 1)
        for y in range(SIDE)
    ]
    pipes += [
        f"v{x}_{y} n{x}_{y} n{x}_{y + 1} {STREET_M} 150 120" for x in range(SIDE) for y in range(SIDE - 1)
    ]
    pipes += ["in-1 source n0_0 60 400 120"]
    parts = {
        "JUNCTIONS": junctions, "RESERVOIRS": ["source 42"], "PIPES": pipes, "PATTERNS": ["DAY 1.0"],
        "OPTIONS": ["Units LPS", "Headloss H-W"], "TIMES": ["Duration 24:00"],
    }  # fmt: skip
    return "\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in parts.items()) + "\n[END]\n"


def spot(asset: str, x: float, y: float, *, zone: str = PILOT, node: str = "", link: str = "") -> Spot:
    lon, lat = LON + x * STREET_M / 95_200, LAT + y * STREET_M / 111_320
    return Spot(asset, lon, lat, zone, "外滩街道", f"路口{asset}", f"Crossing {asset}", node, link)


def at(x: int, y: int) -> Spot:
    return spot(f"J-{x}-{y}", x, y, node=f"n{x}_{y}")


def some(prefix: str, count: int, row: float) -> tuple[Spot, ...]:
    return tuple(
        spot(f"{prefix}-{n}", 1 + n % 10, row, node=f"n{1 + n % 10}_{int(row)}") for n in range(count)
    )


def places() -> Places:
    return Places(
        inp=inp(), pattern="DAY", pilot=PILOT, burst=spot("h6_6", 6.5, 6),
        loggers=tuple(at(x, y) for x in (2, 6, 9) for y in (3, 6, 7, 10)),
        inlets=(
            spot("M-01", 0, 0, node="n0_0", link="in-1"),
            *(spot(f"M-{n:02d}", n, 11, zone=f"DMA-{n:02d}", node=f"n{n}_11", link=f"h{n}_11") for n in range(2, 11)),
            spot("M-11", 1, 11, zone="DMA-11", node="n1_11", link="h1_11"),
        ),
        plants=(spot("WS-1", 0, 0, node="n0_0", link="in-1"),),
        hydrants=some("H", 6, 5), low_points=some("LP", 8, 2), underpasses=some("U", 2, 20),
        rain_stations=some("R", 3, 8), river_sections=some("RS", 2, 9), pump_stations=some("P", 3, 1),
        manholes=some("W", 6, 4), gate_stations=some("G", 2, 10), regulators=some("RG", 3, 3),
        valve_pits=some("VP", 4, 6), sites=some("S", 3, 30), buildings=some("B", 4, 7), noise_points=some("N", 2, 8),
    )  # fmt: skip
