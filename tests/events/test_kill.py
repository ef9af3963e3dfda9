"""E-01: `kill -9` of the engine under load. Nothing missing, nothing invented, nothing twice."""

from __future__ import annotations

import pytest

from app.bench.kills import kills
from tests.events.conftest import City


async def killed(city: City, steps: int, times: int, seed: int, pause_s: float = 0.001) -> None:
    figures = await kills(
        city.database, city.model, city.registry, steps=steps, times=times, seed=seed, pause_s=pause_s
    )
    assert figures["kill_alerts"] > 20
    assert {name: figures[f"kill_{name}"] for name in ("missing", "spurious", "doubled")} == {
        "missing": 0, "spurious": 0, "doubled": 0
    }  # fmt: skip
    await incidents_are_whole(city)


#: What must be empty, whatever moment an engine was killed at.
BROKEN = {
    "an alert counts twice in an incident": b"""
        SELECT incident, fact FROM incident_evidence WHERE left_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1""",
    "an alert is evidence of two live incidents of one type": b"""
        SELECT e.fact, i.type FROM incident_evidence e JOIN incidents i ON i.id = e.incident
        WHERE e.left_at IS NULL AND i.state IN ('open', 'confirmed') GROUP BY 1, 2 HAVING count(*) > 1""",
    "an incident was opened twice, or never": b"""
        SELECT i.id FROM incidents i LEFT JOIN incident_log l ON l.incident = i.id AND l.action = 'open'
        GROUP BY 1 HAVING count(l.id) <> 1""",
    "an alert was raised twice, or never": b"""
        SELECT a.id FROM alerts a LEFT JOIN alert_log l ON l.alert = a.id AND l.action = 'raise'
        GROUP BY 1 HAVING count(l.id) <> 1""",
    "a live incident rests on nothing": b"""
        SELECT id FROM incidents i WHERE state IN ('open', 'confirmed') AND NOT EXISTS (
            SELECT FROM incident_evidence e JOIN alerts a ON a.id = e.fact
            WHERE e.incident = i.id AND e.left_at IS NULL AND NOT a.withdrawn)""",
    "a number is missing": b"""
        SELECT n.day FROM incident_numbers n WHERE n.last <> (SELECT count(*) FROM incidents)""",
}


async def incidents_are_whole(city: City) -> None:
    for what, query in BROKEN.items():
        assert await city.database.fetch(query) == [], what
    (row,) = await city.database.fetch(b"SELECT count(*) AS n FROM incidents")
    assert row["n"] > 0


async def test_three_kills_under_load_lose_and_invent_nothing(city: City) -> None:
    await killed(city, steps=160, times=3, seed=7)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_twenty_five_kills_under_load_lose_and_invent_nothing(city: City) -> None:
    await killed(city, steps=1200, times=25, seed=11, pause_s=0.012)
