"""The evaluation: what counts where, that figures open their cases, and that nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.indicators import BY_KEY, INDICATORS, By, Grade, Period, Record, frequent, league, value
from tests.dispatch.test_api import REPORT
from tests.dispatch.world import World, as_

PERIOD = Period(1000, 2000)
GRADES = [Grade(90, "A", "blue"), Grade(0, "D", "red")]
DONE = Record(
    "a", "AJ-1", "waitan", "water", "event/0501", "iot", "closed", reported_us=1100, registered_us=1110,
    dispatched_us=1120, due_us=1500, handled_us=1400, checked_us=1450, closed_us=1460, register_due_us=1200,
    dispatch_due_us=1200, check_due_us=1600,
)  # fmt: skip


def figure(key: str, *records: Record) -> tuple[int, int]:
    found = value(BY_KEY[key], records, PERIOD)
    return len(found.numerator), len(found.denominator)


@pytest.mark.parametrize(
    ("key", "record", "expected"),
    [
        ("register_rate", DONE, (1, 1)),
        ("register_rate", replace(DONE, registered_us=None, state="refused"), (0, 1)),
        ("valid_report_rate", replace(DONE, state="void"), (0, 1)),
        ("register_in_time", replace(DONE, registered_us=1201), (0, 1)),
        ("dispatch_right", replace(DONE, returns=1), (0, 1)),
        ("handle_in_time", DONE, (1, 1)),
        ("handle_in_time", replace(DONE, late=True), (0, 1)),
        ("handle_in_time", replace(DONE, late=True, exempt=True), (1, 1)),
        # not handled and due within the period: should have been
        ("handle_rate", replace(DONE, handled_us=None, closed_us=None, state="handling"), (0, 1)),
        # due later than the period: not asked for yet
        (
            "handle_rate",
            replace(DONE, handled_us=None, closed_us=None, state="handling", due_us=2500),
            (0, 0),
        ),
        # handled before the period although due in it: another period's
        ("handle_rate", replace(DONE, handled_us=900), (0, 0)),
        # stands still: suspended by approval
        ("handle_rate", replace(DONE, handled_us=None, stopped_us=1300, state="suspended"), (0, 0)),
        ("close_late", replace(DONE, late=True), (1, 1)),
        ("rework_rate", replace(DONE, reworks=2), (1, 1)),
        ("satisfied_rate", DONE, (0, 0)),
        ("satisfied_rate", replace(DONE, satisfied=False), (0, 1)),
        ("open_rate", replace(DONE, closed_us=None, state="handling"), (1, 1)),
        ("repeated_rate", replace(DONE, repeated=True), (1, 1)),
        ("forced", replace(DONE, forced=True), (1, 1)),
    ],
)
def test_each_indicator_counts_what_its_formula_says(
    key: str, record: Record, expected: tuple[int, int]
) -> None:
    assert figure(key, record) == expected


moments = st.none() | st.integers(900, 2100)
records = st.builds(
    replace, st.just(DONE), id=st.integers().map(str), state=st.sampled_from(["closed", "handling", "void", "refused"]),
    reported_us=st.integers(900, 2100), registered_us=moments, dispatched_us=moments, due_us=moments,
    handled_us=moments, checked_us=moments, closed_us=moments, late=st.booleans(), exempt=st.booleans(),
    returns=st.integers(0, 2), reworks=st.integers(0, 2), satisfied=st.none() | st.booleans(),
    lead=st.sampled_from(["water", "drain", ""]),
)  # fmt: skip


@given(st.lists(records, max_size=20, unique_by=lambda record: record.id))
def test_a_numerator_never_leaves_its_denominator_and_parts_add_up(found: list[Record]) -> None:
    for indicator in INDICATORS:
        figures = value(indicator, found, PERIOD)
        assert {*figures.numerator} <= {*figures.denominator}
        assert len({*figures.denominator}) == len(figures.denominator)
        assert figures.rate is None or 0 <= figures.rate <= 1
    whole, late, good = (figure(key, *found)[0] for key in ("close_rate", "close_late", "close_in_time"))
    assert whole == late + good
    assert (
        figure("rework_rate", *found)[0] + figure("rework_free", *found)[0]
        == figure("rework_rate", *found)[1]
    )


def test_the_league_puts_the_best_first_and_those_without_cases_last() -> None:
    bad = replace(DONE, id="b", lead="drain", late=True)
    none = replace(DONE, id="c", lead="gas", reported_us=500, registered_us=None, dispatched_us=None, due_us=None,
                   handled_us=None, closed_us=None)  # fmt: skip
    table = league([bad, DONE, none], By.DEPARTMENT, PERIOD, {"handle_in_time": 1.0}, GRADES)
    assert [(row.subject, row.score, row.grade) for row in table] == [
        ("water", 100.0, "A"), ("drain", 0.0, "D"), ("gas", None, ""),
    ]  # fmt: skip


def test_what_is_reported_most_stands_first() -> None:
    other = replace(DONE, code="event/0506")
    assert frequent([DONE, other, other], PERIOD) == [("event/0506", 2), ("event/0501", 1)]


async def test_a_figure_opens_the_cases_that_it_is_made_of(http: httpx.AsyncClient, city: World) -> None:
    for n, lon in enumerate((121.40, 121.45)):
        case = (await http.post("/api/v1/cases", json={**REPORT, "lon": lon}, headers=as_("li"))).json()["id"]
        steps: list[tuple[str, str, dict[str, object]]] = [
            ("li", "register", {}), ("chen", "dispatch", {"lead": "water_company"}), ("sun", "accept", {}),
        ]  # fmt: skip
        if n == 0:
            steps += [("sun", "feed_back", {}), ("li", "check", {"result": "pass"}), ("li", "close", {})]
        for who, action, fields in steps:
            answer = await http.post(
                f"/api/v1/cases/{case}/actions", json={"action": action, **fields}, headers=as_(who)
            )
            assert answer.status_code == 200, answer.text
    city.clock.advance(5 * 3600)
    body = (await http.get("/api/v1/indicators?by=department&lang=zh", headers=as_("li"))).json()
    (row,) = body["items"]
    assert (row["subject"], row["handle_in_time"]) == ("water_company", {"n": 1, "of": 2, "rate": 0.5})
    assert body["indicators"]["handle_in_time"] == {"name": "按期处置率", "formula": "按期处置数 / 应处置数"}
    made = await http.get(
        "/api/v1/indicators/handle_in_time/cases?by=department&subject=water_company&part=denominator",
        headers=as_("li"),
    )
    assert len(made.json()["items"]) == 2
    (post,) = (await http.get("/api/v1/league?by=acceptor", headers=as_("li"))).json()["items"]
    assert (post["subject"], post["place"]) == ("li", 1)
    report = (await http.get("/api/v1/reports/monthly?month=2026-01", headers=as_("li"))).json()
    assert report["all"]["register_rate"] == {"n": 2, "of": 2, "rate": 1.0}
    assert report["frequent"] == [{"code": "event/0501", "name": "供水管道破裂", "n": 2}]
    sheet = await http.get("/api/v1/reports/monthly?month=2026-01&format=csv&lang=zh", headers=as_("li"))
    assert sheet.text.startswith("\ufeffby,subject,score,grade,立案率 n")


async def test_a_second_report_of_the_same_thing_is_named_before_it_is_registered(
    http: httpx.AsyncClient, city: World
) -> None:
    first = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()
    near = {**REPORT, "lon": 121.4905, "title": "同一处"}
    second = (await http.post("/api/v1/cases", json=near, headers=as_("li"))).json()
    url = f"/api/v1/cases/{second['id']}/actions"
    refused = await http.post(url, json={"action": "register"}, headers=as_("li"))
    assert refused.status_code == 422
    assert first["number"] in refused.json()["title"]
    assert (
        await http.post(url, json={"action": "register", "reason": "另一处破裂"}, headers=as_("li"))
    ).status_code == 200
    far = {**REPORT, "lon": 121.6, "title": "别处"}
    third = (await http.post("/api/v1/cases", json=far, headers=as_("li"))).json()["id"]
    alone = await http.post(f"/api/v1/cases/{third}/actions", json={"action": "register"}, headers=as_("li"))
    assert alone.status_code == 200
