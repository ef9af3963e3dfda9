"""What crews are doing, as a simulated world may know it: over HTTP, with a credential of role `simulator`."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

import msgspec

from simulators.stage import ON_SITE, Visit

TIMEOUT_S = 5.0


class _Order(msgspec.Struct):
    id: str
    state: str
    lon: float
    lat: float


class _Page(msgspec.Struct):
    items: list[_Order]


class _Token(msgspec.Struct):
    access_token: str


@dataclass(slots=True)
class OrdersFeed:
    """Asks `GET /api/v1/orders`; signs in when it must. One call blocks for at most two time-outs."""

    url: str
    user: str
    password: str
    _token: str = ""
    _since: dict[str, int] = field(default_factory=dict)

    def visits(self, now_us: int) -> list[Visit]:
        """Orders whose crew is on site, with the moment this feed first saw it there. Empty while the web is away."""
        try:
            found = self._ask()
        except (OSError, urllib.error.URLError, msgspec.MsgspecError):
            return []
        here = [order for order in found if order.state in ON_SITE]
        self._since = {order.id: self._since.get(order.id, now_us) for order in here}
        return [Visit(order.id, order.state, order.lon, order.lat, self._since[order.id]) for order in here]

    def _ask(self) -> list[_Order]:
        for again in (False, True):
            if again or not self._token:
                self._sign_in()
            try:
                return msgspec.json.decode(self._fetch("orders?limit=200"), type=_Page).items
            except urllib.error.HTTPError as refused:
                if refused.code != 401 or again:
                    raise
        return []

    def _sign_in(self) -> None:
        form = urllib.parse.urlencode({"username": self.user, "password": self.password}).encode()
        self._token = msgspec.json.decode(self._fetch("auth/token", form), type=_Token).access_token

    def _fetch(self, path: str, form: bytes | None = None) -> bytes:
        bearer = {} if form else {"Authorization": f"Bearer {self._token}"}
        asked = urllib.request.Request(f"{self.url}/api/v1/{path}", form, bearer)  # noqa: S310 - our own web
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            told: bytes = answer.read()
            return told
