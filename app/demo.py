"""The demonstration scene of an installation, made from its settings and the sample city."""

from __future__ import annotations

from simulators.sample import places_of

from core.settings import Settings
from gis.city import sample_city
from simulators.scene import Scene


def scene_of(settings: Settings) -> Scene | None:
    """None when the settings say that this is a real city."""
    if settings.scene == "off":
        return None
    return Scene(places_of(sample_city()), settings.zone, kind=settings.scene)
