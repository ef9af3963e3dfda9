"""Findings and revisions → what must change about alerts. Pure; the store applies it to rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from events.detectors import Findings, Finds
from events.timeline import Revision, Taken


class Does(StrEnum):
    """What happens to an alert, besides what people do."""

    RAISE = "raise"
    CLEAR = "clear"
    #: A late reading showed that it began at another time.
    AMEND = "amend"
    #: A late reading showed that it had not ended.
    REVIVE = "revive"
    #: A late reading showed that there was nothing.
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Move:
    """One change of the alert that rule, point and `onset_us` name. `to_us` is the new onset of AMEND."""

    does: Does
    rule: int
    point: int
    onset_us: int
    at_us: int
    value: float = 0.0
    limit: float = 0.0
    peak: float = 0.0
    returned_us: int = 0
    to_us: int = 0


def moves(taken: Taken) -> list[Move]:
    """Everything that a batch led to, in the order of event time."""
    found = [_plain(row) for row in taken.findings]
    for revision in taken.revisions:
        found += revised(revision)
    return sorted(found, key=lambda move: (move.at_us, move.point, move.rule))


def plain(findings: Findings) -> list[Move]:
    return [_plain(row) for row in findings]


def _plain(row: np.void) -> Move:
    does = Does.RAISE if row["kind"] == Finds.RAISE else Does.CLEAR
    return Move(
        does, int(row["rule"]), int(row["point"]), int(row["onset_us"]), int(row["time_us"]),
        float(row["value"]), float(row["limit"]), float(row["peak"]), int(row["returned_us"]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Episode:
    """From RAISE to CLEAR. `risen` is None where it stood already before the horizon, `ended` where it stands."""

    onset_us: int
    risen: Move | None
    ended: Move | None

    @property
    def end_us(self) -> float:
        return self.ended.returned_us if self.ended else float("inf")

    def overlaps(self, other: Episode) -> bool:
        return self.onset_us <= other.end_us and other.onset_us <= self.end_us


def revised(revision: Revision) -> list[Move]:
    """What turns the alerts of the findings before into those of the findings after."""
    before, after = _by_watch(revision.before), _by_watch(revision.after)
    changes: list[Move] = []
    for watch in sorted(before.keys() | after.keys()):
        changes += _differences(_episodes(before.get(watch, [])), _episodes(after.get(watch, [])))
    return changes


def _by_watch(findings: Findings) -> dict[tuple[int, int], list[Move]]:
    found: dict[tuple[int, int], list[Move]] = {}
    for move in plain(findings):
        found.setdefault((move.rule, move.point), []).append(move)
    return found


def _episodes(said: Iterable[Move]) -> list[Episode]:
    episodes: list[Episode] = []
    for move in said:
        if move.does is Does.RAISE:
            episodes.append(Episode(move.onset_us, move, None))
        elif episodes and episodes[-1].ended is None:
            episodes[-1] = replace(episodes[-1], ended=move)
        else:
            episodes.append(Episode(move.onset_us, None, move))
    return episodes


def _differences(old: list[Episode], new: list[Episode]) -> Iterator[Move]:
    """Pair what overlaps, in order; what is left was nothing, or is new.

    An episode from before the horizon shows only by its end: ended once and not the other time, it stands.
    """
    waiting = list(new)
    for episode in old:
        twin = next((other for other in waiting if episode.overlaps(other)), None)
        if twin is None:
            if episode.risen is None:
                assert episode.ended is not None
                yield replace(episode.ended, does=Does.REVIVE)
            else:
                yield replace(episode.risen, does=Does.WITHDRAW)
            continue
        waiting.remove(twin)
        yield from _pair(episode, twin)
    for episode in waiting:
        if episode.risen is not None:
            yield episode.risen
        if episode.ended is not None:
            yield episode.ended


def _pair(old: Episode, new: Episode) -> Iterator[Move]:
    at = new.risen or new.ended or old.ended or old.risen
    assert at is not None
    if old.onset_us != new.onset_us:
        yield replace(at, does=Does.AMEND, onset_us=old.onset_us, to_us=new.onset_us, returned_us=0)
    if old.ended is not None and new.ended is None:
        yield replace(old.ended, does=Does.REVIVE, onset_us=new.onset_us, returned_us=0)
    elif new.ended is not None and (old.ended is None or old.ended.returned_us != new.ended.returned_us):
        yield new.ended
