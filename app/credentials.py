"""The credentials of the first start: random, written once to a file of mode 0600, never shown in logs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.auth import new_token
from core import yamlfile

NAME = "credentials.yaml"
HEAD = """# Made at the first start, mode 0600. Users sign in at /login or POST /api/v1/auth/token; gateways use
# their id and secret for MQTT (user name, password) and HTTP (Basic). `cityops user` changes people.
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords of users and secrets of gateways, by id."""

    users: dict[str, str]
    gateways: dict[str, str]


def load(data: Path) -> Credentials:
    path = data / NAME
    if not path.exists():
        return Credentials({}, {})
    content = yamlfile.read(path, NAME).data
    assert isinstance(content, dict)
    return Credentials(dict(content.get("users") or {}), dict(content.get("gateways") or {}))


def ensure(data: Path, users: list[str], gateways: list[str]) -> tuple[Credentials, set[str], set[str]]:
    """Add what is missing and write the file; the credentials, and which users and gateways are new."""
    known = load(data)
    new_users = {name for name in users if name not in known.users}
    new_gateways = {name for name in gateways if name not in known.gateways}
    if new_users or new_gateways:
        known = Credentials(
            known.users | {name: new_token()[:20] for name in users if name in new_users},
            known.gateways | {name: new_token() for name in gateways if name in new_gateways},
        )
        write(data / NAME, known)
    return known, new_users, new_gateways


def write(path: Path, credentials: Credentials) -> None:
    lines = [HEAD + "users:"]
    lines += [f"  {name}: '{secret}'" for name, secret in credentials.users.items()]
    lines += ["gateways:"]
    lines += [f"  {name}: '{secret}'" for name, secret in credentials.gateways.items()]
    half = path.with_suffix(".half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
