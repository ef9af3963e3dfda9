"""What a watched gateway did, counted, and judged against what the guide asks of a gateway. Pure.

`Counts` takes every frame with what became of it; counts of several processes are added up; `judged` says what is
passed, failed, or was not seen yet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from core.batch import Batch, Quality
from core.clock import SECOND_US
from iot.codecs import gbt26875, sl651, sparkplug
from iot.codecs.frame import MalformedError, Reason
from iot.registry import Registry

#: Readings remembered to know one that comes again.
REMEMBERED = 50_000
#: Names and words kept of each kind; more are only counted.
LISTED = 200
#: A clock that runs ahead by more is wrong (docs/RELIABILITY.md, ours).
AHEAD_S = 5.0

UNREADABLE = frozenset(
    {Reason.MALFORMED, Reason.TOO_LARGE, Reason.BAD_CHECKSUM, Reason.UNKNOWN_FORMAT, Reason.NOT_BORN}
)
UNNAMED = frozenset({Reason.BAD_NAME, Reason.UNKNOWN_GATEWAY, Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_CHANNEL})
UNMEANT = frozenset({Reason.UNKNOWN_UNIT, Reason.UNKNOWN_STATE, Reason.NO_VALUE, Reason.NOT_A_NUMBER})
MISTIMED = frozenset({Reason.BAD_TIME, Reason.TOO_OLD, Reason.TOO_FAR_AHEAD})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A frame as it came and what became of it: how many readings, and which records were refused."""

    at_us: int
    source: str
    topic: str
    payload: bytes
    accepted: int
    refused: Sequence[tuple[int, Reason, str]] = ()


@dataclass(slots=True)
class Counts:
    """Since a watch began, in one process. `shown` is plain data that `added` reads."""

    formats: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    not_permitted: dict[str, int] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    totals: dict[str, int] = field(default_factory=dict)
    offsets_s: list[float] = field(default_factory=list)
    first_us: int = 0
    last_us: int = 0
    _known: OrderedDict[tuple[int, int, int], float] = field(default_factory=OrderedDict)
    _serial: dict[str, int] = field(default_factory=dict)

    def heard(self, outcome: Outcome) -> None:
        """A frame came and is safe."""
        _count(self.formats, outcome.source)
        self._add("frames", 1)
        self._add("bytes", len(outcome.payload))
        self._add("readings", outcome.accepted)
        for _, reason, _ in outcome.refused:
            _count(self.refused, reason.value)
        self.first_us = self.first_us or outcome.at_us
        self.last_us = outcome.at_us

    def looked_into(self, outcome: Outcome, batch: Batch, registry: Registry) -> None:
        """The readings of a frame, in the order in which frames came: resent ones, clocks, numbers that are missing."""
        self._number(outcome)
        rows = zip(
            batch.device.tolist(), batch.channel.tolist(), batch.time_us.tolist(), batch.value.tolist(),
            batch.quality.tolist(), strict=True,
        )  # fmt: skip
        newest_us = 0
        for device, channel, time_us, value, quality in rows:
            newest_us = max(newest_us, time_us)
            self._add("untimed", int(bool(quality & Quality.NO_EVENT_TIME)))
            self._add("late", int(bool(quality & Quality.LATE)))
            self._again((device, channel, time_us), value)
            if len(self.devices) < REMEMBERED:
                self.devices.add(registry.by_number[device].id)
        if newest_us:
            offset_s = (newest_us - outcome.at_us) / SECOND_US
            low, high = self.offsets_s[:2] or (offset_s, offset_s)
            self.offsets_s = [min(low, offset_s), max(high, offset_s), offset_s]

    def skipped(self) -> None:
        """A frame came too fast to be looked into; it is counted and stored all the same."""
        self._add("skipped", 1)

    def turned_away(self, what: str) -> None:
        """The gateway may not do what it tried: a wrong secret, a topic that is not its own."""
        _count(self.not_permitted, what[:200])

    def _again(self, key: tuple[int, int, int], value: float) -> None:
        known = self._known.get(key)
        if known is None:
            self._known[key] = value
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._add("resent" if known == value else "conflicts", 1)

    def _number(self, outcome: Outcome) -> None:
        found = serial_of(outcome)
        if found is None:
            return
        stream, number, modulo = found
        before = self._serial.get(stream)
        if before is not None and modulo:
            self._add("numbered", 1)
            self._add("gaps", int(number not in (before, (before + 1) % modulo)))
        if before is not None or len(self._serial) < REMEMBERED:
            self._serial[stream] = number

    def _add(self, what: str, n: int) -> None:
        self.totals[what] = self.totals.get(what, 0) + n

    def shown(self) -> dict[str, object]:
        return {
            "formats": dict(self.formats), "refused": dict(self.refused), "not_permitted": dict(self.not_permitted),
            "devices": sorted(self.devices), "totals": dict(self.totals), "offsets_s": list(self.offsets_s),
            "first_us": self.first_us, "last_us": self.last_us,
        }  # fmt: skip

    @classmethod
    def added(cls, shown: Iterable[Mapping[str, object]]) -> Counts:
        """The sum of what several processes showed."""
        whole = cls()
        for part in shown:
            for name in ("formats", "refused", "not_permitted", "totals"):
                for key, n in _mapping(part[name]).items():
                    _count(getattr(whole, name), key, n)
            devices, offsets = part["devices"], part["offsets_s"]
            assert isinstance(devices, list)
            assert isinstance(offsets, list)
            whole.devices.update(devices)
            first, last = int(str(part["first_us"])), int(str(part["last_us"]))
            if offsets:
                low, high, _ = whole.offsets_s or offsets
                newest = offsets[2] if last >= whole.last_us else whole.offsets_s[2]
                whole.offsets_s = [min(low, offsets[0]), max(high, offsets[1]), newest]
            whole.first_us = min(filter(None, (whole.first_us, first)), default=0)
            whole.last_us = max(whole.last_us, last)
        return whole


def _mapping(value: object) -> Mapping[str, int]:
    assert isinstance(value, dict)
    return value


def _count(counts: dict[str, int], what: str, n: int = 1) -> None:
    if what in counts or len(counts) < LISTED:
        counts[what] = counts.get(what, 0) + n


def serial_of(outcome: Outcome) -> tuple[str, int, int] | None:
    """The number that a frame has in its protocol: of which stream, which, how many there are (0: it begins anew)."""
    try:
        match outcome.source:
            case "gbt26875":
                frame = gbt26875.parse(outcome.payload)
                return frame.station, frame.serial, 1 << 16
            case "sl651":
                report = sl651.joined(outcome.payload)
                return report.station, report.serial, 1 << 16
            case "sparkplug":
                topic = sparkplug.Topic.of(outcome.topic)
                number = sparkplug.parse(outcome.payload).seq
                begins = topic.kind == sparkplug.Kind.NBIRTH
                unnumbered = number < 0 or topic.kind == sparkplug.Kind.NDEATH
                return None if unnumbered else (f"{topic.group}/{topic.node}", number, 0 if begins else 256)
            case _:
                return None
    except MalformedError:
        return None


# -- judging ----------------------------------------------------------------------------------------------------


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the guide asks; `found` is the figure behind the verdict."""

    key: str
    verdict: Verdict
    found: Mapping[str, object]


def judged(counts: Counts, registered: Collection[str]) -> list[Check]:
    """Every check, in the order in which a vendor would mend things. `registered`: the gateway's devices."""
    total = counts.totals.get
    frames, readings = total("frames", 0), total("readings", 0)

    def check(key: str, n: int, seen: int) -> Check:
        verdict = Verdict.FAILED if n else Verdict.PASSED if seen else Verdict.UNSEEN
        return Check(key, verdict, {"n": n, "of": seen})

    def refused(reasons: Iterable[Reason]) -> int:
        return sum(counts.refused.get(reason, 0) for reason in reasons)

    low, high = counts.offsets_s[:2] or (0.0, 0.0)
    clock = Verdict.UNSEEN if not counts.offsets_s else Verdict.FAILED if high > AHEAD_S else Verdict.PASSED
    heard = len(counts.devices & set(registered))
    whole = Verdict.UNSEEN if not readings else Verdict.PASSED if heard == len(registered) else Verdict.FAILED
    resent, conflicts = total("resent", 0), total("conflicts", 0)
    again = Verdict.FAILED if conflicts else Verdict.PASSED if resent else Verdict.UNSEEN
    return [
        check("permitted", sum(counts.not_permitted.values()), frames),
        check("readable", refused(UNREADABLE), frames),
        check("named", refused(UNNAMED), frames),
        check("meant", refused(UNMEANT), frames),
        check("timed", total("untimed", 0) + refused(MISTIMED), frames),
        Check("clock", clock, {"low": round(low, 3), "high": round(high, 3)}),
        check("in_time", total("late", 0), readings),
        check("sequence", total("gaps", 0), total("numbered", 0)),
        Check("resend", again, {"n": resent, "conflicts": conflicts}),
        Check("complete", whole, {"n": heard, "of": len(registered)}),
    ]
