"""The scene on the shipped city: assets that exist, a burst that is seen, a table that tells the truth."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core.clock import SECOND_US
from core.domains import Domains
from dispatch.plans import PlanDecl
from gis.city import City, sample_city
from iot import kinds
from simulators import sample, stage, tape
from simulators.devices import Recorded
from simulators.places import Places, metres
from simulators.scene import Scene
from simulators.stage import Stage

ZONE = ZoneInfo("Asia/Shanghai")
NOW_US = 1_795_300_123_456_789


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


@pytest.fixture(scope="module")
def places(city: City) -> Places:
    return sample.places_of(city)


@pytest.fixture(scope="module")
def scene(places: Places) -> Scene:
    return Scene(places, ZONE)


def test_every_device_hangs_on_an_asset_of_the_city_inside_it(
    city: City, scene: Scene, shipped: Domains
) -> None:
    catalogue = kinds.load(shipped)
    west, south, east, north = city.bounds
    for row in scene.rows():
        assert row.asset in city.assets, row.id
        assert west - 0.003 < row.lon < east + 0.003, row.id
        assert south - 0.003 < row.lat < north + 0.003, row.id
        assert row.area in {area.id for area in city.base.areas}, row.id
        assert row.zone, row.id
        assert row.kind in catalogue.kinds
        assert "⟦" not in row.name_zh + row.name_en
    assert len({row.id for row in scene.rows()}) == len(scene.rows()) > 150


def test_all_that_was_recorded_has_a_place(scene: Scene) -> None:
    recorded = {
        (s.source.tape, s.source.device)
        for d in scene.devices
        for s in d.says
        if isinstance(s.source, Recorded)
    }
    expected = {
        (name, device) for name in ("floodnet", "bwdf", "montreal") for device in tape.load(name).series
    }
    assert recorded == expected


def test_the_readme_of_the_tapes_says_where_each_stands(scene: Scene) -> None:
    told = (tape.FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \| `([\w-]+)` \|", told, re.MULTILINE)
    truth = [
        (device.says[0].source.device, device.id, device.spot.asset)
        for device in scene.devices
        if isinstance(device.says[0].source, Recorded)
    ]
    assert rows == truth


def test_the_burst_of_the_shipped_scene_is_seen_by_three_loggers_and_ends(scene: Scene) -> None:
    play = Stage(scene, stage.fresh(NOW_US))
    assert play.supply is not None
    rows = [row for row, (device, _, _) in enumerate(scene.gauges()) if device.startswith("ws-p-")]
    play.advance(NOW_US + 29 * SECOND_US)
    calm = play.supply.now[rows].copy()
    play.advance(NOW_US + 36 * SECOND_US)
    play.advance(NOW_US + 60 * SECOND_US)
    broken = play.supply.now[rows].copy()
    loss = play.supply.loss_m3h(scene.places.burst.asset)
    burst = next(cause for cause in play.causes if cause.key == "burst")
    play.end(burst, NOW_US + 61 * SECOND_US, "test")
    play.advance(NOW_US + 70 * SECOND_US)
    mended = play.supply.now[rows].copy()
    play.close()
    assert np.count_nonzero(calm - broken >= 0.05) >= 3
    assert 150 < loss < 700
    assert np.abs(mended - calm).max() < 0.01


def test_no_water_runs_back_into_a_works_and_pressures_are_those_of_a_city(scene: Scene) -> None:
    for device, channel, _, values in scene.history(NOW_US):
        if device.startswith("ws-plant") and channel == "flow":
            assert values.min() >= -0.2, device
        if channel == "pressure" and device.startswith("ws-"):
            assert 0.14 < values.min() < values.max() < 0.6, device


def test_the_flooded_underpass_is_far_from_the_burst(places: Places) -> None:
    assert metres(places.underpasses[0], places.burst) >= sample.APART_M


def test_the_choice_is_the_same_again(city: City, places: Places) -> None:
    assert sample.places_of(city) == places


def test_every_service_has_crews_of_a_department_that_exists(scene: Scene, shipped: Domains) -> None:
    found = scene.crews()
    known = {department["id"] for department in scene.departments()}
    assert {crew["department"] for crew in found} <= known
    assert {duty["lead"] for duty in scene.duties()} <= known
    assert len({crew["id"] for crew in found}) == len(found) == len(scene.places.depots)
    assert [crew["responder"] for crew in found].count(True) == 1
    assert "⟦" not in f"{found}{scene.departments()}"


def test_every_plan_has_a_crew_that_can(scene: Scene, shipped: Domains) -> None:
    needs = [plan.item.crew for plan in shipped.section("plans", PlanDecl) if plan.item.crew]
    assert len(needs) >= 5
    for need in needs:
        assert any(
            has(crew, "skills", need.skills) and has(crew, "equipment", need.equipment)
            for crew in scene.crews()
            if isinstance(crew["members"], int) and crew["members"] >= need.members
        ), need


def has(crew: dict[str, object], what: str, wanted: list[str]) -> bool:
    own = crew[what]
    return isinstance(own, list) and set(wanted) <= set(own)
