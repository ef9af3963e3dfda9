"""Files of history straight into the store: what `cityops backfill` does. Of any age, decided by nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from core.clock import Clock
from core.db import Database, connect
from core.errors import Invalid
from core.settings import Settings
from ingest.assemble import Assembler, Limits
from ingest.pipeline import new_id
from ingest.stream import NoReceipt
from iot import registry_store
from iot.codecs import parquet
from iot.codecs.frame import Parcel, Refusal
from iot.kinds import Catalogue
from iot.partitions import ReadingsTable
from iot.readings import Mark, Store

Say = Callable[[str, int], None]
ROWS = 20_000
#: Ends of names → format.
FORMATS = {
    ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow", ".json": "senml",
    ".cbor": "senml-cbor",
}  # fmt: skip
#: Refusals of which the words are kept; all are counted.
TOLD = 20


@dataclass(slots=True)
class Done:
    """What became of the files; `told` has the first refusals: file, row and reason."""

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def refuse(self, where: str, refusal: Refusal) -> None:
        self.refused[refusal.reason.value] += 1
        if len(self.told) < TOLD:
            self.told.append(f"{where}: {refusal.reason.value} {refusal.detail}")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a file that are stored in one transaction; `first` is the number of the first one."""

    source: str
    payload: bytes
    first: int = 0


def parts(file: Path) -> Iterator[Part]:
    """A file in parts of at most `ROWS`; Arrow and SenML as they are. Raises `Invalid` for a name of no known kind."""
    source = FORMATS.get(file.suffix.lower())
    if source is None:
        raise Invalid("error.unknown_file", field="file", value=file.name, known=", ".join(FORMATS))
    if source == "csv":
        yield from lines_of(file)
    elif source == "parquet":
        for number, stream in enumerate(parquet.streams(file.read_bytes(), ROWS)):
            yield Part("arrow", stream, number * ROWS)
    else:
        yield Part(source, file.read_bytes())


def lines_of(file: Path) -> Iterator[Part]:
    """Lines are cut as bytes: no encoding that spreadsheets write has a line feed inside a character."""
    with file.open("rb") as opened:
        head = opened.readline()
        first = 0
        while lines := list(islice(opened, ROWS)):
            yield Part("csv", head.rstrip(b"\r\n") + b"\n" + b"".join(lines), first)
            first += len(lines)


@dataclass(frozen=True, slots=True)
class Into:
    """Where history goes: a database, and what its installation knows."""

    dsn: str
    settings: Settings
    catalogue: Catalogue


async def backfill(into: Into, gateway: str, files: list[Path], clock: Clock, say: Say) -> Done:
    """Store all files as the history of a gateway's devices. Raises `Invalid` when the gateway is not registered.

    `say(file, rows)` hears how far it is. What is stored already is a duplicate: it may be run again at any time.
    """
    database = Database(into.dsn, 2)
    await database.open()
    try:
        registry = await registry_store.load(database, into.catalogue)
    finally:
        await database.close()
    if gateway not in registry.gateways:
        raise Invalid("error.unknown_gateway", field="gateway", value=gateway)
    table = ReadingsTable(into.settings.store.partition, into.settings.city.timezone)
    async with await connect(into.dsn) as connection:
        await table.prepare(connection, into.settings.database.timescale)
    store = Store(into.dsn, table, "backfill", "backfill")
    store.use(registry)
    await store.connect()
    assembler, done = Assembler(registry, Limits(kept_s=into.settings.store.keep_readings)), Done()
    try:
        for file in files:
            rows = 0
            for part in parts(file):
                parcel = Parcel(
                    gateway, part.source, [part.payload], clock.now_us(), NoReceipt(), history=True
                )
                rows += await one(store, assembler, parcel, done, (file, part.first))
                say(file.name, rows)
    finally:
        await store.close()
    return done


async def one(store: Store, assembler: Assembler, parcel: Parcel, done: Done, place: tuple[Path, int]) -> int:
    """Store one part; how many of its rows could be read."""
    assembled = assembler.assemble([parcel])
    file, first = place
    for refusal in assembled.refused.get(0, ()):
        done.refuse(f"{file.name} row {first + refusal.record + 1}", refusal)
    mark = Mark("backfill", new_id())
    stored = await store.commit(assembled.batch, (), parcel.received_us, mark, history=True, unseen=True)
    done.stored += len(stored.logged.batch) if stored.logged else 0
    done.duplicates += stored.duplicates
    done.conflicts += stored.conflicts
    return len(assembled.batch)
