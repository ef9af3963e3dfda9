"""The wall in a real browser: fills itself live, keeps to its type floor, asks nobody else, says when it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from dashboard.screens import Screens
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dashboard.scripted import Mood

pytestmark = pytest.mark.browser

AUDIT = (Path(__file__).parent / "audit.js").read_text("utf-8")


@dataclass(slots=True)
class Seen:
    """What a page did while it was open."""

    page: Page
    screens: Screens
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@asynccontextmanager
async def wall(
    opened: Browser, mood: Mood, size: tuple[int, int], language: str = "zh"
) -> AsyncIterator[Seen]:
    screens = scripted.screens(mood, devices=60)
    task = asyncio.create_task(scripted.live(screens))
    async with scripted.serving(scripted.application(screens)) as url:
        size_of = ViewportSize(width=size[0], height=size[1])
        page = await opened.new_page(viewport=size_of, reduced_motion="reduce")
        seen = Seen(page, screens)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
        await page.goto(f"{url}/wall?lang={language}")
        await page.wait_for_selector("#foot .foot .good", timeout=20_000)
        await page.wait_for_selector("#counters .counter")
        yield seen
        await page.close()
        assert [each for each in seen.requests if not each.startswith((url, "data:", "blob:"))] == []
    task.cancel()


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


async def test_an_incident_appears_on_the_open_wall_and_leaves_it_when_resolved(opened: Browser) -> None:
    async with wall(opened, "empty", (1920, 1080)) as seen:
        page = seen.page
        assert await page.locator("#stream .empty").count() == 1
        known = scripted.incidents("alarm")[0]
        seen.screens.nouns["incidents"].put([known])
        await page.wait_for_selector("#stream .incident.l1.waiting", timeout=3000)
        assert "供水主管爆管" in await page.locator("#stream .incident h4").inner_text()
        assert await page.locator("#counters .c1 b").inner_text() == "1"
        assert await page.locator("#card .card.l1").count() == 1
        seen.screens.nouns["incidents"].remove([known["id"]])
        await page.wait_for_selector("#stream .empty", timeout=3000)
        assert seen.errors == []


FULL_HD, UHD, WIDE = (1920, 1080), (3840, 2160), (7680, 2160)
NOW = [("worst", FULL_HD, "zh"), ("worst", FULL_HD, "en"), ("worst", WIDE, "en")]
LATER = [
    (mood, size, language)
    for mood in ("calm", "worst", "empty")
    for size in (FULL_HD, UHD, WIDE)
    for language in ("zh", "en")
    if (mood, size, language) not in NOW
]


@pytest.mark.parametrize(
    ("mood", "size", "language"), [*NOW, *(pytest.param(*each, marks=pytest.mark.long) for each in LATER)]
)
async def test_nothing_overflows_and_nothing_is_below_the_type_floor(
    opened: Browser, mood: Mood, size: tuple[int, int], language: str
) -> None:
    async with wall(opened, mood, size, language) as seen:
        assert await seen.page.evaluate(AUDIT) == {"overflowing": [], "outside": [], "small": []}
        assert "⟦" not in await seen.page.locator("#wall").inner_text()
        assert seen.errors == []


async def test_a_killed_server_is_said_within_six_seconds_and_the_wall_recovers_without_a_reload(
    opened: Browser,
) -> None:
    screens = scripted.screens("alarm", devices=60)
    task = asyncio.create_task(scripted.live(screens))
    page = await opened.new_page(viewport={"width": 1920, "height": 1080})
    async with scripted.serving(scripted.application(screens)) as url:
        await page.goto(f"{url}/wall")
        await page.wait_for_selector("#foot .foot .good", timeout=20_000)
        await page.evaluate("window.stays = true")
    await page.wait_for_selector("#wall.disconnected .cutoff", timeout=6_500)
    words = await page.locator("#foot").inner_text()
    assert "不可据此指挥" in words
    assert "连接中断" in words
    assert await page.locator(".blink").count() == 0
    async with scripted.serving(scripted.application(screens), int(url.rsplit(":", 1)[1])):
        await page.wait_for_selector("#wall:not(.disconnected) .good", timeout=30_000)
        assert await page.evaluate("window.stays") is True
    await page.close()
    task.cancel()


async def test_stale_and_missing_values_are_designed_states(opened: Browser) -> None:
    async with wall(opened, "stale", (1920, 1080)) as seen:
        page = seen.page
        assert await page.locator(".vital.stale").count() >= 4
        assert await page.locator(".vital.no_data b").nth(1).inner_text() == "—"
        assert "数据过期" in await page.locator(".vital.stale").first.inner_text()
        assert "覆盖不足 6/10" in await page.locator(".vital.low_coverage").inner_text()
