"""When a crew would stand where an incident was said: the sample city's crews on its roads, one incident by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.clock import SECOND_US
from events.offline import SaidIncident
from gis.city import City
from simulators.responders import Crews


def seconds(city: City, lead_of: Callable[[str], str], said: Sequence[SaidIncident]) -> list[float]:
    """From saying to arrival, of every incident whose department has crews."""
    crews = Crews(city)
    found = []
    for each in sorted(said, key=lambda incident: incident.opened_us):
        job = crews.send(each.id, lead_of(each.type), each.lon, each.lat, each.opened_us)
        if job is not None:
            found.append((job.arrives_us - each.opened_us) / SECOND_US)
    return found
