"""Where free crews should wait, and whom to send: coverage as in dynamic MEXCLP. Pure.

After Daskin's MEXCLP (1983) and its dynamic use by Jagtenberg, Bhulai and van der Mei (2015): a place counts by how
likely one of the crews that can reach it in time is free. With busy share q and k crews in reach that is 1 − qᵏ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """`reach[s, i]`: 1.0 where demand i can be reached from standing place s in time; `demand` sums up to 1.

    `busy` is q, the share of time that a crew is not free.
    """

    reach: Floats
    demand: Floats
    busy: float

    def covered(self, standing: Ints) -> float:
        """The share of demand that is covered when free crews stand at these places (one index a crew)."""
        return float(self.demand @ (1.0 - self.busy ** self.reach[standing].sum(axis=0)))

    def gains(self, others: Ints) -> Floats:
        """What one more crew would add at each standing place, when the others stand where they do."""
        more: Floats = self.reach @ (
            self.demand * (1.0 - self.busy) * self.busy ** self.reach[others].sum(axis=0)
        )
        return more

    def losses(self, standing: Ints) -> Floats:
        """What each crew's leaving would take from the coverage, parallel to `standing`."""
        depth = self.reach[standing].sum(axis=0)
        share = self.demand * (1.0 - self.busy) * self.busy ** np.maximum(depth - 1.0, 0.0)
        return np.asarray(self.reach[standing] @ share)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a second of driving costs in coverage, going home and moving between places; the least worth-while gain.

    `ours`, tuned on the scored city (docs/BENCHMARKS.md): driving stays within a tenth of return-to-base.
    """

    home_per_s: float = 1e-4
    move_per_s: float = 4e-5
    least_gain: float = 0.01


PRICES = Prices()


def where_to_wait(coverage: Coverage, others: Ints, travel_s: Floats, prices: Prices = PRICES) -> int:
    """The standing place for a crew that just became free; `travel_s` from where it is to each place."""
    return int(np.argmax(coverage.gains(others) - prices.home_per_s * travel_s))


@dataclass(frozen=True, slots=True)
class Move:
    """Advice: this crew (its row) would cover more of the city from that place; `gain` in share of demand."""

    crew: int
    place: int
    gain: float


def best_move(coverage: Coverage, standing: Ints, travel_s: Floats, prices: Prices = PRICES) -> Move | None:
    """The one relocation of a free crew that is worth most, None when none is worth its way.

    `standing`: the place of each free crew; `travel_s[c, s]` from where crew c is now to place s.
    """
    best: Move | None = None
    for row in range(len(standing)):
        gains = coverage.gains(np.delete(standing, row))
        way = travel_s[row] - travel_s[row, standing[row]]
        worth = gains - gains[standing[row]] - prices.move_per_s * way
        place = int(np.argmax(worth))
        if worth[place] > (best.gain if best else prices.least_gain):
            best = Move(row, place, float(worth[place]))
    return best


#: How softly lateness counts around the limit, and what a second is worth beside it (`ours`).
LATE_SOFT_S = 20.0
PER_S = 1e-3


def whom_to_send(travel_s: Floats, losses: Floats, limit_s: float) -> int:
    """The row of the free crew to send: who arrives in time and leaves most cover behind.

    The cost of a crew is how likely it comes late, plus the coverage that leaves with it, plus a little for time.
    """
    late = 1.0 / (1.0 + np.exp(np.clip((limit_s - travel_s) / LATE_SOFT_S, -50, 50)))
    return int(np.argmin(late + losses + PER_S * travel_s))
