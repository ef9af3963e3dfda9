"""Detector state as bytes that another process can read: watches are named by rule, device and channel."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from events.detectors import Detector, Ints
from events.detectors.watches import MEMORY_PART
from events.rules import RuleSet
from iot.registry import Registry

KEY = np.dtype([("mark", "<u4"), ("part", "<i2"), ("device", "<i4"), ("channel", "<i2")])


def keys(detector: Detector, rules: RuleSet, registry: Registry) -> NDArray[np.void]:
    """What each watch of a detector is called outside this process."""
    watches = detector.watches
    marks = np.array([rule.mark for rule in rules], np.uint32)
    found = np.empty(len(watches), KEY)
    found["mark"] = np.where(watches.part == MEMORY_PART, 0, marks[watches.rule] if len(marks) else 0)
    found["part"] = watches.part
    found["device"] = registry.device_of[watches.point]
    found["channel"] = registry.channel_of[watches.point]
    return found


def pack(detectors: Iterable[Detector], points: Ints, rules: RuleSet, registry: Registry) -> bytes:
    """The state of some points in all detectors."""
    arrays: dict[str, NDArray[np.void]] = {}
    for detector in detectors:
        records = detector.state(points)
        arrays[f"{detector.name}.key"] = keys(detector, rules, registry)[records["watch"]]
        arrays[f"{detector.name}.state"] = records
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return zlib.compress(file.getvalue(), 1)


def unpack(
    payload: bytes, detectors: Iterable[Detector], rules: RuleSet, registry: Registry
) -> list[NDArray[np.void]]:
    """Records for `Detector.restore`, one array a detector.

    What this process does not watch is left out: rules that changed, devices that are gone, state whose form is
    another. A watch without a record begins as if it had never heard anything.
    """
    found: list[NDArray[np.void]] = []
    with np.load(io.BytesIO(zlib.decompress(payload)), allow_pickle=False) as arrays:
        for detector in detectors:
            empty = detector.state(np.empty(0, np.int32))
            if f"{detector.name}.state" not in arrays:
                found.append(empty)
                continue
            records, names = arrays[f"{detector.name}.state"], arrays[f"{detector.name}.key"]
            if records.dtype != empty.dtype:
                found.append(empty)
                continue
            watch_of = {name: place for place, name in enumerate(keys(detector, rules, registry).tolist())}
            watch = np.array([watch_of.get(name, -1) for name in names.tolist()], np.int32)
            records = records.copy()
            records["watch"] = watch
            found.append(records[watch >= 0])
    return found
