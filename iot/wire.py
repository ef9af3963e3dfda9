"""What names on the wire lead to: of gateways that use our names, and of devices that speak a field protocol's codes.

A device may say in its `params` under `wire` what its maker does differently:
  names  more names that it has on the wire (a pump's system beside the pump itself, the name before a replacement)
  units  code → unit that the wire means, where the protocol does not say it (HJ 212 dust in mg/m3)
  take   kinds of records beside the usual ones that count as readings (HJ 212: "2051" for minute means)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from iot.kinds import Format
from iot.registry import Registry

#: `WireTable.find`: the device is known, and what it says here is of no use to us.
IGNORED = -2
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class WireTable:
    """Names of one gateway in one format.

    points    `wire name/code` → dense point
    devices   the wire names themselves
    units     names whose unit the registry knows better than the wire
    inverted  names whose 0 is the channel's 1
    strict    a name that leads nowhere is a mistake; else devices may say more than we want to know
    """

    points: Mapping[str, int]
    devices: frozenset[str]
    units: Mapping[str, str] = field(default_factory=dict)
    inverted: frozenset[str] = frozenset()
    strict: bool = True

    @property
    def plain(self) -> bool:
        """Every name is just looked up."""
        return self.strict and not self.units and not self.inverted

    def find(self, names: Sequence[str]) -> Iterator[int]:
        """Dense points, `UNKNOWN` or `IGNORED`."""
        points, devices = self.points, self.devices
        for name in names:
            point = points.get(name, UNKNOWN)
            if point < 0 and not self.strict and name.rpartition("/")[0] in devices:
                point = IGNORED
            yield point


def named(registry: Registry, gateway: str, form: Format | None = None) -> WireTable:
    """For formats that carry our own channel names, or a maker's that the kind's `factors` translate."""
    devices = registry.devices_of(gateway)
    points = registry.wire_points(gateway)
    if form is not None:
        theirs = coded(registry, gateway, form)
        points.update(theirs.points)
        return WireTable(points, theirs.devices, theirs.units, theirs.inverted)
    return WireTable(points, frozenset(name for device in devices for name in device.wire_names))


def coded(registry: Registry, gateway: str, form: Format | None) -> WireTable:
    """For field protocols: codes are looked up in `factors` of the device's kind."""
    points: dict[str, int] = {}
    units: dict[str, str] = {}
    inverted: set[str] = set()
    names: set[str] = set()
    for device in registry.devices_of(gateway):
        own = device.wire
        of_channel = registry.points_of(device)
        names.update(device.wire_names)
        for code, channel in registry.kind_of(device).decl.factors.get(form or "push", {}).items():
            for spelled in _spelled(code.removeprefix("!"), own.get("take", ())):
                for wire_name in device.wire_names:
                    name = f"{wire_name}/{spelled}"
                    points[name] = of_channel[channel]
                    if code.startswith("!"):
                        inverted.add(name)
                    if unit := own.get("units", {}).get(code):
                        units[name] = unit
    return WireTable(points, frozenset(names), units, frozenset(inverted), strict=False)


def _spelled(code: str, take: Iterable[object]) -> Iterator[str]:
    """A code as usual records have it, and as the others do that this device's readings are taken from."""
    yield code
    for record in take:
        yield f"{record}:{code}"
