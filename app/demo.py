"""The demonstration scene of an installation, made from its settings and the sample city."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.settings import Settings
from dispatch.travel import Roads
from gis.city import City, sample_city
from simulators.sample import places_of
from simulators.scene import Scene


@dataclass(frozen=True, slots=True)
class Demo:
    """What stands still while the scene plays."""

    city: City
    scene: Scene

    def responder(self) -> str:
        """The crew of the responder's link: the repair crew that is soonest where the main will burst."""
        burst = self.scene.places.burst
        able = [crew for crew in self.scene.crews() if "water_main_repair" in crew["skills"]]
        depots = [(crew["depot_lon"], crew["depot_lat"]) for crew in able]
        seconds = Roads(lambda: self.city).seconds(depots, (burst.lon, burst.lat))
        return str(min(zip(able, seconds, strict=True), key=lambda pair: pair[1] or math.inf)[0]["id"])


def demo_of(settings: Settings) -> Demo | None:
    """None when the settings say that this is a real city. Takes a second: it makes the city."""
    if settings.scene == "off":
        return None
    city = sample_city()
    speaks = {*settings.tcp.ports, "sparkplug"}
    return Demo(city, Scene(places_of(city), settings.zone, kind=settings.scene, speaks=speaks))
