"""Which points are looked at together: the metered inlets of a district, the meters along a drain, like sensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.clock import SECOND_US
from events.detectors import Floats, Ints, Times
from events.detectors.watches import FOREVER, Watches
from events.rules import ANY_KIND, GROUPED, Part, RuleSet
from iot.registry import Device, Registry

#: A device with this parameter takes what it measures out of the district that the parameter names.
LEAVES = "leaves"
#: Fewer like sensors than these say nothing of one another.
LEAST_ALIKE = 4
#: (upper, lower asset) → metres that water flows from one to the other, None when it does not.
Downstream = Callable[[str, str], float | None]
#: (device, what of its value counts: 1 comes in, -1 goes out), and the device that speaks for all first.
Group = list[tuple[Device, float]]


def no_pipes(_upper: str, _lower: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Bonds:
    """Parallel columns of memberships sorted by (unit, group): a watch with its sign in a group.

    Groups that share a watch are one `unit`: they close their windows together. `unit_of` (watches), -1: of none.
    `lead` (units): the watch that keeps a unit's state; `speaker` (groups): the one that speaks for its group.
    """

    unit_of: Ints
    lead: Ints
    wait_us: Times
    group: Ints
    watch: Ints
    sign: Floats
    first: NDArray[np.intp]
    speaker: Ints

    def of_units(self, units: NDArray[np.integer]) -> NDArray[np.intp]:
        """The memberships of distinct units, in order."""
        begins, ends = self.first[units], self.first[units + 1]
        return np.concatenate([np.arange(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True)])


def bonds(watches: Watches, rules: RuleSet, registry: Registry, downstream: Downstream) -> Bonds:
    """The groups of all watched parts."""
    rows: list[tuple[int, int, float]] = []
    speakers: list[int] = []
    wait_us = np.zeros(len(watches), np.int64)
    watch_of = {
        key: row
        for row, key in enumerate(
            zip(watches.rule.tolist(), watches.part.tolist(), watches.point.tolist(), strict=True)
        )
    }
    for rule in rules:
        for number, part in enumerate(rule.decl.parts):
            if part.detector not in GROUPED or not rule.decl.enabled:
                continue
            for group in groups(part, _devices(rule.decl.kinds, registry), downstream):
                found = [
                    (row, sign)
                    for device, sign in group
                    if (row := watch_of.get((rule.number, number, _point(registry, device, part))))
                    is not None
                ]
                enough = LEAST_ALIKE if part.detector == "apart" else len(group)
                if len(found) >= enough:
                    rows += [(len(speakers), row, sign) for row, sign in found]
                    speakers.append(found[0][0])
                    wait_us[[row for row, _ in found]] = round(part.wait * SECOND_US)
    return _columns(len(watches), rows, speakers, wait_us)


def nothing_bound(watches: Watches) -> Bonds:
    """Of watches that are all alone."""
    return _columns(len(watches), [], [], np.zeros(len(watches), np.int64))


def _columns(n: int, rows: Sequence[tuple[int, int, float]], speakers: list[int], wait_us: Times) -> Bonds:
    group, watch = (np.array([row[place] for row in rows], np.int32) for place in (0, 1))
    sign = np.array([row[2] for row in rows], np.float64)
    speaker = np.array(speakers, np.int32)
    joined = _joined(n, watch, speaker[group])
    unit_of = np.full(n, -1, np.int32)
    _, unit_of[watch] = np.unique(joined[watch], return_inverse=True)
    order = np.lexsort((group, unit_of[watch]))
    group, watch, sign = group[order], watch[order], sign[order]
    units = int(unit_of.max(initial=-1)) + 1
    first = np.searchsorted(unit_of[watch], np.arange(units + 1))
    lead = watch[first[:-1]]
    return Bonds(unit_of, lead, wait_us[lead], group, watch, sign, first, speaker)


def _joined(n: int, one: Ints, other: Ints) -> Ints:
    """The component of each of n things, of which some are joined."""
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(n, n))
    found: Ints = connected_components(graph, directed=False)[1]
    return found


def _point(registry: Registry, device: Device, part: Part) -> int:
    return registry.points_of(device).get(str(part.channel), -1)


def _devices(kinds: Sequence[str], registry: Registry) -> list[Device]:
    return [each for each in registry.devices.values() if ANY_KIND in kinds or each.kind in kinds]


def groups(part: Part, devices: Iterable[Device], downstream: Downstream) -> Iterator[Group]:
    """The groups that a part of a rule looks at; the first member of each speaks for it."""
    mine = [device for device in devices if not (part.unless and device.params.get(part.unless))]
    by_name: dict[str, Group] = defaultdict(list)
    for device in mine:
        if name := _name(part, device):
            by_name[name].append((device, 1.0))
    if part.group == "reach":
        for members in by_name.values():
            yield from _reaches([device for device, _ in members], downstream)
        return
    if part.detector == "balance":
        for device in mine:
            if (zone := device.params.get(LEAVES)) in by_name:
                by_name[str(zone)].append((device, -1.0))
    yield from by_name.values()


def _name(part: Part, device: Device) -> str:
    if part.group == "city":
        return "city"
    return str(getattr(device, "zone" if part.group == "reach" else str(part.group)))


def _reaches(meters: list[Device], downstream: Downstream) -> Iterator[Group]:
    """Each meter of a catchment with the next ones above it, where there are any."""
    below: dict[str, set[str]] = defaultdict(set)
    for upper, lower in permutations(meters, 2):
        if upper.asset != lower.asset and downstream(upper.asset, lower.asset) is not None:
            below[lower.id].add(upper.id)
    for lower in meters:
        above = below[lower.id]
        hidden = {far for near in above for far in below[near]}
        next_above = [device for device in meters if device.id in above - hidden]
        if next_above:
            yield [(lower, 1.0), *((device, -1.0) for device in next_above)]


@dataclass(frozen=True, slots=True)
class Together:
    """Points of one `fate` are taken again together when one of them heard something late.

    `clock`: a reading is late that is not newer than the newest of its clock. `wait_us` (fates): or that is older than
    the newest of its fate by more than this.
    """

    clock: Ints
    fate: Ints
    wait_us: Times

    @classmethod
    def of(cls, clock: Ints) -> Together:
        """Nothing but points of one clock belongs together."""
        return cls(clock, clock, np.full(len(clock), FOREVER, np.int64))

    def joined(self, watches: Watches, found: Bonds) -> Together:
        """And what points of one group share."""
        mine = np.flatnonzero(found.unit_of >= 0)
        point, unit = watches.point[mine], found.unit_of[mine]
        each = np.arange(len(self.fate), dtype=np.int32)
        one = np.concatenate([each, point])
        other = np.concatenate([self.fate, watches.point[found.lead[unit]]])
        fate = _joined(len(each), one.astype(np.int32), other.astype(np.int32))
        wait_us = np.full(len(each), FOREVER, np.int64)
        np.minimum.at(wait_us, fate, self.wait_us[self.fate])
        np.minimum.at(wait_us, fate[point], found.wait_us[unit])
        return Together(self.clock, fate, wait_us)
