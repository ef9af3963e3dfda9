"""Papers and commands at rest, each change with its log line and its news."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from core.changes import Change as News
from core.clock import to_datetime, to_us
from core.errors import NotFound
from dispatch import commands, papers, store
from dispatch.commands import Command
from dispatch.machine import LogLine
from dispatch.papers import Paper, PaperKind
from dispatch.store import Row, us, when
from dispatch.work import Work

#: Topic of the news of each kind.
TOPICS = {kind: f"{kind.value}s" for kind in PaperKind}


def paper_of(found: Row) -> Paper:
    return Paper(
        id=found["id"],
        number=found["number"],
        kind=PaperKind(found["kind"]),
        state=found["state"],
        title=found["title"],
        text=found["body"],
        issuer=found["issuer"],
        to=tuple(found["receivers"]),
        level=found["level"],
        provenance=found["provenance"],
        created_us=to_us(found["created_at"]),
        by=found["by"],
        incident=found["incident"],
        case=found["case_id"],
        run=found["run"],
        task=found["task"],
        lon=found["lon"],
        lat=found["lat"],
        due_us=us(found["due_at"]),
        from_us=us(found["from_at"]),
        until_us=us(found["until_at"]),
        facts=found["facts"],
        times_us=found["times"],
        supersedes=found["supersedes"],
    )


async def lock_paper(work: Work, id_: str, kind: PaperKind) -> Paper:
    """Raises `NotFound`; a paper of another kind is not found either."""
    found = await store.row(work.connection, "lock_paper", id=id_)
    if found is None or found["kind"] != kind:
        raise NotFound
    return paper_of(found)


async def insert_paper(work: Work, paper: Paper, line: LogLine) -> bool:
    """False when it exists already, and then nothing happened."""
    made = await store.row(
        work.connection, "insert_paper",
        id=paper.id, number=paper.number, kind=paper.kind, state=paper.state, title=Jsonb(paper.title),
        body=paper.text, issuer=paper.issuer, receivers=list(paper.to), level=paper.level,
        provenance=paper.provenance, incident=paper.incident, case_id=paper.case, run=paper.run,
        task=paper.task, lon=paper.lon, lat=paper.lat, due_at=when(paper.due_us), from_at=when(paper.from_us),
        until_at=when(paper.until_us), facts=Jsonb(paper.facts), times=Jsonb(paper.times_us),
        supersedes=paper.supersedes, by=paper.by, now=to_datetime(paper.created_us),
    )  # fmt: skip
    if made is not None:
        await _kept(work, paper, line)
    return made is not None


async def save_paper(work: Work, paper: Paper, line: LogLine) -> None:
    await store.run(
        work.connection, "update_paper",
        id=paper.id, state=paper.state, body=paper.text, level=paper.level, until_at=when(paper.until_us),
        facts=Jsonb(paper.facts), times=Jsonb(paper.times_us), now=to_datetime(line.at_us),
    )  # fmt: skip
    await _kept(work, paper, line)


async def _kept(work: Work, paper: Paper, line: LogLine) -> None:
    await store.log(work.connection, "log_paper", paper.id, line)
    await store.set_deadlines(work.connection, "paper", paper.id, papers.deadlines(paper))
    work.news.append(News(TOPICS[paper.kind], paper.id, {"state": paper.state}))


def command_of(found: Row) -> Command:
    return Command(
        id=found["id"],
        number=found["number"],
        device=found["device"],
        channel=found["channel"],
        value=found["value"],
        state=found["state"],
        reason=found["reason"],
        proposed_by=found["proposed_by"],
        created_us=to_us(found["created_at"]),
        provenance=found["provenance"],
        confirmed_by=found["confirmed_by"],
        incident=found["incident"],
        run=found["run"],
        task=found["task"],
        reply=found["reply"],
        times_us=found["times"],
    )


async def lock_command(work: Work, id_: str) -> Command:
    """Raises `NotFound`."""
    found = await store.row(work.connection, "lock_command", id=id_)
    if found is None:
        raise NotFound
    return command_of(found)


async def insert_command(work: Work, command: Command, line: LogLine) -> bool:
    made = await store.row(
        work.connection, "insert_command",
        id=command.id, number=command.number, device=command.device, channel=command.channel,
        value=command.value, reason=command.reason, by=command.proposed_by, incident=command.incident,
        run=command.run, task=command.task, provenance=command.provenance, times=Jsonb(command.times_us),
        now=to_datetime(command.created_us),
    )  # fmt: skip
    if made is not None:
        await _kept_command(work, command, line)
    return made is not None


async def save_command(work: Work, command: Command, line: LogLine) -> None:
    await store.run(
        work.connection, "update_command",
        id=command.id, state=command.state, confirmed_by=command.confirmed_by, reply=Jsonb(command.reply),
        times=Jsonb(command.times_us), now=to_datetime(line.at_us),
    )  # fmt: skip
    await _kept_command(work, command, line)


async def _kept_command(work: Work, command: Command, line: LogLine) -> None:
    await store.log(work.connection, "log_command", command.id, line)
    await store.set_deadlines(work.connection, "command", command.id, commands.deadlines(command))
    work.news.append(News("commands", command.id, {"state": command.state}))
