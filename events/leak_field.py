"""What leaks look like among everything else that moves a district's pressures. Pure.

A day is one vector: for each part of the day the residuals of the signals (pressures, then the split of the inflow)
against the model, and for each zone the constant part of what it took, found by fitting its usual rhythm. What else
moves that vector is known in kind: customers draw otherwise than assumed, for ever or for a day, pipes are rougher,
gauges stand a little off. From these come two covariances, of a day's noise and of what is wrong all the time; in
the coordinates that make both diagonal, each coordinate is a problem of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Coordinates that bear less than this share of what leaks show are left out, all together.
DULL = 0.002
#: Pipes whose leak would show less than this share of the middle one's cannot be told from silence.
BLIND = 0.1
READINGS_AN_HOUR = 12


@dataclass(frozen=True, slots=True)
class Doubt:
    """One standard deviation of what nobody knows. Shares are of a customer's demand or of a pipe's roughness."""

    customer: float = 0.12
    kind: float = 0.02
    roughness: float = 0.07
    gauge_offset_m: float = 0.01
    #: A day's mood of a customer, how much of it those of a kind share, and what its memory of a day adds up to.
    mood: float = 0.05
    shared: float = 1 / 30
    memory: float = 2.2
    #: Of a single reading: what a customer draws, what a pressure gauge says.
    quick: float = 0.10
    gauge_m: float = 0.0153
    #: Of the mean of a part of a day: the split of the inflow, what a zone took; of the constant part of it.
    split_m3h: float = 0.1
    taken_m3h: tuple[float, float] = (0.1, 0.2)
    constant_m3h: tuple[float, float] = (0.5, 0.3)
    #: What is wrong all the time and in no list, in variances of a day's noise.
    other: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What the model says that signals do: see `gis.sensitivity.Responses`, whose fields these are."""

    leak: Floats
    rougher: Floats
    demand_m3h: Floats
    rhythm: Floats
    zone: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Leaks of each pipe in independent coordinates.

    whiten (r, m): a day's vector → coordinates, in standard deviations of a day's noise. lasting (r,): the variance
    of what is wrong all the time. looks (sizes, pipes, r): per m³/h. apart_m (pipes, pipes): along the pipes.
    """

    pipes: tuple[str, ...]
    whiten: Floats
    lasting: Floats
    looks: Floats
    apart_m: Floats


def field_of(
    signals: Signals, pipes: tuple[str, ...], ends: NDArray[np.intp], apart_m: Floats, doubt: Doubt
) -> Field:
    """The field of pipes that lie between the nodes `ends` (pipes, 2). A pipe leaks as the mean of its ends would."""
    vectors = _Vectors(signals)
    looks = np.stack([vectors.of_leaks(size)[ends].mean(axis=1) for size in range(len(signals.leak))])
    daily, lasting = _covariances(vectors, signals, doubt)
    whiten = np.linalg.inv(np.linalg.cholesky(daily))
    variance, turn = np.linalg.eigh(whiten @ lasting @ whiten.T)
    whiten = turn.T @ whiten
    looks = looks @ whiten.T
    shown = (looks[0] ** 2).sum(axis=1)
    seen = shown > BLIND * np.median(shown)
    bright = _bright((looks[0][seen] ** 2).sum(axis=0))
    return Field(
        tuple(pipe for pipe, sees in zip(pipes, seen, strict=True) if sees),
        whiten[bright],
        np.maximum(variance[bright], 0.0),
        looks[:, seen][:, :, bright],
        apart_m[np.ix_(seen, seen)],
    )


def _bright(shown: Floats) -> NDArray[np.intp]:
    """The coordinates that bear all but `DULL` of what leaks show."""
    order = np.argsort(-shown)
    needed = int(np.searchsorted(np.cumsum(shown[order]), (1 - DULL) * shown.sum())) + 1
    return np.sort(order[:needed])


class _Vectors:
    """Flows let out at nodes → the change of a day's vector, the zones' inflow being known."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.drawn = signals.demand_m3h @ signals.rhythm  # (nodes, parts)
        self.parts, self.signals = signals.leak.shape[1:3]
        in_zone = [signals.zone == zone for zone in (0, 1)]
        self.taken = np.array([self.drawn[inside].sum(axis=0) for inside in in_zone])
        #: What every zone's customers together do to the signals, per m³/h: (zones, parts, signals).
        shares = [np.where(inside[:, None], self.drawn, 0.0) for inside in in_zone]
        self.crowd = np.array(
            [np.einsum("ksj,jk->ks", signals.leak[0], share / share.sum(axis=0)) for share in shares]
        )

    @property
    def width(self) -> int:
        return int(self.parts * self.signals + 2)

    def of_leaks(self, size: int) -> Floats:
        """(nodes, m) per m³/h of a leak of a size."""
        return self._of(np.ones_like(self.drawn), size)

    def of_customers(self) -> Floats:
        """(kinds, nodes, m): a customer kind of a node drawing twice as much."""
        demand, rhythm = self._signals.demand_m3h, self._signals.rhythm
        return np.stack([self._of(demand[:, [kind]] * rhythm[kind], 0) for kind in range(len(rhythm))])

    def of_taken(self, zone: int, part: int) -> Floats:
        """(m,): one m³/h more that a zone is thought to take in a part of the day."""
        found = np.zeros(self.width)
        found[part * self.signals : (part + 1) * self.signals] = -self.crowd[zone, part]
        return found

    def _of(self, flow_m3h: Floats, size: int) -> Floats:
        leak, zone = self._signals.leak[size], self._signals.zone
        own = leak.transpose(2, 0, 1) - self.crowd[zone]  # (nodes, parts, signals)
        signals = (own * flow_m3h[:, :, None]).reshape(len(zone), -1)
        constant = [np.where(zone == each, self._constant(flow_m3h, each), 0.0) for each in (0, 1)]
        return np.column_stack([signals, *constant])

    def _constant(self, flow_m3h: Floats, zone: int) -> Floats:
        """The part of flows over the day that does not follow the zone's rhythm, as a constant: least squares."""
        usual = self.taken[zone]
        centred = usual - usual.mean()
        slope = flow_m3h @ centred / (centred @ centred)
        constant: Floats = flow_m3h.mean(axis=1) - slope * usual.mean()
        return constant


def _covariances(vectors: _Vectors, signals: Signals, doubt: Doubt) -> tuple[Floats, Floats]:
    """Of a day's noise, and of what is wrong all the time: (m, m) each."""
    by_kind = vectors.of_customers()
    each, together = by_kind.reshape(-1, vectors.width), by_kind.sum(axis=1)
    alone, crowd = each.T @ each, together.T @ together
    mood = (1 - doubt.shared) * alone + doubt.shared * crowd
    readings = READINGS_AN_HOUR * 24 / vectors.parts
    part_of = np.append(np.repeat(np.arange(vectors.parts), vectors.signals), [-1, -2])
    daily = doubt.memory * doubt.mood**2 * mood
    daily += doubt.quick**2 / readings * mood * (part_of[:, None] == part_of)
    daily += np.diag(_gauges(vectors, doubt, readings))
    for zone, noise in enumerate(doubt.taken_m3h):
        for part in range(vectors.parts):
            vector = noise * vectors.of_taken(zone, part)
            daily += np.outer(vector, vector)
    rough = signals.rougher.transpose(2, 0, 1).reshape(signals.rougher.shape[2], -1)
    rough = np.column_stack([rough, np.zeros((len(rough), 2))])
    lasting = doubt.customer**2 * alone + doubt.kind**2 * crowd + doubt.roughness**2 * rough.T @ rough
    for offset in _offsets(vectors, doubt.gauge_offset_m):
        lasting += np.outer(offset, offset)
    return daily, lasting + doubt.other * daily


def _gauges(vectors: _Vectors, doubt: Doubt, readings: float) -> Floats:
    one_part = np.append(np.full(vectors.signals - 1, doubt.gauge_m**2 / readings), doubt.split_m3h**2)
    return np.append(np.tile(one_part, vectors.parts), np.square(doubt.constant_m3h))


def _offsets(vectors: _Vectors, metres: float) -> Iterator[Floats]:
    """Each pressure gauge standing off, all day."""
    for gauge in range(vectors.signals - 1):
        vector = np.zeros(vectors.width)
        vector[gauge : vectors.parts * vectors.signals : vectors.signals] = metres
        yield vector


def days(
    residual: Floats, taken_m3h: Floats, usual_m3h: Floats, trusted: NDArray[np.bool_], parts: int
) -> Floats:
    """Hours → a vector for each whole day (days, parts * signals + 2).

    residual (n, signals), taken_m3h (n, 2), usual_m3h (2, 168), trusted (n,): hours in which nothing was switched.
    Residuals are divided by how much more than usual the first zone takes: losses grow with the flow.
    """
    n = len(residual) // 24
    usual = np.stack([np.resize(week, (n, 24)) for week in usual_m3h])
    taken = taken_m3h[: n * 24].reshape(n, 24, 2).transpose(2, 0, 1)
    sure = trusted[: n * 24].reshape(n, 24)
    slope, constant = _fitted(taken, usual, sure)
    load = _smooth(slope[0] + constant[0] / usual_m3h[0].mean())
    means = _part_means(residual[: n * 24].reshape(n, parts, 24 // parts, -1), sure.reshape(n, parts, -1))
    return np.column_stack([(means / load[:, None, None]).reshape(n, -1), *constant])


def _fitted(taken: Floats, usual: Floats, sure: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slope and constant (zones, days) of what zones took over what they usually take, trusted hours only."""
    count = np.maximum(sure.sum(axis=1), 2)
    mean_usual, mean_taken = ((each * sure).sum(axis=2) / count for each in (usual, taken))
    off = (usual - mean_usual[:, :, None]) * sure
    slope = (off * taken).sum(axis=2) / np.maximum((off**2).sum(axis=2), 1e-9)
    return slope, mean_taken - slope * mean_usual


def _part_means(values: Floats, sure: NDArray[np.bool_]) -> Floats:
    """(days, parts, signals): means of trusted hours; a part without any repeats the day before's."""
    count = sure.sum(axis=2)
    means: Floats = (values * sure[..., None]).sum(axis=2) / np.maximum(count, 1)[..., None]
    for day, part in np.argwhere(count == 0):
        means[day, part] = means[day - 1, part] if day else 0.0
    return means


def _smooth(values: Floats, days: int = 7) -> Floats:
    """The mean of the last days, a day's own the newest."""
    padded = np.concatenate([np.full(days - 1, values[0]), values])
    return np.convolve(padded, np.full(days, 1 / days), "valid")
