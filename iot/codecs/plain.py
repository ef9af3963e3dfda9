"""Payloads that somebody else designed: JSON whose places are declared in `config.yaml`, so that it needs no code.

A mapping names the topic it is published to (or the address it is pushed to) and JMESPath expressions for the
parts of a reading. `items` finds the list of things that each are one reading, or several with `values`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from core.clock import SECOND_US, to_us
from core.payload import PayloadMapping
from iot.codecs import china
from iot.codecs.frame import NO_TIME, SANE_S, Columns, MalformedError, Parcel, Reason
from iot.codecs.thingsboard import add_value, load, number_of

MOST_ITEMS = 100_000
#: Divide by this to get seconds.
TIME_UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True)
class Mapper:
    """A mapping, ready to read. One decoder a mapping, under the source `plain:<name>`."""

    mapping: PayloadMapping
    expressions: Mapping[str, ParsedResult] = field(init=False)

    def __post_init__(self) -> None:
        paths = {
            name: getattr(self.mapping, name)
            for name in ("items", "device", "time", "channel", "value", "unit")
        }
        paths |= {f"values.{channel}": path for channel, path in self.mapping.values.items()}
        made = {name: jmespath.compile(path) for name, path in paths.items() if path}
        object.__setattr__(self, "expressions", made)

    @property
    def source(self) -> str:
        return f"plain:{self.mapping.name}"

    @cached_property
    def topic(self) -> re.Pattern[str] | None:
        """What the topic looks like; None for a mapping of pushes only."""
        if not self.mapping.topic:
            return None
        pattern = re.escape(self.mapping.topic)
        for part in ("gateway", "device"):
            pattern = pattern.replace(rf"\{{{part}\}}", f"(?P<{part}>[^/]+)")
        return re.compile(pattern)

    @property
    def topic_filter(self) -> str:
        """What to subscribe to at a broker."""
        return self.mapping.topic.replace("{gateway}", "+").replace("{device}", "+")

    def gateway_of(self, topic: str) -> str | None:
        """The gateway that a topic names; None when it is none of this mapping."""
        found = self.topic.fullmatch(topic) if self.topic else None
        return found["gateway"] if found else None

    def decode_one(self, payload: bytes, parcel: Parcel, into: Columns) -> None:
        whole = load(payload)
        found = self.topic.fullmatch(parcel.topic) if self.topic else None
        named = (found.groupdict().get("device") or "") if found else ""
        for number, item in enumerate(self._items(whole)):
            device = named or self._text("device", item)
            if not device:
                into.refuse(number, Reason.BAD_NAME, f"no device in {str(item)[:100]}")
                continue
            time_s = self._time(item)
            if time_s is None:
                into.refuse(number, Reason.BAD_TIME, f"{device} time={self._find('time', item)!r}")
                continue
            for channel, raw, unit in self._readings(item):
                if raw is not None or not self.mapping.values:
                    add_value(number, f"{device}/{channel}", raw, time_s, into, unit)

    def __call__(self, parcel: Parcel, into: Columns) -> None:
        for payload in parcel.payloads:
            rows, refusals = len(into), len(into.refused)
            try:
                self.decode_one(payload, parcel, into)
            except (MalformedError, JMESPathError) as wrong:
                into.rollback(rows, refusals)
                into.refuse(0, Reason.MALFORMED, str(wrong))
            into.counts.append(len(into) - rows)

    def _items(self, whole: object) -> list[object]:
        items = self.expressions["items"].search(whole)
        found = items if isinstance(items, list) else [] if items is None else [items]
        if not found or len(found) > MOST_ITEMS:
            raise MalformedError(f"{len(found)} items at {self.mapping.items}")
        return found

    def _readings(self, item: object) -> Iterator[tuple[str, object, str]]:
        """(our channel, raw value, unit) of a thing."""
        mapping = self.mapping
        for channel in mapping.values:
            yield channel, self._find(f"values.{channel}", item), mapping.units.get(channel, "")
        if mapping.channel:
            theirs = self._text("channel", item)
            channel = mapping.channels.get(theirs, theirs)
            yield (
                channel,
                self._find("value", item),
                self._text("unit", item) or mapping.units.get(channel, ""),
            )

    def _find(self, name: str, item: object) -> object:
        expression = self.expressions.get(name)
        found: object = expression.search(item) if expression else None
        return found

    def _text(self, name: str, item: object) -> str:
        found = self._find(name, item)
        return "" if found is None or isinstance(found, dict | list) else str(found)

    def _time(self, item: object) -> float | None:
        """Seconds; None = what stands there is no time."""
        raw = self._find("time", item)
        if raw is None:
            return NO_TIME
        if self.mapping.format in TIME_UNITS:
            number = number_of(raw)
            time_s = None if number is None else number / TIME_UNITS[self.mapping.format]
        else:
            time_s = _written(str(raw), china_time=self.mapping.format == "china")
        return time_s if time_s is not None and -SANE_S < time_s < SANE_S else None


def _written(text: str, *, china_time: bool) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and china_time:
            moment = moment.replace(tzinfo=china.CHINA)
        return to_us(moment) / SECOND_US
    except (ValueError, OverflowError):
        return None
