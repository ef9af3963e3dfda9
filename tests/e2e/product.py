"""The whole product, started as a user starts it, on free ports and a data folder of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from ruamel.yaml import YAML

from tests.conftest import ROOT

T = TypeVar("T")
LINK = re.compile(r"^\s+(operator|wall|responder)\s+(http\S+)$", re.MULTILINE)


@dataclass(slots=True)
class Product:
    """`links`: the one-time links of the terminal. `credentials`: the file of the first start."""

    process: subprocess.Popen[str]
    url: str
    mqtt_port: int
    links: dict[str, str]
    credentials: dict[str, Any]
    started_s: float
    _tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, user: str, method: str, path: str, body: object = None) -> httpx.Response:
        return httpx.request(
            method, f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token(user)}"}, json=body,
            timeout=20,
        )  # fmt: skip

    def get(self, user: str, path: str) -> dict[str, Any]:
        answer = self.ask(user, "GET", path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def token(self, user: str) -> str:
        if user not in self._tokens:
            asked = {"username": user, "password": self.credentials["users"][user]}
            answer = httpx.post(f"{self.url}/api/v1/auth/token", data=asked, timeout=20)
            assert answer.status_code == 200, answer.text
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]


def until(what: str, seconds: float, look: Callable[[], T]) -> T:
    """What `look` gives once it is true; fails with `what` when that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def settings_file(folder: Path, **more: object) -> Path:
    """The shipped settings, but with ports that are free and `folder` for data."""
    yaml = YAML(typ="rt")
    settings = yaml.load((ROOT / "config.yaml").read_text("utf-8"))
    settings["paths"]["data"] = str(folder / "var")
    settings["paths"]["domains"] = str(ROOT / "domains")
    settings["web"]["port"], settings["mqtt"]["port"] = free_ports(2)
    settings["tcp"].update(zip(("hj212", "gbt26875", "sl651"), free_ports(3), strict=True))
    settings.update(more)
    file = folder / "config.yaml"
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(settings, out)
    return file


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


@contextmanager
def running(config: Path) -> Iterator[Product]:
    """Start `cityops run`, wait for its links, and end it with SIGTERM."""
    folder = config.parent
    settings = YAML(typ="safe").load(config.read_text("utf-8"))
    begun = time.monotonic()
    log = folder / "run.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--config", str(config), "run"],
            stdout=out, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{settings['web']['port']}"

    def up() -> bool:
        assert process.poll() is None, log.read_text()
        return wall_answers(url) and len(LINK.findall(log.read_text())) == 3

    try:
        until("the wall answers", 240, up)
        credentials = YAML(typ="safe").load((folder / "var" / "credentials.yaml").read_text("utf-8"))
        yield Product(
            process, url, settings["mqtt"]["port"], dict(LINK.findall(log.read_text())), credentials,
            time.monotonic() - begun,
        )  # fmt: skip
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            subprocess.run(
                [sys.executable, "-m", "app", "--config", str(config), "reset", "--yes"], cwd=ROOT, check=True
            )


def wall_answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/login", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
