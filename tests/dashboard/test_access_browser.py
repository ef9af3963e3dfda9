"""WCAG 2.2 AA of the pages that people work with, as far as a program can tell; every view of each, both languages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dashboard.test_console_browser import burst_city, console  # noqa: F401 - the fixture
from tests.events.conftest import City, catalogue, city, model, texts  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.long]
AUDIT = (Path(__file__).parent / "access.js").read_text("utf-8")
#: Focus rings are drawn as outlines or as boxes.
FOCUS = """() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  const seen = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none";
  const { x, y, width, height } = e.getBoundingClientRect();
  return { tag: e.tagName, name: e.id || e.className, seen: seen || style.boxShadow !== "none", x, y, width, height };
}"""


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


async def tabbed(page: Page, steps: int) -> list[dict[str, object]]:
    """Where the keyboard goes."""
    found = []
    for _ in range(steps):
        await page.keyboard.press("Tab")
        found.append(await page.evaluate(FOCUS))
    return found


@pytest.mark.parametrize(
    ("view", "language"),
    [
        *((view, "en") for view in ("incidents", "alarms", "cases")),
        *((view, "zh") for view in ("incidents", "devices", "crews", "crews?as=table", "log")),
        ("incidents?as_of=2026-11-21T04:10:00Z", "zh"),
    ],
)
async def test_a_view_of_the_console_can_be_read_and_reached(
    opened: Browser,
    burst_city: City,  # noqa: F811 - the fixture
    view: str,
    language: str,
) -> None:
    async with console(
        opened, burst_city, f"/console/{view}{'&' if '?' in view else '?'}lang={language}"
    ) as page:
        await page.wait_for_selector("#console footer.foot span")
        await page.wait_for_timeout(800)
        assert await page.evaluate(AUDIT) == []
        stops = await tabbed(page, 8)
        assert all(stop["seen"] for stop in stops if stop["tag"] != "BODY"), stops
        assert len({(stop["x"], stop["y"]) for stop in stops}) >= 6, "the keyboard gets on"


@pytest.mark.parametrize(
    ("path", "ready"),
    [("/cockpit?lang=zh", ".figure"), ("/vitals?lang=en", ".card"), ("/explore?p=d1/level&lang=en", "h2")],
)
async def test_cockpit_vital_signs_and_analysis_can_be_read_and_reached(
    opened: Browser, path: str, ready: str
) -> None:
    found = scripted.screens("alarm", devices=20)
    task = asyncio.create_task(scripted.live(found))
    async with scripted.serving(scripted.application(found)) as url:
        page = await opened.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        await page.goto(url + path)
        await page.wait_for_selector(ready)
        await page.wait_for_timeout(3000)
        assert await page.evaluate(AUDIT) == []
        assert all(stop["seen"] for stop in await tabbed(page, 6) if stop["tag"] != "BODY")
        await page.close()
    task.cancel()
