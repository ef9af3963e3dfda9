"""A look at what some gateways send, without touching the others: an intake that remembers what became of frames.

Frames of a watched gateway go through the pipeline one by one, so that each has an outcome of its own; all that is
kept is bounded, and what comes faster than it can be looked into is counted and stored all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from core.clock import rfc3339
from ingest.assemble import Assembler
from ingest.conformance import Counts, Outcome
from ingest.examples import readable
from ingest.intake import Intake
from ingest.stream import NoReceipt
from iot import views
from iot.codecs.frame import Parcel, Receipt, Refusal

#: Frames and bytes of one gateway between two looks (a second apart).
MOST_FRAMES = 200
MOST_BYTES = 4 << 20
#: What of a frame is shown.
SHOWN_BYTES = 2048
SHOWN_READINGS = 20


@dataclass(slots=True)
class Whole:
    """The receipt of a parcel that was taken apart: settled when its last frame is."""

    receipt: Receipt
    missing: int
    accepted: int = 0
    refused: list[Refusal] = field(default_factory=list)

    def one(self, frame: int, accepted: int, refused: Sequence[Refusal]) -> None:
        self.accepted += accepted
        self.refused += [replace(each, frame=frame) for each in refused]
        self.missing -= 1
        if not self.missing:
            self.receipt.settle(self.accepted, self.refused)


@dataclass(slots=True)
class Apart:
    """The receipt of one frame of a watched gateway."""

    whole: Whole
    frame: int
    watch: Watch
    parcel: Parcel

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        parcel = self.parcel
        told = [(each.record, each.reason, each.detail) for each in refused]
        self.watch.heard(
            Outcome(parcel.received_us, parcel.source, parcel.topic, parcel.payloads[0], accepted, told)
        )
        self.whole.one(self.frame, accepted, refused)


@dataclass(slots=True)
class Watch:
    """One gateway since somebody began to watch it."""

    gateway: str
    since_us: int
    counts: Counts = field(default_factory=Counts)
    outcomes: deque[Outcome] = field(default_factory=deque)
    changed: bool = True
    _bytes: int = 0

    def heard(self, outcome: Outcome) -> None:
        self.changed = True
        self.counts.heard(outcome)
        if len(self.outcomes) >= MOST_FRAMES or self._bytes > MOST_BYTES:
            self.counts.skipped()
            return
        self.outcomes.append(outcome)
        self._bytes += len(outcome.payload)

    def turned_away(self, what: str) -> None:
        self.changed = True
        self.counts.turned_away(what)

    def taken(self) -> list[Outcome]:
        """What came since the last look."""
        outcomes, self.outcomes, self._bytes = list(self.outcomes), deque(), 0
        self.changed = False
        return outcomes


class TappedIntake(Intake):
    """An intake like any other for gateways that nobody watches."""

    watches: Mapping[str, Watch] = MappingProxyType({})

    def put(self, parcel: Parcel) -> None:
        watch = self.watches.get(parcel.gateway)
        if watch is None:
            super().put(parcel)
            return
        for one in apart(parcel, watch):
            super().put(one)

    def watch(self, wanted: Mapping[str, int]) -> None:
        """Watch these gateways since these moments (µs), and no others; what was counted since then stays."""
        self.watches = {
            gateway: known
            if (known := self.watches.get(gateway)) is not None and known.since_us == since_us
            else Watch(gateway, since_us)
            for gateway, since_us in wanted.items()
        }

    def turned_away(self, gateway: str, what: str) -> None:
        """A gateway tried what it may not."""
        if gateway in self.watches:
            self.watches[gateway].turned_away(what)


def apart(parcel: Parcel, watch: Watch) -> Iterator[Parcel]:
    whole = Whole(parcel.receipt, len(parcel.payloads))
    for frame, payload in enumerate(parcel.payloads):
        one = replace(parcel, payloads=[payload])
        one.receipt = Apart(whole, frame, watch, one)
        yield one


# -- the look itself ----------------------------------------------------------------------------------------------


def looked_at(watch: Watch, outcome: Outcome, assembler: Assembler) -> dict[str, object]:
    """Count what stands in a frame; how it is shown.

    Readings are decoded once more for the eye. A format with a memory (Sparkplug) may lack its births here; what is
    said of how many were accepted and why some were refused is what the pipeline did.
    """
    payloads = [outcome.payload]
    parcel = Parcel(watch.gateway, outcome.source, payloads, outcome.at_us, NoReceipt(), outcome.topic)
    registry, batch = assembler.registry, assembler.assemble([parcel]).batch
    watch.counts.looked_into(outcome, batch, registry)
    return _frame(outcome, views.said(batch, registry, SHOWN_READINGS))


def _frame(outcome: Outcome, readings: Sequence[Mapping[str, object]]) -> dict[str, object]:
    body, is_hex = readable(outcome.payload[:SHOWN_BYTES])
    return {
        "at": rfc3339(outcome.at_us), "format": outcome.source, "topic": outcome.topic,
        "bytes": len(outcome.payload), "body": body, "hex": is_hex, "accepted": outcome.accepted,
        "readings": list(readings),
        "refused": [
            {"record": record, "reason": reason.value, "detail": detail}
            for record, reason, detail in outcome.refused[:SHOWN_READINGS]
        ],
        "refused_count": len(outcome.refused),
    }  # fmt: skip
