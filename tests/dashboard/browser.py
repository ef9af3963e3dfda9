"""A real Chromium for tests, where there is one; elsewhere they skip with one clear line."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

#: Software rendering that works without a GPU, and nothing that calls home.
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


def chromium() -> str:
    """The path of a Chromium; skips the test when there is none, fails it where it must not be skipped (CI)."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CITYOPS_TEST_BROWSER") == "required":  # noqa: TID251 - set by .ci/run
        pytest.fail("no Chromium here, and this run must not skip the browser tests")
    if found is None:
        pytest.skip("no Chromium here: install it (Debian: apt-get install chromium) to run browser tests")
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield opened
        finally:
            await opened.close()
