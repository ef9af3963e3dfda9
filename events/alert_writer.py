"""Rows of alerts as the engine changes them: raise, clear, revise, put aside and back. Inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core.clock import SECOND_US, to_datetime, to_us
from core.errors import WrongState
from events import alarm, store
from events.alarm import Line
from events.engine import Engine, Row, fact_of, new_alert, place_of_row, placed
from events.facts import Group
from events.guards import PROTECT
from events.moves import Does, Move
from events.news import News
from events.permits import Permits
from events.rules import TIME_DRIVEN
from events.silence import Silent
from iot.registry import Device

ENGINE = "system:engine"

_ACTIONS = {
    Does.CLEAR: alarm.Action.CLEAR,
    Does.REVIVE: alarm.Action.REVIVE,
    Does.AMEND: alarm.Action.AMEND,
    Does.WITHDRAW: alarm.Action.WITHDRAW,
}
#: (rule, subject) → onset of what stands ↦ what should stand.
Judge = Callable[[Mapping[tuple[str, str], int]], Sequence[Silent]]


class AlertWriter:
    """The engine's hand on alerts."""

    def __init__(self, connection: AsyncConnection[TupleRow], engine: Engine, permits: Permits) -> None:
        self.connection = connection
        self.engine = engine
        self._permits = permits
        self._rules = engine.model.rules.by_key
        self._mutes = {rule.key: rule.decl.muted_by for rule in engine.rules if rule.decl.muted_by}

    async def apply(
        self, moves: Sequence[Move], now_us: int, news: News, *, backdated: bool = False
    ) -> set[Group]:
        touched = await self.raise_rows(
            [
                row
                for move in moves
                if move.does is Does.RAISE and (row := self.engine.alert_row(move, backdated=backdated))
            ],
            now_us,
            news,
        )
        others = [move for move in moves if move.does is not Does.RAISE]
        if others:
            touched |= await self._change(others, now_us, news)
        return touched

    async def raise_rows(self, new: list[Row], now_us: int, news: News) -> set[Group]:
        """Store alerts that have risen, put aside where their rule is; the groups that they are in."""
        if not new:
            return set()
        held = {
            (row["rule"], row["subject"]): row
            for row in await store.rows(
                self.connection,
                "holds_of",
                rules=[row["rule"] for row in new],
                subjects=[row["subject"] for row in new],
                now=to_datetime(now_us),
            )
        }
        standing = [*await self._muting(), *new] if any(row["rule"] in self._mutes for row in new) else []
        for row in new:
            hold = held.get((row["rule"], row["subject"]))
            muted = self._muted_by(row, standing, to_us(row["onset"]))
            design = row.pop("held", None) or (alarm.State.SUPPRESSED if muted else None)
            aside = alarm.State(hold["state"]) if hold else design
            row["state"] = alarm.first(aside=aside, asks=row["asks"]).state.value
            row["aside"] = _aside(hold) or ({"muted_by": muted} if muted else None)
            if self._permits(PROTECT, place_of_row(row, row["device"]), to_us(row["onset"])):
                row["level"] = max(1, row["level"] - 1)
        fresh = await store.insert_alerts(self.connection, new, now_us)
        new = [row for row in new if row["id"] in fresh]
        news.alerts += len(new)
        lines = [
            (row["id"], Line("raise", ENGINE, now_us, alarm.State.NORMAL.value, row["state"], {}))
            for row in new
        ]
        await store.log_alerts(self.connection, lines)
        touched: set[Group] = set()
        for row in new:
            news.alert(row, "raise")
            if row["state"] not in alarm.ASIDE and not row["backdated"]:
                touched |= self.engine.correlator.add(fact_of(row))
        return touched

    async def _change(self, moves: Sequence[Move], now_us: int, news: News) -> set[Group]:
        """Clear, amend, revive, withdraw; what is not there or not possible any more is left as it is."""
        named = [(self._key(move), move) for move in moves]
        known = [(key, move) for key, move in named if key is not None]
        found = await store.rows(
            self.connection,
            "lock_alerts_of",
            rules=[key[0] for key, _ in known],
            subjects=[key[1] for key, _ in known],
            onsets=[to_datetime(key[2]) for key, _ in known],
        )
        by_key = {(row["rule"], row["subject"], to_us(row["onset"])): row for row in found}
        changed: dict[str, Row] = {}
        lines: list[tuple[str, Line]] = []
        touched: set[Group] = set()
        for key, move in known:
            row = by_key.pop(key, None)
            if row is None:
                continue
            try:
                state, line = alarm.act(store.alarm_of(row), _ACTIONS[move.does], ENGINE, now_us)
            except WrongState:
                by_key[key] = row
                continue
            row = _moved(store.after(row, state, line), move)
            by_key[row["rule"], row["subject"], to_us(row["onset"])] = row
            changed[row["id"]] = row
            lines.append((row["id"], line))
            touched |= self._tell_correlator(row, move)
        await store.update_alerts(self.connection, changed.values(), now_us)
        await store.log_alerts(self.connection, lines)
        for row in changed.values():
            news.alert(row, "change")
        return touched

    def _key(self, move: Move) -> tuple[str, str, int] | None:
        found = self.engine.subject(move.point)
        if found is None:
            return None
        return self.engine.rules[move.rule].key, f"{found[0].id}/{found[1]}", move.onset_us

    def _tell_correlator(self, row: Row, move: Move) -> set[Group]:
        correlator = self.engine.correlator
        if row["id"] not in correlator.facts:
            return set()
        if move.does is Does.WITHDRAW:
            return correlator.remove(row["id"])
        if move.does is Does.AMEND:
            return correlator.add(fact_of(row))
        return correlator.end(row["id"], to_us(row["returned_at"]) if row["returned_at"] else None)

    async def judge(self, judge: Judge, now_us: int, news: News) -> None:
        """Bring the alerts of what is driven by time up to what is so now. They are the only memory of it."""
        rules = [rule.key for rule in self.engine.rules if rule.decl.detector in TIME_DRIVEN]
        rows = await store.rows(self.connection, "standing_of_rules", rules=rules)
        known = {(row["rule"], row["subject"]): row for row in rows}
        silent = judge({key: to_us(row["onset"]) for key, row in known.items()})
        wanted = {(each.rule.key, each.subject): each for each in [*silent, *await self._of_alerts(now_us)]}
        new = [self._silent_row(each) for key, each in wanted.items() if key not in known]
        await self.raise_rows(new, now_us, news)
        for key, row in known.items():
            action = _due(row, wanted.get(key))
            if action is not None:
                await self._act(row, action, now_us, news)

    async def _of_alerts(self, now_us: int) -> list[Silent]:
        """What the alerts themselves say: one point that alarms again and again, one that nobody answers."""
        found: list[Silent] = []
        for rule in self.engine.rules:
            decl = rule.decl
            if not decl.enabled or decl.detector not in ("repeats", "unanswered"):
                continue
            assert decl.on is not None
            since = now_us - round((decl.window or decl.on.usual_hold_s) * SECOND_US)
            rows = await store.rows(
                self.connection, f"alerts_{decl.detector}",
                of=None if decl.of == "*" else decl.of, since=to_datetime(since), n=decl.on.limit,
            )  # fmt: skip
            devices = self.engine.registry.devices
            found += [
                Silent(
                    rule, row["subject"], to_us(row["onset"]), devices.get(row["device"]), level=decl.level
                )
                for row in rows
            ]
        return found

    async def _act(self, row: Row, action: alarm.Action, now_us: int, news: News, **fields: object) -> Row:
        """One action of ours on one alert."""
        state, line = alarm.act(store.alarm_of(row), action, ENGINE, now_us, **fields)
        changed = store.after(row, state, line)
        if action is alarm.Action.CLEAR:
            changed["returned_at"] = to_datetime(now_us)
        if action is alarm.Action.SUPPRESS:
            changed["aside"] = fields or None
        await store.update_alerts(self.connection, [changed], now_us)
        await store.log_alerts(self.connection, [(row["id"], line)])
        news.alert(changed, action.value)
        return changed

    async def expire(self, now_us: int, news: News) -> set[Group]:
        """End shelves whose time is over: what still stands is there again, for the correlation too."""
        touched: set[Group] = set()
        for hold in await store.rows(self.connection, "expired_holds", now=to_datetime(now_us)):
            for row in await store.rows(self.connection, "lock_alerts_aside", **hold):
                touched |= self._back(await self._act(row, alarm.Action.EXPIRE, now_us, news))
        return touched

    def _back(self, row: Row) -> set[Group]:
        """An alert that is put aside no longer is evidence, if it stands and is none yet."""
        if not row["standing"] or row["incident"] is not None:
            return set()
        return self.engine.correlator.add(fact_of(row))

    async def mute(self, now_us: int, news: News) -> set[Group]:
        """Hold back what a permit or a greater alert explains, and let go what nothing explains any more."""
        touched: set[Group] = set()
        if not self._mutes:
            return touched
        rows = await store.rows(self.connection, "standing_of_rules", rules=sorted(self._mutes))
        standing = await self._muting()
        for row in rows:
            by = self._muted_by(row, standing, now_us)
            by_design = row["state"] == alarm.State.SUPPRESSED and "muted_by" in (row["aside"] or {})
            if by and row["state"] not in alarm.ASIDE:
                await self._act(row, alarm.Action.SUPPRESS, now_us, news, muted_by=by)
            elif not by and by_design:
                touched |= self._back(await self._act(row, alarm.Action.UNSUPPRESS, now_us, news))
        return touched

    async def _muting(self) -> list[Row]:
        """Standing alerts of rules that mute others."""
        names = sorted({name.partition("@")[0] for names in self._mutes.values() for name in names})
        return await store.rows(self.connection, "standing_of_rules", rules=names)

    def _muted_by(self, row: Row, standing: Sequence[Row], at_us: int) -> str:
        """The permit or the rule that explains an alert; empty when nothing does."""
        place = place_of_row(row, row["device"])
        for name in self._mutes.get(row["rule"], ()):
            rule, _, where = name.partition("@")
            if rule in self._rules:
                if any(each["rule"] == rule and _same(each, row, where) for each in standing):
                    return name
            elif self._permits(name, place, at_us):
                return name
        return ""

    def _silent_row(self, silent: Silent) -> Row:
        version = self.engine.model.rules.version
        row = new_alert(silent.rule, version, silent.subject, silent.since_us, silent.since_us)
        row.update(level=silent.level, held=alarm.State.SUPPRESSED if silent.suppressed else None)
        devices = [silent.device] if silent.device else self._behind(silent.subject)
        if devices:
            row.update(placed(devices[0]))
            row.update(
                lon=float(np.mean([d.lon for d in devices])), lat=float(np.mean([d.lat for d in devices]))
            )
        if silent.device is None:
            row.update(device="", zone="", asset="", domain=silent.rule.domain)
        return row

    def _behind(self, subject: str) -> list[Device]:
        """The devices that a gateway, a street or the city stands for."""
        what, _, name = subject.partition(":")
        devices = list(self.engine.registry.devices.values())
        if what in ("gateway", "area"):
            return [device for device in devices if getattr(device, what) == name]
        return devices


def _moved(row: Row, move: Move) -> Row:
    """What a move says about an alert beside its state."""
    if move.does is Does.CLEAR:
        return {**row, "returned_at": to_datetime(move.returned_us or move.at_us), "peak": move.peak}
    if move.does is Does.AMEND:
        return {**row, "onset": to_datetime(move.to_us)}
    if move.does is Does.REVIVE:
        return {**row, "returned_at": None}
    return {**row, "withdrawn": True, "returned_at": row["returned_at"] or row["onset"]}


def _due(row: Row, silent: Silent | None) -> alarm.Action | None:
    """What must happen to a standing alert of silence."""
    if silent is None:
        return alarm.Action.CLEAR
    if silent.suppressed and row["state"] not in alarm.ASIDE:
        return alarm.Action.SUPPRESS
    if not silent.suppressed and row["state"] == alarm.State.SUPPRESSED:
        return alarm.Action.UNSUPPRESS
    return None


def _same(one: Row, other: Row, where: str) -> bool:
    """Whether two alerts are at one place: the same device or asset, or as `where` says the same zone."""
    if where:
        return bool(one["zone"]) and one["zone"] == other["zone"]
    return bool(one["device"] == other["device"] or (one["asset"] and one["asset"] == other["asset"]))


def _aside(hold: Row | None) -> dict[str, object] | None:
    if hold is None:
        return None
    until = hold["until"]
    return {"reason": hold["reason"], "by": hold["by"], "until": until.isoformat() if until else None}
