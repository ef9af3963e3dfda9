"""When a message is tried again, and when it is given up. Pure; `outbox_feed.py` does the sending.

An answered failure counts: after ten the message is parked, and the gaps between the ten sum up to more than five
minutes with none longer than one, so that a receiver that fails for five minutes has everything a minute after.
A receiver that does not answer is nobody's fault: it is tried until the message is too old to mean anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.clock import DAY_US, SECOND_US

#: Seconds before try 2, 3 … 10 of a message that the receiver answered with a failure (`ours`).
GAPS_S = (5.0, 15.0, 30.0, 45.0, 55.0, 55.0, 55.0, 55.0, 55.0)
TRIES = len(GAPS_S) + 1
#: A receiver that is away is probed after 1, 2, 4 … seconds, at most this.
PROBE_AT_MOST_S = 20.0
#: Jitter: a wait is this share of itself at least, so that many receivers do not come back at one moment.
JITTER_FROM = 0.9
OLD_US = DAY_US


@dataclass(frozen=True, slots=True)
class Later:
    """Try this message at `next_us`; the others of its receiver not before `others_us`, so that one of them probes."""

    next_us: int
    others_us: int


@dataclass(frozen=True, slots=True)
class Park:
    """Give up, visibly."""

    reason: str


def after_failure(tries: int, in_a_row: int, now_us: int, rng: np.random.Generator) -> Later | Park:
    """`tries` of this message that the receiver answered with a failure, this one included; `in_a_row` of it."""
    if tries >= TRIES:
        return Park("tried_out")
    own_us = now_us + _jittered(GAPS_S[tries - 1], rng)
    return Later(own_us, now_us + _probe(in_a_row, rng))


def after_silence(created_us: int, in_a_row: int, now_us: int, rng: np.random.Generator) -> Later | Park:
    """The receiver is away for the `in_a_row`-th time."""
    if now_us - created_us > OLD_US:
        return Park("too_old")
    others_us = now_us + _probe(in_a_row, rng)
    return Later(others_us + SECOND_US, others_us)


def _probe(in_a_row: int, rng: np.random.Generator) -> int:
    return _jittered(min(PROBE_AT_MOST_S, 2.0 ** min(in_a_row - 1, 10)), rng)


def _jittered(seconds: float, rng: np.random.Generator) -> int:
    return round(seconds * rng.uniform(JITTER_FROM, 1.0) * SECOND_US)
