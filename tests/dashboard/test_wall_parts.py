"""Parts of the wall's modules by themselves, in a real browser: tones, gliding units, initials, formats of figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Page

from tests.dashboard import scripted
from tests.dashboard.browser import browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def page() -> AsyncIterator[Page]:
    """An empty page of our own origin, under our own content-security policy."""
    async with (
        scripted.serving(scripted.application(scripted.screens("calm", devices=1))) as url,
        browser() as found,
    ):
        opened = await found.new_page()
        await opened.goto(f"{url}/assets/icon.svg")
        yield opened


TONES = """async () => {
  const played = [];
  window.AudioContext = class {
    currentTime = 0;
    createGain() {
      return { gain: { setValueAtTime() {}, linearRampToValueAtTime() {} }, connect: (to) => to };
    }
    createOscillator() {
      const tone = { frequency: {}, connect: (to) => to, start: () => played.push(tone.frequency.value), stop() {} };
      return tone;
    }
  };
  const { Sound } = await import("/assets/wall/sound.mjs");
  const open = (id, level) => ({ id, level, state: "open" });
  const minute = (incidents, mute) => {
    played.length = 0;
    const sound = new Sound(true);
    for (let second = 0; second < 60; second += 1) sound.tick(incidents, second * 1000, mute);
    return [...played];
  };
  return {
    one: minute([open("a", 1)]),
    two: minute([open("a", 2)]),
    three: minute([open("a", 3)]),
    four: minute([open("a", 4)]),
    known: minute([{ ...open("a", 1), acknowledged_at: "2026-01-01T00:00:00Z" }]),
    mute: minute([open("a", 1)], { until: new Date(30000).toISOString() }),
  };
}"""


async def test_each_level_has_its_tone_and_silence_lasts_as_long_as_it_was_given(page: Page) -> None:
    heard: dict[str, list[int]] = await page.evaluate(TONES)
    assert heard == {
        "one": [880, 660] * 12, "two": [660] * 2, "three": [520], "four": [], "known": [], "mute": [880, 660] * 6
    }  # fmt: skip


UNITS = """async () => {
  const { Units } = await import("/assets/wall/units.mjs");
  const units = new Units();
  const fix = (seconds) => new Date(seconds * 1000).toISOString();
  const crew = (lon, seconds) => ({ id: "c", state: "busy", lon, lat: 31, position_at: fix(seconds) });
  units.take([crew(121.0, 0)], 0);
  units.take([crew(121.2, 10)], 10000);
  const at = (ms) => ({ ...units.drawn(ms)[0], moving: units.moving(ms) });
  const seen = [at(10000), at(15000), at(20000), at(41000)];
  units.take([], 42000);
  return [...seen, units.drawn(42000).length];
}"""


async def test_a_unit_glides_between_two_fixes_and_stops_when_the_last_is_old(page: Page) -> None:
    *seen, left = await page.evaluate(UNITS)
    assert [round(each["lon"], 3) for each in seen] == [121.0, 121.1, 121.2, 121.2]
    assert [each["moving"] for each in seen] == [True, True, False, False]
    assert [each["old"] for each in seen] == [False, False, False, True]
    assert left == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [("林静", "林静"), ("Lin Jing", "LJ"), ("mary.ann.lee", "MAL"), ("operator", "operator")],
)
async def test_who_acknowledged_is_named_in_few_letters(page: Page, name: str, shown: str) -> None:
    script = "async (name) => (await import('/assets/wall/right.mjs')).initials(name)"
    assert await page.evaluate(script, name) == shown


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (3482, 0, "3,482"),
        (-0.25, 2, "−0.25"),
        (12.3456, 3, "12.35"),
        (99999.5, 1, "100,000"),
        (-0.001, 1, "0.0"),
    ],
)
async def test_figures_have_four_significant_digits_and_a_real_minus(
    page: Page, value: float | None, digits: int, shown: str
) -> None:
    script = "async ([value, digits]) => (await import('/assets/lib/format.mjs')).number(value, digits)"
    assert await page.evaluate(script, [value, digits]) == shown


async def test_scripts_come_from_us_alone_and_files_of_a_version_are_kept(page: Page) -> None:
    """No inline script, no eval: what is neither ours nor one of Dash's by its hash does not run."""
    base = page.url.removesuffix("/assets/icon.svg")
    async with httpx.AsyncClient(base_url=base) as http:
        told = await http.get("/wall")
        policy: dict[str, Any] = dict(
            part.split(" ", 1) for part in told.headers["content-security-policy"].split("; ")
        )
        assert policy["script-src"].startswith("'self'")
        assert "unsafe" not in policy["script-src"]
        assert policy["default-src"] == "'self'"
        boot = told.text.split('async src="')[1].split('"')[0]
        kept = await http.get(boot)
        asked = await http.get("/assets/boot.mjs")
        sheet = await http.get(boot.replace("boot.mjs", "theme.css"))
    assert kept.text == asked.text
    assert "immutable" in kept.headers["cache-control"]
    assert "immutable" in sheet.headers["cache-control"]
    assert asked.headers["cache-control"] == "no-cache"


FLIGHTS = """async () => {
  const { WallMap } = await import("/assets/wall/map.mjs");
  const map = new WallMap(null, { k: 1, reduced: true });
  const flown = [];
  map.ready = true;
  map.focus = ({ id }, nowMs) => {
    Object.assign(map, { flownMs: nowMs, focused: id });
    flown.push([id, nowMs / 1000]);
  };
  const open = (id, level) => ({ id, level, state: "open", lon: 121, lat: 31 });
  const standing = [open("old", 1)];
  const at = (seconds, ...fresh) => map.follow(standing.concat(fresh), seconds * 1000) ?? map.focused;
  const three = [at(0), at(1, open("l3", 3), open("l4", 4))];
  const [a, b, c] = [open("a", 2), open("b", 2), open("c", 1)];
  at(10, a);
  at(15, a, b, c);
  at(30, a, b, c);
  at(31, a, b, c);
  at(76, a, b, c);
  const still = map.focused;
  at(77, a, b, c);
  return { flown, still, back: map.focused, three };
}"""


async def test_the_map_flies_only_for_new_levels_1_and_2_not_too_often_and_comes_back(page: Page) -> None:
    told = await page.evaluate(FLIGHTS)
    assert told["flown"] == [["a", 10], ["c", 31]], (
        "the second waits for 20 s, and the worst of those that wait is shown"
    )
    assert (told["still"], told["back"]) == ("c", None), "back to the whole city after 45 s"
    assert told["three"] == [None, None]


ORDER = """async () => {
  const { inOrder } = await import("/assets/wall/right.mjs");
  const at = (seconds) => new Date(seconds * 1000).toISOString();
  const row = (id, level, state, opened, more) => {
    return { id, level, state, opened_at: at(opened), changed_at: at(opened), ...more };
  };
  const rows = [
    row("known 1", 1, "confirmed", 10, { acknowledged_at: at(11) }),
    row("new 4", 4, "open", 20),
    row("new 2, old", 2, "open", 5),
    row("new 2", 2, "open", 9),
    row("closed 59 s ago", 1, "resolved", 41),
    row("closed 61 s ago", 1, "resolved", 39),
  ];
  return inOrder(rows, 100000).map(({ id }) => id);
}"""


async def test_unacknowledged_stand_first_and_closed_ones_leave_after_a_minute(page: Page) -> None:
    told = await page.evaluate(ORDER)
    assert told == ["new 2", "new 2, old", "new 4", "known 1", "closed 59 s ago"]
