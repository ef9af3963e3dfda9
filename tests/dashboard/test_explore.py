"""The analysis page: what an address means, what a real database says, the page in a real browser."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Browser, Page

from core.access import Policy
from core.actor import Actor
from core.batch import Quality
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, to_datetime
from core.db import Database
from core.db import connect as plain_connect
from dashboard.explore import page as explore_page
from dashboard.explore.source import fine_step, stepped
from dashboard.explore.view import SPANS, View, bucket_of
from dashboard.screens import Screens
from iot.partitions import ReadingsTable
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dashboard.scripted import NOON_US

#: Where the second gauge lies on the page.
AT = """() => {
  const { map, found } = window.cityopsExplore.map;
  const box = map.getCanvas().getBoundingClientRect();
  const { x, y } = map.project([found.devices[1].lon, found.devices[1].lat]);
  return [box.x + x, box.y + y];
}"""
ACTOR = Actor("viewer", "viewer", scripted.EVERYBODY)
FILL = b"""
INSERT INTO readings (device, channel, time, received, value, quality, gateway)
SELECT device, 1, at, at, 2 + device / 10.0 + sin(extract(epoch FROM at) / 14400), 0, 1
FROM generate_series(1, 3) AS device, generate_series(%(begin)s::timestamptz, %(end)s, '1 minute') AS at
"""
ROLL_UP = b"""
INSERT INTO readings_1h (device, channel, bucket, n, total, low, high)
SELECT device, channel, date_trunc('hour', time), count(*), sum(value), min(value), max(value)
FROM readings GROUP BY 1, 2, 3
"""


# -- the address -----------------------------------------------------------------------------------------------


@given(
    points=st.lists(st.from_regex(r"[A-Za-z0-9._:-]{1,20}/[a-z_]{1,10}", fullmatch=True), max_size=8, unique=True),
    span=st.sampled_from(list(SPANS)),
    between=st.none() | st.tuples(st.integers(0, 2**31), st.integers(1, 10**6)),
)  # fmt: skip
def test_the_address_says_all_of_a_view(
    points: list[str], span: str, between: tuple[int, int] | None
) -> None:
    view = View(tuple(points), span, rest=(("lang", "en"), ("map", "flood.level")))
    if between is not None:
        view = View(tuple(points), rest=view.rest).fixed(between[0] * SECOND_US, sum(between) * SECOND_US)
    assert View.of(view.search) == view


def test_what_cannot_be_read_in_an_address_is_not_asked() -> None:
    view = View.of("?p=d1/level&p=d1/level&span=forever&from=yesterday&to=2026-11-21T00:00:00Z&lang=en")
    assert view == View(("d1/level",), rest=(("lang", "en"),))
    assert View.of("?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z").begin_us is None


def test_a_longer_span_is_answered_from_a_coarser_roll_up() -> None:
    spans = [HOUR_US, DAY_US, 30 * DAY_US, 365 * DAY_US]
    assert [bucket_of(0, span) for span in spans] == ["raw", "1m", "1h", "1d"]


def test_steps_weigh_hours_by_their_readings_and_silence_is_no_number() -> None:
    devices = list(scripted.registry(2).devices.values())
    means = (
        np.array([2, 2], np.int32),
        np.array([100, 101]),
        np.array([1.0, 4.0]),
        np.array([10, 20], np.int32),
    )
    found = stepped(means, devices, (100, 100 + 96 * 2), HOUR_US)
    assert found.step_us == 2 * HOUR_US
    assert found.values.shape == (96, 2)
    assert found.values[0, 1] == pytest.approx(3.0)
    assert np.isnan(found.values[0, 0])
    assert np.isnan(found.values[1:]).all()


def test_a_map_steps_in_minutes_while_few_enough_readings_are_to_be_read() -> None:
    assert [fine_step(hours * HOUR_US, 100_000) for hours in (1, 3, 6, 24)] == [60, 120, 300, 1800]
    assert fine_step(HOUR_US, 100_001) is None
    assert fine_step(7 * DAY_US, 100) is None, "more than 96 steps of half an hour"


# -- what is read ----------------------------------------------------------------------------------------------


@pytest.fixture
async def filled(database: Database) -> Screens:
    """Three gauges that spoke once a minute for two days; the first was doubted in its last five minutes."""
    found = scripted.screens("calm", devices=4)
    found.database = database
    begin = to_datetime((NOON_US - 2 * DAY_US) // MINUTE_US * MINUTE_US)
    end = to_datetime(NOON_US)
    table = ReadingsTable(DAY_US / SECOND_US)
    async with await plain_connect(database.dsn) as connection:
        await table.prepare(connection, "off")
        await table.ensure(connection, np.arange(NOON_US - 3 * DAY_US, NOON_US + DAY_US, DAY_US))
        await connection.execute(FILL, {"begin": begin, "end": end})
        doubt = {"doubt": int(Quality.STUCK), "since": to_datetime(NOON_US - 5 * MINUTE_US)}
        await connection.execute(
            b"UPDATE readings SET quality = %(doubt)s WHERE device = 1 AND time > %(since)s", doubt
        )
        await connection.execute(ROLL_UP)
        await connection.commit()
    return found


async def test_every_grain_says_the_same_mean_as_the_readings(filled: Screens) -> None:
    explorer = scripted.explorer(filled)
    end_us = NOON_US // HOUR_US * HOUR_US
    for span_us, n in ((2 * HOUR_US, 120), (24 * HOUR_US, 1440), (40 * HOUR_US, 40)):
        view = View(("d0/level", "d1/level")).fixed(end_us - span_us, end_us)
        first, second = await explorer.lines(ACTOR, view, "zh")
        assert len(first.series) == n
        minutes = np.arange(end_us - span_us, end_us, MINUTE_US) / SECOND_US
        expected = 2.1 + np.sin(minutes / 14400).mean()
        weights = first.series.n if first.series.n is not None else np.ones(n)
        assert np.average(first.series.value, weights=weights) == pytest.approx(expected)
        assert np.average(second.series.value, weights=weights) == pytest.approx(expected + 0.1)


async def test_nobody_reads_the_points_of_an_area_that_is_not_theirs(filled: Screens) -> None:
    for device in list(filled.registry.devices.values()):
        filled.registry.devices[device.id] = replace(device, area="north")  # type: ignore[index] # it is a dict
    explorer = scripted.explorer(filled)
    abroad = replace(ACTOR, areas=frozenset({"south"}))
    assert await explorer.lines(abroad, View(("d0/level",)), "zh") == []
    assert explorer.points(abroad, "", "zh") == []
    assert explorer.quantities(abroad) == {}
    assert len(explorer.points(ACTOR, "测点 level", "zh")) == 4


async def test_the_table_for_excel_has_its_mark_and_iso_times(filled: Screens) -> None:
    async with scripted.serving(scripted.application(filled)) as url, httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/api/v1/explore/csv?p=d0/level&span=1h")
        frames = (await http.get(f"{url}/api/v1/explore/map")).json()
        hour = (await http.get(f"{url}/api/v1/explore/map?span=1h")).json()
        assert (await http.get(f"{url}/api/v1/explore/map?channel=no.such")).status_code == 404
    rows = answer.text.splitlines()
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert rows[0].lstrip("\ufeff").startswith("time,device,channel,unit,value")
    assert rows[-1].split(",")[:4] == [rows[-1][:20], "d0", "level", "m"]
    assert 59 <= len(rows) - 1 <= 61
    assert (frames["step_s"], len(frames["times"])) == (1800, 49)
    assert [each["id"] for each in frames["devices"]] == ["d0", "d1", "d2", "d3"]
    assert all(step[3] is None for step in frames["values"])
    assert (hour["step_s"], len(hour["times"])) == (60, 61)
    assert all(step[0] is not None for step in hour["values"])
    assert math.isclose(frames["values"][5][1] - frames["values"][5][0], 0.1, abs_tol=2e-4)


# -- the page --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


@asynccontextmanager
async def analysis(
    opened: Browser, found: Screens, asked: str, tiles: Path | None = None
) -> AsyncIterator[Page]:
    """The page at an address; afterwards nothing was asked elsewhere and nothing went wrong."""
    wrong: list[str] = []
    async with scripted.serving(scripted.application(found, tiles)) as url:
        page = await opened.new_page(viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda sent: wrong.append(sent.url) if not sent.url.startswith((url, "data:", "blob:")) else None,
        )
        await page.goto(f"{url}/explore{asked}")
        yield page
        await page.close()
    assert wrong == []


@pytest.mark.browser
async def test_an_address_draws_its_lines_and_a_zoom_becomes_the_address(
    opened: Browser, filled: Screens
) -> None:
    async with analysis(opened, filled, f"?p={quote('d0/level')}&p=d1/level") as page:
        await page.wait_for_selector("#explore-facts tbody tr:nth-child(2)", timeout=20_000)
        await page.wait_for_selector(".js-plotly-plot .scatterlayer .trace:nth-child(2)", timeout=20_000)
        assert "测点0 · 水位" in await page.locator("#explore-facts").inner_text()
        assert "1 分钟均值" in await page.locator("#explore-chart").inner_text()
        box = await page.locator("#explore-chart .nsewdrag").first.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] * 0.92, box["y"] + 50)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + 55, steps=3)
        await page.mouse.up()
        await page.wait_for_url(re.compile("from=.*&to="), timeout=5000)
        await page.locator("#explore-chart").filter(has_text="原始数据").wait_for(timeout=5000)
        assert "数据存疑" in await page.locator("#explore-chart").inner_text()
        await page.go_back()
        await page.locator("#explore-chart").filter(has_text="1 分钟均值").wait_for(timeout=5000)


@pytest.mark.browser
@pytest.mark.long
async def test_the_slider_is_in_the_address_and_a_point_on_the_map_is_compared(
    opened: Browser, filled: Screens, tmp_path: Path
) -> None:
    filled.setup = {**filled.setup, "map": scripted.BASE_MAP}
    async with analysis(opened, filled, "?p=d0/level", tmp_path) as page:
        await page.wait_for_selector("#explore-then[data-map=ready] input[type=range]", timeout=60_000)
        await page.locator("#explore-then input[type=range]").fill("3")
        await page.wait_for_url(re.compile("at=2026-11-20T"), timeout=5000)
        await page.locator(".js-plotly-plot .shapelayer path").first.wait_for(state="attached", timeout=5000)
        at = await page.evaluate(AT)
        await page.mouse.click(*at)
        await page.wait_for_url(re.compile("p=d1/level"), timeout=5000)
        async with page.expect_download() as picture:
            await page.locator("#explore-then header button").click()
        assert (await picture.value).suggested_filename == "cityops-map.png"


async def test_who_may_not_read_readings_gets_nothing_out_of_the_callback(filled: Screens) -> None:
    asked = {
        "output": next(iter(explore_page.CALLBACKS)),
        "outputs": [{"id": each.component_id, "property": each.component_property} for each in explore_page.DRAWN],
        "inputs": [
            {"id": f"explore-{name}", "property": what, "value": value}
            for name, what, value in (
                ("address", "search", "?p=d0/level"), ("points", "value", []), ("points", "search_value", ""),
                ("span", "value", None), ("from", "value", None), ("to", "value", None),
                ("chart", "relayoutData", None),
            )
        ],
        "state": [{"id": "explore", "property": "lang", "value": "zh-CN"}],
        "changedPropIds": ["explore-address.search"],
    }  # fmt: skip
    answers = []
    for policy in (scripted.POLICY, Policy({"screen.open": scripted.EVERYBODY}, {})):
        filled.policy = policy
        async with scripted.serving(scripted.application(filled)) as url, httpx.AsyncClient() as http:
            answers.append(await http.post(f"{url}/_dash-update-component", json=asked))
    assert "1,440" in answers[0].text
    assert answers[1].status_code == 403
    assert "1,440" not in answers[1].text
