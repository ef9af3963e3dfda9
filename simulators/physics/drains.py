"""Storm drains in SWMM's engine, stepped from outside: what flows in is told, what comes up is read.

The engine keeps its state in the process: one `Drains` at a time (a second one is refused). Flows m³/s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from swmm.toolkit import solver
from swmm.toolkit.shared_enum import NodeResult, ObjectType

Floats = NDArray[np.float64]
LPS = 1000.0


class Busy(Exception):
    """The engine serves one network a process, and it serves one."""


class Drains:
    """A network from SWMM input text (L/s, no ponding). `nodes` are those that the caller feeds and reads, in order."""

    _taken: ClassVar[bool] = False

    def __init__(self, inp: str, nodes: Sequence[str]) -> None:
        if Drains._taken:
            raise Busy
        self._folder = tempfile.TemporaryDirectory(prefix="drains-")
        folder = Path(self._folder.name)
        (folder / "net.inp").write_text(inp, encoding="utf-8")
        solver.swmm_open(*(str(folder / f"net.{end}") for end in ("inp", "rpt", "out")))
        solver.swmm_start(0)
        Drains._taken = True
        self._node = [solver.project_get_index(ObjectType.NODE, node) for node in nodes]
        self._said = np.zeros(len(nodes))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        solver.swmm_end()
        solver.swmm_close()
        Drains._taken = False
        self._folder.cleanup()

    def feed(self, inflow_m3s: Floats) -> None:
        """What flows into each node from now on."""
        for row in np.flatnonzero(inflow_m3s != self._said).tolist():
            solver.node_set_total_inflow(self._node[row], float(inflow_m3s[row]) * LPS)
        self._said = inflow_m3s.copy()

    def advance(self, seconds: int) -> None:
        """Route the water."""
        solver.swmm_stride(seconds)

    def rising(self) -> Floats:
        """What comes up out of each node now, m³/s."""
        return self._read(NodeResult.FLOOD) / LPS

    def depth_m(self) -> Floats:
        """Depth of water above each node's invert."""
        return self._read(NodeResult.DEPTH)

    def _read(self, what: NodeResult) -> Floats:
        return np.array([solver.node_get_result(node, what) for node in self._node])

    def close_link(self, link: str, *, closed: bool = True) -> None:
        """Block a drain or stop a pump; or let it run again."""
        row = solver.project_get_index(ObjectType.LINK, link)
        solver.link_set_target_setting(row, 0.0 if closed else 1.0)
