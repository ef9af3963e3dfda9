"""What our own rules tell people inside the product: into the inbox, in the transaction of what they tell.

A notice has a key and is told once. Receivers: `crew:…`, `role:…`, `department:…`, `person:…`.
"""

from __future__ import annotations

from psycopg.types.json import Jsonb

from core.changes import Change
from core.clock import to_datetime
from dispatch import store
from dispatch.actions import Work
from dispatch.cases import Case
from dispatch.city import City
from dispatch.machine import LogLine
from dispatch.orders import Order


async def tell(
    work: Work, key: str, receiver: str, message: str, subject: tuple[str, str], level: int, **params: object
) -> bool:
    """Put a message into an inbox; False when it was told before."""
    made = await store.row(
        work.connection, "put_inbox",
        key=f"{key}:{receiver}", now=to_datetime(work.now_us), receiver=receiver,
        message=Jsonb({"key": f"dispatch.message.{message}", "params": params}),
        subject=subject[0], subject_id=subject[1], level=level,
    )  # fmt: skip
    if made:
        work.news.append(Change("inbox", receiver, {"level": level}))
    return made is not None


async def order_late(work: Work, order: Order, message: str, receiver: str, round_: str = "") -> None:
    await tell(
        work, f"{order.id}:{message}:{round_}", receiver, message, ("order", order.id), order.level,
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
            work, f"{case.id}:{kind}:{case.since_us}", receiver, f"limit_{stage}", ("case", case.id), case.level,
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
