"""Many orders and many crews at once: the cheapest matching, which does not turn crews around for a trifle. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]

#: A crew under way is only turned around when that saves more than this.
HYSTERESIS_S = 90.0
#: Cost of an order that nobody takes, by its priority 1–4: the important ones are served first (`ours`).
UNSERVED_S = (1e6, 2e5, 4e4, 1e4)
IMPOSSIBLE = 1e9


@dataclass(frozen=True, slots=True)
class Matching:
    """`crew_of[i]` is the crew (column) of order i (row), -1 for nobody; `changed` are the rows that got another."""

    crew_of: tuple[int, ...]
    changed: tuple[int, ...]
    cost_s: float


def match(
    cost_s: Floats, priority: Sequence[int], present: Sequence[int], hysteresis_s: float = HYSTERESIS_S
) -> Matching:
    """Assign crews to orders at the least total cost.

    `cost_s[i, j]` for order i and crew j, `inf` where the crew cannot go. `present[i]` is the crew that is under way
    to order i (-1 none): keeping it is rewarded by `hysteresis_s`.
    """
    orders, crews = cost_s.shape
    if not orders:
        return Matching((), (), 0.0)
    known = np.where(np.isfinite(cost_s), cost_s, IMPOSSIBLE)
    for row, crew in enumerate(present):
        if crew >= 0:
            known[row, crew] -= hysteresis_s
    nobody = np.full((orders, orders), IMPOSSIBLE)
    np.fill_diagonal(nobody, [UNSERVED_S[min(max(p, 1), 4) - 1] for p in priority])
    rows, columns = linear_sum_assignment(np.hstack([known, nobody]))
    crew_of = np.full(orders, -1)
    served = columns < crews
    crew_of[rows[served]] = columns[served]
    changed = tuple(int(i) for i in range(orders) if crew_of[i] != present[i])
    total = float(sum(cost_s[i, j] for i, j in enumerate(crew_of) if j >= 0))
    return Matching(tuple(int(j) for j in crew_of), changed, total)
