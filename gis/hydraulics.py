"""EPANET as a live model: step it, read it as arrays, close valves and break pipes while it runs.

For the engine's models and for the simulators (a simulated world perturbs its parameters first). One model belongs
to one thread. EPANET has no checkpoint: to go back, start anew and repeat what was done. Pressures are MPa, flows
L/s, lengths m, times seconds of the model.

Three facts of the engine shape this file. Closing a pipe does not stop EPANET's own pipe leakage, so a burst is an
emitter on a junction set into the middle of the pipe: closing both halves really stops it. An emitter set to 0
mid-run keeps reporting its last flow, so "none" is a tiny coefficient. Nodes cut off from every source make the
engine warn at each step; that is a state of the world here, not an error.
"""

from __future__ import annotations

import ctypes
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: 1 m of water column at 10 °C in MPa.
MPA_PER_M = 0.009_804
#: EPANET wants an end of the run; a live model has none.
ENDLESS_S = 10**9
#: An emitter coefficient that means "shut": some mL/h.
SHUT = 1e-6
MIDDLE, SECOND_HALF = "~m", "~b"


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
    """One EPANET project. Use as a context manager: `with Hydraulics(inp) as model: model.step()`.

    `node_ids` and `link_ids` are in the engine's order; `ends` are the node rows of each link.
    """

    def __init__(self, inp: str, *, split: Iterable[str] = (), live: bool = False) -> None:
        """Open the text of an INP file. Raises `HydraulicsFailed`.

        Pipes in `split` get a junction in their middle (`pipe~m`), where they can burst; their halves are `pipe`
        and `pipe~b`. A `live` model has no end and is moved with `advance`.
        """
        from epanet import toolkit  # 1 MB of C: imported where it is used

        self._en: Any = toolkit
        self._project: Any = toolkit.createproject()
        self._folder = tempfile.TemporaryDirectory(prefix="cityops-epanet-")
        self._report = Path(self._folder.name, "model.rpt")
        self._solving = False
        try:
            self._open(inp, live=live)
            for pipe in split:
                self._split(pipe)
            self._name_parts()
            self._call("openH")
            self._solving = True
            self._call("initH", toolkit.NOSAVE)
        except Exception:
            self.close()
            raise

    def _open(self, inp: str, *, live: bool) -> None:
        path = Path(self._folder.name, "model.inp")
        path.write_text(inp, encoding="utf-8")
        self._call("open", str(path), str(self._report), "")
        self._call("setflowunits", self._en.LPS)
        self._call("setoption", self._en.PRESS_UNITS, self._en.METERS)
        self._call("setstatusreport", 0)
        if live:
            self._call("settimeparam", self._en.DURATION, ENDLESS_S)

    def _call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - the engine's own types
        """Call the engine. Its warnings (negative pressure, cut-off nodes) are states of the world."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return getattr(self._en, name)(self._project, *arguments)
            except Exception as wrong:  # noqa: BLE001 - the engine raises nothing narrower
                raise HydraulicsFailed(self._told(name, wrong)) from None

    def _told(self, name: str, wrong: Exception) -> str:
        report = self._report.read_text(encoding="utf-8", errors="replace") if self._report.exists() else ""
        errors = [line.strip() for line in report.splitlines() if "rror" in line]
        return "; ".join([f"{wrong} ({name})", *errors[:5]])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        start = self._call("getnodeindex", start_id)
        self._call("setlinknodes", self._call("getlinkindex", pipe), start, middle)
        for half in (pipe, pipe + SECOND_HALF):
            link = self._call("getlinkindex", half)
            self._call("setpipedata", link, length / 2, diameter, roughness, 0.0)

    def _name_parts(self) -> None:
        en = self._en
        nodes = range(1, self._call("getcount", en.NODECOUNT) + 1)
        links = range(1, self._call("getcount", en.LINKCOUNT) + 1)
        self.node_ids: tuple[str, ...] = tuple(self._call("getnodeid", node) for node in nodes)
        self.link_ids: tuple[str, ...] = tuple(self._call("getlinkid", link) for link in links)
        self.node = {name: row for row, name in enumerate(self.node_ids)}
        self.link = {name: row for row, name in enumerate(self.link_ids)}
        ends = [self._call("getlinknodes", link) for link in links]
        self.ends: NDArray[np.int32] = np.array(ends, np.int32).reshape(-1, 2) - 1
        self.length_m = np.array([self._call("getlinkvalue", link, en.LENGTH) for link in links])
        self.junction = np.array([self._call("getnodetype", node) == en.JUNCTION for node in nodes])
        patterns = range(1, self._call("getcount", en.PATCOUNT) + 1)
        self._pattern = {self._call("getpatternid", pattern): pattern for pattern in patterns}
        self._nodes = _Buffer(en, len(self.node_ids))
        self._links = _Buffer(en, len(self.link_ids))

    # -- time ------------------------------------------------------------------------------------------------

    def solve(self) -> State:
        """Solve the present moment. Raises `HydraulicsFailed` where there is no solution."""
        time_s = int(self._call("runH"))
        en = self._en
        pressure = self._read("getnodevalues", en.PRESSURE, self._nodes) * MPA_PER_M
        demand = self._read("getnodevalues", en.DEMAND, self._nodes)
        return State(time_s, pressure, demand, self._read("getlinkvalues", en.FLOW, self._links))

    def step(self) -> State:
        """Solve the present moment, then go on to the next one of the model's own steps."""
        found = self.solve()
        self._call("nextH")
        return found

    def advance(self, dt_s: int) -> State:
        """Solve the present moment, then go on by `dt_s`, solving where a tank fills or a control acts between."""
        self._call("settimeparam", self._en.HYDSTEP, dt_s)
        found = self.solve()
        moved = int(self._call("nextH"))
        while 0 < moved < dt_s:
            self._call("runH")
            dt_s -= moved
            moved = int(self._call("nextH"))
        return found

    def run(self) -> Iterator[State]:
        """Every step to the end of the model's duration."""
        while True:
            yield self.solve()
            if int(self._call("nextH")) == 0:
                return

    def _read(self, name: str, what: int, buffer: _Buffer) -> Floats:
        self._call(name, what, buffer.raw)
        return buffer.copy()

    # -- acts ------------------------------------------------------------------------------------------------

    def close_link(self, link: str, *, closed: bool = True) -> None:
        """Shut a pipe or stop a pump, or open it again. A split pipe has two halves, each with a name."""
        self._call("setlinkvalue", self.link[link] + 1, self._en.STATUS, 0.0 if closed else 1.0)

    def set_setting(self, link: str, value: float) -> None:
        """The setting of a valve or the speed of a pump, in the engine's meaning (metres, relative speed)."""
        self._call("setlinkvalue", self.link[link] + 1, self._en.SETTING, value)

    def set_roughness(self, link: str, value: float) -> None:
        self._call("setlinkvalue", self.link[link] + 1, self._en.ROUGHNESS, value)

    def set_demand_factor(self, factor: float) -> None:
        """Multiply all demands, beside their patterns."""
        self._call("setoption", self._en.DEMANDMULT, factor)

    def set_pattern(self, pattern: str, factor: float) -> None:
        """Make a demand pattern constant from now on."""
        number = self._pattern[pattern]
        for period in range(1, self._call("getpatternlen", number) + 1):
            self._call("setpatternvalue", number, period, factor)

    def set_pattern_series(self, pattern: str, factors: Floats) -> None:
        """Give a demand pattern a factor for each of the model's pattern steps, from its beginning on."""
        values = self._en.doubleArray(len(factors))
        address = int(values.cast())
        np.ctypeslib.as_array((ctypes.c_double * len(factors)).from_address(address))[:] = factors
        self._call("setpattern", self._pattern[pattern], values, len(factors))

    def set_head(self, node: str, head_m: float) -> None:
        """The water level of a source above the datum."""
        self._call("setnodevalue", self.node[node] + 1, self._en.ELEVATION, head_m)

    def set_leak(self, link: str, area_mm2: float, growth_mm2_per_m: float = 0.0) -> None:
        """A hole in a pipe that obeys FAVAD: its area, and how that grows with the head. 0 mends it.

        The engine takes it up only at a new start: time and tanks go back to their beginning. Closing the pipe
        does not stop it (see above); for what must act at once and stop by a valve, split the pipe and `burst`.
        """
        row = self.link[link]
        for what, value in ((self._en.LEAK_AREA, area_mm2), (self._en.LEAK_EXPAN, growth_mm2_per_m)):
            per_100_m = value * 100.0 / self.length_m[row]
            self._call("setlinkvalue", row + 1, what, float(per_100_m))
        self._call("closeH")
        self._call("openH")
        self._call("initH", self._en.NOSAVE)

    def set_emitter(self, node: str, lps_at_1_m: float) -> None:
        """Let water out of a junction: its flow at one metre of pressure, growing with the root of it."""
        self._call("setnodevalue", self.node[node] + 1, self._en.EMITTER, max(lps_at_1_m, SHUT))

    def burst(self, pipe: str, flow_lps: float, at_mpa: float) -> None:
        """Break a split pipe so that `flow_lps` would run out at a given pressure; 0 mends it."""
        self.set_emitter(pipe + MIDDLE, flow_lps / max(at_mpa / MPA_PER_M, 1.0) ** 0.5)

    def burst_lps(self, pipe: str) -> float:
        """What runs out of a broken pipe, as last solved."""
        return float(self._call("getnodevalue", self.node[pipe + MIDDLE] + 1, self._en.EMITTERFLOW))


class _Buffer:
    """A C array that the engine fills, and NumPy's view of it."""

    def __init__(self, engine: Any, size: int) -> None:  # noqa: ANN401 - the engine's module
        self.raw = engine.doubleArray(size)
        address = int(self.raw.cast())
        self._view: Floats = np.ctypeslib.as_array((ctypes.c_double * size).from_address(address))

    def copy(self) -> Floats:
        return self._view.copy()


@contextmanager
def model(inp: str) -> Iterator[Hydraulics]:
    """A model that is closed when the block ends."""
    with Hydraulics(inp) as opened:
        yield opened
