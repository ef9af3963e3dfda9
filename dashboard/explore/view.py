"""What an address of the analysis page asks for: points, a time, a grain. Pure; the address is all state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from urllib.parse import parse_qsl, urlencode

from core.clock import DAY_US, HOUR_US, to_datetime, to_us
from iot.views import Bucket

#: Spans that end now, by their name in the address.
SPANS: Mapping[str, int] = {
    "1h": HOUR_US, "6h": 6 * HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US, "30d": 30 * DAY_US, "365d": 365 * DAY_US,
}  # fmt: skip
USUAL_SPAN = "24h"
#: More lines than this nobody tells apart.
MOST_POINTS = 8
#: Up to this span each grain is read; its longest answer is a few thousand values a point.
GRAINS: Sequence[tuple[int, Bucket]] = ((3 * HOUR_US, "raw"), (26 * HOUR_US, "1m"), (62 * DAY_US, "1h"))
OWN = ("p", "span", "from", "to")


@dataclass(frozen=True, slots=True)
class View:
    """Points as `device/channel`; a span that ends now, or `begin` and `end` (µs) that stay."""

    points: tuple[str, ...] = ()
    span: str = USUAL_SPAN
    begin_us: int | None = None
    end_us: int | None = None
    #: What stands in the address and belongs to others: language, the map.
    rest: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, search: str) -> View:
        """The view of an address; what cannot be read counts as not asked."""
        asked = parse_qsl(search.removeprefix("?"))
        points = tuple(dict.fromkeys(value for name, value in asked if name == "p"))[:MOST_POINTS]
        named = dict(asked)
        begin, end = instant(named.get("from", "")), instant(named.get("to", ""))
        fixed = begin is not None and end is not None and begin < end
        span = named.get("span", USUAL_SPAN)
        rest = tuple(pair for pair in asked if pair[0] not in OWN)
        return cls(
            points, span if span in SPANS else USUAL_SPAN, begin if fixed else None, end if fixed else None, rest
        )  # fmt: skip

    @property
    def search(self) -> str:
        """The address of this view."""
        asked = [("p", point) for point in self.points]
        if self.begin_us is not None and self.end_us is not None:
            asked += [("from", rfc(self.begin_us)), ("to", rfc(self.end_us))]
        elif self.span != USUAL_SPAN:
            asked.append(("span", self.span))
        asked += self.rest
        return f"?{urlencode(asked, safe='/:')}" if asked else ""

    def between_us(self, now_us: int) -> tuple[int, int]:
        if self.begin_us is not None and self.end_us is not None:
            return self.begin_us, self.end_us
        return now_us - SPANS[self.span], now_us

    def fixed(self, begin_us: int, end_us: int) -> View:
        """The same points between two instants; the view as it was when they are in the wrong order."""
        return replace(self, begin_us=begin_us, end_us=end_us) if begin_us < end_us else self

    def ending_now(self, span: str) -> View:
        return replace(self, span=span if span in SPANS else USUAL_SPAN, begin_us=None, end_us=None)

    def comparing(self, points: Sequence[str]) -> View:
        return replace(self, points=tuple(points)[:MOST_POINTS])


def bucket_of(begin_us: int, end_us: int) -> Bucket:
    """The finest grain whose answer is short enough."""
    return next((grain for span_us, grain in GRAINS if end_us - begin_us <= span_us), "1d")


def rfc(us: int) -> str:
    """RFC 3339 UTC, whole seconds."""
    return to_datetime(us).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str) -> int | None:
    """µs of an RFC 3339 time; None for what is none, or bears no zone."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_us(read) if read.tzinfo else None


def local(text: str, zone: tzinfo) -> int | None:
    """µs of a time as people write it, in the city's zone; None for what is none."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return to_us(read if read.tzinfo else read.replace(tzinfo=zone))


def shown(us: int, zone: tzinfo) -> str:
    """A time as people write it, in the city's zone."""
    return to_datetime(us).astimezone(zone).strftime("%Y-%m-%d %H:%M")
