"""Sentences that know where their numbers come from: a text key, its values, and the readings behind them.

Stored as JSON and put into words at the edge, in the language of who asks. A value is a plain word or number, or
one of: {"zh": …, "en": …} a name · {"text": key} another text · {"time_us": n} a moment in the city's time ·
{"number": x, "unit": u, "digits": d} a quantity · {"span_s": x} a span · {"list": [values]} an enumeration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from core.clock import DAY_US, to_datetime
from core.text import Texts

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ref:
    """Readings that a sentence rests on; `to_us` 0 means until now."""

    device: str
    channel: str
    from_us: int
    to_us: int

    def json(self) -> dict[str, object]:
        return {"device": self.device, "channel": self.channel, "from_us": self.from_us, "to_us": self.to_us}


def sentence(key: str, refs: Iterable[Ref] = (), /, **params: object) -> dict[str, object]:
    return {"key": key, "params": params, "refs": [ref.json() for ref in refs]}


@dataclass(frozen=True, slots=True)
class Speech:
    """Puts sentences into words of one language."""

    texts: Texts
    language: str
    zone: ZoneInfo
    #: What a plain word is called when it is the id of something with a name: areas.
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def say(self, spoken: Mapping[str, object]) -> str:
        params = spoken.get("params")
        values = (
            {name: self.word(value) for name, value in params.items()} if isinstance(params, Mapping) else {}
        )
        return self.texts(str(spoken["key"]), self.language, **values)

    def word(self, value: object) -> str:
        """One value in words."""
        if isinstance(value, str) and value in self.names:
            value = self.names[value]
        if not isinstance(value, Mapping):
            return f"{value:g}" if isinstance(value, float) else str(value)
        if self.language in value:
            return str(value[self.language])
        if "text" in value:
            return self.texts(str(value["text"]), self.language)
        if "time_us" in value:
            return self.moment(int(str(value["time_us"])))
        if "number" in value:
            return self._quantity(value)
        if "span_s" in value:
            return self._span(float(str(value["span_s"])))
        if isinstance(value.get("list"), list):
            listed = value["list"]
            assert isinstance(listed, list)
            return self.texts("events.list.comma", self.language).join(self.word(item) for item in listed)
        return str(dict(value))

    def moment(self, time_us: int) -> str:
        return f"{to_datetime(time_us).astimezone(self.zone):%m-%d %H:%M:%S}"

    def _quantity(self, value: Mapping[str, object]) -> str:
        number, unit = float(str(value["number"])), str(value.get("unit", ""))
        digits = int(str(value.get("digits", 3)))
        shown = f"{number:.{digits}f}"
        if "." in shown:
            shown = shown.rstrip("0").rstrip(".")
        space = "" if unit in ("%", "°", "") else " "
        return f"{shown}{space}{unit}" if unit not in ("1", "/", "count") else shown

    def _span(self, seconds: float) -> str:
        for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (2 * DAY_US / 1e6, 3600, "h")):
            if seconds < limit:
                return self.texts(f"events.span.{unit}", self.language, n=round(seconds / size))
        return self.texts("events.span.d", self.language, n=round(seconds / 86_400))
