"""Who says nothing any more: device, gateway, street, everybody. The highest that explains it speaks alone. Pure.

Silence is driven by time. Its truth is who was heard when, and the alerts that stand: nothing is remembered here
but what a restart may forget. Since our own start everybody counts as heard, so that a restart raises nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import SECOND_US, to_us
from events.detectors.columns import NEVER
from events.rules import ANY_KIND, Rule, RuleSet
from iot.registry import Device, Registry

#: The level of silence where a life rule looks.
LIFE_LEVEL = 3
#: A street's share of silent devices means something from so many devices on.
SOME_DEVICES = 5
#: So many gateways must be there for all of them to fall silent together.
SOME_GATEWAYS = 2


class Heard:
    """When every device and every gateway was last heard of, by number, in µs."""

    def __init__(self, registry: Registry, before: Heard | None = None) -> None:
        devices = max(registry.by_number, default=0) + 1
        gateways = max((gateway.number for gateway in registry.gateways.values()), default=0) + 1
        self.device: NDArray[np.int64] = _grown(before.device if before else None, devices)
        self.gateway: NDArray[np.int64] = _grown(before.gateway if before else None, gateways)

    def note(self, batch: Batch) -> None:
        """Anything counts as a sign of life, however doubtful or late."""
        known = (batch.device < len(self.device)) & (batch.gateway < len(self.gateway))
        np.maximum.at(self.device, batch.device[known], batch.received_us[known])
        np.maximum.at(self.gateway, batch.gateway[known], batch.received_us[known])


def _grown(before: NDArray[np.int64] | None, size: int) -> NDArray[np.int64]:
    grown = np.full(size, NEVER, np.int64)
    if before is not None:
        grown[: len(before)] = before[:size]
    return grown


@dataclass(frozen=True, slots=True)
class Silent:
    """Something that ought to be an alert now: at a subject since a moment; `device` where it is one."""

    rule: Rule
    subject: str
    since_us: int
    device: Device | None = None
    #: Something above it explains it: it stands, and asks nobody.
    suppressed: bool = False
    level: int = 4


@dataclass(frozen=True, slots=True)
class Watched:
    """The devices of one rule: themselves, their numbers, and after how many µs each is called silent."""

    rule: Rule
    devices: Sequence[Device]
    row_of: Mapping[str, int]
    number: NDArray[np.int64]
    patience_us: NDArray[np.float64]


@dataclass(slots=True)
class Silence:
    """Judges who is silent. `started_us`: our own start; nobody is blamed for what we could not hear.

    Asked every second: what follows from the registry alone is worked out once, and only devices that may have
    something to tell are looked at one by one.
    """

    rules: RuleSet
    registry: Registry
    started_us: int
    _watched: Sequence[Watched] = field(init=False)
    _due: Sequence[tuple[Device, int]] = field(init=False)
    _behind: Mapping[str, Sequence[Device]] = field(init=False)
    _in_area: Mapping[str, int] = field(init=False)
    #: Since when a subject is heard again, as far as this process knows.
    _back: dict[str, int] = field(default_factory=dict)
    #: Since when a subject is not well.
    _bad: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        everybody = list(self.registry.devices.values())
        self._watched = [self._watch(rule, everybody) for rule in self._of("silence")]
        dues = ((device, _date_us(device.params.get("calibration_due"))) for device in everybody)
        self._due = [(device, due) for device, due in dues if due is not None]
        behind: dict[str, list[Device]] = defaultdict(list)
        for device in everybody:
            behind[device.gateway].append(device)
        self._behind = behind
        self._in_area = Counter(device.area for device in everybody if device.area)

    def _watch(self, rule: Rule, everybody: Sequence[Device]) -> Watched:
        of_any = ANY_KIND in rule.decl.kinds
        devices = [device for device in everybody if of_any or device.kind in rule.decl.kinds]
        return Watched(
            rule, devices, {device.id: row for row, device in enumerate(devices)},
            np.array([device.number for device in devices], np.int64),
            np.array([self._silent_after_us(device) for device in devices], np.float64),
        )  # fmt: skip

    def judge(self, heard: Heard, standing: Mapping[tuple[str, str], int], now_us: int) -> list[Silent]:
        """All silence that should stand now. `standing`: onset of what stands, by (rule, subject)."""
        gateways = list(self._gateways(heard, standing, now_us))
        lost = {silent.subject for silent in gateways}
        everybody = list(self._everybody(lost, standing, now_us))
        if everybody:
            gateways = [_suppressed(silent) for silent in gateways]
        devices = list(self._devices(heard, lost, standing, now_us))
        streets = list(self._streets(devices, standing, now_us))
        dark = {silent.subject.removeprefix("area:") for silent in streets}
        devices = [
            _suppressed(silent) if silent.device is not None and silent.device.area in dark else silent
            for silent in devices
        ]
        return [*everybody, *streets, *gateways, *devices, *self._overdue(now_us)]

    # -- devices -------------------------------------------------------------------------------------------

    def _devices(
        self, heard: Heard, lost: set[str], standing: Mapping[tuple[str, str], int], now_us: int
    ) -> Iterable[Silent]:
        vital = {
            kind
            for rule in self.rules
            if rule.decl.enabled and rule.decl.klass == "life"
            for kind in rule.decl.kinds
        }
        for watched in self._watched:
            rule = watched.rule
            last = heard.device[watched.number]
            quiet = (last != NEVER) & (now_us - np.maximum(last, self.started_us) > watched.patience_us)
            told = [watched.row_of.get(subject, -1) for key, subject in standing if key == rule.key]
            for row in sorted({*np.flatnonzero(quiet).tolist(), *told} - {-1}):
                device, last_us = watched.devices[row], int(last[row])
                level = min(rule.decl.level, LIFE_LEVEL) if device.kind in vital else rule.decl.level
                onset_us = standing.get((rule.key, device.id))
                if self.registry.care.in_maintenance(device.number, now_us):
                    continue  # somebody works on it
                behind = f"gateway:{device.gateway}" in lost
                if onset_us is not None and last_us <= onset_us:
                    yield Silent(rule, device.id, onset_us, device, behind, level)
                elif not behind and quiet[row]:
                    yield Silent(rule, device.id, last_us, device, level=level)

    def _silent_after_us(self, device: Device) -> float:
        """Three periods or one and a half heartbeats; a device may state its own `period_s`."""
        own = device.params.get("period_s")
        kind = self.registry.kind_of(device).decl
        if isinstance(own, int | float) and not kind.heartbeat:
            return max(3 * own, 30.0) * SECOND_US
        return kind.silent_after_s * SECOND_US

    def _overdue(self, now_us: int) -> Iterable[Silent]:
        """Devices whose `calibration_due` (a date) has passed; what is no date is none."""
        for rule in self._of("overdue"):
            for device, due in self._due:
                if due <= now_us:
                    yield Silent(rule, device.id, due, device, level=rule.decl.level)

    # -- gateways, streets, everybody ----------------------------------------------------------------------

    def _gateways(
        self, heard: Heard, standing: Mapping[tuple[str, str], int], now_us: int
    ) -> Iterable[Silent]:
        for rule in self._of("gateway_lost"):
            for gateway in self.registry.gateways.values():
                behind = self._behind.get(gateway.id)
                if not behind:
                    continue
                last_us = int(heard.gateway[gateway.number])
                age_us = now_us - max(last_us, self.started_us)
                quiet = last_us != NEVER and age_us > _hold_us(rule)
                quiet = quiet and age_us > self._liveliest_us(behind) and not self._at_work(behind, now_us)
                silent = self._held(rule, f"gateway:{gateway.id}", last_us, standing, now_us, quiet=quiet)
                if silent is not None:
                    yield silent

    def _at_work(self, devices: Sequence[Device], now_us: int) -> bool:
        """Somebody works on all of them."""
        return all(self.registry.care.in_maintenance(device.number, now_us) for device in devices)

    def _liveliest_us(self, devices: Sequence[Device]) -> float:
        """A gateway is lost when even its liveliest device would have spoken several times."""
        return min(self._silent_after_us(device) for device in devices)

    def _streets(
        self, silent: list[Silent], standing: Mapping[tuple[str, str], int], now_us: int
    ) -> Iterable[Silent]:
        dark: dict[str, list[int]] = defaultdict(list)
        for each in silent:
            if each.device is not None and each.device.area and not each.suppressed:
                dark[each.device.area].append(each.since_us)
        for rule in self._of("area_lost"):
            share = _share(rule)
            for area in sorted(self._in_area):
                found = dark.get(area, [])
                total = self._in_area[area]
                many = total >= SOME_DEVICES and len(found) >= share * total
                since_us = max(found, default=now_us)
                held = self._held(rule, f"area:{area}", since_us, standing, now_us, quiet=many)
                if held is not None:
                    yield held

    def _everybody(
        self, lost: set[str], standing: Mapping[tuple[str, str], int], now_us: int
    ) -> Iterable[Silent]:
        for rule in self._of("all_lost"):
            all_lost = len(self._behind) >= SOME_GATEWAYS and len(lost) >= _share(rule) * len(self._behind)
            held = self._held(rule, "city", now_us, standing, now_us, quiet=all_lost)
            if held is not None:
                yield held

    def _held(
        self,
        rule: Rule,
        subject: str,
        since_us: int,
        standing: Mapping[tuple[str, str], int],
        now_us: int,
        *,
        quiet: bool,
    ) -> Silent | None:
        """What stands ends only after it was well for the rule's off-delay, and begins after its on-delay."""
        assert rule.decl.on is not None
        assert rule.decl.off is not None
        onset_us = standing.get((rule.key, subject))
        if quiet:
            self._back.pop(subject, None)
            bad_us = now_us - self._bad.setdefault(subject, now_us)
            if (
                onset_us is None
                and rule.decl.detector != "gateway_lost"
                and bad_us < rule.decl.on.usual_hold_s * SECOND_US
            ):
                return None
            return Silent(rule, subject, since_us if onset_us is None else onset_us, level=rule.decl.level)
        self._bad.pop(subject, None)
        if onset_us is None:
            return None
        well_us = now_us - self._back.setdefault(subject, now_us)
        if well_us >= rule.decl.off.usual_hold_s * SECOND_US:
            self._back.pop(subject, None)
            return None
        return Silent(rule, subject, onset_us, level=rule.decl.level)

    def _of(self, detector: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.decl.enabled and rule.decl.detector == detector]


def _hold_us(rule: Rule) -> float:
    assert rule.decl.on is not None
    return rule.decl.on.usual_hold_s * SECOND_US


def _date_us(value: object) -> int | None:
    try:
        return to_us(datetime.combine(date.fromisoformat(str(value)), time(tzinfo=UTC)))
    except ValueError:
        return None


def _suppressed(silent: Silent) -> Silent:
    return replace(silent, suppressed=True)


def _share(rule: Rule) -> float:
    assert rule.decl.on is not None
    return float(rule.decl.on.limit) if isinstance(rule.decl.on.limit, int | float) else 1.0
