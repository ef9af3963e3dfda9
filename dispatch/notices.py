"""What our own rules tell people: into their inbox, and out of the house to where they want to be reached.

Everything is written in the transaction of what it tells, and a notice has a key: it is told once. Receivers are
`crew:…`, `role:…`, `department:…`, `person:…`; a role means whoever has that duty now. What is not real stays inside,
and a drill has inboxes of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from core.changes import Change
from core.clock import to_datetime
from dispatch import store
from dispatch.cases import Case
from dispatch.city import City
from dispatch.machine import LogLine
from dispatch.messages import Message
from dispatch.orders import Order
from dispatch.work import Work


@dataclass(frozen=True, slots=True)
class About:
    """What a notice is about: `kind` and `id` lead there, the level says how urgent, the provenance how real."""

    kind: str
    id: str
    level: int
    provenance: str


def of_case(case: Case) -> About:
    return About("case", case.id, case.level, case.provenance)


def of_order(order: Order) -> About:
    return About("order", order.id, order.level, order.provenance)


def inbox_of(receiver: str, provenance: str) -> str:
    """A drill never appears among what is real."""
    return f"drill:{receiver}" if provenance == "drill" else receiver


async def tell(work: Work, key: str, receiver: str, message: str, about: About, **params: object) -> bool:
    """Put a message into an inbox and on its ways out; False when it was told before."""
    told = {"key": f"dispatch.message.{message}", "params": params}
    inbox = inbox_of(receiver, about.provenance)
    made = await store.row(
        work.connection, "put_inbox",
        key=f"{key}:{inbox}", now=to_datetime(work.now_us), receiver=inbox, message=Jsonb(told),
        subject=about.kind, subject_id=about.id, level=about.level,
    )  # fmt: skip
    if not made:
        return False
    work.news.append(Change("inbox", inbox, {"level": about.level}))
    if about.provenance == "real":
        await _send_out(work, key, receiver, told, about)
    return True


async def _send_out(work: Work, key: str, receiver: str, told: object, about: About) -> None:
    """One message for each way by which the receiver wants to hear of this level."""
    receivers = [receiver]
    if receiver.startswith("role:"):
        duty = await store.rows(
            work.connection, "on_duty", now=to_datetime(work.now_us), role=receiver.removeprefix("role:")
        )
        receivers += [f"person:{row['person']}" for row in duty[:1]]
    for row in await store.rows(work.connection, "contacts_of", receivers=receivers, level=about.level):
        payload = {"message": told, "level": about.level, "subject": about.kind, "id": about.id}
        await store.put_message(
            work.connection,
            Message(
                f"{key}:{row['channel']}:{row['address']}", row["channel"], row["address"], about.kind, about.id,
                {**payload, "receiver": row["receiver"]}, about.provenance,
            ),
            work.now_us,
        )  # fmt: skip


async def order_late(work: Work, order: Order, message: str, receiver: str, round_: str = "") -> None:
    await tell(
        work, f"{order.id}:{message}:{round_}", receiver, message, of_order(order),
        number=order.number, place=order.place,
    )  # fmt: skip


async def case_late(work: Work, case: Case, kind: str, city: City) -> None:
    """A limit of a case comes near or has passed: tell those whom the city's escalation names, and log it."""
    stage, _, rest = kind.partition(":")
    share, _, department = rest.partition(":")
    receivers = [f"role:{role}" for role in STAGE_ROLES.get(stage, ())]
    if stage == "handle":
        step = next((each for each in city.rules.escalation if f"{each.share:g}" == share), None)
        receivers = [to if ":" in to else f"department:{department}" for to in (step.to if step else ())]
    for receiver in receivers:
        await tell(
            work, f"{case.id}:{kind}:{case.since_us}", receiver, f"limit_{stage}", of_case(case),
            number=case.number, share=share, department=department,
        )  # fmt: skip
    line = LogLine(work.now_us, "system:clock", "remind", case.state, case.state, kind, {"told": receivers})
    await store.log(work.connection, "log_case", case.id, line)
    work.news.append(Change("cases", case.id, {"state": case.state}))


#: Who is told when a stage of the centre itself is late.
STAGE_ROLES = {
    "verify": ("duty_operator",),
    "register": ("shift_leader",),
    "dispatch": ("shift_leader",),
    "check": ("shift_leader",),
}
