"""`cityops shot`: the pictures of `docs/screens`, taken from the running product, never from a stage set."""

from __future__ import annotations

import asyncio
import base64
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq

from app import credentials
from app.__main__ import ROOT
from core import settings as reading
from core.errors import CityOpsError

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Software rendering that works without a GPU, and nothing that calls home.
FLAGS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)  # fmt: skip
#: A picture of the README is at most so large: colours are taken away until it is.
MOST_BYTES = 500_000
COLOURS = (256, 128, 64, 32)
#: The pixels of a PNG, decoded by the browser: RGBA in base64.
PIXELS = """async (png) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  pen.drawImage(bitmap, 0, 0);
  const { data } = pen.getImageData(0, 0, bitmap.width, bitmap.height);
  let text = '';
  for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
  return btoa(text);
}"""


class NoBrowser(CityOpsError):
    key = "error.no_browser"


class NothingStands(CityOpsError):
    """The product runs, but no incident came up in the time given."""

    key = "error.nothing_to_show"


@dataclass(frozen=True, slots=True)
class Picture:
    """One page as one user sees it; `ready` is what must stand on it before the picture is taken."""

    name: str
    user: str
    path: str
    ready: str
    size: tuple[int, int]
    settle_s: float = 2.0


PICTURES = (
    Picture("wall", "viewer", "/wall", "#wall[data-map=ready] .incident", (1920, 1080), 8.0),
    Picture("console", "operator", "/console", "#console[data-map=ready] .chart .line", (1920, 1080), 6.0),
    Picture("rules", "leader", "/console/rules/ws.pressure.drop", "#console .editor textarea", (1920, 1080)),
    Picture(
        "explore",
        "operator",
        "/explore?p=ws-p-13/pressure&p=ws-p-14/pressure&map=water_supply.pressure",
        "#explore-then[data-map=ready] input",
        (1920, 1080),
        4.0,
    ),
    Picture("cockpit", "leader", "/cockpit", "#cockpit .incident", (1280, 800)),
    Picture("vitals", "leader", "/vitals", "#vitals .index tfoot", (1280, 800)),
    Picture("responder", "responder", "/responder", "#responder main button", (390, 844)),
)


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "docs" / "screens",
              show_default="docs/screens", help="Folder of the pictures.")  # fmt: skip
@click.option(
    "--only", multiple=True, type=click.Choice([each.name for each in PICTURES]), help="Only these."
)
@click.option("--lang", type=click.Choice(["zh", "en"]), default="zh", show_default=True, help="Language.")
@click.option("--wall-size", default="1920x1080", show_default=True, help="Size of the wall's picture.")
@click.option(
    "--wait", "wait_s", default=240.0, show_default=True, help="Seconds to wait for the first incident."
)
@click.pass_obj
def shot(config: Path, out: Path, only: tuple[str, ...], lang: str, wall_size: str, wait_s: float) -> None:
    """Take pictures of the screens of the product that is running (`cityops run`), once an incident stands."""
    settings = reading.load(config)
    passwords = credentials.load(settings.data).users
    base = f"http://127.0.0.1:{settings.web.port}"
    wanted = [each for each in PICTURES if not only or each.name in only]
    size = tuple(int(part) for part in wall_size.split("x"))
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in asyncio.run(_take(base, passwords, wanted, (lang, (size[0], size[1]), wait_s))):
        path = out / f"{name}.png"
        path.write_bytes(picture)
        click.echo(f"{path} {len(picture)} B")


async def _take(
    base: str, passwords: dict[str, str], wanted: list[Picture], how: tuple[str, tuple[int, int], float]
) -> list[tuple[str, bytes]]:  # fmt: skip
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise NoBrowser from None
    lang, wall_size, wait_s = how
    await _answers(int(base.rsplit(":", 1)[1]), wait_s)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            taken = []
            for picture in wanted:
                size = wall_size if picture.name == "wall" else picture.size
                context = await _signed_in(opened, base, picture.user, passwords[picture.user], size)
                address = f"{base}{picture.path}{'&' if '?' in picture.path else '?'}lang={lang}"
                taken.append((picture.name, await _picture(context, address, picture, wait_s)))
                await context.close()
            return taken
        finally:
            await opened.close()


async def _answers(port: int, wait_s: float) -> None:
    """Wait until somebody listens: the product may just be starting. Raises `NothingStands`."""
    try:
        async with asyncio.timeout(wait_s):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(1)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise NothingStands(page=f":{port}", seconds=round(wait_s)) from None


def chromium() -> str:
    """The path of a browser of this machine. Raises `NoBrowser`."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowser
    return found


async def _signed_in(
    opened: Browser, base: str, user: str, password: str, size: tuple[int, int]
) -> BrowserContext:
    """A window of a user who came in by the ordinary sign-in page."""
    width, height = size
    context = await opened.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
    page = await context.new_page()
    await page.goto(f"{base}/login?next=/login")
    await page.fill("input[name=username]", user)
    await page.fill("input[name=password]", password)
    await page.click("button")
    await page.wait_for_load_state()
    await page.close()
    return context


async def _picture(context: BrowserContext, address: str, picture: Picture, wait_s: float) -> bytes:
    from playwright.async_api import TimeoutError as TooLate

    page = await context.new_page()
    await page.goto(address)
    try:
        await page.wait_for_selector(picture.ready, timeout=wait_s * 1000)
    except TooLate:
        raise NothingStands(page=picture.path, seconds=round(wait_s)) from None
    await page.wait_for_timeout(picture.settle_s * 1000)
    return await _small(page)


async def _small(page: Page) -> bytes:
    """The page as PNG, with as many colours as fit into `MOST_BYTES`."""
    picture = await page.screenshot()
    if len(picture) > MOST_BYTES:
        size = page.viewport_size
        assert size is not None
        blank = await page.context.new_page()
        told = await blank.evaluate(PIXELS, base64.b64encode(picture).decode())
        pixels = np.frombuffer(base64.b64decode(told), np.uint8).reshape(size["height"], size["width"], 4)[
            ..., :3
        ]
        sizes = (indexed_png(pixels, colours) for colours in COLOURS)
        picture = next((each for each in sizes if len(each) <= MOST_BYTES), picture)
    return picture


def indexed_png(pixels: NDArray[np.uint8], colours: int) -> bytes:
    """A PNG of at most 256 colours of an image (height × width × RGB), the colours chosen by k-means."""
    height, width, _ = pixels.shape
    found, place, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(1)
    sample = rng.choice(len(found), 20_000, p=np.sqrt(counts) / np.sqrt(counts).sum())
    palette = np.unique(
        kmeans2(found[sample].astype(float), colours, seed=rng, minit="++")[0].round(), axis=0
    )
    index = vq(found.astype(float), palette)[0].astype(np.uint8)[place].reshape(height, width)
    rows = np.hstack([np.zeros((height, 1), np.uint8), index])
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", palette.astype(np.uint8).tobytes()),
             (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]  # fmt: skip
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
