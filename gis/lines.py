"""Many polylines as two arrays: what roads, pipes and drains have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

#: Any Shapely geometry.
Geometry = BaseGeometry


@dataclass(frozen=True, eq=False)
class Polylines:
    """n lines; the points of line i are `xy[start[i]:start[i + 1]]`, metres of the city's plane, at least two."""

    xy: Floats
    start: Ints

    @classmethod
    def of(cls, lines: Iterable[Floats]) -> Self:
        parts = [np.asarray(line, np.float64) for line in lines]
        start = np.zeros(len(parts) + 1, np.int32)
        np.cumsum([len(part) for part in parts], out=start[1:])
        return cls(np.concatenate(parts) if parts else np.empty((0, 2)), start)

    def __len__(self) -> int:
        return len(self.start) - 1

    def __getitem__(self, line: int) -> Floats:
        return self.xy[self.start[line] : self.start[line + 1]]

    @cached_property
    def length_m(self) -> Floats:
        """Length of every line."""
        steps = np.hypot(*np.diff(self.xy, axis=0).T) if len(self.xy) else np.empty(0)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        joints = np.zeros(len(self.xy), bool)  # the steps from one line to the next do not count
        joints[self.start[1:-1]] = True
        gaps = np.concatenate([[0.0], np.cumsum(np.where(joints[1:], steps, 0.0))])
        inside = along - gaps
        found: Floats = inside[self.start[1:] - 1] - inside[self.start[:-1]]
        return found

    def at(self, line: int, offset_m: float) -> tuple[float, float]:
        """The point at a distance from the line's begin; beyond its ends: the end."""
        points = self[line]
        along = measure(points)
        return float(np.interp(offset_m, along, points[:, 0])), float(
            np.interp(offset_m, along, points[:, 1])
        )

    def part(self, line: int, from_m: float, to_m: float) -> Floats:
        """The stretch of a line between two distances from its begin, against its direction where `to_m` is less."""
        whole = self[line]
        along = measure(whole)
        low, high = sorted((from_m, to_m))
        ends = [self.at(line, low), self.at(line, high)]
        points = np.vstack([ends[:1], whole[(along > low) & (along < high)], ends[1:]])
        return points if to_m >= from_m else points[::-1]

    def bounds(self) -> Floats:
        """(n, 4): west, south, east, north of every line."""
        first = self.start[:-1]
        return np.column_stack(
            [np.minimum.reduceat(self.xy, first, axis=0), np.maximum.reduceat(self.xy, first, axis=0)]
        )

    def shapes(self) -> NDArray[Any]:
        """The lines as Shapely geometries."""
        owner = np.repeat(np.arange(len(self)), np.diff(self.start))
        found: NDArray[Any] = np.asarray(shapely.linestrings(self.xy, indices=owner), object)
        return found

    def take(self, rows: NDArray[np.integer]) -> Polylines:
        return Polylines.of(self[int(row)] for row in rows)


def points(xy: Floats) -> NDArray[Any]:
    """(n, 2) as Shapely points."""
    found: NDArray[Any] = np.asarray(shapely.points(xy), object).reshape(-1)
    return found


def cut(line: Floats, pieces: int) -> list[Floats]:
    """A line in equal pieces that together are the line."""
    if pieces <= 1:
        return [line]
    along = measure(line)
    marks = np.linspace(0.0, along[-1], pieces + 1)
    ends = np.column_stack([np.interp(marks, along, line[:, 0]), np.interp(marks, along, line[:, 1])])
    inner = [line[(along > a) & (along < b)] for a, b in pairwise(marks)]
    return [np.vstack([ends[i], inside, ends[i + 1]]) for i, inside in enumerate(inner)]


def measure(points: Floats) -> Floats:
    """Distance of every point from the line's begin, along the line."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])


def shifted(points: Floats, right_m: float) -> Floats:
    """The line moved to the right of its direction (left when negative), corner by corner."""
    steps = np.diff(points, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)
    normals = np.column_stack([steps[:, 1], -steps[:, 0]]) / lengths[:, None]
    corner = np.vstack([normals[:1], (normals[:-1] + normals[1:]) / 2, normals[-1:]])
    size = np.maximum(np.hypot(corner[:, 0], corner[:, 1]), 0.5)
    return points + right_m * corner / size[:, None]
