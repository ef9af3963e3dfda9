"""A water supply model that can be stepped and acted upon while it runs: EPANET 2.3 by `owa-epanet`.

Both the engine's models and the simulators use it (a simulated world perturbs its parameters first).
Everything in and out is SI of the trade: metres of water, m³/h, metres, millimetres, seconds.

Three facts of the engine shape this file. Closing a pipe does not stop EPANET's own pipe leakage, so a burst is an
emitter on a junction set into the middle of the pipe: closing both halves really stops it. An emitter set to 0
mid-run keeps reporting its last flow, so "none" is a tiny coefficient. Nodes cut off from every source make the
engine warn at each step; that is a state of the world here, not an error.
"""

from __future__ import annotations

import ctypes
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Pressure of a metre of water, MPa (ρ g at 4 °C).
MPA_PER_M = 0.009_806_65
#: EPANET wants an end of the run; a simulator has none.
ENDLESS_S = 10**9
#: An emitter coefficient that means "shut": at 60 m of pressure 0.008 L/h.
SHUT = 1e-6
SECOND_HALF = "~b"
MIDDLE = "~m"


class HydraulicsError(Exception):
    """The model cannot be read or solved; the text is EPANET's own."""


class WaterModel:
    """One EPANET project, open and stepping. Not for two threads at once; close it, or use it in a `with`.

    `nodes` and `links` are ids in the engine's order; every array below is parallel to one of them.
    """

    def __init__(self, inp: str, *, split: Iterable[str] = (), pressure_driven: float = 20.0) -> None:
        """Open the text of an INP file. Pipes in `split` get a junction in their middle, where they can burst.

        Below `pressure_driven` metres junctions get less than they ask for (0: demand is always met).
        Raises `HydraulicsError`.
        """
        from epanet import toolkit  # type: ignore[import-untyped] # a compiled library of 1 MB: imported where it is used

        self._en: Any = toolkit
        self._project: Any = toolkit.createproject()
        self._folder = tempfile.TemporaryDirectory(prefix="cityops-epanet-")
        self._solving = False
        try:
            self._open(inp, pressure_driven)
            for pipe in split:
                self._split(pipe)
            self._name_parts()
            self._call("openH")
            self._solving = True
            self._call("initH", 0)
        except Exception:
            self.close()
            raise

    def _open(self, inp: str, pressure_driven: float) -> None:
        en = self._en
        path = Path(self._folder.name, "model.inp")
        path.write_text(inp, encoding="utf-8")
        self._call("open", str(path), str(path.with_suffix(".rpt")), "")
        self._call("setflowunits", en.CMH)
        self._call("setoption", en.PRESS_UNITS, en.METERS)
        self._call("setstatusreport", 0)
        self._call("settimeparam", en.DURATION, ENDLESS_S)
        if pressure_driven:
            self._call("setdemandmodel", en.PDA, 0.0, pressure_driven, 0.5)

    def _call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - the engine's own types
        """Call the engine. Its warnings (negative pressure, cut-off nodes) are states of the world."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return getattr(self._en, name)(self._project, *arguments)
            except Exception as wrong:  # noqa: BLE001 - the engine raises nothing narrower
                raise HydraulicsError(f"EPANET {name}{arguments}: {wrong}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the project. Calling it twice is harmless."""
        if self._project is None:
            return
        project, self._project = self._project, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._solving:
                self._en.closeH(project)
            self._en.deleteproject(project)
        self._folder.cleanup()

    # -- what the model is made of ---------------------------------------------------------------------------

    def _split(self, pipe: str) -> None:
        """Put a junction `pipe~m` into the middle; the halves are `pipe` and `pipe~b`."""
        en = self._en
        link = self._call("getlinkindex", pipe)
        start, end = self._call("getlinknodes", link)
        length, diameter, roughness = (
            self._call("getlinkvalue", link, what) for what in (en.LENGTH, en.DIAMETER, en.ROUGHNESS)
        )
        heights = [self._call("getnodevalue", node, en.ELEVATION) for node in (start, end)]
        start_id, end_id = self._call("getnodeid", start), self._call("getnodeid", end)
        self._call("addnode", pipe + MIDDLE, en.JUNCTION)
        middle = self._call("getnodeindex", pipe + MIDDLE)
        self._call("setnodevalue", middle, en.ELEVATION, sum(heights) / 2)
        self._call("setnodevalue", middle, en.EMITTER, SHUT)
        self._call("addlink", pipe + SECOND_HALF, en.PIPE, pipe + MIDDLE, end_id)
        self._call(
            "setlinknodes", self._call("getlinkindex", pipe), self._call("getnodeindex", start_id), middle
        )
        for half in (pipe, pipe + SECOND_HALF):
            link = self._call("getlinkindex", half)
            self._call("setpipedata", link, length / 2, diameter, roughness, 0.0)

    def _name_parts(self) -> None:
        en = self._en
        nodes = range(1, self._call("getcount", en.NODECOUNT) + 1)
        links = range(1, self._call("getcount", en.LINKCOUNT) + 1)
        self.nodes: tuple[str, ...] = tuple(self._call("getnodeid", node) for node in nodes)
        self.links: tuple[str, ...] = tuple(self._call("getlinkid", link) for link in links)
        self.node = {name: place for place, name in enumerate(self.nodes)}
        self.link = {name: place for place, name in enumerate(self.links)}
        ends = [self._call("getlinknodes", link) for link in links]
        self.ends: NDArray[np.int32] = np.array(ends, np.int32).reshape(-1, 2) - 1
        self.length_m = np.array([self._call("getlinkvalue", link, en.LENGTH) for link in links])
        self.elevation_m = np.array([self._call("getnodevalue", node, en.ELEVATION) for node in nodes])
        self.junction = np.array([self._call("getnodetype", node) == en.JUNCTION for node in nodes])
        self.patterns = {
            self._call("getpatternid", pattern): pattern
            for pattern in range(1, self._call("getcount", en.PATCOUNT) + 1)
        }
        self._node_values = _Buffer(en, len(self.nodes))
        self._link_values = _Buffer(en, len(self.links))

    # -- stepping --------------------------------------------------------------------------------------------

    def step(self, dt_s: int) -> int:
        """Solve the present, then move on by `dt_s` seconds; the time in seconds that was solved.

        Where a tank fills or a control acts within the step, the engine solves there too.
        """
        self._call("settimeparam", self._en.HYDSTEP, dt_s)
        solved = int(self._call("runH"))
        moved = int(self._call("nextH"))
        while 0 < moved < dt_s:
            self._call("runH")
            dt_s -= moved
            moved = int(self._call("nextH"))
        return solved

    def solve(self) -> None:
        """Solve the present again, without moving on: what an act just now has changed."""
        self._call("runH")

    def pressure_m(self) -> Floats:
        """Pressure of every node, metres of water."""
        return self._of_nodes(self._en.PRESSURE)

    def head_m(self) -> Floats:
        return self._of_nodes(self._en.HEAD)

    def demand_m3h(self) -> Floats:
        """What each node takes, leaks included."""
        return self._of_nodes(self._en.DEMAND)

    def flow_m3h(self) -> Floats:
        """Flow of every link, positive from its start to its end."""
        self._call("getlinkvalues", self._en.FLOW, self._link_values.raw)
        return self._link_values.copy()

    def _of_nodes(self, what: int) -> Floats:
        self._call("getnodevalues", what, self._node_values.raw)
        return self._node_values.copy()

    # -- acting ----------------------------------------------------------------------------------------------

    def scale_demand(self, factor: float) -> None:
        """Multiply every demand of the model."""
        self._call("setoption", self._en.DEMANDMULT, factor)

    def set_pattern(self, pattern: str, factor: float) -> None:
        """Make a demand pattern constant from now on."""
        number = self.patterns[pattern]
        for period in range(1, self._call("getpatternlen", number) + 1):
            self._call("setpatternvalue", number, period, factor)

    def set_demand(self, node: str, base_m3h: float) -> None:
        """The base demand of a junction, before its pattern and the model's factor."""
        self._call("setnodevalue", self.node[node] + 1, self._en.BASEDEMAND, base_m3h)

    def set_emitter(self, node: str, coefficient: float) -> None:
        """Let water out of a junction: m³/h at one metre of pressure, growing with the root of it."""
        self._call("setnodevalue", self.node[node] + 1, self._en.EMITTER, max(coefficient, SHUT))

    def burst(self, pipe: str, flow_m3h: float, at_pressure_m: float) -> None:
        """Break a pipe that was split: `flow_m3h` is what runs out at a given pressure; 0 repairs it."""
        self.set_emitter(pipe + MIDDLE, flow_m3h / max(at_pressure_m, 1.0) ** 0.5)

    def burst_m3h(self, pipe: str) -> float:
        """What runs out of a broken pipe now."""
        place = self.node[pipe + MIDDLE] + 1
        return float(self._call("getnodevalue", place, self._en.EMITTERFLOW))

    def set_open(self, link: str, *, is_open: bool) -> None:
        """Open or close a pipe, pump or valve. A split pipe has two halves, each with a name."""
        self._call("setlinkvalue", self.link[link] + 1, self._en.STATUS, float(is_open))

    def set_setting(self, link: str, value: float) -> None:
        """The setting of a valve or the speed of a pump, in the engine's meaning."""
        self._call("setlinkvalue", self.link[link] + 1, self._en.SETTING, value)

    def set_roughness(self, link: str, value: float) -> None:
        self._call("setlinkvalue", self.link[link] + 1, self._en.ROUGHNESS, value)


class _Buffer:
    """A C array that the engine fills, and NumPy's view of it."""

    def __init__(self, engine: Any, size: int) -> None:  # noqa: ANN401 - the engine's module
        self.raw = engine.doubleArray(size)
        address = int(self.raw.cast())
        self._view: Floats = np.ctypeslib.as_array((ctypes.c_double * size).from_address(address))

    def copy(self) -> Floats:
        return self._view.copy()
