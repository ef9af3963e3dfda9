"""`python -m app.bench.wall --config config.yaml`: the screens of the product that is running, in a real browser.

Prints one JSON object with the figures of issue 8 that can be taken from a running product, and what the machine is.
The wall is opened by the ordinary sign-in; readings are sent over HTTP as a gateway would send them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import websockets

from app import credentials
from app.cli.shot import FLAGS, chromium
from core import settings as reading
from core.clock import SystemClock

if TYPE_CHECKING:
    from playwright.async_api import Page

CLIENTS = 50
SAMPLES = 20
SPAN_S = 20.0
TOPICS = ["status", "vitals", "incidents", "cases", "crews", "points"]

SCRIPT = Path(__file__).with_name("wall.js")


async def figures(config: Path, web: int, minutes: float) -> dict[str, float]:
    """The figures; `minutes` is how long the heap is watched."""
    from playwright.async_api import async_playwright

    settings = reading.load(config)
    known = credentials.load(settings.data)
    base = f"http://127.0.0.1:{settings.web.port}"
    found: dict[str, float] = {}
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        token = await _token(http, "viewer", known.users["viewer"])
        found |= await _clients(base, token, web)
        admin = await _token(http, "admin", known.users["admin"])
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium(),
                args=[*FLAGS, "--enable-precise-memory-info", "--js-flags=--expose-gc"],
            )
            context = await browser.new_context(viewport={"width": 1920, "height": 1080})
            page = await context.new_page()
            await page.add_init_script(path=SCRIPT)
            await page.goto(f"{base}/login?next=/login")
            await page.fill("input[name=username]", "viewer")
            await page.fill("input[name=password]", known.users["viewer"])
            await page.click("button")
            found |= await _paint(page, base)
            found |= await _latency(page, http, admin)
            found |= await _frames(page)
            found |= await _heap(page, minutes)
            spans = await page.evaluate("window.bench.recolour()")
            found["recolour_500_of_50k_ms"] = float(np.median(spans))
            await browser.close()
    return {name: round(value, 2) for name, value in found.items()}


async def _token(http: httpx.AsyncClient, user: str, password: str) -> str:
    answer = await http.post("/api/v1/auth/token", data={"username": user, "password": password})
    return str(answer.json()["access_token"])


def _web_pid(config: Path) -> int:
    """The process of the role `web` that runs with this settings file on this machine."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"--role\0web\0" in line and str(config).encode() in line:
            return int(entry.name)
    raise SystemExit("no process of the role web runs with these settings")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _clients(base: str, token: str, pid: int) -> dict[str, float]:
    """What 50 walls cost the web process, above what it costs without them, in per cent of a core."""
    before, at = _cpu_s(pid), time.monotonic()
    await asyncio.sleep(SPAN_S)
    idle = (_cpu_s(pid) - before) / (time.monotonic() - at)
    count = [0]
    tasks = [asyncio.create_task(_follow(base, token, count)) for _ in range(CLIENTS)]
    await asyncio.sleep(5)
    before, at, heard = _cpu_s(pid), time.monotonic(), count[0]
    await asyncio.sleep(SPAN_S)
    span = time.monotonic() - at
    busy = (_cpu_s(pid) - before) / span
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "cpu_0_clients_pct": 100 * idle,
        "cpu_50_clients_more_pct": 100 * (busy - idle),
        "messages_a_client_s": (count[0] - heard) / span / CLIENTS,
    }


async def _follow(base: str, token: str, count: list[int]) -> None:
    address = base.replace("http", "ws") + "/api/v1/stream"
    headers = {"Authorization": f"Bearer {token}"}
    async with websockets.connect(
        address, additional_headers=headers, compression=None, max_size=None
    ) as socket:
        await socket.send(json.dumps({"subscribe": TOPICS}))
        async for _ in socket:
            count[0] += 1


async def _paint(page: Page, base: str) -> dict[str, float]:
    """From the address to filled panels, and to a drawn map."""
    begun = time.monotonic()
    await page.goto(f"{base}/wall")
    await page.wait_for_selector(".vital .value", timeout=60_000)
    filled = time.monotonic() - begun
    await page.wait_for_selector("#wall[data-map=ready]", timeout=120_000)
    return {"first_paint_s": filled, "map_ready_s": time.monotonic() - begun}


async def _latency(page: Page, http: httpx.AsyncClient, token: str) -> dict[str, float]:
    """From sending a reading to the frame that holds it, s."""
    headers = {"Authorization": f"Bearer {token}"}
    listed = await http.get("/api/v1/devices?kind=con_noise&limit=1", headers=headers)
    device = listed.json()["items"][0]
    told = await http.get(f"/api/v1/devices/{device['id']}", headers=headers)
    channel = told.json()["channels"][0]["channel"]
    await page.evaluate("window.bench.watch()")
    sent: dict[float, float] = {}
    clock = SystemClock()
    for n in range(SAMPLES):
        value = round(50.0001 + n * 0.0107, 4)
        now_s = clock.now_us() / 1e6
        sent[value] = now_s
        pack = [{"bn": f"{device['wire_name']}/", "n": channel, "t": now_s, "v": value}]
        answer = await http.post(f"/api/v1/telemetry?gateway={device['gateway']}", headers=headers, json=pack)
        assert answer.status_code == 202, answer.text
        await asyncio.sleep(0.7)
    await asyncio.sleep(5)
    seen: list[list[float]] = await page.evaluate("[...window.bench.drawn]")
    at = {round(value, 4): ms / 1000 for value, ms in seen}
    delays = [at[value] - when for value, when in sent.items() if value in at]
    assert delays, "no reading of ours reached the page"
    return {
        "sensor_to_pixel_p95_s": float(np.percentile(delays, 95)),
        "sensor_to_pixel_median_s": float(np.median(delays)),
        "sensor_to_pixel_seen": float(len(delays)),
    }


async def _frames(page: Page) -> dict[str, float]:
    told: dict[str, Any] = await page.evaluate("window.bench.frames(10000)")
    return {"frames_a_second": told["fps"], "longest_frame_ms": told["longest"]}


async def _heap(page: Page, minutes: float) -> dict[str, float]:
    """Used heap after a collection, each half minute: first, last, and growth an hour by least squares."""
    sizes, times = [], []
    begun = time.monotonic()
    while True:
        used = await page.evaluate("window.gc?.(), performance.memory.usedJSHeapSize / 1048576")
        sizes.append(float(used))
        times.append((time.monotonic() - begun) / 3600)
        if times[-1] >= minutes / 60:
            break
        await asyncio.sleep(30)
    gaps = await page.evaluate("window.cityopsWall.live.gaps")
    half = len(sizes) // 2 if len(sizes) > 6 else 0  # what is loaded once is no growth
    slope = float(np.polyfit(times[half:], sizes[half:], 1)[0]) if len(sizes) > 2 else 0.0
    return {
        "heap_first_mb": sizes[0], "heap_last_mb": sizes[-1], "heap_growth_mb_h": slope, "lost_seq": float(gaps),
        "heap_minutes": minutes,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args()
    told = asyncio.run(figures(asked.config, _web_pid(asked.config), asked.minutes))
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps({"figures": told, "peers": {}, "machine": machine}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
