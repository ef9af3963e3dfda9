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
    opened: Browser, mood: Mood, size: tuple[int, int], language: str = "zh", more: str = ""
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
        await page.goto(f"{url}/wall?lang={language}{more}")
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


@pytest.mark.parametrize(
    ("more", "rows"), [("&reader_m=6&width_mm=4800", 9), ("&reader_m=8&width_mm=4800", 6)]
)
async def test_a_distant_reader_gets_larger_type_and_fewer_rows(
    opened: Browser, more: str, rows: int
) -> None:
    async with wall(opened, "worst", FULL_HD, "zh", more) as seen:
        page = seen.page
        assert await page.locator(".vital").count() == rows
        assert f"+{13 - rows}" in await page.locator("#vitals .more").inner_text()
        assert await page.evaluate(AUDIT) == {"overflowing": [], "outside": [], "small": []}
        size = await page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
        assert size > 8 * 1.15, "body type grew with the distance"


ON_A_SEAM = """(seams) => {
  const walker = document.createTreeWalker(document.getElementById("wall"), NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const { parentElement: parent } = walker.currentNode;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const end = getComputedStyle(parent).textOverflow === "ellipsis" ? parent.getBoundingClientRect().right : Infinity;
    const boxes = [...range.getClientRects()].map(({ left, right }) => [left, Math.min(right, end)]);
    const hit = boxes.some(([left, right]) => seams.some((x) => left < x - 1 && right > x + 1));
    if (hit && !parent.closest("#foot")) found.push(walker.currentNode.textContent);
  }
  return found;
}"""


@pytest.mark.parametrize(
    ("profile", "seams", "language"),
    [
        ("profile=lcd", (640, 1280), "zh"),
        pytest.param(
            "width_mm=4800&reader_m=5&seams_mm=1200,2400,3600", (480, 960, 1440), "en", marks=pytest.mark.long
        ),
    ],
)
async def test_no_word_lies_on_a_bezel(
    opened: Browser, profile: str, seams: tuple[int, ...], language: str
) -> None:
    async with wall(opened, "alarm", FULL_HD, language, f"&{profile}") as seen:
        await seen.page.locator(".kpi").first.wait_for()
        assert await seen.page.evaluate(ON_A_SEAM, seams) == []
        assert await seen.page.evaluate(AUDIT) == {"overflowing": [], "outside": [], "small": []}


async def test_a_wall_that_loads_anew_shows_the_old_picture_until_the_new_one_stands(opened: Browser) -> None:
    async with wall(opened, "alarm", FULL_HD) as seen:
        page = seen.page
        for turn in (1, 2):
            frame = page.frames[-1]
            begun = """() => {
              window.cityopsWall.old = true;
              window.cityopsRenewal.begin();
              const counted = (page, selector) => page.querySelectorAll(selector).length;
              return [counted(parent.document, "iframe.next"), counted(document, "#counters .c1")];
            }"""
            assert await frame.evaluate(begun) == [1, 1], "the old picture stands while the new one is made"
            await page.locator("iframe.shown").wait_for(timeout=20_000)
            await page.locator("iframe.next").wait_for(state="detached")
            assert await page.locator("iframe").count() == 1, f"turn {turn}"
            assert await page.locator("#wall").count() == 0, "the first one has left"
            assert await page.frames[-1].locator("#counters .c1 b").inner_text() == "1"
            assert await page.frames[-1].evaluate("window.cityopsWall.old") is None
        assert seen.errors == []


async def test_what_is_minor_and_known_has_no_card_until_it_waits_for_somebody(opened: Browser) -> None:
    async with wall(opened, "calm", FULL_HD) as seen:
        page = seen.page
        assert await page.locator("#stream .incident.l4").count() == 3
        assert await page.locator("#card .card").count() == 0
        waiting = {**scripted.incidents("calm")[0], "acknowledged_at": None, "state": "open"}
        seen.screens.nouns["incidents"].put([waiting])
        await page.locator("#card .card.l4").wait_for(timeout=4000)


async def test_scenes_take_turns_and_a_level_2_incident_stops_them_at_its_own(opened: Browser) -> None:
    async with wall(opened, "calm", FULL_HD, "zh", "&rotate=1") as seen:
        page = seen.page
        await page.evaluate("window.cityopsWall.scenes.rotateMs = 1500")
        await page.get_by_text("防汛", exact=True).first.wait_for(timeout=8000)
        await page.locator("#vitals h2 small").filter(has_text="供水").wait_for(timeout=8000)
        known = {**scripted.incidents("alarm")[2], "domain": "gas"}
        seen.screens.nouns["incidents"].put([known])
        await page.locator("#vitals h2 small").filter(has_text="燃气").wait_for(timeout=8000)
        await page.wait_for_timeout(2500)
        assert await page.locator("#vitals h2 small").inner_text() == "燃气"
        assert await page.locator(".turn").count() == 0


async def test_a_level_1_alarm_ends_the_guided_tour_at_once(opened: Browser) -> None:
    async with wall(opened, "calm", FULL_HD, "zh", "&tour=1") as seen:
        page = seen.page
        await page.locator(".caption").wait_for(timeout=8000)
        await page.keyboard.press("ArrowRight")
        assert "城市体征" in await page.locator(".caption").inner_text()
        seen.screens.nouns["incidents"].put([scripted.incidents("alarm")[0]])
        await page.locator(".caption").wait_for(state="detached", timeout=4000)


async def test_drill_replay_and_a_broken_source_look_like_what_they_are(opened: Browser) -> None:
    async with wall(opened, "alarm", FULL_HD) as seen:
        page = seen.page
        seen.screens.mode = "drill"
        await page.locator(".frame-drill").filter(has_text="演练").wait_for(timeout=4000)
        seen.screens.mode = "replay"
        await page.locator(".frame-replay").filter(has_text="回放").wait_for(timeout=4000)
        seen.screens.mode = "live"
        shelved = {"id": "s1", "device": "d1", "level": 4, "state": "shelved"}
        seen.screens.nouns["alerts"].put([shelved])
        await page.locator("#foot").get_by_text("搁置报警 1").wait_for(timeout=4000)
        seen.screens._broken.add("cases")
        await page.locator("#dispatch.broken").wait_for(timeout=4000)
        assert await page.locator(".broken").count() == 1, "only that panel says so"


async def test_the_console_s_orders_reach_the_wall(opened: Browser) -> None:
    async with wall(opened, "alarm", FULL_HD) as seen:
        page = seen.page
        until = scripted.ago(-30)
        mute = {"name": "林静", "reason": "领导讲话", "until": scripted.ago(-5)}
        item = {
            "id": "wall/wall",
            "scene": "flood",
            "incident": "i2",
            "until": until,
            "by": "林静",
            "mute": mute,
        }
        seen.screens.status.put([item])
        await page.locator("#vitals h2 small").filter(has_text="防汛").wait_for(timeout=5000)
        await page.locator("#card h3").filter(has_text="延安东路").wait_for(timeout=5000)
        assert await page.locator(".kpi").count() == 5, "figures and weather are those of every scene"
        assert await page.locator(".weather > div").count() == 3
        assert "林静 已静音至 15:47：领导讲话" in await page.locator("#foot").inner_text()


async def test_without_colour_the_two_unacknowledged_incidents_are_still_first_and_ringed(
    opened: Browser,
) -> None:
    async with wall(opened, "alarm", FULL_HD) as seen:
        page = seen.page
        await page.add_style_tag(content="html { filter: grayscale(1); }")
        rows = page.locator("#stream .incident")
        for number in range(await rows.count()):
            ringed = await rows.nth(number).locator(".ring").count()
            assert bool(ringed) is (number < 2)
        numerals = [await rows.nth(n).locator("svg text").text_content() for n in range(2)]
        assert numerals == ["1", "2"]


async def test_the_picture_shifts_and_dims_at_night_but_not_while_a_level_1_incident_is_open(
    opened: Browser,
) -> None:
    async with wall(opened, "calm", FULL_HD) as seen:
        page = seen.page
        at = "new Date('2026-11-21T16:30:00Z').getTime()"
        dark = "document.querySelector('#wall.night') !== null"
        assert await page.evaluate(f"window.cityopsWall.care.tick({at}, false), {dark}") is True
        assert await page.evaluate(f"window.cityopsWall.care.tick({at}, true), {dark}") is False
        shift = f"window.cityopsWall.care.tick({at} + n * 180000, false);"
        shift += "return document.getElementById('wall').style.translate"
        shifts = await page.evaluate(f"[0, 1, 2].map((n) => {{ {shift} }})")
        assert len(set(shifts)) == 3
