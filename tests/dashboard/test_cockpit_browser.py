"""The cockpit and the page of vital signs in a real browser: a sheet of paper, fingers, the way to the readings."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, Route

from dashboard.vitals import index
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dashboard.scripted import Mood
from tests.dashboard.test_clerk import Town, town  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.long]
#: What a finger must hit: at least 48 px high.
SMALL = """[...document.querySelectorAll('#cockpit :is(button, a)')].filter((e) => e.offsetHeight < 48)
  .map((e) => e.outerHTML.slice(0, 120))"""
WEEKDAY = {
    "items": [
        {"id": key, "today": [*range(100, 115), *[None] * 9], "before": list(range(90, 114)), "days": 4}
        for key in ("dis_received", "ws_supply_flow", "dis_open", "dis_handle_ontime")
    ]
}
WAITING: dict[str, dict[str, object]] = {
    "commands": {
        "device": "led-1",
        "channel": "siren_on",
        "value": 1,
        "reason": "下穿积水 " * 8,
    },
    "permits": {"title": {"text": "Night work permit at a very long street name " * 2}},
    "bulletins": {"title": {"text": "暴雨内涝首报"}},
}


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


async def answer(route: Route) -> None:
    """Full lists of what waits, and four figures with their weekdays."""
    name = route.request.url.split("/api/v1/")[1].split("?")[0]
    given = WAITING.get(name)
    body = (
        WEEKDAY
        if given is None
        else {"items": [{**given, "id": f"{name}{n}", "number": f"{n}"} for n in range(4)]}
    )
    await route.fulfill(body=json.dumps(body), content_type="application/json")


@asynccontextmanager
async def cockpit(opened: Browser, mood: Mood, language: str, width: int, height: int) -> AsyncIterator[Page]:
    found = scripted.screens(mood, devices=20)
    task = asyncio.create_task(scripted.live(found))
    async with scripted.serving(scripted.application(found)) as url:
        page = await opened.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        await page.route(re.compile(r"/api/v1/(vitals/weekday|commands|permits|bulletins)"), answer)
        await page.goto(f"{url}/cockpit?lang={language}")
        await page.wait_for_selector(".figure")
        await page.wait_for_selector(".weekdays .curve .today", state="attached")
        await page.wait_for_timeout(500)
        yield page
        await page.close()
    task.cancel()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("mood", ["calm", "worst"])
async def test_the_brief_is_one_sheet(opened: Browser, mood: Mood, language: str) -> None:
    async with cockpit(opened, mood, language, 1280, 800) as page:
        paper = await page.pdf(prefer_css_page_size=True, print_background=True)
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
        assert re.search(rb"/MediaBox\s*\[0 0 59[45][.\d]* 84[12]", paper), "A4"
        await page.emulate_media(media="print")
        assert "brief" in await page.inner_text("h1 .paper") or "简报" in await page.inner_text("h1 .paper")
        assert not await page.locator("nav").is_visible()
        ground = await page.evaluate("getComputedStyle(document.querySelector('.figure')).backgroundColor")
        assert ground == "rgb(255, 255, 255)", "light on paper"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1200), (390, 844)])
async def test_everything_can_be_touched_and_nothing_is_cut_off(
    opened: Browser, width: int, height: int, language: str
) -> None:
    async with cockpit(opened, "worst", language, width, height) as page:
        assert await page.evaluate(SMALL) == []
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert "⟦" not in await page.locator("#cockpit").inner_text()
        assert await page.locator(".figure").count() == 6
        assert await page.locator(".decision").count() == 3
        await page.locator(".waits > button").click()
        await page.locator(".decision").nth(12).wait_for()


async def test_while_level_1_stands_the_cockpit_shows_the_worst_part_and_says_so(opened: Browser) -> None:
    async with cockpit(opened, "alarm", "zh", 1280, 800) as page:
        assert await page.inner_text(".index b") == "10"
        assert "一级事件在办" in await page.inner_text(".index")
        assert await page.locator(".index.l1").count() == 1
        assert await page.inner_text(".parts li.l1") == "供水\n10"


async def test_what_a_leader_confirms_is_sent_once_and_leaves_the_list(opened: Browser) -> None:
    async with cockpit(opened, "calm", "zh", 1280, 800) as page:
        sent: list[str] = []

        async def take(route: Route) -> None:
            sent.append(f"{route.request.url.split('/api/v1')[1].split('?')[0]} {route.request.post_data}")
            await route.fulfill(body="{}", content_type="application/json")

        await page.route("**/api/v1/commands/*/actions*", take)
        await page.get_by_role("button", name="确认执行").first.click()
        await page.locator(".waits h2 small", has_text="11").wait_for()
        assert sent == ['/commands/commands0/actions {"action":"confirm","reason":""}']


async def test_two_clicks_lead_from_a_value_to_its_formula_and_to_its_readings(
    opened: Browser,
    town: Town,  # noqa: F811 - the fixture
) -> None:
    now = town.clock.now_us()
    clerk = town.clerk()
    await clerk.start()
    for device, value in (("p1", 0.31), ("p2", 0.27)):
        clerk.take(await town.say(device, "pressure", [now], [value]))
    await clerk.turn()
    found = scripted.screens("calm", devices=20)
    found.registry, found.vitals = town.registry, town.source()
    found.sources = {**found.sources, "vitals": town.source()}
    found.use(town.registry)
    found.points.table.add(clerk.table.latest.batch())
    task = asyncio.create_task(scripted.live(found))
    async with scripted.serving(scripted.application(found)) as url:
        page = await opened.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{url}/vitals?lang=zh")
        await page.locator(f".card[href*='/vitals/{town.vitals[0].key}']").wait_for()
        assert await page.locator(".card").count() == len(town.vitals), "the index is no card"
        shown = await page.inner_text(".card[href*=ws_pressure_min] b")
        await page.locator(".card[href*=ws_pressure_min]").click()
        await page.wait_for_selector(".input tbody tr")
        assert "lowest(p)" in await page.inner_text(".formula")
        assert await page.inner_text(".head b") == shown
        rows = await page.locator(".input tbody tr").all_inner_texts()
        assert [row.split("\t")[1] for row in rows] == ["0.31", "0.27", "—"]
        assert "从未收到" in rows[2]
        await page.locator(".input tbody a").first.click()
        await page.wait_for_url(re.compile(r"/explore\?p=p1(%2F|/)pressure"))
        await page.goto(f"{url}/vitals/{index.KEY}?lang=zh")
        await page.wait_for_selector(".index tfoot")
        assert "100.0%" in await page.inner_text(".index tfoot")
        await page.close()
    task.cancel()
