"""The shipped sample city: what OpenStreetMap knows of Shanghai's Bund and Lujiazui, compact."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import orjson

HOME: Final = Path(__file__).parent / "shanghai"

#: Shown with every map that is made from it.
ATTRIBUTION: Final = "© OpenStreetMap contributors, ODbL 1.0"

#: The layer of the store that holds it, with its simulated networks.
LAYER: Final = "sample"

#: The part that has buildings, and on which the simulated networks lie: west, south, east, north.
CORE: Final = (121.4802, 31.2264, 121.5208, 31.2509)
CENTRE: Final = (121.5000, 31.2387)

Feature = dict[str, Any]


def area_names() -> dict[str, dict[str, str]]:
    """The names of the street offices' areas (街道) in both languages, by id; reads one small file."""
    told = [each["properties"] for each in read("areas")]
    return {each["osm"]: {"zh": each["name"], "en": each["name_en"] or each["name"]} for each in told}


def read(layer: str) -> list[Feature]:
    """The GeoJSON features of a layer: roads, buildings, water, ground, places, rails, boundaries, areas."""
    found: list[Feature] = orjson.loads(gzip.decompress((HOME / f"{layer}.geojson.gz").read_bytes()))[
        "features"
    ]
    return found
