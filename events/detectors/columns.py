"""State of n watches as parallel arrays that can be packed into records and put back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

NEVER = np.iinfo(np.int64).min

#: name → (dtype, value of a watch that never heard anything, trailing shape)
Spec = Mapping[str, tuple[DTypeLike, ArrayLike, tuple[int, ...]]]


class Columns:
    """`columns["since"]` is the array of all watches."""

    def __init__(self, n: int, spec: Spec) -> None:
        self.n = n
        self._spec = spec
        self._arrays: dict[str, NDArray[np.generic]] = {}
        for name, (dtype, blank, shape) in spec.items():
            self._arrays[name] = np.full((n, *shape), blank, np.dtype(dtype))
        fields = [
            ("watch", "<i4"),
            *((name, np.dtype(kind), shape) for name, (kind, _, shape) in spec.items()),
        ]
        self.record = np.dtype(fields)

    def __getitem__(self, name: str) -> NDArray:  # type: ignore[type-arg] # each column has its own type
        return self._arrays[name]

    def pack(self, watches: NDArray[np.integer]) -> NDArray[np.void]:
        records = np.empty(len(watches), self.record)
        records["watch"] = watches
        for name, array in self._arrays.items():
            records[name] = array[watches]
        return records

    def unpack(self, records: NDArray[np.void]) -> None:
        for name, array in self._arrays.items():
            array[records["watch"]] = records[name]

    def clear(self, watches: NDArray[np.integer]) -> None:
        for name, (_, blank, _) in self._spec.items():
            self._arrays[name][watches] = blank
