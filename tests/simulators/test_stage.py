"""The play: calm, burst, flood, noise at their times; causes end when crews have handled them, through restarts too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from iot.codecs import senml
from iot.codecs.frame import Columns, Parcel, Refusal
from simulators import stage
from simulators.scene import Scene
from simulators.stage import Stage, State, Visit
from tests.simulators import small_city

NIGHT_US = 1_795_276_800_000_000  # 2026-11-22 00:00 in Shanghai
DAY_US = NIGHT_US + 14 * HOUR_US
ZONE = ZoneInfo("Asia/Shanghai")
PILOT_LOGGERS = [f"ws-p-{n:02d}/pressure" for n in range(1, 13)]


class Unread:
    """A receipt that nobody waits for."""

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None: ...


Said = dict[str, list[tuple[float, float]]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(small_city.places(), ZONE)


class NoReceipt:
    """Nobody waits for an answer."""

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        pass


class Run:
    """A stage that is moved second by second; what was said is kept by point as (seconds since start, value)."""

    def __init__(self, scene: Scene, begun_us: int = NIGHT_US, state: State | None = None) -> None:
        self.stage = Stage(scene, state or stage.fresh(begun_us))
        self.begun_us = self.stage.state.started_us
        self.said: Said = {}
        self.now_us = self.stage.state.said_until_us
        self.payloads: list[bytes] = []

    def until(self, seconds: float) -> Run:
        while self.now_us < self.begun_us + seconds * SECOND_US:
            self.now_us += SECOND_US
            for wire in self.stage.advance(self.now_us):
                self.payloads.append(wire.payload)
                columns = Columns()
                senml.decode(Parcel("gw", "senml", [wire.payload], self.now_us, Unread()), columns)
                assert not columns.refused
                for name, at, value in zip(columns.names, columns.times, columns.values, strict=True):
                    assert at is not None
                    assert isinstance(value, float)
                    self.said.setdefault(name, []).append((at - self.begun_us / 1e6, value))
        return self

    def last(self, name: str, before: float = np.inf) -> float:
        return [value for at, value in self.said[name] if at <= before][-1]

    def pressures(self, before: float = np.inf) -> np.ndarray:
        return np.array([self.last(name, before) for name in PILOT_LOGGERS])

    def visit(self, key: str, seconds: float, state: str = "handling") -> None:
        spot = next(cause.spot for cause in self.stage.causes if cause.key == key)
        since = self.begun_us + round(seconds * SECOND_US)
        self.stage.visited([Visit("order-1", state, spot.lon + 0.0005, spot.lat, since)], self.now_us)


@pytest.fixture
def run(scene: Scene) -> Iterator[Run]:
    made = Run(scene)
    yield made
    made.stage.close()


def test_the_first_half_minute_is_calm(run: Run) -> None:
    run.until(29)
    assert not run.stage.truth
    assert np.ptp([value for name in PILOT_LOGGERS for _, value in run.said[name]]) < 0.2
    for name in PILOT_LOGGERS:
        assert np.ptp([value for _, value in run.said[name]]) < 0.012
        assert 5 <= len(run.said[name]) <= 6, "a logger of the pilot district speaks every 5 seconds"


def test_the_burst_lowers_three_loggers_and_raises_the_inflow_within_thirty_seconds(run: Run) -> None:
    run.until(60)
    drops = run.pressures(29) - run.pressures()
    assert np.count_nonzero(drops >= 0.05) >= 3
    assert run.last("ws-pilot-01/flow") > 1.15 * run.last("ws-pilot-01/flow", 29)
    begun = [line for line in run.stage.truth if line.cause == "burst"]
    assert [(line.what, line.asset) for line in begun] == [("begin", "h6_6")]
    assert abs(begun[0].at_us - run.begun_us - 30 * SECOND_US) <= SECOND_US


def test_a_crew_that_handles_the_burst_ends_it_and_the_pressures_come_back(run: Run) -> None:
    run.until(200)
    run.visit("burst", 195)
    assert run.stage.stands("burst"), "it takes a while"
    run.visit("burst", 100, state="en_route")
    assert run.stage.stands("burst"), "who is on the way repairs nothing"
    run.visit("burst", 175)
    assert not run.stage.stands("burst")
    run.until(215)
    assert np.abs(run.pressures() - run.pressures(29)).max() < 0.02
    assert run.last("ws-pilot-01/flow") == pytest.approx(run.last("ws-pilot-01/flow", 29), rel=0.05)
    assert run.stage.truth[-1].what == "end"


def test_an_order_elsewhere_ends_nothing(run: Run) -> None:
    run.until(100)
    run.stage.visited([Visit("order-9", "handling", 121.6, 31.3, run.begun_us)], run.now_us)
    assert run.stage.stands("burst")


def test_the_underpass_floods_from_about_a_minute_and_a_quarter_and_drains_when_power_is_back(
    run: Run,
) -> None:
    run.until(240)
    first = next(at for at, depth in run.said["fl-under-01/depth"] if depth >= 2)
    assert 70 <= first <= 100
    assert run.last("fl-under-01/depth", 160) >= 8
    assert run.last("fl-under-01/depth") >= 15
    assert run.last("fl-under-01/power_ok") == 0
    assert run.last("fl-under-02/depth") < 3
    run.until(420)
    assert run.last("fl-rain-01/rain_5m", 200) >= 2, "a heavy shower is said at once"
    assert run.last("fl-rain-01/rain_5m") >= 8
    assert run.last("fl-rain-02/rain_5m") == 0
    run.visit("underpass", 380)
    run.until(460)
    assert run.last("fl-under-01/power_ok") == 1
    assert run.last("fl-under-01/barrier_closed") == 1
    run.until(1200)
    assert run.last("fl-under-01/depth") == 0


@pytest.mark.parametrize(("begun_us", "limit"), [(NIGHT_US, 55), (DAY_US, 70)])
def test_the_site_breaks_the_limit_of_its_own_hour(scene: Scene, begun_us: int, limit: float) -> None:
    run = Run(scene, begun_us).until(260)
    calm, loud = run.last("con-site-01/laeq_1m", 119), run.last("con-site-01/laeq_1m")
    run.stage.close()
    assert calm < limit
    assert loud > limit + 5
    assert run.last("con-site-02/laeq_1m") < limit


def test_recorded_devices_go_on_and_history_meets_them_without_a_gap_or_a_double(scene: Scene) -> None:
    run = Run(scene).until(700)
    run.stage.close()
    said = np.array([at for at, _ in run.said["con-noise-01/laeq_1m"]])
    assert len(said) in (11, 12)
    assert np.allclose(np.diff(said), 60)
    assert said[0] > 0
    assert len(run.said["fl-street-01/depth"]) >= 5


def test_one_state_gives_the_same_bytes_twice(scene: Scene) -> None:
    runs = [Run(scene).until(90) for _ in range(2)]
    for run in runs:
        run.stage.close()
    assert runs[0].payloads == runs[1].payloads


def test_a_restart_finds_the_burst_standing_and_does_not_begin_it_again(scene: Scene) -> None:
    first = Run(scene).until(200)
    kept = msgspec.json.decode(msgspec.json.encode(first.stage.state), type=State)
    first.stage.close()
    second = Run(scene, state=kept).until(230)
    assert [line for line in second.stage.truth if line.cause == "burst"] == []
    drops = first.pressures(29) - second.pressures()
    assert np.count_nonzero(drops >= 0.05) >= 3
    assert second.last("fl-under-01/depth") >= first.last("fl-under-01/depth")
    second.visit("burst", 200)
    ended = msgspec.json.decode(msgspec.json.encode(second.stage.state), type=State)
    second.stage.close()
    third = Run(scene, state=ended).until(260)
    third.stage.close()
    assert np.abs(third.pressures() - first.pressures(29)).max() < 0.02


def test_what_nobody_ends_ends_by_itself_save_for_the_burst(scene: Scene) -> None:
    run = Run(scene).until(130)
    run.now_us = run.begun_us + 2 * HOUR_US
    run.until(7201)
    run.stage.close()
    assert [key for key in ("burst", "underpass", "site") if run.stage.stands(key)] == ["burst"]


def test_only_the_recorded_scene_has_nothing_that_happens() -> None:
    run = Run(Scene(small_city.places(), ZONE, kind="recorded")).until(150)
    run.stage.close()
    assert run.stage.truth == []
    assert {name.split("-")[0] for name in run.said} <= {"fl", "ws", "con"}


def test_night_is_from_22_to_6() -> None:
    hours = [NIGHT_US + hour * HOUR_US + MINUTE_US for hour in range(24)]
    assert [hour for hour, at in enumerate(hours) if stage.is_night(at, ZONE)] == [0, 1, 2, 3, 4, 5, 22, 23]
