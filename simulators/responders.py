"""Crews on the roads of the sample city: who is sent drives there, arrives, works and is free again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.clock import SECOND_US
from gis.city import City
from gis.routing import Route
from simulators.crews import SERVICES

#: From the order to the road, and how long the work takes (ours).
TURN_OUT_S, WORK_S = 120.0, 1200.0
XY = tuple[float, float]


@dataclass(slots=True)
class Crew:
    """Where it stands, or will stand when it is free."""

    department: str
    at: XY
    free_us: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A crew under way: on the road from `left_us`, there at `arrives_us`, done at `done_us`. Places in metres."""

    incident: str
    to: XY
    route: Route
    left_us: int
    arrives_us: int
    done_us: int

    def at(self, now_us: int) -> XY:
        """Where it drives, as far along its way as of its time."""
        line = self.route.line
        share = (now_us - self.left_us) / max(self.arrives_us - self.left_us, 1)
        place = min(max(share, 0.0), 1.0) * (len(line) - 1)
        before, after = line[int(place)], line[min(int(place) + 1, len(line) - 1)]
        x, y = (before + (after - before) * (place - int(place))).tolist()
        return x, y


@dataclass(slots=True)
class Crews:
    """Everybody at the depots and fire stations of a city."""

    city: City
    crews: list[Crew] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = self.city.plane.xy
        for asset in self.city.of_kind("depot"):
            department = SERVICES[str(asset.attributes["service"])].department
            self.crews.append(Crew(department, place(*asset.lonlat)))
        self.crews += [
            Crew("fire_brigade", place(*each.lonlat)) for each in self.city.of_kind("fire_station")
        ]

    def send(self, incident: str, department: str, lon: float, lat: float, now_us: int) -> Job | None:
        """The crew of a department that is there first, by road, after what it has to do before; None: it has none."""
        mine = [crew for crew in self.crews if crew.department == department]
        if not mine:
            return None
        to = self.city.plane.xy(lon, lat)
        drives = self.city.router.seconds_to(to, [crew.at for crew in mine]).tolist()
        free = [max(crew.free_us, now_us) for crew in mine]
        arrives = [at + round((TURN_OUT_S + s) * SECOND_US) for at, s in zip(free, drives, strict=True)]
        first = arrives.index(min(arrives))
        crew, route = mine[first], self.city.router.route(mine[first].at, to)
        if route is None:
            return None
        left_us = free[first] + round(TURN_OUT_S * SECOND_US)
        job = Job(incident, to, route, left_us, arrives[first], arrives[first] + round(WORK_S * SECOND_US))
        crew.at, crew.free_us = to, job.done_us
        self.jobs.append(job)
        return job

    def due(self, before_us: int, now_us: int) -> tuple[list[Job], list[Job]]:
        """Who has arrived and who is done since."""
        arrived = [job for job in self.jobs if before_us < job.arrives_us <= now_us]
        return arrived, [job for job in self.jobs if before_us < job.done_us <= now_us]
