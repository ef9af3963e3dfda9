"""Vital signs as screens get them: the row of each with its trace against the usual band, limits and the city's day."""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.batch import DOUBTFUL
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Clock, rfc3339
from core.db import Database
from core.errors import NotFound
from core.http import to_json
from core.text import Texts
from dashboard.points import PointTable
from dashboard.vitals import index, store
from dashboard.vitals.declare import LEVELS, Vital
from dashboard.vitals.evaluate import floor_of
from dashboard.vitals.inputs import select
from dashboard.vitals.store import History, Usuals
from dashboard.vitals.usual import Local, Usual, usual_at
from dashboard.vitals.window import QUARTER_US
from iot.latest import NEVER

SHOWN = 96
#: So many quarters to come.
AHEAD = 16
#: History that one vital tells in full.
HISTORY_US = 7 * DAY_US
#: So long after our own start history is read every few seconds.
YOUNG_US = 10 * MINUTE_US
READ_YOUNG_US = 8 * SECOND_US
#: Weeks whose same day today is set against.
WEEKS = 4
Item = Mapping[str, object]
#: Points of one input that are named with their readings.
MEMBERS = 200
#: The row of a vital that was not computed yet.
UNKNOWN: Mapping[str, Any] = {
    "value": None, "level": 0, "state": "no_data", "as_of": None, "at": None, "n": 0, "total": 0, "confidence": 0.0,
    "detail": {"parts": None, "place": None, "figures": {}},
}  # fmt: skip


@dataclass(slots=True)
class VitalSource:
    """The source of topic `vitals`. Rows are read on every change, history and usual bands once a quarter."""

    vitals: Sequence[Vital]
    database: Database
    clock: Clock
    local: Local
    texts: Texts
    _begun_us: int = 0
    _read_us: int = 0
    _history: Mapping[str, History] = field(default_factory=dict)
    _usuals: Usuals = field(default_factory=dict)

    async def all(self) -> Sequence[Item]:
        now_us = self.clock.now_us()
        if self._due(now_us):
            self._history = await store.history(self.database, now_us - DAY_US - HOUR_US, now_us)
            self._usuals = await store.usual(self.database)
            self._read_us = now_us
        async with self.database.transaction() as connection:
            found = {row["key"]: row for row in await store.rows(connection)}
        items = [self._item(vital, found.get(vital.key, UNKNOWN), now_us) for vital in self.vitals]
        return [*items, self._index(found.get(index.KEY, UNKNOWN), now_us)]

    def _due(self, now_us: int) -> bool:
        """A new quarter; and in the first minutes often, while the worker still fills the history in."""
        self._begun_us = self._begun_us or now_us
        young = now_us - self._begun_us < YOUNG_US and now_us - self._read_us >= READ_YOUNG_US
        return young or now_us // QUARTER_US != self._read_us // QUARTER_US

    async def some(self, _: Collection[str]) -> Sequence[Item]:
        """One turn of the clerk changes all of them: a change names the turn, not a vital."""
        return await self.all()

    async def one(self, key: str, table: PointTable) -> dict[str, object]:
        """A vital in full: what it is made of, from which readings, and how it came about. Raises `NotFound`."""
        vital = next((each for each in self.vitals if each.key == key), None)
        if vital is None and key != index.KEY:
            raise NotFound
        items = {str(item["id"]): item for item in await self.all()}
        now_us = self.clock.now_us()
        past = await store.history_of(self.database, key, now_us - HISTORY_US, now_us)
        if vital is None:
            return {**items[key], "history": past}
        async with self.database.transaction() as connection:
            row = next((row for row in await store.rows(connection) if row["key"] == key), None)
        return {
            **items[key],
            "formula": self._formula(vital),
            "owner": vital.decl.owner,
            "source": vital.decl.source,
            "detail": row["detail"] if row else None,
            "readings": readings_of(vital, table),
            "history": {**past, **self._bands(vital, past["at_us"])},
        }

    @staticmethod
    def _formula(vital: Vital) -> dict[str, object]:
        decl = vital.decl
        return {
            "words": f"vital.{vital.key}.formula",
            "value": decl.value,
            "figures": decl.figures,
            "bands": {colour: getattr(decl, colour) for colour in LEVELS if getattr(decl, colour)},
            "inputs": {
                name: given.model_dump(exclude_defaults=True, by_alias=True)
                for name, given in decl.inputs.items()
            },
        }

    def _bands(self, vital: Vital, times_us: Sequence[int]) -> dict[str, list[float | None]]:
        """What was usual at each of these times."""
        usuals = self._usuals.get(vital.key, {})
        bands = [self._band(vital, usuals, moment + QUARTER_US // 2) for moment in times_us]
        return {"usual_low": [low for low, _ in bands], "usual_high": [high for _, high in bands]}

    async def weekday(self) -> list[dict[str, object]]:
        """Of every compared vital sign the hours of today, and the median of the same weekday's over the last weeks.

        24 values each, null where there was none; `days`: how many weeks have any.
        """
        midnight = self.local.midnight_us(self.clock.now_us())
        found: list[dict[str, object]] = []
        for vital in self.vitals:
            if vital.decl.compared:
                weeks = [await self._hours(vital.key, midnight - n * 7 * DAY_US) for n in range(WEEKS + 1)]
                before = [[week[hour] for week in weeks[1:]] for hour in range(24)]
                found.append(
                    {
                        "id": vital.key,
                        "today": weeks[0],
                        "before": [median([v for v in each if v is not None]) for each in before],
                        "days": sum(any(v is not None for v in week) for week in weeks[1:]),
                    }
                )
        return found

    async def _hours(self, key: str, midnight_us: int) -> list[float | None]:
        """Means of the 24 hours of a day."""
        past = await store.history_of(self.database, key, midnight_us, midnight_us + DAY_US)
        hours: list[list[float]] = [[] for _ in range(24)]
        for moment, value in zip(past["at_us"], past["value"], strict=True):
            hours[(moment - midnight_us) // HOUR_US].append(value)
        return [short(_mean(each)) if each else None for each in hours]

    def _item(self, vital: Vital, row: Mapping[str, Any], now_us: int) -> Item:
        decl, detail = vital.decl, row["detail"]
        usuals = self._usuals.get(vital.key, {})
        usual = usual_at(usuals, self.local, now_us)
        history = self._history.get(vital.key)
        return {
            "id": vital.key,
            "domain": vital.domain,
            "group": decl.group,
            "order": decl.order,
            "slot": decl.slot,
            "unit": decl.unit,
            "digits": decl.digits,
            "value": row["value"],
            "level": row["level"],
            "state": row["state"],
            "as_of": _rfc(row["as_of"] or row["at"]),
            "coverage": [row["n"], row["total"]],
            "confidence": round(row["confidence"], 3),
            "parts": detail["parts"],
            "sub": self._sub(vital, row),
            "history_days": usual.days if usual else 0,
            "target": target_of(vital),
            "limits": [{"level": LEVELS[colour], "value": value} for colour, value in decl.limits.items()],
            "trend": self._trend(vital, history, usuals, now_us),
            "day": self._day(vital, history, usuals, now_us) if decl.day else None,
        }

    def _index(self, row: Mapping[str, Any], now_us: int) -> Item:
        """The city's index as an item among the vital signs; no list of rows shows it (slot `index`)."""
        trend = self._traced(self._history.get(index.KEY), now_us)
        return {
            "id": index.KEY, "domain": "common", "group": "index", "slot": "index", "order": 0, "unit": "", "digits": 0,
            "value": row["value"], "level": row["level"], "state": row["state"], "as_of": _rfc(row["at"]),
            "coverage": [row["n"], row["total"]], "confidence": round(row["confidence"], 3), "sub": None,
            "shows": row["detail"].get("shows"), "mean": row["detail"].get("mean"),
            "made_of": row["detail"].get("made_of", []),
            "trend": {"step_s": QUARTER_US // SECOND_US, "values": trend, "low": [], "high": []},
        }  # fmt: skip

    def _sub(self, vital: Vital, row: Mapping[str, Any]) -> object:
        """The line below the name: its text with figures and place, else the place, else nothing."""
        if row["value"] is None:
            return None
        key = f"vital.{vital.key}.sub"
        place = row["detail"]["place"]
        if not self.texts.has(key):
            return place
        if vital.decl.sub is not None and vital.decl.sub.place and place is None:
            return None
        told = {name: plain(value) for name, value in row["detail"]["figures"].items()}
        return {"key": key, "params": {**told, "place": place, "n": row["n"], "total": row["total"]}}

    def _trend(
        self, vital: Vital, history: History | None, usuals: Mapping[store.Slot, Usual], now_us: int
    ) -> Item:
        """96 whole quarters to now with the usual band at each, null where there is none.

        Of what has limits also `ahead_low` and `ahead_high`: what is usual in the next quarters.
        """
        first = now_us // QUARTER_US * QUARTER_US - QUARTER_US * SHOWN
        last = SHOWN + (AHEAD if vital.decl.limits else 0)
        bands = [self._band(vital, usuals, first + QUARTER_US * n + QUARTER_US // 2) for n in range(last)]
        low, high = [band[0] for band in bands], [band[1] for band in bands]
        return {
            "step_s": QUARTER_US // SECOND_US,
            "values": self._traced(history, now_us),
            "low": low[:SHOWN], "high": high[:SHOWN], "ahead_low": low[SHOWN:], "ahead_high": high[SHOWN:],
        }  # fmt: skip

    @staticmethod
    def _traced(history: History | None, now_us: int) -> list[float | None]:
        """Means of the 96 whole quarters before now, null where there was no value."""
        first = now_us // QUARTER_US * QUARTER_US - QUARTER_US * SHOWN
        values: list[float | None] = [None] * SHOWN
        if history is not None:
            for moment, value in zip(history.at_us.tolist(), history.value.tolist(), strict=True):
                place = (moment - first) // QUARTER_US
                if 0 <= place < SHOWN:
                    values[place] = short(value)
        return values

    def _band(
        self, vital: Vital, usuals: Mapping[store.Slot, Usual], time_us: int
    ) -> tuple[float | None, float | None]:
        """The usual band at a time, null where too few days are known."""
        found = usual_at(usuals, self.local, time_us)
        if found is None or not found.learned:
            return None, None
        low, high = found.band(floor_of(vital))
        return short(low), short(high)

    def _day(
        self, vital: Vital, history: History | None, usuals: Mapping[store.Slot, Usual], now_us: int
    ) -> Item | None:
        """The hours of the city's day until now, and what is usual in each of its 24."""
        if history is None:
            return None
        midnight = self.local.midnight_us(now_us)
        hours: list[list[float]] = [[] for _ in range(24)]
        source = history.high if vital.decl.day == "highest" else history.value
        for moment, value in zip(history.at_us.tolist(), source.tolist(), strict=True):
            if midnight <= moment <= now_us:
                hours[(moment - midnight) // HOUR_US % 24].append(value)
        reduce = max if vital.decl.day == "highest" else _mean
        day_type, _ = self.local.slot(now_us)
        bands = [usuals.get((day_type, hour)) for hour in range(24)]
        drawn = [each.band(floor_of(vital)) if each and each.learned else (None, None) for each in bands]
        return {
            "values": [short(reduce(each)) if each else None for each in hours],
            "low": [short(max(low, 0.0)) if low is not None else None for low, _ in drawn],
            "high": [short(high) if high is not None else None for _, high in drawn],
        }


def readings_of(vital: Vital, table: PointTable) -> dict[str, list[dict[str, object]]]:
    """The newest reading of every point behind each input, at most `MEMBERS` of them: what the formula starts from."""
    found: dict[str, list[dict[str, object]]] = {}
    for name, decl in vital.points.items():
        chosen = select(decl, table.registry, vital.domain)
        time_us, value, quality = table.columns(chosen.point[:MEMBERS])
        found[name] = [
            {
                "device": (device := table.registry.by_number[number]).id, "name": dict(device.name),
                "channel": decl.channel, "at": None if at == NEVER else rfc3339(at), "value": short(read),
                "doubted": bool(doubt & DOUBTFUL),
            }
            for number, at, read, doubt in zip(
                chosen.device.tolist(), time_us.tolist(), value.tolist(), quality.tolist(), strict=False
            )
        ]  # fmt: skip
    return found


def median(values: Sequence[float]) -> float | None:
    return short(statistics.median(values)) if values else None


#: What a blue band compares with, and which side of it is the target's.
AIM = re.compile(r"^value (<|>|<=|>=) ([0-9.]+)$")


def target_of(vital: Vital) -> dict[str, object] | None:
    """The value that is aimed at: the last one before the blue band; None where no number says it."""
    found = AIM.match(vital.decl.blue.split(" || ")[0])
    if found is None:
        return None
    step = 10.0**-vital.decl.digits if found[1].endswith("=") else 0.0
    least = found[1].startswith("<")
    return {"at": float(found[2]) + (step if least else -step), "sense": "least" if least else "most"}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def short(value: float) -> float:
    """Six significant digits: as much as a screen can show, and not more than must travel."""
    return float(f"{value:.6g}")


def plain(value: float) -> str:
    """A figure inside a sentence."""
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _rfc(moment: Any) -> str | None:  # noqa: ANN401 - a column of a row
    return None if moment is None else to_json(moment).decode().strip('"')
