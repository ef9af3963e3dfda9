"""The designed states of the wall, each seen in a browser (brief §7), sight without red and green, an endurance run."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser, Page

from app.cli.shot import PIXELS
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dashboard.scripted import Mood
from tests.dashboard.test_wall_browser import FULL_HD, Seen, wall

pytestmark = [pytest.mark.browser, pytest.mark.long]
#: Readings of the least difference that is still told apart (CIE76), for levels on the wall.
TELLABLE = 20.0
SOAK_S = 90.0
AUDIT = (Path(__file__).parent / "audit.js").read_text("utf-8")


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


async def test_a_wall_that_still_waits_shows_blocks_and_then_says_so(opened: Browser) -> None:
    """No spinner: blocks, and after eight seconds words."""
    found = scripted.screens("calm", devices=20)
    async with scripted.serving(scripted.application(found)) as url:
        page = await opened.new_page(viewport={"width": 1920, "height": 1080})
        await page.route_web_socket("**/stream", lambda _socket: None)  # it opens, and nobody says anything
        await page.goto(f"{url}/wall")
        await page.wait_for_selector("#vitals")
        assert await page.locator("#vitals .vital").count() == 0
        await page.wait_for_timeout(9500)
        said = "getComputedStyle(document.getElementById('vitals'), '::after')"
        assert await page.evaluate(f"[{said}.content, {said}.opacity]") == ['"仍在加载"', "1"]
        await page.close()


STATES: list[tuple[str, Mood, str]] = [
    ("empty", "empty", "#stream .empty"),
    ("stale", "stale", ".vital.stale"),
    ("no data", "stale", ".vital.no_data"),
    ("too few sensors", "stale", ".vital.low_coverage"),
    ("alarm", "alarm", ".vital.wash"),
    ("worst", "worst", ".incident.waiting"),
]


@pytest.mark.parametrize(("name", "mood", "sign"), STATES)
async def test_a_state_has_its_look(
    opened: Browser, tmp_path: Path, name: str, mood: Mood, sign: str
) -> None:
    async with wall(opened, mood, FULL_HD) as seen:
        await seen.page.locator(sign).first.wait_for(timeout=8000)
        await pictured(seen, tmp_path / f"{name}.png")


async def test_an_estimated_value_is_tagged(opened: Browser, tmp_path: Path) -> None:
    async with wall(opened, "calm", FULL_HD) as seen:
        row = next(item for item in scripted.vitals("calm") if item["slot"] == "row")
        seen.screens.nouns["vitals"].put([{**row, "state": "estimated"}])
        await seen.page.locator(".vital.estimated .tag").filter(has_text="预").wait_for(timeout=8000)
        await pictured(seen, tmp_path / "estimated.png")


@pytest.mark.parametrize("mode", ["drill", "replay"])
async def test_what_is_not_real_is_framed(opened: Browser, tmp_path: Path, mode: str) -> None:
    async with wall(opened, "alarm", FULL_HD) as seen:
        seen.screens.mode = mode
        await seen.page.locator(f".frame-{mode}").wait_for(timeout=8000)
        await pictured(seen, tmp_path / f"{mode}.png")


async def pictured(seen: Seen, path: Path) -> None:
    """A picture is taken, and nothing in it overflows or falls below the floor."""
    assert await seen.page.evaluate(AUDIT) == {"overflowing": [], "outside": [], "small": []}
    assert len(await seen.page.screenshot(path=path)) > 20_000
    assert seen.errors == []


DRAWN = """() => {
  const { map, covers } = window.cityopsWall.map;
  const names = map.getStyle().layers.filter(({ id }) => id.startsWith("label-")).map(({ id }) => id);
  const seen = (box) => map.queryRenderedFeatures(box, { layers: names });
  return {
    minor: map.queryRenderedFeatures({ layers: ["minor"] }).map((each) => each.properties.point_count ?? 1),
    named: seen().length > 0,
    under: covers.flatMap(([left, top, right, bottom]) => seen([[left, top], [right, bottom]])).length,
  };
}"""


async def test_the_map_clusters_what_is_minor_keeps_names_clear_prints_and_outlives_its_context(
    opened: Browser, tmp_path: Path
) -> None:
    found = scripted.screens("alarm", devices=60, base_map=scripted.BASE_MAP)
    task = asyncio.create_task(scripted.live(found))
    async with scripted.serving(scripted.application(found, tmp_path)) as url:
        page = await opened.new_page(viewport={"width": 1920, "height": 1080}, reduced_motion="reduce")
        await page.goto(f"{url}/wall")
        await page.wait_for_selector("#wall[data-map=ready]", timeout=180_000)
        minor = scripted.incidents("calm")[0]
        near = [{**minor, "id": f"m{n}", "lon": minor["lon"] + n * 1e-4} for n in range(3)]
        found.nouns["incidents"].put(near)
        await page.wait_for_timeout(6000)
        told = await page.evaluate(DRAWN)
        assert max(told["minor"]) >= 3
        assert told["named"]
        assert told["under"] == 0
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        picture = await page.evaluate("document.getElementById('map').style.backgroundImage.slice(0, 20)")
        assert picture == 'url("data:image/png;'
        lose = (
            "window.cityopsWall.map.map.getCanvas().getContext('webgl2').getExtension('WEBGL_lose_context')"
        )
        await page.evaluate(f"{lose}.loseContext()")
        await page.locator("iframe.shown").wait_for(timeout=180_000)
        await page.close()
    task.cancel()


async def test_levels_are_told_apart_without_red_and_green(opened: Browser) -> None:
    """The counters as a deuteranope sees them: colours still differ, and shapes and numerals do anyway."""
    async with wall(opened, "worst", FULL_HD) as seen:
        session = await seen.page.context.new_cdp_session(seen.page)
        await session.send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
        colours = [await ink(opened, seen.page, f"#counters .c{level} .shape") for level in (1, 2, 3, 4)]
        assert all(distance(one, other) >= TELLABLE for one, other in combinations(colours, 2)), colours
        outlines = await seen.page.locator("#counters .shape > path:last-of-type").evaluate_all(
            "all => all.map((e) => e.getAttribute('d'))"
        )
        assert len(set(outlines)) == 4
        numerals = await seen.page.locator("#counters .shape text").all_text_contents()
        assert numerals == ["1", "2", "3", "4"]


async def ink(opened: Browser, page: Page, selector: str) -> NDArray[np.float64]:
    """The colour that fills most of a shape, as CIE L*a*b*."""
    picture = await page.locator(selector).first.screenshot()
    reader = await opened.new_page()
    data = base64.b64decode(await reader.evaluate(PIXELS, base64.b64encode(picture).decode()))
    await reader.close()
    pixels = np.frombuffer(data, np.uint8).reshape(-1, 4)[:, :3]
    vivid = pixels[pixels.max(1) > 120]
    values, counts = np.unique(vivid, axis=0, return_counts=True)
    coloured = values[np.ptp(values, axis=1) > 20] if (np.ptp(values, axis=1) > 20).any() else values
    weights = counts[np.ptp(values, axis=1) > 20] if (np.ptp(values, axis=1) > 20).any() else counts
    return lab(coloured[weights.argmax()] / 255)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of sRGB."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ linear / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other))


async def test_ten_updates_a_second_leave_no_gap_and_no_growing_heap(opened: Browser) -> None:
    """A minute and a half of what `python -m app.bench.wall --soak` does for as long as it is told."""
    async with wall(opened, "alarm", FULL_HD) as seen:
        ticking = asyncio.create_task(hurry(seen))
        session = await seen.page.context.new_cdp_session(seen.page)
        sizes = []
        for _ in range(7):
            await asyncio.sleep(SOAK_S / 7)
            await session.send("HeapProfiler.collectGarbage")
            sizes.append(float(await seen.page.evaluate("performance.memory.usedJSHeapSize")) / 2**20)
        ticking.cancel()
        assert await seen.page.evaluate("window.cityopsWall.live.gaps") == 0
        assert max(sizes[3:]) - min(sizes[1:4]) < 3, sizes
        assert seen.errors == []


async def hurry(seen: Seen) -> None:
    while True:
        scripted.speak(seen.screens, seen.screens.clock.now_us())
        seen.screens.hub.tick()
        await asyncio.sleep(0.1)
