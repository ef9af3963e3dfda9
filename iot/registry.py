"""The registry in memory: gateways, devices, channels and the dense numbering of points, as one frozen snapshot.

`build` makes a snapshot from rows; readers swap it whole when the registry changes. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iot.care import Care
from iot.kinds import Catalogue, Channel, Kind

Provenance = Literal["real", "recorded", "simulated", "drill"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """What speaks to us on the wire. `number` is persisted and never reused."""

    number: int
    id: str
    provenance: Provenance = "real"


@dataclass(frozen=True, slots=True)
class Device:
    """One piece of hardware at one place. lon, lat are WGS 84 degrees; `params` are its own limits and set values."""

    number: int
    id: str
    kind: str
    domain: str
    name: Mapping[str, str]
    lon: float
    lat: float
    gateway: str
    wire_name: str
    asset: str = ""
    zone: str = ""
    area: str = ""
    provenance: Provenance = "real"
    params: Mapping[str, object] = field(default_factory=dict)
    owner: str = ""

    @property
    def wire(self) -> Mapping[str, Any]:
        """What the device says of its own wire: names, units, take (see `iot.wire`)."""
        found = self.params.get("wire", {})
        return found if isinstance(found, dict) else {}

    @property
    def wire_names(self) -> list[str]:
        """All names that it has on the wire, the registered one first."""
        return [self.wire_name, *map(str, self.wire.get("names", ()))]


class Registry:
    """A frozen snapshot with the look-ups that the hot path needs.

    `point(device, channel)` gives dense numbers 0 … n-1, stable for the life of a process as long as snapshots
    are made with `build(..., before=previous)`: detectors keep their state in arrays indexed by them.
    """

    def __init__(
        self,
        gateways: Mapping[str, Gateway],
        devices: Mapping[str, Device],
        channels: Mapping[str, Channel],
        catalogue: Catalogue,
        base: Mapping[tuple[int, str], int],
        care: Care,
    ) -> None:
        self.gateways = gateways
        self.devices = devices
        self.channels = channels
        self.catalogue = catalogue
        self.care = care
        self.by_number = {device.number: device for device in devices.values()}
        self.channel_by_number = {channel.number: channel for channel in channels.values()}
        self._base = base
        self._of_gateway: dict[str, list[Device]] = {}
        for device in devices.values():
            self._of_gateway.setdefault(device.gateway, []).append(device)
        self._number_points()

    def _number_points(self) -> None:
        """Arrays for `point`: the first point of a device, and the slot of a channel in the device's kind."""
        top_device = max(self.by_number, default=0) + 1
        top_channel = max(self.channel_by_number, default=0) + 1
        kinds = {key: row for row, key in enumerate(self.catalogue.kinds)}
        self._slot = np.full((len(kinds) + 1, top_channel), -1, np.int32)
        for key, row in kinds.items():
            for slot, name in enumerate(self.catalogue.kinds[key].channels.values()):
                self._slot[row, self.channels[name].number] = slot
        self._first = np.full(top_device, -1, np.int32)
        self._kind = np.full(top_device, len(kinds), np.int16)
        self.size = 0
        for (number, kind), first in self._base.items():
            self.size = max(self.size, first + len(self.catalogue.kinds[kind].channels))
            device = self.by_number.get(number)
            if device is not None and device.kind == kind:
                self._first[number] = first
                self._kind[number] = kinds[kind]
        self.device_of = np.full(self.size, -1, np.int32)
        self.channel_of = np.full(self.size, -1, np.int16)
        for (number, kind), first in self._base.items():
            names = self.catalogue.kinds[kind].channels.values()
            for slot, name in enumerate(names):
                self.device_of[first + slot] = number
                self.channel_of[first + slot] = self.channels[name].number

    def point(self, device: NDArray[np.int32], channel: NDArray[np.int16]) -> NDArray[np.int32]:
        """Dense point numbers of parallel columns; -1 where the pair is not in the registry."""
        known = (device >= 0) & (device < len(self._first)) & (channel >= 0) & (channel < self._slot.shape[1])
        if not known.all():
            points = np.full(len(device), -1, np.int32)
            points[known] = self.point(device[known], channel[known])
            return points
        first = self._first[device]
        slot = self._slot[self._kind[device], channel]
        return np.where((first < 0) | (slot < 0), np.int32(-1), first + slot)

    @cached_property
    def current(self) -> NDArray[np.bool_]:
        """Of each dense point: does it stand in the registry today? Devices may have had other kinds before."""
        stands: NDArray[np.bool_] = self.point(self.device_of, self.channel_of) == np.arange(self.size)
        return stands

    @cached_property
    def point_names(self) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """Device id and channel name of each dense point, "" where it is not current."""
        ids = np.full(max(self.by_number, default=0) + 1, "", object)
        names = np.full(max(self.channel_by_number, default=0) + 1, "", object)
        for number, device in self.by_number.items():
            ids[number] = device.id
        for number, channel in self.channel_by_number.items():
            names[number] = channel.name
        return np.where(self.current, ids[self.device_of], ""), np.where(
            self.current, names[self.channel_of], ""
        )

    def points_of(self, device: Device) -> dict[str, int]:
        """Channel name → dense number of a device's points."""
        first = int(self._first[device.number])
        return {name: first + slot for slot, name in enumerate(self.kind_of(device).channels)}

    def kind_of(self, device: Device) -> Kind:
        return self.catalogue.kinds[device.kind]

    def channel(self, device: Device, name: str) -> Channel | None:
        full = self.kind_of(device).channels.get(name)
        return self.channels[full] if full else None

    def devices_of(self, gateway: str) -> Sequence[Device]:
        """The devices that a gateway speaks for."""
        return self._of_gateway.get(gateway, ())

    def wire_points(self, gateway: str) -> dict[str, int]:
        """Everything a gateway may name, as `wire name/channel` → dense number: one look-up a reading."""
        found: dict[str, int] = {}
        for device in self.devices_of(gateway):
            first = int(self._first[device.number])
            for slot, name in enumerate(self.kind_of(device).channels):
                for wire_name in device.wire_names:
                    found[f"{wire_name}/{name}"] = first + slot
        return found


def build(
    gateways: Iterable[Gateway],
    devices: Iterable[Device],
    channels: Iterable[Channel],
    catalogue: Catalogue,
    before: Registry | None = None,
    care: Care | None = None,
) -> Registry:
    """A new snapshot. With `before`, points that existed keep their dense numbers and new ones follow."""
    named = {device.id: device for device in devices}
    base = dict(before._base) if before else {}  # noqa: SLF001 - its own kind
    free = before.size if before else 0
    for device in sorted(named.values(), key=lambda each: each.number):
        if (device.number, device.kind) not in base:
            base[device.number, device.kind] = free
            free += len(catalogue.kinds[device.kind].channels)
    return Registry(
        {gateway.id: gateway for gateway in gateways},
        named,
        {channel.full_name: channel for channel in channels},
        catalogue,
        base,
        care or Care(),
    )
