"""Links that open one order without an account: whoever holds the link is its crew, for this order, for two days.

A link is the order's id with a code made from it by a key that never leaves the house; nothing is stored. Recalling
the order, or its end, leaves the link able to read and unable to act.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from core.actor import Actor
from core.errors import NotFound

LIVES_US = 2 * 86_400 * 1_000_000
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Links:
    """`base`: where the installation is reached from outside, without a slash at the end."""

    base: str
    key: bytes

    def url(self, order: str, crew: str) -> str:
        return f"{self.base}/o/{self.token(order, crew)}"

    def token(self, order: str, crew: str) -> str:
        return f"{order}.{self._code(order, crew)}"

    def order_of(self, token: str) -> tuple[str, str]:
        """(order id, code) of what looks like a link. Raises `NotFound`."""
        order, _, code = token.rpartition(".")
        if not order or not code:
            raise NotFound
        return order, code

    def actor(self, order: str, crew: str, code: str, created_us: int, now_us: int) -> Actor:
        """Who the link is: a responder of that crew. Raises `NotFound` for a wrong or old one, which look alike."""
        if now_us - created_us > LIVES_US or not hmac.compare_digest(code, self._code(order, crew)):
            raise NotFound
        return Actor(f"link:{crew}", crew, frozenset({"responder"}), crew=crew)

    def _code(self, order: str, crew: str) -> str:
        digest = hmac.new(self.key, f"{order}\0{crew}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()


def load_key(path: Path) -> bytes:
    """The key of this installation, made at the first call; readable by its owner only."""
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        try:
            os.link(made, path)  # fails when another process was first: then its key counts
        except FileExistsError:
            pass
        made.unlink()
    return path.read_bytes()
