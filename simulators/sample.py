"""The scene's spots on a city of `gis`: which assets get devices, where the main breaks, where crews start from.

The choice is a function of the city alone, so that ids of devices may be stored.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gis.asset import Asset
from gis.city import City
from gis.hydraulics import MIDDLE, Hydraulics
from simulators.places import Depot, Places, Spot, Spots, metres

#: In the old city by the Yu Garden: the district that holds this place is the pilot (WGS 84 degrees). It is small
#: enough for one broken pipe to be seen by several loggers.
PILOT_AT = (121.4908, 31.2287)
PILOT_LOGGERS, OTHER_LOGGERS = 8, 2
#: The pipe that breaks is the one whose break is seen best: the third-largest drop at the loggers, at this flow.
TRIAL_LPS = 110.0
NIGHT_FACTOR = 0.45
SEEN_BY = 3
SHORTEST_M = 40.0
#: The flooded underpass lies at least this far from the burst, so that nobody takes one for the other.
APART_M = 900.0
#: A device that has no zone of its own belongs to that of the nearest pipe node or manhole.
Floats = NDArray[np.float64]


def places_of(city: City) -> Places:
    """Everything that the scene hangs devices on."""
    chooser = _Chooser(city)
    pilot = chooser.pilot()
    inp = one_way(city.water.inp(hours=0), city)
    loggers = chooser.loggers(pilot)
    burst = chooser.burst(inp, pilot, [spot.node for spot in loggers if spot.zone == pilot])
    catchment = chooser.of("manhole")
    underpasses = chooser.zoned(chooser.of("underpass"), catchment)
    return Places(
        inp=inp, pattern="DAY", pilot=pilot, burst=burst, loggers=loggers, inlets=chooser.inlets(),
        plants=chooser.plants(), hydrants=chooser.spread(chooser.hydrants(), 8),
        low_points=chooser.zoned(chooser.of("low_point"), catchment),
        underpasses=tuple(sorted(underpasses, key=lambda spot: abs(metres(spot, burst) - APART_M))),
        rain_stations=chooser.spread(chooser.of("drain_pump_station"), 4),
        river_sections=chooser.spread(chooser.of("outfall"), 2),
        pump_stations=chooser.of("drain_pump_station"),
        manholes=chooser.spread(catchment, 10),
        gate_stations=chooser.supplied(chooser.of("gas_station")),
        regulators=chooser.supplied(chooser.spread(chooser.of("gas_regulator"), 6)),
        valve_pits=chooser.supplied(chooser.spread(chooser.of("gas_valve"), 10)),
        sites=chooser.supplied(chooser.of("site")[:6]),
        buildings=chooser.buildings(8),
        noise_points=chooser.supplied((*chooser.of("site")[6:7], *chooser.spread(chooser.of("fire_station"), 1))),
        drain_chain=chooser.drain_chain(8),
        gas_cluster=(cluster := chooser.gas_cluster(5)),
        well_cluster=chooser.near(catchment, cluster[0], 3),
        depots=tuple(
            Depot(chooser.spot(asset), str(asset.attributes["service"])) for asset in city.of_kind("depot")
        ),
    )  # fmt: skip


class _Chooser:
    def __init__(self, city: City) -> None:
        self.city = city
        self._junctions = np.array([kind == "junction" for kind in city.water.nodes.kind])

    # -- spots of assets -------------------------------------------------------------------------------------

    def of(self, kind: str) -> Spots:
        """Every asset of a kind, in the order of the city."""
        return tuple(self.spot(asset) for asset in self.city.of_kind(kind))

    def spot(self, asset: Asset) -> Spot:
        lon, lat = asset.lonlat
        zh, en = self.street(lon, lat)
        if asset.kind in ("underpass", "site"):
            road = next(f for f in self.city.facilities if f.id == asset.id)
            zh, en = road.street, road.street_en
        return Spot(asset.id, lon, lat, asset.zone, asset.area, zh, en)

    def street(self, lon: float, lat: float) -> tuple[str, str]:
        """The street that a place lies on and the street that crosses it next, as short as a name may be."""
        found = self.city.whereabouts(lon, lat)
        names = [each for each in (found.street, found.crossing) if each is not None]
        if not names and found.landmark is not None:
            names = [found.landmark]
        return "".join(each.zh for each in names), " / ".join(each.en for each in names)

    def spread(self, spots: Spots, count: int) -> Spots:
        """`count` spots that leave none far away (k-centre, greedy from the first)."""
        xy = self.city.plane.points(np.array([(spot.lon, spot.lat) for spot in spots]))
        return tuple(spots[row] for row in far_apart(xy, count))

    def near(self, spots: Spots, middle: Spot, count: int) -> Spots:
        """The nearest to a spot."""
        return tuple(sorted(spots, key=lambda spot: (metres(spot, middle), spot.asset))[:count])

    def gas_cluster(self, count: int) -> Spots:
        """Gas valves that stand closest together, the middle one first."""
        valves = self.of("gas_valve")
        xy = self.city.plane.points(np.array([(valve.lon, valve.lat) for valve in valves]))
        reach = [float(np.sort(np.hypot(*(xy - place).T))[count - 1]) for place in xy]
        return self.supplied(self.near(valves, valves[int(np.argmin(reach))], count))

    def drain_chain(self, count: int) -> Spots:
        """Manholes one below the other, highest first: the main line of the largest catchment that has so many."""
        net = self.city.drainage
        upstream: dict[int, list[int]] = {}
        for tail, head in zip(net.drains.tail.tolist(), net.drains.head.tolist(), strict=True):
            upstream.setdefault(head, []).append(tail)
        starts = [row for row, kind in enumerate(net.manholes.kind) if kind == "pump_station"]
        lines = [self._main_line(row, upstream) for row in starts]
        line = max(lines, key=len)[2 : 2 + count]
        spots = {asset.id: asset for asset in self.city.of_kind("manhole")}
        return tuple(
            replace(
                self.spot(spots[net.manholes.id[row]]),
                invert_m=float(net.manholes.invert_m[row]), ground_m=float(net.manholes.ground_m[row]),
            )
            for row in reversed(line)
        )  # fmt: skip

    def _main_line(self, row: int, upstream: dict[int, list[int]]) -> list[int]:
        """From a node upwards, at each fork into the longer branch."""
        length: dict[int, int] = {}
        order, stack = [], [row]
        while stack:
            node = stack.pop()
            order.append(node)
            stack += upstream.get(node, [])
        for node in reversed(order):
            length[node] = 1 + max((length[each] for each in upstream.get(node, [])), default=0)
        line = [row]
        while upstream.get(line[-1]):
            line.append(max(upstream[line[-1]], key=lambda each: (length[each], -each)))
        return line

    def zoned(self, spots: Spots, nodes: Spots) -> Spots:
        """Spots with the zone of the nearest node."""
        points = self.city.plane.points(np.array([(node.lon, node.lat) for node in nodes]))
        found = []
        for spot in spots:
            away = np.hypot(*(points - self.city.plane.points(np.array([(spot.lon, spot.lat)]))).T)
            found.append(replace(spot, zone=nodes[int(np.argmin(away))].zone))
        return tuple(found)

    def supplied(self, spots: Spots) -> Spots:
        """Spots with the DMA of the nearest junction."""
        return self.zoned(spots, self._junction_spots())

    # -- water -----------------------------------------------------------------------------------------------

    def _junction_spots(self) -> Spots:
        water = self.city.water
        rows = np.flatnonzero(self._junctions)
        lonlat = self.city.plane.lonlats(water.nodes.xy[rows])
        return tuple(
            Spot(water.nodes.id[row], lon, lat, water.districts[water.nodes.zone[row]].id)
            for row, (lon, lat) in zip(rows.tolist(), lonlat.tolist(), strict=True)
        )

    def pilot(self) -> str:
        (at,) = self.supplied((Spot("", *PILOT_AT),))
        return at.zone

    def _node_spot(self, row: int) -> Spot:
        water = self.city.water
        lon, lat = self.city.plane.lonlats(water.nodes.xy[[row]])[0].tolist()
        zh, en = self.street(lon, lat)
        zone = water.nodes.zone[row]
        return Spot(
            water.nodes.id[row], lon, lat, water.districts[zone].id if zone >= 0 else "",
            self.city.area_ids(water.nodes.xy[[row]])[0], zh, en, node=water.nodes.id[row],
        )  # fmt: skip

    def loggers(self, pilot: str) -> Spots:
        """Pressure points spread over each district, most in the pilot."""
        water = self.city.water
        chosen: list[Spot] = []
        for number, district in enumerate(water.districts):
            rows = np.flatnonzero(self._junctions & (water.nodes.zone == number))
            count = PILOT_LOGGERS if district.id == pilot else OTHER_LOGGERS
            chosen += [self._node_spot(int(rows[at])) for at in far_apart(water.nodes.xy[rows], count)]
        return tuple(chosen)

    def inlets(self) -> Spots:
        """Metered inlets: first of every district, then second; the flow into the district counts positive."""
        water = self.city.water
        numbers = [list(district.inlets) for district in water.districts]
        order = [each[turn] for turn in range(max(map(len, numbers))) for each in numbers if len(each) > turn]
        return tuple(self._meter(meter) for meter in order)

    def _meter(self, meter: int) -> Spot:
        water = self.city.water
        pipe = int(water.meters.pipe[meter])
        zone = int(water.pipes.zone[pipe])
        head = int(water.pipes.head[pipe])
        inside = int(water.nodes.zone[head]) == zone
        asset = self.city.asset(water.meters.id[meter])
        node = head if inside else int(water.pipes.tail[pipe])
        return replace(
            self.spot(asset), zone=water.districts[zone].id, node=water.nodes.id[node],
            link=water.pipes.id[pipe], sign=1.0 if inside else -1.0,
        )  # fmt: skip

    def plants(self) -> Spots:
        """Outlets of the sources: the pump or pipe that leaves each, and the node at its other end."""
        water = self.city.water
        found = []
        for asset in self.city.of_kind("water_source"):
            row = water.nodes.id.index(asset.id)
            found += [
                replace(self.spot(asset), node=water.nodes.id[pump.head], link=pump.id)
                for pump in water.pumps
                if pump.tail == row
            ]
            for pipe in source_pipes(self.city, row):
                other = int(water.pipes.head[pipe] + water.pipes.tail[pipe] - row)
                found.append(replace(self.spot(asset), node=water.nodes.id[other], link=water.pipes.id[pipe]))
        return self.supplied(tuple(found))

    def hydrants(self) -> Spots:
        nodes = dict(zip(self.city.water.hydrants.id, self.city.water.hydrants.node.tolist(), strict=True))
        return tuple(
            replace(spot, node=self.city.water.nodes.id[nodes[spot.asset]]) for spot in self.of("hydrant")
        )

    def burst(self, inp: str, pilot: str, loggers: list[str]) -> Spot:
        """The pipe of the pilot whose break lowers the loggers most, found by breaking each in turn."""
        water = self.city.water
        number = [district.id for district in water.districts].index(pilot)
        rows = np.flatnonzero(
            (np.array(water.pipes.role) == "distribution")
            & (water.pipes.zone == number)
            & (water.pipes.length_m >= SHORTEST_M)
        )
        pipes = [water.pipes.id[row] for row in rows.tolist()]
        with Hydraulics(inp, split=pipes, live=True) as model:
            model.set_pattern("DAY", NIGHT_FACTOR)
            calm = model.advance(5).pressure_mpa
            seen = [self._seen(model, pipe, calm, [model.node[node] for node in loggers]) for pipe in pipes]
        pipe = pipes[int(np.argmax(seen))]
        return replace(self.spot(self.city.asset(pipe)), link=pipe)

    def _seen(self, model: Hydraulics, pipe: str, calm: Floats, loggers: list[int]) -> float:
        model.burst(pipe, TRIAL_LPS, float(calm[model.node[pipe + MIDDLE]]))
        drops = (calm - model.advance(5).pressure_mpa)[loggers]
        model.burst(pipe, 0.0, 1.0)
        return float(np.sort(drops)[-SEEN_BY])

    # -- buildings -------------------------------------------------------------------------------------------

    def buildings(self, count: int) -> Spots:
        """The tallest named buildings."""
        named = [
            asset
            for asset in self.city.of_kind("building")
            if asset.name and not asset.attributes.get("part")
        ]
        tall = sorted(named, key=lambda asset: (-_height(asset), asset.id))[:count]
        spots = [
            replace(self.spot(asset), place_zh=asset.name, place_en=asset.name_en or asset.name)
            for asset in tall
        ]
        return self.supplied(tuple(spots))


def _height(asset: Asset) -> float:
    height = asset.attributes.get("height", 0.0)
    return float(height) if isinstance(height, int | float) else 0.0


def source_pipes(city: City, node: int) -> list[int]:
    """Rows of the pipes at a source."""
    pipes = city.water.pipes
    found: list[int] = np.flatnonzero((pipes.tail == node) | (pipes.head == node)).tolist()
    return found


def one_way(inp: str, city: City) -> str:
    """The model with a check valve at every source that feeds by gravity: no water runs back into a works."""
    water = city.water
    lines = inp.splitlines()
    for node, kind in enumerate(water.nodes.kind):
        for pipe in source_pipes(city, node) if kind == "source" else []:
            other = int(water.pipes.head[pipe] + water.pipes.tail[pipe] - node)
            number = next(n for n, line in enumerate(lines) if line.startswith(f"{water.pipes.id[pipe]} "))
            told = lines[number].split()
            lines[number] = " ".join(
                [told[0], water.nodes.id[node], water.nodes.id[other], *told[3:-1], "CV"]
            )
    return "\n".join([*lines, ""])


def far_apart(xy: Floats, count: int) -> list[int]:
    """Rows of `count` places, each as far as possible from those before it; the first is nearest to the middle."""
    chosen = [int(np.argmin(np.hypot(*(xy - np.median(xy, axis=0)).T)))]
    gap = np.hypot(*(xy - xy[chosen[0]]).T)
    while len(chosen) < min(count, len(xy)):
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.hypot(*(xy - xy[chosen[-1]]).T))
    return chosen
