"""What people do to requests, directives, bulletins, warnings and permits, and to commands of our own devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.actor import Actor
from core.clock import SECOND_US, rfc3339, to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotAllowed
from dispatch import commands, notices, paper_store, papers, store
from dispatch.actions import DESK, Actions
from dispatch.commands import Command
from dispatch.machine import OF_THE_CLOCK, LogLine, allowed
from dispatch.messages import Message
from dispatch.notices import About
from dispatch.papers import Change, Paper, PaperKind
from dispatch.work import Work

#: Who hears of a new paper beside its receivers.
ALSO_TOLD = {
    PaperKind.BULLETIN: ("role:info_officer", "role:duty_leader"),
    PaperKind.WARNING: ("role:shift_leader",),
}


@dataclass(frozen=True, slots=True)
class NewPaper:
    """What somebody enters. Times in µs."""

    kind: PaperKind
    title: Mapping[str, object]
    to: tuple[str, ...] = ()
    text: str = ""
    issuer: str = ""
    level: int = 4
    provenance: str = "real"
    incident: str = ""
    case: str = ""
    run: str = ""
    task: str = ""
    lon: float | None = None
    lat: float | None = None
    due_us: int | None = None
    from_us: int | None = None
    until_us: int | None = None
    facts: Mapping[str, object] | None = None
    supersedes: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class PaperActions:
    actions: Actions

    async def make(self, work: Work, new: NewPaper, by: str) -> Paper:
        """A new paper: stored, its clock started, its receivers told. The same key makes the same paper."""
        if new.kind == PaperKind.WARNING and not new.issuer:
            raise Invalid("dispatch.error.issuer_needed", field="issuer")
        first = papers.FIRST[new.kind]
        paper = Paper(
            id=store.natural_id(new.kind, new.key or f"{by}:{work.now_us}", new.run, new.task),
            number=await store.take_number(
                work.connection, papers.PREFIX[new.kind], work.now_us, self.actions.zone
            ),
            kind=new.kind,
            state=first,
            title=new.title,
            text=new.text,
            issuer=new.issuer,
            to=new.to,
            level=new.level,
            provenance=new.provenance,
            created_us=work.now_us,
            by=by,
            incident=new.incident,
            case=new.case,
            run=new.run,
            task=new.task,
            lon=new.lon,
            lat=new.lat,
            due_us=new.due_us,
            from_us=new.from_us,
            until_us=new.until_us,
            facts=new.facts or {},
            times_us={first: work.now_us},
            supersedes=new.supersedes,
        )
        if await paper_store.insert_paper(work, paper, LogLine(work.now_us, by, "make", "", first)):
            for receiver in (*new.to, *ALSO_TOLD.get(new.kind, ())):
                await self._tell(work, paper, receiver, f"new_{new.kind}")
        return paper

    async def create(self, connection: DictConnection, new: NewPaper, actor: Actor, now_us: int) -> Paper:
        """A person makes a paper. Raises `NotAllowed`, `Invalid`."""
        self.actions.require(actor, f"{new.kind}.create")
        work = Work(connection, now_us)
        paper = await self.make(work, new, actor.id)
        await work.publish()
        return paper

    async def act(
        self, connection: DictConnection, kind: PaperKind, id_: str, action: str, actor: Actor, now_us: int,
        change: Change,
    ) -> Paper:  # fmt: skip
        """Do an action to a paper. A department acts on what is addressed to it. Raises as the tables do."""
        work = Work(connection, now_us)
        paper = await paper_store.lock_paper(work, id_, kind)
        if action in OF_THE_CLOCK:
            raise Invalid("dispatch.error.unknown_action", field="action", action=action)
        self.actions.require(actor, f"{kind}.{'act' if addressed(actor, paper) else 'manage'}")
        if self.actions.policy.knows(f"{kind}.{action}"):
            self.actions.require(actor, f"{kind}.{action}")
        paper = await self.step(work, paper, action, actor.id, change)
        await work.publish()
        return paper

    async def step(self, work: Work, paper: Paper, action: str, by: str, change: Change) -> Paper:
        """One step and what follows from it by rule."""
        after, line = papers.act(paper, action, by, work.now_us, change)
        await paper_store.save_paper(work, after, line)
        if paper.kind == PaperKind.BULLETIN and action == "send":
            await self._next_bulletin(work, after)
        if paper.kind == PaperKind.PERMIT and action == "grant":
            await self._mute(work, after)
        if paper.kind == PaperKind.REQUEST and after.state == "unable":
            await self._tell(work, after, "role:dispatcher", "request_unable")
        return after

    async def _next_bulletin(self, work: Work, sent: Paper) -> None:
        """续报: the next one is due after its span, as long as the plan that asked for it runs."""
        next_s = sent.facts.get("next_s")
        run = await store.row(work.connection, "find_run", id=sent.run) if sent.run else None
        if not isinstance(next_s, int | float) or run is None or run["state"] != "running":
            return
        number = int(str(sent.facts.get("no", 1))) + 1
        await self.make(
            work,
            NewPaper(
                PaperKind.BULLETIN, sent.title, sent.to, text=sent.text, level=sent.level,
                provenance=sent.provenance, incident=sent.incident, case=sent.case, run=sent.run, task=sent.task,
                due_us=work.now_us + round(next_s * SECOND_US), supersedes=sent.id,
                facts={**sent.facts, "sort": "follow_up", "no": number}, key=f"{sent.id}:{number}",
            ),
            DESK.id,
        )  # fmt: skip

    async def _mute(self, work: Work, permit: Paper) -> None:
        """A granted permit is evidence against: the engine weighs it until it ends."""
        await self.actions.incidents.permit(work.connection, permit, DESK, work.now_us)

    async def clock(self, work: Work, paper: Paper, kind: str) -> None:
        """A deadline of a paper has come."""
        if kind == "expire" and (paper.state, "expire") in papers.STEPS[paper.kind]:
            paper = await self.step(work, paper, "expire", DESK.id, Change())
        receiver = {"receive": "role:dispatcher", "send": "role:info_officer"}.get(kind, "role:shift_leader")
        if paper.kind not in (PaperKind.PERMIT, PaperKind.WARNING):
            await self._tell(work, paper, receiver, f"late_{paper.kind}", kind)

    async def _tell(self, work: Work, paper: Paper, receiver: str, message: str, more: str = "") -> None:
        about = About(paper.kind, paper.id, paper.level, paper.provenance)
        await notices.tell(
            work, f"{paper.id}:{message}:{more}:{paper.state}", receiver, message, about,
            number=paper.number, title=paper.title, due=rfc3339(paper.due_us) if paper.due_us else "",
        )  # fmt: skip

    # -- commands -------------------------------------------------------------------------------------------

    async def propose(self, work: Work, new: Command, by: str) -> Command:
        """A command waits for a second person. Raises `Invalid` for what the centre may not command."""
        kind = self.actions.readings.kind_of(new.device)
        rules = self.actions.city.rules.commands
        if kind is None:
            raise Invalid("dispatch.error.unknown_device", field="device", device=new.device)
        if kind not in rules.own and not (kind in rules.utility and rules.utility_allowed):
            raise Invalid("dispatch.error.not_ours_to_command", field="device", device=new.device)
        command = replace(
            new,
            id=store.natural_id("command", new.device, new.channel, new.value, by, work.now_us),
            number=await store.take_number(work.connection, "ML", work.now_us, self.actions.zone),
            state="proposed",
            proposed_by=by,
            created_us=work.now_us,
            times_us={"proposed": work.now_us},
        )
        line = LogLine(work.now_us, by, "propose", "", "proposed", new.reason, {"value": new.value})
        await paper_store.insert_command(work, command, line)
        about = About("command", command.id, 2, command.provenance)
        await notices.tell(
            work, command.id, "role:shift_leader", "confirm_command", about,
            number=command.number, device=command.device, channel=command.channel, value=command.value,
        )  # fmt: skip
        return command

    async def propose_command(
        self, connection: DictConnection, new: Command, actor: Actor, now_us: int
    ) -> Command:
        self.actions.require(actor, "command.propose")
        work = Work(connection, now_us)
        command = await self.propose(work, new, actor.id)
        await work.publish()
        return command

    async def act_on_command(
        self, connection: DictConnection, id_: str, action: str, actor: Actor, now_us: int, reason: str = ""
    ) -> Command:
        """Confirm or refuse. Raises `NotAllowed` when who proposed wants to confirm."""
        if action not in ("confirm", "refuse"):
            raise Invalid("dispatch.error.unknown_action", field="action", action=action)
        self.actions.require(actor, f"command.{action}")
        work = Work(connection, now_us)
        command = await paper_store.lock_command(work, id_)
        command = await self.step_command(work, command, action, actor.id, reason)
        await work.publish()
        return command

    async def step_command(
        self, work: Work, command: Command, action: str, by: str, reason: str = ""
    ) -> Command:
        """One step; a confirmed command goes into the outbox in the same transaction."""
        after, line = commands.act(command, action, by, work.now_us, reason)
        await paper_store.save_command(work, after, line)
        if action == "confirm":
            gateway, wire_name = self.actions.readings.wire_of(command.device)
            order = {"id": command.id, "set": [{"n": f"{wire_name}/{command.channel}", "v": command.value}]}
            message = Message(
                f"{command.id}:set", "mqtt", gateway, "command", command.id, order, command.provenance
            )
            await store.put_message(work.connection, message, work.now_us)
        return after

    async def answered(self, work: Work, id_: str, reply: Mapping[str, object], *, good: bool) -> Command:
        """The gateway replied to a command of ours. Raises `NotFound`, `WrongState` when it came too late."""
        command = await paper_store.lock_command(work, id_)
        command = replace(command, reply=reply)
        return await self.step_command(work, command, "succeed" if good else "fail", "system:gateway")


def addressed(actor: Actor, paper: Paper) -> bool:
    """The paper is addressed to a department or a role of the actor."""
    mine = {f"department:{name}" for name in actor.departments} | {f"role:{role}" for role in actor.roles}
    if actor.departments and not mine & {*paper.to}:
        raise NotAllowed(action=f"{paper.kind}.act")
    return bool(mine & {*paper.to})


def shown(paper: Paper) -> dict[str, object]:
    """As the API shows it."""
    return {
        "id": paper.id, "number": paper.number, "kind": paper.kind, "state": paper.state,
        "allowed": allowed(papers.STEPS[paper.kind], paper.state), "title": paper.title, "text": paper.text,
        "issuer": paper.issuer, "to": list(paper.to), "level": paper.level, "provenance": paper.provenance,
        "incident": paper.incident, "case": paper.case, "run": paper.run, "task": paper.task, "lon": paper.lon,
        "lat": paper.lat, "by": paper.by, "created_at": to_datetime(paper.created_us),
        "due_at": store.when(paper.due_us), "from": store.when(paper.from_us), "until": store.when(paper.until_us),
        "facts": dict(paper.facts), "supersedes": paper.supersedes,
        "times": {state: to_datetime(at) for state, at in paper.times_us.items()},
    }  # fmt: skip


def shown_command(command: Command) -> dict[str, object]:
    return {
        "id": command.id, "number": command.number, "device": command.device, "channel": command.channel,
        "value": command.value, "state": command.state,
        "allowed": [a for a in allowed(commands.STEPS, command.state) if a in ("confirm", "refuse")],
        "reason": command.reason, "proposed_by": command.proposed_by, "confirmed_by": command.confirmed_by,
        "incident": command.incident, "run": command.run, "task": command.task, "provenance": command.provenance,
        "reply": dict(command.reply), "created_at": to_datetime(command.created_us),
        "times": {state: to_datetime(at) for state, at in command.times_us.items()},
    }  # fmt: skip
