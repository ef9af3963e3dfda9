"""The responder's page in a phone-sized browser, on real orders: one button leads through; the sensors may say no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from playwright.async_api import Page, ViewportSize

from core.clock import to_datetime
from core.http import install_errors
from dashboard import api as screens_api
from dashboard import pages, theme
from dispatch import api, views
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.dispatch.conftest import own_city as city  # noqa: F401 - a fixture
from tests.dispatch.test_chain import only_case, sent
from tests.dispatch.world import World, crew_actor

pytestmark = pytest.mark.browser
PHONE = ViewportSize(width=390, height=844)


def application(town: World) -> FastAPI:
    words = scripted.words()
    app = FastAPI()
    app.state.policy, app.state.database, app.state.clock = town.actions.policy, town.database, town.clock
    install_errors(app, words)
    app.include_router(api.router(town.actions, words))
    app.include_router(pages.router(words))

    @app.get("/api/v1/texts/{language}")
    async def texts(language: str) -> dict[str, str]:
        return dict(words.all(language))

    @app.get("/api/v1/auth/me")
    async def me(request: Request) -> dict[str, str]:
        return {"id": "near", "name": "水务抢修 2 队", "crew": "near"}

    screens_api.mount_files(app, theme.load())
    app.add_middleware(scripted.SignedIn, actor=crew_actor("near"), headers={})
    return app


@asynccontextmanager
async def phone(town: World, port: int = 0) -> AsyncIterator[tuple[Page, str]]:
    async with browser() as opened:
        page = await opened.new_page(viewport=PHONE, is_mobile=True, has_touch=True, locale="zh-CN")
        await page.clock.set_system_time(to_datetime(town.clock.now_us()))
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        async with scripted.serving(application(town), port) as url:
            await page.goto(f"{url}/responder")
            yield page, url
        assert errors == []


async def state_of(town: World) -> str:
    async with town.database.transaction() as connection:
        (order,) = await views.open_orders(connection, town.clock.now_us())
    return str(order["state"])


async def reaches(town: World, state: str) -> None:
    for _ in range(300):
        if await state_of(town) == state:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the order is {await state_of(town)}, not {state}")


async def test_one_button_leads_to_the_end_and_the_sensors_are_asked(city: World) -> None:  # noqa: F811 - the fixture
    await sent(city)
    async with phone(city) as (page, _):
        button = page.locator("button.primary")
        for words, after in (
            ("接单", "accepted"),
            ("我已出发", "en_route"),
            ("我已到场", "arrived"),
            ("开始处置", "handling"),
        ):
            await button.filter(has_text=words).click(timeout=8000)
            await reaches(city, after)
            city.clock.advance(60)
        for device in ("P1", "P2"):
            await city.say(device, "pressure", 0.12, 0.12)
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 60
        await button.filter(has_text="处置完成").click(timeout=8000)
        refusal = page.locator(".refusal")
        await refusal.wait_for(timeout=8000)
        words = await refusal.inner_text()
        assert "0.12 MPa" in words, "the reading that objects is shown"
        assert await state_of(city) == "handling"
        city.clock.advance(180)
        for device in ("P1", "P2"):
            await city.say(device, "pressure", 0.30, 0.30)
        await button.filter(has_text="处置完成").click()
        await reaches(city, "finished")
        await page.locator(".done").wait_for(timeout=8000)
    assert (await only_case(city))["state"] in ("fed_back", "checking")


async def test_what_is_done_offline_is_kept_and_sent_once_when_the_link_returns(city: World) -> None:  # noqa: F811
    await sent(city)
    async with phone(city) as (page, _):
        await page.locator("button.primary").filter(has_text="接单").wait_for(timeout=8000)
        await page.context.set_offline(True)
        await page.locator("button.primary").click()
        await page.locator("button.primary").filter(has_text="我已出发").click(timeout=8000)
        await page.locator(".link.off").wait_for()
        assert await state_of(city) == "sent"
        await page.locator(".log .waiting").nth(1).wait_for()
        await page.context.set_offline(False)
        await reaches(city, "en_route")
        await page.locator("button.primary").filter(has_text="我已到场").wait_for(timeout=8000)
    case = await only_case(city)
    async with city.database.transaction() as connection:
        order = await views.order(connection, case["orders"][0]["id"], city.clock.now_us())
    assert [line["action"] for line in order["log"]] == ["propose", "send", "accept", "depart"]
