"""The evaluator of vital signs: words, bands, coverage, hold-off, usual hours, windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import domains
from core.batch import Batch, Quality
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.domains import Domains
from core.yamlfile import Mistakes
from dashboard.vitals import declare
from dashboard.vitals.declare import PointsDecl, Vital, matches
from dashboard.vitals.evaluate import Held, Reading, evaluate
from dashboard.vitals.usual import Local, Usual, learn, usual_at, weekly
from dashboard.vitals.window import QUARTER_US, Windows
from dashboard.vitals.words import Figure, Input, Installed, Points, Records, Unknown, Words
from iot import kinds

NOW_US = 1_795_246_928 * SECOND_US
NAN = math.nan
SHANGHAI = ZoneInfo("Asia/Shanghai")

YAML = """
- key: pressure
  group: lifeline
  order: 1
  unit: MPa
  digits: 2
  inputs:
    p: {points: {channel: pressure}}
  figures: {n: fresh(p)}
  value: lowest(p)
  sub: {place: p, at: lowest}
  red: value < 0.05
  yellow: value < 0.14
  blue: value < 0.20 || z < -3.0
  source: test
"""


def vital(text: str, tmp_path: Path) -> Vital:
    """A vital of a small domain with one kind and one channel."""
    home = tmp_path / "domains" / "water"
    home.mkdir(parents=True, exist_ok=True)
    (home / "domain.yaml").write_text("key: water\norder: 1\nicon: drop\n", "utf-8")
    (home / "channels.yaml").write_text("- {key: pressure, unit: MPa, low: 0, high: 2}\n", "utf-8")
    (home / "kinds.yaml").write_text(
        "- {key: logger, channels: [pressure], period: 60s, asset: pipe, formats: [senml]}\n", "utf-8"
    )
    (home / "vitals.yaml").write_text(text, "utf-8")
    found = domains.load(tmp_path / "domains")
    return declare.load(found, kinds.load(found))[0]


@pytest.fixture
def pressure(tmp_path: Path) -> Vital:
    return vital(YAML, tmp_path)


def reading(found: Vital, usual: Usual | None = None, **inputs: Input) -> Reading:
    words = Words()
    words.use(inputs, NOW_US, 8 * HOUR_US)
    return evaluate(found, words, usual)


def say(expression: str, **inputs: Input) -> float:
    import cel

    words = Words()
    words.use(inputs, NOW_US, 15 * HOUR_US)
    return words.run(cel.compile(expression))


# -- words --------------------------------------------------------------------------------------------------

P = Points.of(0.3, 0.1, NAN, 0.2)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("lowest(p)", 0.1), ("highest(p)", 0.3), ("total(p)", 0.6), ("mean(p)", 0.2), ("median(p)", 0.2),
        ("p90(p)", 0.28), ("below(p, 0.2)", 1), ("at_least(p, 0.2)", 2), ("at_most(p, 0.2)", 2),
        ("within(p, 0.1, 0.2)", 2), ("fresh(p)", 3), ("100.0 * at_least(p, 0.2) / fresh(p)", 200 / 3),
        ("hour >= 22.0 ? lowest(p) : 0.0", 0.1),
    ],
)  # fmt: skip
def test_words_about_points_leave_out_what_takes_no_part(expression: str, value: float) -> None:
    assert say(expression, p=P) == pytest.approx(value)


def test_words_about_records() -> None:
    items = [
        {"level": 1, "at_us": NOW_US - 30 * SECOND_US, "homes": 400},
        {"level": 3, "at_us": NOW_US - 90 * SECOND_US},
    ]
    a = Records(items)
    assert say("count(a)", a=a) == 2
    assert say("with_level(a, 1.0)", a=a) == 1
    assert say("oldest_s(a)", a=a) == 90
    assert say("oldest_of_level_s(a, 1.0)", a=a) == 30
    assert say('sum_of(a, "homes")', a=a) == 400
    assert say("oldest_s(a)", a=Records([])) == 0


def test_words_over_several_inputs_join_by_device() -> None:
    turbidity, chlorine = Points.of(0.2, 3.0, 0.2), Points.of(0.5, 0.5, 0.01)
    assert say("devices_within(a, 0.0, 1.0, b, 0.05, 4.0)", a=turbidity, b=chlorine) == 1
    assert say("devices_reaching(a, 2.0, b, 0.5)", a=turbidity, b=chlorine) == 2


def test_points_of_one_zone_are_counted_together() -> None:
    both = Points(
        np.arange(4, dtype=np.int32), np.array([0.05, 0.06, 0.07, 0.3]), np.zeros(4, np.int64), np.zeros(4, np.uint8),
        np.array([0, 0, 1, 1], np.int32),
    )  # fmt: skip
    assert say("zone_below(p, 0.1)", p=both) == 2


def test_figures_and_devices() -> None:
    assert say("figure(f) / 60.0", f=Figure(120.0)) == 2
    assert say("100.0 * online(d) / installed(d)", d=Installed(9, 10)) == 90


@pytest.mark.parametrize(
    ("expression", "given"),
    [("lowest(p)", Points.of(NAN)), ("figure(p)", Figure(None)), ("100.0 * online(p) / installed(p)", Installed(0, 0)),
     ("figure(p) > 3.0", Figure(None)), ("0.0 / 0.0", Points.of(1.0))],
)  # fmt: skip
def test_nothing_to_compute_from_is_unknown_not_zero(expression: str, given: Input) -> None:
    with pytest.raises(Unknown):
        say(expression, p=given)


# -- evaluation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lowest", "level"), [(0.30, 0), (0.20, 0), (0.199, 4), (0.14, 4), (0.139, 3), (0.05, 3), (0.049, 1)]
)
def test_the_worst_band_that_holds_gives_the_level(pressure: Vital, lowest: float, level: int) -> None:
    found = reading(pressure, p=Points.of(0.4, lowest))
    assert (found.value, found.level, found.state) == (lowest, level, "ok")


def test_the_place_is_that_of_the_extreme(pressure: Vital) -> None:
    assert reading(pressure, p=Points.of(0.4, 0.1, 0.3)).place == 2


def test_what_is_unusual_is_coloured_only_when_enough_days_are_known(pressure: Vital) -> None:
    points = Points.of(0.30)
    assert reading(pressure, Usual(0.40, 0.01, 28), p=points).level == 4
    assert reading(pressure, Usual(0.40, 0.01, 6), p=points).level == 0


def test_what_is_usual_at_an_instant_lies_between_the_middles_of_hours() -> None:
    local = Local(ZoneInfo("UTC"), lambda _: "day")
    usuals = {("day", 7): Usual(10.0, 1.0, 20), ("day", 8): Usual(30.0, 3.0, 28)}
    half = HOUR_US // 2
    assert usual_at(usuals, local, 7 * HOUR_US + half) == Usual(10.0, 1.0, 20)
    assert usual_at(usuals, local, 8 * HOUR_US) == Usual(20.0, 2.0, 20)
    assert usual_at(usuals, local, 8 * HOUR_US + half // 2) == Usual(25.0, 2.5, 20)
    assert usual_at(usuals, local, 9 * HOUR_US) == Usual(30.0, 3.0, 28), "the next hour is not known"
    assert usual_at({}, local, 0) is None


def test_a_band_may_ask_how_far_in_per_cent_a_value_is_from_the_usual(tmp_path: Path) -> None:
    found = vital(YAML.replace("value < 0.14", "z < -4.0 && value < 0.85 * usual"), tmp_path)
    assert reading(found, Usual(0.40, 0.001, 28), p=Points.of(0.36)).level == 4, (
        "unusual, and by ten per cent"
    )
    assert reading(found, Usual(0.40, 0.001, 28), p=Points.of(0.32)).level == 3
    assert reading(found, Usual(0.40, 0.001, 3), p=Points.of(0.32)).level == 0, "nobody knows what is usual"


@pytest.mark.parametrize(
    ("taking_part", "state", "level", "valued"),
    [(4, "ok", 3, True), (3, "ok", 3, True), (2, "low_coverage", 0, True), (1, "no_data", 0, False)],
)
def test_coverage_decides_what_may_be_shown(
    pressure: Vital,
    taking_part: int,
    state: str,
    level: int,
    valued: bool,  # noqa: FBT001 - a table of cases
) -> None:
    found = reading(pressure, p=Points.of(*[0.1] * taking_part, *[NAN] * (4 - taking_part)))
    assert (found.state, found.level, found.value is not None) == (state, level, valued)
    assert found.coverage == (taking_part, 4)
    assert found.confidence == taking_part / 4


def test_a_shown_colour_rises_at_once_and_falls_after_ten_minutes() -> None:
    held = Held()
    minute = MINUTE_US
    assert held.show(3, 0) == 3
    assert held.show(1, 1) == 1
    assert held.show(3, minute) == 1
    assert held.show(0, 10 * minute) == 1
    assert held.show(3, 11 * minute) == 3
    assert held.show(0, 12 * minute) == 3
    assert held.show(3, 13 * minute) == 3, "it got worse again: the ten minutes begin anew"
    assert held.show(0, 22 * minute + 1) == 3
    assert held.show(0, 33 * minute) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=40))
def test_a_shown_colour_is_never_better_than_the_one_that_holds(steps: list[tuple[int, int]]) -> None:
    held, now = Held(), 0
    for level, minutes in steps:
        now += minutes * MINUTE_US
        shown = held.show(level, now)
        assert level == 0 or (shown != 0 and shown <= level)


# -- declarations -------------------------------------------------------------------------------------------


def test_every_shipped_vital_compiles_and_names_known_channels(shipped: Domains) -> None:
    found = declare.load(shipped, kinds.load(shipped))
    assert len(found) >= 40
    assert sum(each.decl.slot == "row" for each in found) == 13


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("value: lowest(p)", "value: lowest(q)", r"vitals.yaml:10: .*value"),
        ("value: lowest(p)", "value: lowest(p) * 2", "cannot be evaluated"),
        ("value: lowest(p)", "value: worst(p)", "cannot be evaluated"),
        ("red: value < 0.05", "red: value <", r"vitals.yaml:12: .*red"),
        ("channel: pressure", "channel: pressur", "no kind has a channel pressur"),
        ("place: p, at", "place: q, at", "q is no input"),
        ("{channel: pressure}", "{channel: pressure, reduce: mean}", "do not go together"),
        ("{points: {channel: pressure}}", "{figure: a, devices: []}", "exactly one of"),
    ],
)
def test_a_mistake_in_a_declaration_is_named_where_it_stands(
    tmp_path: Path, was: str, becomes: str, reason: str
) -> None:
    assert was in YAML
    with pytest.raises(Mistakes, match=reason):
        vital(YAML.replace(was, becomes), tmp_path)


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"rule": "dr.cover.*"}, True), ({"rule": "dr.pump.*"}, False), ({"rule": ["x", "dr.*"]}, True),
        ({"level": [1, 2]}, True), ({"standing": True}, True), ({"aside": False}, True), ({"level": 3}, False),
    ],
)  # fmt: skip
def test_records_are_chosen_by_their_fields(where: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - a table
    assert matches({"rule": "dr.cover.open", "level": 2, "standing": True}, where) is fits


# -- usual --------------------------------------------------------------------------------------------------


def test_usual_is_the_median_of_the_same_hour_on_comparable_days() -> None:
    local = Local(SHANGHAI, weekly)
    hours = np.arange(28 * 24) * HOUR_US + 1_792_800_000 * SECOND_US // HOUR_US * HOUR_US
    work = np.array([local.at(int(t)).weekday() < 5 for t in hours])
    values = np.where(work, 10.0, 50.0) + np.array([local.at(int(t)).hour for t in hours])
    found = learn(hours, values, local)
    assert found["work", 8] == Usual(18.0, 0.0, 20)
    assert found["rest", 8] == Usual(58.0, 0.0, 8)


def test_a_day_counts_once_however_many_quarters_it_has() -> None:
    local = Local(SHANGHAI, lambda _: "day")
    at = np.array([0, QUARTER_US, 2 * QUARTER_US, DAY_US])
    assert learn(at, np.array([1.0, 2.0, 3.0, 10.0]), local)["day", 8] == Usual(6.0, 4.0, 2)


def test_a_flat_history_does_not_make_everything_unusual() -> None:
    usual = Usual(10.0, 0.0, 28)
    assert abs(usual.z(10.4, floor=0.5)) < 1
    assert usual.band(0.5)[0] < 10 < usual.band(0.5)[1]


def test_weekends_are_days_of_rest() -> None:
    assert [weekly(date(2026, 11, day)) for day in (20, 21, 22, 23)] == ["work", "rest", "rest", "work"]


# -- windows ------------------------------------------------------------------------------------------------


def windows(**points: object) -> Windows:
    decl = PointsDecl.model_validate({"channel": "pressure", **points})
    found = Windows()
    found.make({("v", "p"): (decl, np.arange(3, dtype=np.int32))}, 3)
    return found


def feed(found: Windows, batch: Batch) -> None:
    found.add(batch, batch.device)


def said(point: int, second: float, value: float, quality: int = 0) -> Batch:
    return Batch.of(
        device=[point], channel=1, time_us=round(second * SECOND_US), value=value, quality=quality
    )


def test_a_window_forgets_what_is_older_than_it() -> None:
    found = windows(reduce="mean", window="10m")
    feed(found, said(0, 0, 100.0))
    feed(found, said(0, 300, 1.0))
    feed(found, said(0, 660, 3.0))
    value, n, newest = found["v", "p"].values(660 * SECOND_US)
    assert (value[0], n.tolist(), newest[0]) == (2.0, [2, 0, 0], 660 * SECOND_US)


def test_noise_is_averaged_as_energy() -> None:
    found = windows(reduce="leq", window="20m")
    feed(found, said(0, 0, 60.0))
    feed(found, said(0, 60, 70.0))
    assert found["v", "p"].values(60 * SECOND_US)[0][0] == pytest.approx(10 * math.log10((1e6 + 1e7) / 2))


def test_a_share_counts_samples_between_its_limits() -> None:
    found = windows(reduce="share", window="24h", within=[0.14, 0.55])
    for second, value in ((0, 0.1), (60, 0.14), (120, 0.3), (180, 0.6)):
        feed(found, said(0, second, value))
    assert found["v", "p"].values(200 * SECOND_US)[0][0] == 0.5


def test_doubtful_readings_do_not_count() -> None:
    found = windows(reduce="mean", window="10m")
    feed(found, said(0, 0, 1.0))
    feed(found, said(0, 10, 99.0, Quality.SPIKE))
    assert found["v", "p"].values(10 * SECOND_US)[0][0] == 1.0


def test_a_batch_that_was_read_at_the_start_is_not_counted_again() -> None:
    found = windows(reduce="mean", window="10m")
    batch = Batch.of(device=[0, 0], channel=1, time_us=[0, 60 * SECOND_US], value=[1.0, 2.0])
    found.add_to(("v", "p"), batch, batch.device)
    found.add(batch, batch.device, seen=True)
    feed(found, said(0, 90, 3.0))
    assert found["v", "p"].values(90 * SECOND_US)[1].tolist() == [3, 0, 0]


READINGS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40 * 60), st.integers(-50, 50)), min_size=1, max_size=60
)


@given(READINGS, st.sampled_from(["mean", "low", "high", "total"]), st.integers(0, 600))
def test_a_window_is_what_a_recomputation_from_raw_readings_gives(
    readings: list[tuple[int, int, int]], reduce: str, later: int
) -> None:
    found = windows(reduce=reduce, window="10m")
    ordered = sorted(readings, key=lambda each: each[1])
    for point, second, value in ordered:
        feed(found, said(point, second, float(value)))
    now = ordered[-1][1] + later
    computed, n, _ = found["v", "p"].values(now * SECOND_US)
    first_minute = now // 60 - 9
    functions: dict[str, Callable[[list[float]], Any]] = {
        "mean": np.mean,
        "low": min,
        "high": max,
        "total": sum,
    }
    function = functions[reduce]
    for point in range(3):
        raw = [float(v) for p, s, v in ordered if p == point and first_minute <= s // 60 <= now // 60]
        assert n[point] == len(raw)
        if raw:
            assert computed[point] == pytest.approx(float(function(raw)))
