"""What the map and its networks know that an incident at a place affects, as sentences. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from events.place import Place
from events.sentence import sentence
from events.types import Affects
from gis.asset import Asset
from gis.ground import Ground
from gis.index import Index

Told = dict[str, object]
#: So many places are remembered; an incident asks again whenever its evidence changes.
REMEMBERED = 4_096
#: So many names stand in one sentence.
NAMED = 5
MAPPED = ("building", "place", "road", "underpass")


class Affected:
    """Call with what a type declares and a place; says nothing of what the map does not know.

    Making one indexes the map (about a second for the sample city); asking takes less than a millisecond or two.
    """

    def __init__(self, city: Ground) -> None:
        self._city = city
        self._index = Index(list(city.of_kind(*MAPPED)), city.plane)
        self._hydrants = Counter(str(each.attributes.get("pipe")) for each in city.of_kind("hydrant"))
        self._homes = _homes(city.of_kind("junction"))
        self._remembered = lru_cache(REMEMBERED)(self._tell)

    def __call__(self, declared: Sequence[Affects], place: Place) -> list[Told]:
        return [told for each in declared if (told := self._remembered(each, place)) is not None]

    def _tell(self, declared: Affects, place: Place) -> Told | None:
        match declared.kind:
            case "cut":
                return self._cut(declared.network, place.asset)
            case "district":
                homes = self._homes.get(place.zone)
                return sentence("explain.affects.district", zone=place.zone, n=homes) if homes else None
            case "roads":
                return self._roads(place, declared.within_m)
            case "buildings":
                return self._buildings(place, declared.within_m)
            case "key_users":
                return self._key_users(place, declared)

    def _cut(self, network: str, asset: str) -> Told | None:
        """What lies dry once the valves around an asset are shut."""
        pipes = self._city.networks.get(network)
        if pipes is None or asset not in pipes:
            return None
        dry = pipes.isolating_valves(asset)
        hydrants = sum(self._hydrants[edge] for edge in dry.edges)
        return sentence("explain.affects.cut", valves=len(dry.valves), n=dry.customers, hydrants=hydrants)

    def _roads(self, place: Place, metres: float) -> Told | None:
        """The underpass that lies there; else the roads with a name."""
        near = [each for each, _ in self._index.within(place.lon, place.lat, metres)]
        held = self._city.assets.get(place.asset)
        names = _names(each for each in (held, *near) if each is not None and each.kind == "underpass")
        if names:
            return sentence("explain.affects.underpass", names={"list": names})
        names = _names(each for each in near if each.kind == "road")
        return sentence("explain.affects.roads", names={"list": names}) if names else None

    def _buildings(self, place: Place, metres: float) -> Told | None:
        near = self._index.within(place.lon, place.lat, metres)
        n = sum(each.kind == "building" and not each.attributes.get("part") for each, _ in near)
        return sentence("explain.affects.buildings", n=n, metres=metres) if n else None

    def _key_users(self, place: Place, declared: Affects) -> Told | None:
        near = self._index.within(place.lon, place.lat, declared.within_m)
        wanted = (each for each, _ in near if _use(each) in declared.uses)
        names = _names(wanted)
        if not names:
            return None
        return sentence("explain.affects.key_users", names={"list": names}, metres=declared.within_m)


def _use(asset: Asset) -> object:
    return asset.attributes.get("class") if asset.kind == "place" else asset.attributes.get("use")


def _names(assets: Iterable[Asset]) -> list[dict[str, str]]:
    """The first few different names."""
    found = {each.name: {"zh": each.name, "en": each.name_en or each.name} for each in assets if each.name}
    return list(found.values())[:NAMED]


def _homes(junctions: Iterable[Asset]) -> Mapping[str, int]:
    """Households by metering district."""
    homes: dict[str, int] = defaultdict(int)
    for each in junctions:
        homes[each.zone] += int(str(each.attributes.get("households", 0)))
    return homes
