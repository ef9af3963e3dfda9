"""EPANET as a live model: step it, read it as arrays, close valves and open leaks while it runs.

For the engine's models and for the simulators. One handle belongs to one thread. EPANET has no checkpoint: to go
back, start anew and repeat what was done. Pressures are MPa, flows L/s, times seconds of the model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from gis.lines import Floats

#: 1 m of water column at 10 °C in MPa.
MPA_PER_M = 0.009_804


class HydraulicsFailed(Exception):
    """EPANET refused the model or could not solve it; the message is its own."""


@dataclass(frozen=True, slots=True)
class State:
    """The network at `time_s`: parallel to the node and link ids of the model."""

    time_s: int
    pressure_mpa: Floats
    demand_lps: Floats
    flow_lps: Floats


class Hydraulics:
    """One EPANET project. Use as a context manager: `with Hydraulics(inp) as model: model.step()`."""

    def __init__(self, inp: str) -> None:
        from epanet import toolkit

        self._en: Any = toolkit
        self._project: Any = toolkit.createproject()
        self._folder = tempfile.TemporaryDirectory(prefix="cityops-epanet-")
        home = Path(self._folder.name)
        (home / "model.inp").write_text(inp, encoding="utf-8")
        try:
            toolkit.open(self._project, str(home / "model.inp"), str(home / "model.rpt"), "")
            toolkit.openH(self._project)
            toolkit.initH(self._project, toolkit.NOSAVE)
        except Exception as wrong:
            raise HydraulicsFailed(self._told(wrong, home / "model.rpt")) from wrong
        self.node_ids = self._ids(toolkit.NODECOUNT, toolkit.getnodeid)
        self.link_ids = self._ids(toolkit.LINKCOUNT, toolkit.getlinkid)
        self._node = {name: row + 1 for row, name in enumerate(self.node_ids)}
        self._link = {name: row + 1 for row, name in enumerate(self.link_ids)}
        self._nodes = toolkit.doubleArray(len(self.node_ids))
        self._links = toolkit.doubleArray(len(self.link_ids))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._en.close(self._project)
        self._en.deleteproject(self._project)
        self._folder.cleanup()

    def solve(self) -> State:
        """Solve the present moment. Raises `HydraulicsFailed` where there is no solution."""
        try:
            time_s = int(self._en.runH(self._project))
        except Exception as wrong:
            raise HydraulicsFailed(str(wrong)) from wrong
        return State(
            time_s,
            self._read_nodes(self._en.PRESSURE) * MPA_PER_M,
            self._read_nodes(self._en.DEMAND),
            self._read_links(self._en.FLOW),
        )

    def step(self) -> State:
        """Solve the present moment, then go on to the next one."""
        found = self.solve()
        self._en.nextH(self._project)
        return found

    def run(self) -> Iterator[State]:
        """Every step to the end of the model's duration."""
        while True:
            yield self.solve()
            if int(self._en.nextH(self._project)) == 0:
                return

    def close_link(self, link: str, *, closed: bool = True) -> None:
        """Shut a pipe or stop a pump, or open it again."""
        self._en.setlinkvalue(self._project, self._link[link], self._en.STATUS, 0.0 if closed else 1.0)

    def set_base_demand(self, node: str, demand_lps: float) -> None:
        self._en.setnodevalue(self._project, self._node[node], self._en.BASEDEMAND, demand_lps)

    def set_demand_factor(self, factor: float) -> None:
        """Multiply all demands, beside their patterns."""
        self._en.setoption(self._project, self._en.DEMANDMULT, factor)

    def set_leak(self, link: str, area_mm2: float, growth_mm2_per_m: float = 0.0) -> None:
        """A hole in a pipe that obeys FAVAD: its area, and how that grows with the head. 0 mends it."""
        index = self._link[link]
        length_m = self._en.getlinkvalue(self._project, index, self._en.LENGTH)
        for what, value in ((self._en.LEAK_AREA, area_mm2), (self._en.LEAK_EXPAN, growth_mm2_per_m)):
            self._en.setlinkvalue(self._project, index, what, value * 100.0 / length_m)  # EPANET: per 100 m

    def set_reducer(self, valve: str, head_m: float) -> None:
        """What a pressure-reducing valve lets through, in metres of water column behind it."""
        self._en.setlinkvalue(self._project, self._link[valve], self._en.SETTING, head_m)

    def set_head(self, node: str, head_m: float) -> None:
        """The water level of a source above the datum."""
        self._en.setnodevalue(self._project, self._node[node], self._en.ELEVATION, head_m)

    def _read_nodes(self, what: int) -> Floats:
        self._en.getnodevalues(self._project, what, self._nodes)
        return _copied(self._nodes, len(self.node_ids))

    def _read_links(self, what: int) -> Floats:
        self._en.getlinkvalues(self._project, what, self._links)
        return _copied(self._links, len(self.link_ids))

    def _ids(self, count: int, name: Any) -> tuple[str, ...]:  # noqa: ANN401 - the toolkit is untyped
        total = self._en.getcount(self._project, count)
        return tuple(name(self._project, index) for index in range(1, total + 1))

    @staticmethod
    def _told(wrong: Exception, report: Path) -> str:
        lines = report.read_text(encoding="utf-8", errors="replace").splitlines() if report.exists() else []
        errors = [line.strip() for line in lines if "rror" in line]
        return "; ".join([str(wrong), *errors[:5]])


def _copied(array: Any, length: int) -> Floats:  # noqa: ANN401 - a SWIG array
    import ctypes

    at = (ctypes.c_double * length).from_address(int(array.this))
    return np.array(at, np.float64)


@contextmanager
def model(inp: str) -> Iterator[Hydraulics]:
    """A model that is closed when the block ends."""
    with Hydraulics(inp) as opened:
        yield opened
