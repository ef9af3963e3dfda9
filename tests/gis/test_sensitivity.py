"""A metered district's model: it shows what was measured, and how that answers to a leak."""

from __future__ import annotations

import numpy as np
import pytest

from gis.sensitivity import PARTS, SIZES_LPS, Hours, Metering, Twin

INP = """[TITLE]
two inflows, a street between them, and a zone behind a pumped tank

[JUNCTIONS]
 A 10 0 DAY
 B 10 0 DAY
 C 10 0 DAY
 D 30 0 DAY
 E 30 0 DAY

[RESERVOIRS]
 R1 60
 R2 60

[TANKS]
 T 60 3 0 5 10 0

[PIPES]
 in1 R1 A 50 200 130 0 Open
 in2 R2 C 50 200 130 0 Open
 ab A B 400 150 130 0 Open
 bc B C 400 150 130 0 Open
 td T D 50 150 130 0 Open
 de D E 300 100 130 0 Open

[PUMPS]
 P B T HEAD 1

[VALVES]

[DEMANDS]
 A 20 DAY
 B 30 FLAT
 C 20 DAY
 E 10 DAY

[PATTERNS]
 DAY 0.5 0.8 1.2 1.5
 FLAT 1.0

[CURVES]
 1 20 60

[CONTROLS]
 LINK P CLOSED IF NODE T ABOVE 4

[TIMES]
 Duration 168:00
 Hydraulic Timestep 1:00
 Pattern Timestep 1:00

[OPTIONS]
 Units CMH
 Headloss H-W

[END]
"""
METERING = Metering(("A", "B", "C", "E"), ("in1", "in2"), "P", "T", 60.0)


def test_the_model_takes_what_was_measured_and_its_inflows_add_up() -> None:
    n = 6
    taken = np.column_stack([np.linspace(40, 90, n), np.full(n, 8.0)])
    hours = Hours(np.zeros((n, 4)), np.zeros((n, 2)), np.full(n, 12.0), np.full(n, 3.0), taken)
    pressure, inflow = Twin(INP, METERING).expected(hours)
    assert inflow.sum(axis=1) == pytest.approx(taken[:, 0] + 12.0, rel=1e-3)
    assert (np.diff(pressure[:, 0]) < 0).all()  # the more is taken, the lower
    assert pressure[:, 3] == pytest.approx(np.full(n, pressure[0, 3]))  # the tank's zone takes the same


def test_a_leak_lowers_its_own_pressure_most_and_its_zone_only() -> None:
    found = Twin(INP, METERING).responses(3.0, np.full(PARTS, 12.0))
    assert found.leak.shape == (len(SIZES_LPS), PARTS, 5, 5)
    by_node = dict(zip(found.nodes, range(5), strict=True))
    b, e = found.leak[0, :, :4, by_node["B"]], found.leak[0, :, :4, by_node["E"]]
    assert (b.argmin(axis=1) == 1).all()
    assert b[:, 3] == pytest.approx(np.zeros(PARTS), abs=1e-4)
    assert (e.argmin(axis=1) == 3).all()
    assert found.zone.tolist() == [0, 0, 0, 1, 1]
    # A larger leak takes more of the head per m³/h, and one at A is fed by the first inflow.
    assert (found.leak[2, :, 1, by_node["B"]] < found.leak[0, :, 1, by_node["B"]]).all()
    assert (found.leak[0, :, 4, by_node["A"]] < 0).all()
