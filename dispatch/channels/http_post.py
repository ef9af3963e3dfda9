"""A POST to a receiver outside, in a thread of its own: no redirects, no proxies, only the address that was set."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from dispatch.channels.channel import Away, Failed, Refused

#: Answers that say "not now" although they look like a refusal.
NOT_NOW = frozenset({408, 425, 429})


async def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """Deliver, or raise `Away`, `Failed` or `Refused`."""
    status = await asyncio.to_thread(_post, url, body, headers, timeout_s)
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in NOT_NOW:
        raise Refused(str(status))
    raise Failed(str(status))


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> int:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as away:
        raise Away(f"{type(away).__name__}: {away}") from None
    finally:
        connection.close()
