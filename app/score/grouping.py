"""How well alerts were grouped: B³, adjusted Rand, adjusted mutual information, and incidents found.

A grouping is an int array, one label an alert; -1 is an alert that belongs to nothing and stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


def alone(labels: Labels) -> Labels:
    """The same grouping with a label of its own for every -1."""
    given = np.asarray(labels, np.int64)
    found = given.copy()
    single = given < 0
    found[single] = given.max(initial=-1) + 1 + np.arange(np.count_nonzero(single))
    return found


@dataclass(frozen=True, slots=True)
class Overlap:
    """The contingency of two groupings, sparse: `n[k]` alerts lie in group `a[k]` of one and `b[k]` of the other."""

    n: Floats
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    size_a: Floats
    size_b: Floats
    total: int

    @classmethod
    def of(cls, one: Labels, other: Labels) -> Overlap:
        if len(one) != len(other):
            raise ValueError("two groupings of different alerts")
        _, a = np.unique(alone(one), return_inverse=True)
        _, b = np.unique(alone(other), return_inverse=True)
        pair, n = np.unique(a.astype(np.int64) * (b.max(initial=0) + 1) + b, return_counts=True)
        width = b.max(initial=0) + 1
        return cls(
            n.astype(np.float64), (pair // width).astype(np.intp), (pair % width).astype(np.intp),
            np.bincount(a).astype(np.float64), np.bincount(b).astype(np.float64), len(one),
        )  # fmt: skip


def b3f(truth: Labels, said: Labels) -> float:
    """B³-F (Bagga & Baldwin 1998): harmonic mean of the alerts' mean precision and mean recall."""
    if not len(truth):
        return 1.0
    over = Overlap.of(truth, said)
    precision = float((over.n**2 / over.size_b[over.b]).sum() / over.total)
    recall = float((over.n**2 / over.size_a[over.a]).sum() / over.total)
    return 2 * precision * recall / (precision + recall)


def ari(truth: Labels, said: Labels) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985): 1 the same grouping, 0 as by chance."""
    over = Overlap.of(truth, said)

    def pairs(n: Floats) -> float:
        return float((n * (n - 1) / 2).sum())

    together, in_a, in_b = pairs(over.n), pairs(over.size_a), pairs(over.size_b)
    every = over.total * (over.total - 1) / 2
    chance = in_a * in_b / every if every else 0.0
    most = (in_a + in_b) / 2
    return 1.0 if most == chance else (together - chance) / (most - chance)


def ami(truth: Labels, said: Labels) -> float:
    """Adjusted mutual information (Vinh, Epps & Bailey 2010), normalised by the mean of the entropies."""
    over = Overlap.of(truth, said)
    total = over.total
    if len(over.size_a) == len(over.size_b) == 1 or len(over.size_a) == len(over.size_b) == total:
        return 1.0
    information = float(
        (over.n / total * np.log(over.n * total / (over.size_a[over.a] * over.size_b[over.b]))).sum()
    )
    chance = _expected_information(over.size_a, over.size_b, total)
    most = (_entropy(over.size_a, total) + _entropy(over.size_b, total)) / 2
    return 1.0 if most == chance else (information - chance) / (most - chance)


def _entropy(size: Floats, total: int) -> float:
    share = size / total
    return float(-(share * np.log(share)).sum())


def _expected_information(size_a: Floats, size_b: Floats, total: int) -> float:
    """Expected mutual information of random groupings with these sizes; equal sizes are counted once."""
    found = 0.0
    log_n = gammaln(np.arange(total + 2))  # log_n[k] = log((k-1)!)
    rows, columns = np.unique(size_a, return_counts=True), np.unique(size_b, return_counts=True)
    for a, times_a in zip(rows[0].astype(int), rows[1], strict=True):
        for b, times_b in zip(columns[0].astype(int), columns[1], strict=True):
            n = np.arange(max(1, a + b - total), min(a, b) + 1)
            log_probability = (
                log_n[a + 1] + log_n[b + 1] + log_n[total - a + 1] + log_n[total - b + 1] - log_n[total + 1]
                - log_n[n + 1] - log_n[a - n + 1] - log_n[b - n + 1] - log_n[total - a - b + n + 1]
            )  # fmt: skip
            part = n / total * np.log(n * total / (a * b)) * np.exp(log_probability)
            found += float(part.sum()) * int(times_a) * int(times_b)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Incidents against truth.

    A true one is found when a said one holds at least half of its alerts and is at least half made of them; a said
    one is right when it is that of some true one.
    """

    true: int
    said: int
    found: int
    right: int

    @property
    def recall(self) -> float:
        return self.found / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 1.0


def incidents_found(truth: Labels, said: Labels) -> Found:
    """Match said incidents to true ones by their alerts. Labels below 0 belong to no incident."""
    both = (truth >= 0) & (said >= 0)
    true_labels, true_size = np.unique(truth[truth >= 0], return_counts=True)
    said_labels, said_size = np.unique(said[said >= 0], return_counts=True)
    if not both.any():
        return Found(len(true_labels), len(said_labels), 0, 0)
    pairs, n = np.unique(np.stack([truth[both], said[both]]), axis=1, return_counts=True)
    recall = n / true_size[np.searchsorted(true_labels, pairs[0])]
    purity = n / said_size[np.searchsorted(said_labels, pairs[1])]
    good = (recall >= 0.5) & (purity >= 0.5)
    return Found(
        len(true_labels), len(said_labels), len(np.unique(pairs[0][good])), len(np.unique(pairs[1][good]))
    )
