"""Records of the last days, for vital signs: arrivals, checks, dispatches, what alarms turned out to be, calls, checks
of the duty. Read once a minute: what is counted over days need not be counted every ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from core.clock import DAY_US, MINUTE_US, SECOND_US, to_datetime, to_us
from core.db import Database
from dashboard.vitals.inputs import Rows
from dispatch import views as dispatch
from events.views import EventViews
from ingest import gateways_store
from iot.registry import Registry

#: Alarms that somebody must verify: is it a fire?
FIRE_RULES = ["fire.alarm", "fire.standalone", "fire.ebike"]
LOOK_BACK_US = 31 * DAY_US
#: Calls further apart than this are no cluster.
CALLS_US = 60 * MINUTE_US
DUTY_CHANNEL = "fire.duty_answer"
Row = Mapping[str, Any]


@dataclass(slots=True)
class Lately:
    """Records by topic; each has `at_us` and `provenance`."""

    database: Database
    views: EventViews
    _read_us: int = 0
    _rows: Rows = field(default_factory=dict)

    async def records(self, now_us: int, registry: Registry) -> Rows:
        """What stands in the store, at most a minute old."""
        if now_us - self._read_us >= MINUTE_US:
            self._rows, self._read_us = await self._read(now_us, registry), now_us
        return self._rows

    async def _read(self, now_us: int, registry: Registry) -> Rows:
        since = to_datetime(now_us - LOOK_BACK_US)
        async with self.database.transaction() as connection:
            arrivals = await dispatch.lately(connection, "arrivals_since", since)
            checked = await dispatch.lately(connection, "checked_since", since)
            sent = await dispatch.lately(connection, "dispatched_since", since)
            verified = await dispatch.lately(connection, "verified_since", since)
            called = await dispatch.lately(connection, "hotline_since", to_datetime(now_us - CALLS_US))
        reports = await self.views.reports(to_datetime(now_us - CALLS_US), to_datetime(now_us))
        return {
            "arrivals": [{**each, "took_s": float(each["took_s"])} for each in arrivals],
            "checked": dated(checked),
            "dispatched": sent,
            "verdicts": verdicts(await self.views.verdicts(FIRE_RULES, since), verified),
            "reports": dated([*reports, *called]),
            "duty_checks": await self._duty_checks(now_us, registry),
        }

    async def _duty_checks(self, now_us: int, registry: Registry) -> Sequence[Row]:
        channel = registry.channels.get(DUTY_CHANNEL)
        if channel is None:
            return []
        found = await self.database.fetch(
            gateways_store.QUERIES["duty_checks"],
            channel=channel.number, since=to_datetime(now_us - LOOK_BACK_US), now=to_datetime(now_us),
        )  # fmt: skip
        return dated(found)


def dated(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "at_us": to_us(row["at"])} for row in rows]


def verdicts(told: Sequence[Row], verified: Sequence[Row]) -> list[Row]:
    """One record an alarm or incident: when it was first verified (`took_s` after it was shown), what was said last.

    `told` are rows of `EventViews.verdicts`; `verified` what collectors found of cases, and so of their incidents.
    """
    of_incident = {row["incident"]: row for row in told if row["incident"]}
    more = [{**of_incident[row["incident"]], **row} for row in verified if row["incident"] in of_incident]
    found: dict[str, dict[str, Any]] = {}
    for row in sorted([*told, *more], key=itemgetter("at")):
        first = found.setdefault(
            row["key"], {**row, "at_us": to_us(row["at"]), "shown_us": to_us(row["shown_at"])}
        )
        first["real"] = row["real"]
        first["shown_us"] = min(first["shown_us"], to_us(row["shown_at"]))
    return [
        {**each, "took_s": max(0.0, (each["at_us"] - each["shown_us"]) / SECOND_US)}
        for each in found.values()
    ]
