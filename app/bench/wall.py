"""`cityops bench wall`: the screens in a real browser, and what they cost, on a product of its own.

A worker that takes 5 000 readings a second, the web process, 50 programs that follow what a wall follows, and a wall
of 1920×1080 in headless Chromium. `python -m app.bench.wall --soak 60` watches the wall's memory for an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil
import websockets

from app.auth import Auth
from app.bench import explore
from app.bench.load import Plan
from app.bench.rig import Figures, Measured, Rig, Say, free_port, report, rig
from app.cli.shot import FLAGS, chromium
from app.declared import ROOT
from core.clock import SystemClock
from core.db import Database

if TYPE_CHECKING:
    from playwright.async_api import Page

DEVICES = 2000
#: Readings a second on the way to the wall while everything but the first paint is measured.
RATE = 5000.0
PER_MESSAGE = 10
GATEWAYS = 8
CLIENTS = 50
SAMPLES = 20
SPAN_S = 20.0
SOAK_MIN = 1.0
START_S = 240.0
#: The session outlives a watch of a day.
SESSION_S = 48 * 3600.0
TOPICS = ["status", "vitals", "incidents", "cases", "crews", "points"]
PASSWORD = "bench of a minute"  # noqa: S105 - of a user that exists for as long

SCRIPT = Path(__file__).with_name("wall.js")


def run(say: Say, soak_min: float = SOAK_MIN) -> Measured:
    with rig(DEVICES) as found, web(found) as (base, process):
        live = asyncio.run(figures(Stage(found, base, process), say, soak_min))
    with rig(explore.POINTS, worker=False) as found:
        return Measured(live | explore.measure(found, say))


@contextmanager
def web(found: Rig) -> Iterator[tuple[str, psutil.Process]]:
    """The role `web` of the rig: its address, and its process."""
    port = free_port()
    config = found.folder / "web.yaml"
    config.write_text((found.folder / "config.yaml").read_text() + f"web: {{port: {port}}}\n")
    command = [sys.executable, "-m", "app", "--config", str(config), "run", "--role", "web"]
    with (found.folder / "web.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


@dataclass(slots=True)
class Stage:
    """Where it is measured, and by whose rights."""

    rig: Rig
    base: str
    process: psutil.Process
    token: str = ""

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    async def ready(self) -> None:
        """Until the pages are served, and somebody may see them."""
        database = Database(self.rig.dsn, 1)
        await database.open()
        auth = Auth(database, SystemClock(), SESSION_S)
        await auth.put_user("bench", "bench", PASSWORD, ["admin"])
        self.token = await auth.open_session("bench", "bearer")
        await database.close()
        async with httpx.AsyncClient(base_url=self.base) as http, asyncio.timeout(START_S):
            while True:
                try:
                    (await http.get("/api/v1/health")).raise_for_status()
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
                else:
                    return


async def figures(stage: Stage, say: Say, soak_min: float) -> Figures:
    from playwright.async_api import async_playwright

    await stage.ready()
    found: Figures = {}

    def keep(figures: Figures) -> None:
        """What is measured is told at once: a run of an hour may be broken off."""
        found.update(figures)
        say(", ".join(f"{name} {value:.3g}" for name, value in figures.items()))

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=[*FLAGS, "--enable-precise-memory-info", "--js-flags=--expose-gc"],
        )
        context = await browser.new_context(viewport={"width": 1920, "height": 1080})
        await context.add_cookies([{"name": "cityops_session", "value": stage.token, "url": stage.base}])
        page = await context.new_page()
        await page.add_init_script(path=SCRIPT)
        say("opening the wall")
        keep(await _paint(page, stage.base))
        say(f"{RATE:g} readings/s on the way to the wall")
        async with loaded(stage.rig, 60 + soak_min * 60):
            keep(await _latency(page, stage))
            keep(await _frames(page))
            say(f"watching the wall's memory for {soak_min:g} min")
            keep(await _heap(page, soak_min))
        say("500 of 50 000 points anew")
        spans = await page.evaluate("window.bench.recolour()")
        keep({"recolour_500_of_50k_ms": float(np.median(spans))})
        await browser.close()
    say(f"{CLIENTS} more walls")
    async with loaded(stage.rig, 2 * SPAN_S + 20):
        keep(await _clients(stage))
    return found


@asynccontextmanager
async def loaded(found: Rig, seconds: float) -> AsyncIterator[None]:
    """Gateways that publish for so long, or until they are not needed any more."""
    rate = RATE / PER_MESSAGE
    plan = Plan(
        found.port, round(rate * seconds), PER_MESSAGE, GATEWAYS, rate=rate, devices=DEVICES,
        until_us=SystemClock().now_us(),
    )  # fmt: skip
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.bench.load", json.dumps(asdict(plan)), stdin=pipe, stdout=pipe, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdin.write(b"go\n")
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _clients(stage: Stage) -> Figures:
    """What 50 walls cost the web process above what it costs without them, in per cent of a core."""
    clock, count = SystemClock(), [0]
    before, at = stage.cpu_s(), clock.monotonic_s()
    await asyncio.sleep(SPAN_S)
    idle = (stage.cpu_s() - before) / (clock.monotonic_s() - at)
    tasks = [asyncio.create_task(_follow(stage, count)) for _ in range(CLIENTS)]
    await asyncio.sleep(5)
    before, at, heard = stage.cpu_s(), clock.monotonic_s(), count[0]
    await asyncio.sleep(SPAN_S)
    span = clock.monotonic_s() - at
    busy = (stage.cpu_s() - before) / span
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert count[0] > heard, "nobody was told anything"
    return {
        "cpu_0_clients_pct": 100 * idle,
        "cpu_50_clients_10hz_pct": 100 * (busy - idle),
        "messages_a_client_s": (count[0] - heard) / span / CLIENTS,
    }


async def _follow(stage: Stage, count: list[int]) -> None:
    address = stage.base.replace("http", "ws") + "/api/v1/stream"
    headers = {"Authorization": f"Bearer {stage.token}"}
    async with websockets.connect(
        address, additional_headers=headers, compression=None, max_size=None
    ) as socket:
        await socket.send(json.dumps({"subscribe": TOPICS}))
        async for _ in socket:
            count[0] += 1


async def _paint(page: Page, base: str) -> Figures:
    """From the address to filled panels, and to a drawn map; the second time, as a wall that loads anew."""
    clock = SystemClock()
    await page.goto(f"{base}/wall")
    await page.wait_for_selector("#wall[data-map=ready]", timeout=240_000)
    begun = clock.monotonic_s()
    await page.goto(f"{base}/wall")
    await page.wait_for_selector(".vital .value", timeout=60_000)
    await page.wait_for_selector("#foot .foot .good", timeout=60_000)
    filled = clock.monotonic_s() - begun
    await page.wait_for_selector("#wall[data-map=ready]", timeout=240_000)
    return {"first_paint_s": filled, "map_ready_s": clock.monotonic_s() - begun}


async def _latency(page: Page, stage: Stage) -> Figures:
    """From sending a reading over HTTP to the frame that holds it, s."""
    clock = SystemClock()
    await page.evaluate("window.bench.watch()")
    sent: dict[float, float] = {}
    headers = {"Authorization": f"Bearer {stage.token}"}
    async with httpx.AsyncClient(base_url=stage.base, headers=headers, timeout=30) as http:
        for n in range(SAMPLES):
            value = round(0.50001 + n * 0.00107, 6)
            now_s = clock.now_us() / 1e6
            sent[value] = now_s
            pack = [{"bn": "p0/", "n": "pressure", "u": "MPa", "t": now_s, "v": value}]
            answer = await http.post("/api/v1/telemetry?gateway=gw-0", json=pack)
            assert answer.status_code == 202, answer.text
            await asyncio.sleep(0.7)
    await asyncio.sleep(5)
    seen: list[list[float]] = await page.evaluate("[...window.bench.drawn]")
    at = {round(value, 6): ms / 1000 for value, ms in seen}
    delays = [at[value] - when for value, when in sent.items() if value in at]
    assert delays, "no reading of ours reached the page"
    return {
        "sensor_to_pixel_p95_s": float(np.percentile(delays, 95)),
        "sensor_to_pixel_median_s": float(np.median(delays)),
        "sensor_to_pixel_seen": float(len(delays)),
    }


async def _frames(page: Page) -> Figures:
    told: dict[str, Any] = await page.evaluate("window.bench.frames(10000)")
    return {"frames_a_second": told["fps"], "longest_frame_ms": told["longest"]}


async def _heap(page: Page, minutes: float) -> Figures:
    """Used heap after a collection, each half minute: first, last, and growth an hour by least squares."""
    sizes, times = [], []
    clock = SystemClock()
    begun = clock.monotonic_s()
    while True:
        used = await page.evaluate("window.gc?.(), performance.memory.usedJSHeapSize / 1048576")
        sizes.append(float(used))
        times.append((clock.monotonic_s() - begun) / 3600)
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
    parser.add_argument("--soak", type=float, default=SOAK_MIN, help="minutes")
    asked = parser.parse_args()
    print(json.dumps(report(run(lambda text: print(text, file=sys.stderr), asked.soak))))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
