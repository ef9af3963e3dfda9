"""The console in a real browser, on incidents that the engine made in a real database: seen, understood, acted on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from playwright.async_api import Browser, Page, ViewportSize

from app import policy, rules_api
from app.declared import Declared
from app.rulebook import Rulebook
from core.actor import Actor
from core.clock import MINUTE_US, rfc3339
from core.db import connect as plain_connect
from core.http import install_errors
from dashboard import api as screens_api
from dashboard import pages, theme, wall
from dashboard.rooms import Alerts, Incidents
from dashboard.screens import Screens
from events import api as events_api
from iot import api as iot_api
from iot.latest import Latest
from iot.partitions import ReadingsTable
from tests.app.test_rules_api import KEY, known  # noqa: F401 - a fixture
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.events.conftest import City, catalogue, city, model, texts  # noqa: F401 - fixtures
from tests.events.test_engine import burst

pytestmark = pytest.mark.browser
#: A row of a table as it is drawn.
ROW = ".ag-row[row-id]"
DESK = ViewportSize(width=1920, height=1080)
OPERATOR = Actor("u1", "值班员", frozenset({"duty_operator", "dispatcher"}))


def screens_of(town: City) -> Screens:
    empty = {topic: scripted.Script([]) for topic in ("cases", "orders", "crews", "vitals")}
    return Screens(
        database=town.database,
        clock=town.clock,
        policy=policy.load()[0],
        texts=town.texts,
        registry=town.registry,
        sources={"incidents": Incidents(town.views, town.clock), "alerts": Alerts(town.views), **empty},
        facts=scripted.Told({"incidents_today": 1}),
        setup=wall.setup(
            wall.load(), city=scripted.both(["江州市", "Jiangzhou"]), timezone="Asia/Shanghai", base_map=None
        ),
    )


def application(town: City, screens: Screens, actor: Actor, *more: APIRouter) -> FastAPI:
    app = FastAPI()
    app.state.policy, app.state.database, app.state.clock = screens.policy, town.database, town.clock
    install_errors(app, town.texts)
    app.include_router(events_api.router(town.views))
    app.include_router(screens_api.router(screens), prefix="/api/v1")
    latest = Latest(town.registry)
    sources = iot_api.Sources(lambda: town.registry, lambda: latest, "Asia/Shanghai")
    app.include_router(iot_api.router(sources), prefix="/api/v1")
    app.include_router(pages.router(town.texts))
    for router in more:
        app.include_router(router, prefix="/api/v1")

    @app.get("/api/v1/auth/me")
    async def me() -> dict[str, str]:
        return {"id": actor.id, "name": actor.name}

    for path in ("plans", "codes"):
        app.get(f"/api/v1/{path}")(nothing)
    screens_api.mount_files(app, theme.load())
    app.add_middleware(scripted.SignedIn, actor=actor, headers={})
    return app


async def nothing() -> dict[str, list[str]]:
    return {"items": []}


async def live(screens: Screens) -> None:
    """What `Screens.run` does, without waiting for news."""
    while True:
        await screens.load()
        await screens.tell_status()
        screens.hub.tick()
        await asyncio.sleep(0.3)


@asynccontextmanager
async def console(
    opened: Browser, town: City, path: str = "/console", actor: Actor = OPERATOR, *more: APIRouter
) -> AsyncIterator[Page]:
    screens = screens_of(town)
    task = asyncio.create_task(live(screens))
    errors: list[str] = []
    async with scripted.serving(application(town, screens, actor, *more)) as url:
        page = await opened.new_page(viewport=DESK, reduced_motion="reduce")
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(url + path)
        yield page
        await page.close()
        assert errors == []
    task.cancel()


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


@pytest.fixture
async def burst_city(city: City) -> City:  # noqa: F811 - the fixture
    async with await plain_connect(city.database.dsn) as connection:
        await ReadingsTable(86_400).prepare(connection, "off")
    await city.begin()
    await burst(city)
    return city


async def state_of(town: City) -> dict[str, object]:
    (incident,) = await town.incidents()
    return incident


async def test_an_operator_sees_why_acknowledges_with_one_key_and_raises_the_priority_with_a_reason(
    opened: Browser, burst_city: City
) -> None:
    async with console(opened, burst_city) as page:
        await page.wait_for_selector(".entry.waiting", timeout=15_000)
        await page.wait_for_selector("dl.said dd")
        told = await page.locator(".bench").inner_text()
        assert "疑似供水爆管" in told
        assert "证据曲线 3" in told
        assert "⟦" not in await page.locator("#console").inner_text()
        await page.keyboard.press("a")
        await page.wait_for_selector(".entry:not(.waiting)", timeout=8_000)
        assert (await state_of(burst_city))["acknowledged_by"] == "u1"
        before = int(str((await state_of(burst_city))["priority"]))
        await page.wait_for_selector(".chip:has-text('已签收')")
        await page.keyboard.press("e")
        await page.fill("dialog textarea", "影响医院供水")
        await page.locator("dialog button[type=submit]").click()
        await page.wait_for_selector(".timeline q:has-text('影响医院供水')", timeout=8_000)
        assert int(str((await state_of(burst_city))["priority"])) == max(1, before - 1)


async def test_every_view_has_an_address_and_alarms_can_be_shelved_with_a_reason(
    opened: Browser, burst_city: City
) -> None:
    async with console(opened, burst_city, "/console/alarms?lang=en") as page:
        await page.wait_for_selector(ROW, timeout=15_000)
        assert await page.locator(ROW).count() == len(await burst_city.alerts())
        await page.keyboard.press("j")
        chosen = await page.locator(".ag-row-selected").first.get_attribute("row-id")
        assert page.url.split("/console/alarms/")[1] == f"{chosen}?lang=en"
        await page.get_by_role("button", name="shelve").click()
        await page.fill("dialog textarea", "logger is being exchanged")
        await page.locator("dialog button[type=submit]").click()
        await page.wait_for_selector(f"{ROW}:has-text('shelved')", timeout=8_000)
        assert [alert["state"] for alert in await burst_city.alerts()].count("shelved") == 1
        assert "⟦" not in await page.locator("#console").inner_text()


async def test_a_table_is_sorted_narrowed_stepped_through_and_exported_as_it_stands(
    opened: Browser, burst_city: City
) -> None:
    async with console(opened, burst_city, "/console/devices") as page:
        await page.wait_for_selector(ROW, timeout=15_000)
        await page.locator(".ag-header-cell[col-id=id]").click()
        ids = await page.locator(f"{ROW} [col-id=id]").all_inner_texts()
        assert ids == sorted(burst_city.registry.devices)[: len(ids)]
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.wait_for_url(f"**/devices/{ids[1]}")
        async with page.expect_download() as begun:
            await page.get_by_role("button", name="导出 CSV").click()
        assert len(exported(await (await begun.value).path())) == 1 + len(burst_city.registry.devices)
        await page.fill("#search", ids[2])
        await page.wait_for_function(f"document.querySelectorAll('{ROW}').length === 1")
        await page.reload()
        await page.wait_for_selector(ROW)
        assert await page.locator(f"{ROW} [col-id=id]").first.inner_text() == ids[0], "sorting is kept"


async def test_what_was_known_at_a_moment_stands_in_the_address_and_can_only_be_read(
    opened: Browser, burst_city: City
) -> None:
    id_ = str((await state_of(burst_city))["id"])
    before_us = burst_city.clock.now_us() - 30 * MINUTE_US
    async with console(opened, burst_city, f"/console/incidents/{id_}?as_of={rfc3339(before_us)}") as page:
        await page.wait_for_selector(".bench:has-text('当时尚无此事件')", timeout=15_000)
        assert await page.locator(".entry").count() == 0
        await page.get_by_role("button", name="+1 小时").click()
        await page.wait_for_selector(".entry", timeout=8_000)
        assert "as_of=" in page.url
        await page.wait_for_selector("dl.said dd")
        assert await page.locator(".bench .head .actions button").all_inner_texts() == [
            "地图定位M",
            "复制链接",
            "打印",
        ]
        await page.keyboard.press("a")
        await page.get_by_role("link", name="报警").click()
        await page.wait_for_selector(ROW, timeout=8_000)
        assert await page.locator(ROW).count() == len(await burst_city.alerts())
        assert (await state_of(burst_city))["acknowledged_at"] is None
        await page.keyboard.press("t")
        await page.wait_for_selector("nav >> text=设备")
        assert "as_of" not in page.url


def exported(path: Path) -> list[str]:
    """The lines of a table as Excel takes it: UTF-8 with a mark."""
    table = path.read_bytes()
    assert table.startswith(b"\xef\xbb\xbf")
    return table.decode("utf-8-sig").splitlines()


async def test_what_a_person_may_not_do_has_no_button_and_what_is_refused_says_why(
    opened: Browser, burst_city: City
) -> None:
    id_ = str((await state_of(burst_city))["id"])
    async with console(opened, burst_city, f"/console/incidents/{id_}") as page:
        await page.wait_for_selector(".actions .primary", timeout=15_000)
        await page.evaluate("window.cityopsConsole.may = new Set()")
        await page.wait_for_selector(".bench .actions button", timeout=5_000)
        await page.wait_for_function("!document.querySelector('.bench .primary')")
        dismiss = "const c = window.cityopsConsole; c.act('incident', c.bench.incident, 'reopen')"
        await page.evaluate(dismiss)
        await page.fill("dialog textarea", "否")
        await page.locator("dialog button[type=submit]").click()
        await page.wait_for_selector("p.said.bad:has-text('此时可以')", timeout=8_000)


async def test_nothing_on_the_console_is_smaller_than_twelve_pixels(
    opened: Browser, burst_city: City
) -> None:
    async with console(opened, burst_city) as page:
        await page.wait_for_selector(".chart .empty", timeout=15_000)
        smallest = await page.evaluate(
            "Math.min(...[...document.querySelectorAll('#console *')].filter((e) => !e.closest('svg') &&"
            " [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))"
            ".map((e) => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert smallest >= 12


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_leader_reads_one_sentence_and_opens_the_worst_incident(
    opened: Browser, burst_city: City, width: int
) -> None:
    async with console(opened, burst_city, "/cockpit") as page:
        await page.set_viewport_size({"width": width, "height": 844})
        await page.wait_for_selector("#cockpit .incident", timeout=15_000)
        assert "处置中 1 起，其中三级 1 起" in await page.locator(".sentence").inner_text()
        assert "⟦" not in await page.locator("#cockpit").inner_text()
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        small = (
            "[...document.querySelectorAll('#cockpit :is(button, nav a)')].filter((e) => e.offsetHeight < 48)"
        )
        assert await page.evaluate(f"{small}.length") == 0
        await page.locator(".incident").first.click()
        await page.wait_for_selector("dl.said dd", timeout=15_000)
        assert "/console/incidents/" in page.url


@pytest.mark.long
async def test_one_box_finds_everything_and_enter_goes_there(opened: Browser, burst_city: City) -> None:
    async with console(opened, burst_city, "/console/devices") as page:
        await page.wait_for_selector(ROW)
        await page.keyboard.press("/")
        await page.keyboard.type("爆管")
        await page.locator("#found li").first.wait_for(timeout=5000)
        assert "事件" in await page.locator("#found li").first.inner_text()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/console/incidents/"), timeout=5000)
        assert await page.locator("#found li").count() == 0
        assert await page.locator("#search").input_value() == ""
        await page.keyboard.press("/")
        await page.keyboard.type("力量")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/console/crews"), timeout=5000)
        await page.locator(".board section").nth(3).wait_for(timeout=5000)


@pytest.mark.long
async def test_the_device_page_says_how_sound_its_readings_are(opened: Browser, burst_city: City) -> None:
    device = next(iter(burst_city.registry.devices))
    async with console(opened, burst_city, f"/console/devices/{device}") as page:
        await page.locator(".detail .health").wait_for(timeout=8000)
        assert "个通道的最新读数可信" in await page.locator(".health").inner_text()
        await page.locator(".detail h3", has_text="最近上报").wait_for(timeout=8000)


@pytest.mark.long
async def test_a_rule_is_mended_tried_and_put_in_force(
    opened: Browser,
    burst_city: City,
    known: Declared,  # noqa: F811 - the fixture
) -> None:
    leader = Actor("u2", "班长", frozenset({"shift_leader"}))
    rules = rules_api.router(Rulebook(known, burst_city.database))
    async with console(opened, burst_city, f"/console/rules/{KEY}", leader, rules) as page:
        text = page.locator("#rule-text")
        await text.wait_for(timeout=8000)
        assert "降雨、收水口堵塞" in await page.locator(".detail").inner_text()
        shipped = await text.input_value()
        await text.fill(shipped.replace("level: 4", "level: nine"))
        await page.get_by_role("button", name="回测").click()
        await page.locator(".mistake").filter(has_text="第 4 行").wait_for(timeout=8000)
        assert await page.locator(".editor .wrong").inner_text() == "4"
        await text.fill(shipped)
        limit = page.get_by_label("限值", exact=True).first
        await limit.fill("8")
        await limit.press("Tab")
        await page.wait_for_function("document.querySelector('#rule-text').value.includes('at_least: 8,')")
        assert await text.input_value() == shipped.replace("at_least: 5", "at_least: 8")
        activate = page.get_by_role("button", name="启用")
        assert await activate.is_disabled()
        await page.get_by_role("button", name="回测").click()
        await page.locator(".trial tbody tr").nth(3).wait_for(timeout=120_000)
        await page.locator(".reason").fill("夜间误报")
        await activate.click()
        await page.locator(".notes li").filter(has_text="夜间误报").wait_for(timeout=8000)
        assert "已修改" in await page.locator(".ag-row-selected").first.inner_text()
