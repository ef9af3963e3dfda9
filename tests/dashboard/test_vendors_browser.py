"""The vendor page in a real browser: a vendor enters, sees what became of his frames, and takes his report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.async_api import Page, ViewportSize

from app import policy
from app.auth import Auth, new_secret
from app.identify import Identify
from core import text
from core.clock import SECOND_US, SystemClock
from core.db import Database
from core.http import install_errors
from dashboard import pages, theme
from dashboard.api import mount_files
from ingest import gateways_api, http, vendor_api
from ingest.assemble import Assembler
from ingest.watch_store import Lookout
from iot import registry_store
from iot.health import Health
from tests.conftest import ROOT
from tests.dashboard import scripted
from tests.dashboard.browser import browser
from tests.ingest.house import House
from tests.ingest.wire import Client
from tests.iot.sample import stored_registry

pytestmark = pytest.mark.browser


def application(database: Database, house: House) -> FastAPI:
    """What the web role has of it, with the real policy and the real sign-in of gateways."""
    texts = text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest", ROOT / "dashboard"])
    app = FastAPI()
    rules, paths = policy.load()
    app.state.policy, app.state.database, app.state.clock = rules, database, house.clock
    install_errors(app, texts)
    known = gateways_api.Known(
        lambda: house.registry, lambda: Health(house.registry), new_secret,
        lambda parcel: Assembler(house.registry, house.limits).assemble([parcel]),
    )  # fmt: skip
    app.include_router(gateways_api.router(known, http.Desk(house.intake, texts)), prefix="/api/v1")
    place = vendor_api.Place(lambda: house.registry, texts, {"mqtt": house.port, "hj212": 8212})
    app.include_router(vendor_api.router(place), prefix="/api/v1")
    app.include_router(pages.router(texts))

    @app.get("/api/v1/texts/{language}")
    async def words(language: str) -> dict[str, str]:
        return dict(texts.all(language))

    mount_files(app, theme.load())
    app.add_middleware(Identify, auth=Auth(database, house.clock, 3600), policy=rules, paths=paths)
    return app


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Page]:
    errors: list[str] = []
    async with browser() as chromium:
        page = await chromium.new_page(viewport=ViewportSize(width=1280, height=900))
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(url)
        yield page
    assert errors == []


async def test_a_vendor_sees_each_frame_tries_one_and_takes_the_report(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    registry = await stored_registry(database)
    secret, kept = new_secret()
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw-0", SystemClock().now_us(), secret_hash=kept)
    async with House(dsn, registry, tmp_path) as house:
        lookout = Lookout(house.intake, lambda: registry, lambda found: Assembler(found, house.limits), "1")
        looking = asyncio.create_task(lookout.run(database, house.clock))
        async with scripted.serving(application(database, house)) as url, opened(f"{url}/vendors") as page:
            await page.wait_for_selector("#examples details")
            assert await page.locator("html").get_attribute("lang") == "zh-CN"
            await page.fill("input[name=gateway]", "gw-0")
            await page.fill("input[name=secret]", "guessed")
            await page.click("form.sign-in button")
            await page.wait_for_selector("form.sign-in .failed")
            await page.fill("input[name=secret]", secret)
            await page.click("form.sign-in button")
            await page.wait_for_selector("form.sign-in .passed")

            await page.click("#live button")
            await page.wait_for_selector("#live .passed")
            await asyncio.sleep(1.1)  # the lookout has taken it up
            now_s = house.clock.now_us() / SECOND_US
            async with Client(house.port) as client:
                good = [{"n": "d0/pressure", "v": 300.0, "t": now_s}]
                sent = [client.send("telemetry/gw-0", pack) for pack in (good, [{**good[0], "u": "furlong"}])]
                await client.acknowledged(sent)
            await page.wait_for_selector(".frames li:nth-child(2)")
            newest = await page.locator(".frames li:nth-child(1)").inner_text()
            assert "拒收 1 条" in newest
            assert "单位不被该通道接受" in newest
            assert "接收 1 条" in await page.locator(".frames li:nth-child(2)").inner_text()

            await page.locator("#examples details").first.locator("summary").click()
            await page.locator("#examples details").first.locator("button").click()
            await page.click("#paste form button")
            await page.wait_for_selector("#paste .verdict .passed")
            await page.fill("#paste textarea", '[{"n": "d0/nothing", "v": 1}]')
            await page.click("#paste form button")
            await page.wait_for_selector("#paste .verdict .failed")
            assert "unknown_channel" in await page.locator("#paste").inner_text()

            await page.wait_for_selector("#report td.failed")
            async with page.expect_download() as waiting:
                await page.click("#report button:has-text('JSON')")
            report = json.loads(
                await asyncio.to_thread((await (await waiting.value).path()).read_text, "utf-8")
            )
            assert report["refused"] == {"unknown_unit": 1}
            assert "⟦" not in await page.locator("#vendors").inner_text()
            await page.screenshot(path=tmp_path / "vendors.png", full_page=True)
            await page.goto(f"{url}/vendors?lang=en")
            await page.wait_for_selector("#examples details")
            assert "Ways in" in await page.locator("#vendors").inner_text()
            assert "⟦" not in await page.locator("#vendors").inner_text()
        looking.cancel()
