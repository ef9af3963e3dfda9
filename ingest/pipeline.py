"""Parcels in, acknowledgements out: assemble, commit, settle; to the spool and back while the database is away.

Group commit: a batch is what came since the last COMMIT, so the pace sets itself. One task does everything in
order, on one connection, so that what was acknowledged is always in exactly one place: the table or the spool.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import Clock
from core.log import logger
from core.metrics import Metrics
from ingest.assemble import Assembled, Assembler
from ingest.intake import Intake
from ingest.spool import Entry, Spool, SpoolFull
from iot.codecs.frame import Parcel, Refusal
from iot.readings import DeadLetter, Logged, Mark, Store, Stored
from iot.registry import Registry

#: The database is asked again this often while it is away, and so is a spool that cannot take more.
RETRY_S = 0.5
#: Transactions begin at least this far apart: each costs some milliseconds here and in those who follow, whatever it
#: takes. When more than `BUSY_ROWS_S` come, they are the greater part of all cost, and begin farther apart.
PACE_S, BUSY_PACE_S = 0.01, 0.03
BUSY_ROWS_S = 20_000.0
LIVE = "live"


@dataclass(slots=True)
class Portion:
    """Some parcels, assembled."""

    parcels: Sequence[Parcel]
    assembled: Assembled
    dead: Sequence[DeadLetter]
    registry: Registry
    history: bool

    def __len__(self) -> int:
        return len(self.assembled.batch)

    def settle(self) -> None:
        """All of it is safe: tell the senders, in the order in which they sent."""
        assembled = self.assembled
        for number, parcel in enumerate(self.parcels):
            parcel.receipt.settle(assembled.accepted[number], assembled.refused.get(number, ()))


@dataclass(slots=True)
class Work:
    """What one transaction takes: portions, all live or all back-fill, as one batch."""

    portions: Sequence[Portion]
    batch: Batch
    dead: Sequence[DeadLetter]
    mark: Mark
    history: bool

    @classmethod
    def of(cls, portions: Sequence[Portion]) -> Work:
        batches = [portion.assembled.batch for portion in portions]
        batch = batches[0] if len(batches) == 1 else Batch.concat(batches)
        dead = [letter for portion in portions for letter in portion.dead]
        return cls(portions, batch, dead, Mark(LIVE, new_id()), portions[0].history)


class News:
    """What a pipeline tells the rest of its process. The base does nothing; the wiring passes one that does."""

    def stored(self, logged: Logged) -> None:
        """A batch is committed, with its place in the log."""

    def spooled(self, batch: Batch) -> None:
        """A batch is safe on disk only: life-safety rules may decide on it before the database is back."""

    def refused(self, gateway: str, notice: bytes) -> None:
        """What a gateway is to be told on `refused/<gateway>`."""


class Pipeline:
    """Owns the store and the spool. `run` it for ever; `use` gives it a new registry snapshot."""

    def __init__(
        self,
        intake: Intake,
        store: Store,
        assembler: Assembler,
        spool: Spool,
        clock: Clock,
        metrics: Metrics,
        news: News | None = None,
    ) -> None:
        self.intake = intake
        self.store = store
        self.spool = spool
        self.clock = clock
        self.metrics = metrics
        self.news = news or News()
        self.log = logger("ingest")
        self.database_up = False
        self.blocked = ""  # why nothing can be made safe just now
        self._recalled = False
        self._retry_at_s: float | None = None  # while the database is away
        self._assembler = assembler
        self._registry: Registry | None = None  # that the store uses
        self._urgent: NDArray[np.bool_] = np.zeros(0, bool)
        self._ready: deque[Portion] = deque()
        self._ready_rows = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    def use(self, assembler: Assembler) -> None:
        """Take a new registry snapshot (its assembler) from the next parcel on."""
        self._assembler = assembler

    # -- the loops ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever. What was put into the intake is settled as soon as it is safe.

        While one batch is committed the next is assembled, piece by piece so that the loop stays awake.
        """
        await asyncio.to_thread(self.spool.open)
        if self.spool.lost_bytes:
            self.log.warning("spool_torn", bytes=self.spool.lost_bytes)
        self._take_up(self._assembler.registry)
        await self._connect()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._assemble_for_ever())
            both.create_task(self._keep_for_ever())

    async def _assemble_for_ever(self) -> None:
        while True:
            await self.intake.wait()
            while self._ready_rows >= self.intake.batch.rows:
                self._room.clear()
                await self._room.wait()
            assembler = self._assembler
            parcels = self.intake.take()
            assembled = assembler.assemble(parcels)
            portion = Portion(
                parcels, assembled, dead_letters(parcels, assembled), assembler.registry, parcels[0].history
            )
            self._ready.append(portion)
            self._ready_rows += len(portion)
            self._some.set()
            await asyncio.sleep(0)

    async def _keep_for_ever(self) -> None:
        began_s, pace_s = 0.0, PACE_S
        while True:
            await self._wait()
            rest_s = began_s + pace_s - self.clock.monotonic_s()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
            before_s, began_s = began_s, self.clock.monotonic_s()
            pace_s = BUSY_PACE_S if self._ready_rows > BUSY_ROWS_S * (began_s - before_s) else PACE_S
            if await self._reachable():
                await self._drain()
            portions = self._take_ready()
            if portions:
                self._take_up(portions[-1].registry)
                await self._keep(Work.of(portions))
            self._report()

    def _take_ready(self) -> list[Portion]:
        taken: list[Portion] = []
        rows = self.intake.batch.rows
        while self._ready and (not taken or self._ready[0].history == taken[0].history) and rows > 0:
            taken.append(self._ready.popleft())
            rows -= len(taken[-1])
            self._ready_rows -= len(taken[-1])
        if not self._ready:
            self._some.clear()
        self._room.set()
        return taken

    def _take_up(self, registry: Registry) -> None:
        """From here on batches may have the points of this snapshot."""
        if registry is self._registry:
            return
        self._registry = registry
        self.store.use(registry)
        self._urgent = np.zeros(max(registry.by_number, default=0) + 1, bool)
        for number, device in registry.by_number.items():
            self._urgent[number] = registry.kind_of(device).decl.life_safety

    async def _wait(self) -> None:
        """Until there is something to do; a spool that is not empty is, as soon as the database may be asked."""
        if self.spool.empty and self.database_up:
            await self._some.wait()
            return
        patience_s = 0.0 if self._retry_at_s is None else self._retry_at_s - self.clock.monotonic_s()
        if patience_s > 0:
            try:
                await asyncio.wait_for(self._some.wait(), patience_s)
            except TimeoutError:
                pass  # time to ask the database again
        else:
            await asyncio.sleep(0)

    async def _keep(self, work: Work) -> None:
        """Make a batch safe, whatever it takes, and settle it."""
        while len(work.batch) or work.dead:
            if await self._reachable() and await self._commit(work):
                break
            if await self._to_spool(work):
                break
            await asyncio.sleep(RETRY_S)
        if self.blocked:
            self.log.info("acknowledging_again")
            self.blocked = ""
        for portion in work.portions:
            portion.settle()
        self._tell_refused(work)

    # -- the database ------------------------------------------------------------------------------------

    async def _reachable(self) -> bool:
        if self.database_up:
            return True
        if self._retry_at_s is not None and self.clock.monotonic_s() < self._retry_at_s:
            return False
        await self._connect()
        return self.database_up

    async def _connect(self) -> None:
        try:
            await self.store.connect()
            if not self._recalled:
                await self.store.recall()
                for lane, last in (await self.store.marks()).items():
                    if lane in self.spool.lanes:
                        await asyncio.to_thread(self.spool.lanes[lane].skip_through, last)
                self._recalled = True
        except (psycopg.OperationalError, OSError) as away:
            self._lost(away)
        else:
            if self._retry_at_s is not None:
                self.log.info("database_back", spool_bytes=self.spool.size)
            self.database_up, self._retry_at_s = True, None

    def _lost(self, why: Exception) -> None:
        if self._retry_at_s is None:
            self.log.warning("database_away", reason=str(why).strip())
        self.database_up = False
        self._retry_at_s = self.clock.monotonic_s() + RETRY_S

    async def _commit(self, work: Work) -> bool:
        stored = await self._store(work.batch, work.dead, work.mark, history=work.history)
        if stored is None:
            return False
        self._count(stored, work.dead)
        return True

    async def _store(
        self,
        batch: Batch,
        dead: Sequence[DeadLetter],
        mark: Mark,
        *,
        history: bool,
        unseen: bool = False,
    ) -> Stored | None:
        """Commit; None when the database cannot be had. A connection that broke in between is asked what became."""
        try:
            stored = await self.store.commit(
                batch, dead, self.clock.now_us(), mark, history=history, unseen=unseen
            )
        except (psycopg.OperationalError, psycopg.InterfaceError) as away:
            return await self._in_doubt(mark, away)
        if stored.logged is not None:
            self.news.stored(stored.logged)
        return stored

    async def _in_doubt(self, mark: Mark, why: Exception) -> Stored | None:
        """The connection broke: was it before or after COMMIT?"""
        self._lost(why)
        try:
            await self.store.connect()
            took = await self.store.took(mark)
        except (psycopg.OperationalError, OSError) as still:
            self._lost(still)
            return None
        if not took:
            return None
        self.database_up, self._retry_at_s = True, None
        return Stored(None)

    # -- the spool ---------------------------------------------------------------------------------------

    async def _to_spool(self, work: Work) -> bool:
        entries = self._entries(work)
        try:
            await self.spool.append(entries)
        except (SpoolFull, OSError) as full:
            if not self.blocked:
                self.log.warning("acknowledging_stopped", reason=str(full))
            self.blocked = str(full)
            self._report()
            return False
        self.metrics.count("spooled_total", len(work.batch))
        self.news.spooled(work.batch)
        return True

    def _entries(self, work: Work) -> dict[str, Entry]:
        """The work by lanes: readings of life-safety devices apart; dead letters wait with the rest."""
        batch = work.batch
        urgent = self._urgent[batch.device]
        entries: dict[str, Entry] = {}
        if urgent.any():
            entries["life"] = Entry(new_id(), batch.take(urgent), (), work.history)
        if not urgent.all() or work.dead or not len(batch):
            entries["rest"] = Entry(work.mark.id, batch.take(~urgent), work.dead, work.history)
        return entries

    async def _drain(self) -> None:
        """Give the database what the spool holds: all of the urgent lane, one batch of the other; live data between."""
        while await self._drain_lane("life"):
            pass
        if self.database_up:
            await self._drain_lane("rest")

    async def _drain_lane(self, name: str) -> bool:
        lane = self.spool.lanes[name]
        if not lane.size:
            return False
        entries = await asyncio.to_thread(lane.peek, self.intake.batch.rows)
        if not entries:
            return False
        batch = Batch.concat(entry.batch for entry in entries)
        dead = [letter for entry in entries for letter in entry.dead]
        mark = Mark(name, entries[-1].id)
        stored = await self._store(batch, dead, mark, history=entries[0].history, unseen=True)
        if stored is None:
            return False
        await asyncio.to_thread(lane.done, len(entries))
        self._count(stored, dead)
        self.metrics.count("drained_total", len(batch))
        return True

    # -- telling -----------------------------------------------------------------------------------------

    def _tell_refused(self, work: Work) -> None:
        """One notice a gateway: how many records of this batch were refused, and the first of them with its reason."""
        told: dict[str, list[Refusal]] = {}
        for portion in work.portions:
            for number, refused in portion.assembled.refused.items():
                told.setdefault(portion.parcels[number].gateway, []).extend(refused)
        for gateway, refused in told.items():
            self.news.refused(gateway, notice(refused))

    def _count(self, stored: Stored, dead: Sequence[DeadLetter]) -> None:
        count = self.metrics.count
        count("batches_total")
        count("readings_total", len(stored.logged.batch) if stored.logged else 0)
        if stored.duplicates:
            count("duplicates_total", stored.duplicates)
        if stored.conflicts:
            count("conflicts_total", stored.conflicts)
        for letter in dead:
            count("refused_total", letter.count, reason=letter.reason.value)

    def _report(self) -> None:
        self.metrics.set("intake_frames", self.intake.frames)
        self.metrics.set("spool_bytes", self.spool.size)
        self.metrics.set("spool_lost_bytes", self.spool.lost_bytes)
        self.metrics.set("database_up", self.database_up)
        self.metrics.set("ingest_blocked", bool(self.blocked))


def new_id() -> int:
    """Names one commit for ever; not chance that decides anything."""
    return int.from_bytes(os.urandom(8), "big") >> 1


def dead_letters(parcels: Sequence[Parcel], assembled: Assembled) -> list[DeadLetter]:
    """One a frame of which something was refused, with the first reason; frames in order."""
    letters: list[DeadLetter] = []
    for number, refused in sorted(assembled.refused.items()):
        parcel = parcels[number]
        counts = Counter(refusal.frame for refusal in refused)
        firsts: dict[int, Refusal] = {}
        for refusal in sorted(refused, key=lambda each: (each.frame, each.record)):
            firsts.setdefault(refusal.frame, refusal)
        letters += [
            DeadLetter(
                parcel.gateway, parcel.source, parcel.topic, first.record, first.reason, first.detail,
                parcel.payloads[frame], counts[frame],
            )
            for frame, first in firsts.items()
        ]  # fmt: skip
    return letters


def notice(refused: Sequence[Refusal]) -> bytes:
    """What `refused/<gateway>` says (DESIGN §6.1)."""
    first = min(refused, key=lambda each: (each.frame, each.record))
    told = {"record": first.record, "reason": first.reason.value, "detail": first.detail}
    return msgspec.json.encode({"count": len(refused), "first": told})
