"""Many at once, and the sudden end of a process: one winner, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import psycopg
import pytest

from core.clock import SystemClock
from core.db import DictConnection
from core.errors import WrongState
from core.metrics import Metrics
from dispatch import store, views
from dispatch.channels.channel import Away, Failed, Refused
from dispatch.desk import Desk
from dispatch.led_source import connect
from dispatch.messages import Message
from dispatch.outbox_feed import Outbox
from dispatch.paper_actions import NewPaper
from dispatch.papers import PaperKind
from dispatch.run_actions import PlanRuns
from dispatch.travel import Obstacle, Place, StraightLine
from dispatch.work import Work
from tests.dispatch.test_chain import NEAR, only_case, sent
from tests.dispatch.world import BURST, CHIEF, LEADER, World, crew_actor, crew_row, other


async def attempt(city: World, do: Callable[[Work], Awaitable[object]]) -> str:
    try:
        async with city.database.transaction() as connection:
            await do(Work(connection, city.clock.now_us()))
    except WrongState:
        return "409"
    return "won"


async def test_fifty_clients_accept_one_order_and_exactly_one_wins(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]

    async def accept(work: Work) -> object:
        return await city.actions.act_on_order(
            work.connection, order, "accept", crew_actor("near"), work.now_us
        )

    results = await asyncio.gather(*(attempt(city, accept) for _ in range(50)))
    assert (results.count("won"), results.count("409")) == (1, 49)
    log = await city.database.fetch(store.QUERIES["order_log"], id=order)
    assert [line["action"] for line in log] == ["propose", "send", "accept"]


async def test_accepting_and_recalling_at_once_leaves_one_truth(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]

    async def accept(work: Work) -> object:
        return await city.actions.act_on_order(
            work.connection, order, "accept", crew_actor("near"), work.now_us
        )

    async def recall(work: Work) -> object:
        return await city.actions.act_on_order(
            work.connection, order, "recall", LEADER, work.now_us, reason="other crew is there"
        )

    await asyncio.gather(*(attempt(city, do) for do in (accept, recall) * 10))
    found = await city.database.fetch_one(store.QUERIES["find_order"], id=order)
    assert found is not None
    assert found["state"] == "recalled", "a recall is possible before and after"


async def test_no_crew_is_ever_assigned_twice_however_many_incidents_come_at_once(city: World) -> None:
    await city.crews(*(crew_row(f"crew{n}", lon=121.45 + n / 100) for n in range(5)))
    for n in range(12):
        await city.news(other(n, lon=121.45 + n / 200))
    await city.tick(3, seconds=31)
    live = await city.database.fetch(
        b"SELECT crew, count(*) AS n FROM orders WHERE state = 'sent' GROUP BY crew"
    )
    assert {row["crew"]: row["n"] for row in live} == {f"crew{n}": 1 for n in range(5)}


async def test_the_database_itself_refuses_a_second_order_for_a_busy_crew(city: World) -> None:
    await sent(city)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await city.database.execute(
            b"INSERT INTO orders (id, number, case_id, incident, crew, department, task, attempt, state, priority, "
            b"level, provenance, lon, lat, place, created_at, proposed_by, changed_at) "
            b"SELECT 'twice', 'GD-x', case_id, incident, crew, department, 'other', 1, state, priority, level, "
            b"provenance, lon, lat, place, created_at, proposed_by, changed_at FROM orders"
        )


class Killed(BaseException):
    """The process ends here: nothing after this line happens."""


class Dying(StraightLine):
    def seconds(
        self, origins: Sequence[Place], target: Place, blocked: Sequence[Obstacle] = ()
    ) -> list[float | None]:
        raise Killed


async def test_a_desk_that_dies_in_the_middle_did_nothing_and_the_next_one_does_it_once(city: World) -> None:
    await city.crews(NEAR)
    await city.news(BURST)
    dying = Desk(city.database.dsn, replace(city.actions, travel=Dying()), city.clock)
    async with await connect(city.database.dsn) as led:
        with pytest.raises(Killed):
            await dying.tick(led)
    async with city.database.transaction() as connection:
        assert await views.cases_of_incident(connection, BURST.id, 0) == []
    await city.tick(2)
    case = await only_case(city)
    assert [(o["crew"], o["state"]) for o in case["orders"]] == [("near", "sent")]


class Receiver:
    """The outside world: takes messages, knows their keys, and can be away or dead."""

    name = "app"
    outside = False

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.mood: Callable[[Message], None] = lambda _: None

    async def send(self, message: Message) -> None:
        self.mood(message)
        self.taken.append(message.key)
        await asyncio.sleep(0)


async def put(city: World, n: int, receiver: str = "crew:a") -> None:
    async with city.database.transaction() as connection:
        for i in range(n):
            await store.put_message(
                connection,
                Message(f"{receiver}-{i}", "app", receiver, "order", f"{i}", {"n": i}, "real"),
                city.clock.now_us(),
            )


async def states(city: World) -> dict[str, int]:
    return {row["state"]: row["n"] for row in await city.database.fetch(store.QUERIES["outbox_state"])}


@dataclass(slots=True)
class Mortal(Outbox):
    """Ends between the send and the mark of its n-th message."""

    lives: int = 1

    async def _delivered(self, connection: DictConnection, row: store.Row, who: tuple[str, str]) -> None:
        self.lives -= 1
        if not self.lives:
            raise Killed
        await Outbox._delivered(self, connection, row, who)


async def test_a_kill_between_send_and_mark_repeats_at_most_that_one_message(city: World) -> None:
    receiver = Receiver()
    await put(city, 100)
    kills, rng = 0, np.random.default_rng(5)
    while (await states(city)).get("queued"):
        sender = Mortal(city.database.dsn, {"app": receiver}, city.clock, rng, lives=int(rng.integers(1, 9)))
        async with await connect(city.database.dsn) as led:
            try:
                await sender.drain(led)
            except Killed:
                kills += 1
    assert set(receiver.taken) == {f"crew:a-{i}" for i in range(100)}
    assert len(receiver.taken) - 100 <= kills
    assert kills >= 10


async def test_a_poison_message_is_parked_and_holds_up_nobody(city: World) -> None:
    receiver = Receiver()

    def fails(message: Message) -> None:
        if message.key == "crew:a-0":
            raise Failed("500")

    receiver.mood = fails
    await put(city, 20)
    sender = Outbox(city.database.dsn, {"app": receiver}, city.clock, np.random.default_rng(1))
    async with await connect(city.database.dsn) as led:
        await sender.drain(led)
        city.clock.advance(2)
        await sender.drain(led)
        assert len(receiver.taken) == 19
        for _ in range(20):
            city.clock.advance(60)
            await sender.drain(led)
    (row,) = await city.database.fetch(store.QUERIES["list_outbox"], state="parked", before=None, limit=9)
    assert (row["key"], row["failures"] + 1 <= 10) == ("crew:a-0", True)


async def test_what_the_receiver_will_never_take_is_parked_at_once(city: World) -> None:
    receiver = Receiver()

    def refuses(_: Message) -> None:
        raise Refused("422")

    receiver.mood = refuses
    await put(city, 1)
    sender = Outbox(city.database.dsn, {"app": receiver}, city.clock, np.random.default_rng(1))
    async with await connect(city.database.dsn) as led:
        await sender.drain(led)
    assert await states(city) == {"parked": 1}


@pytest.mark.parametrize("failure", [Away, Failed])
async def test_a_receiver_that_was_down_for_five_minutes_has_everything_a_minute_after(
    city: World, failure: type[Exception]
) -> None:
    receiver = Receiver()
    until = city.clock.now_us() + 300_000_000

    def down(_: Message) -> None:
        if city.clock.now_us() < until:
            raise failure("down")

    receiver.mood = down
    await put(city, 200)
    sender = Outbox(city.database.dsn, {"app": receiver}, city.clock, np.random.default_rng(1))
    async with await connect(city.database.dsn) as led:
        while city.clock.now_us() < until + 60_000_000:
            await sender.drain(led)
            city.clock.advance(1)
    assert await states(city) == {"delivered": 200}
    assert sorted(receiver.taken) == sorted(set(receiver.taken))


async def test_a_message_that_is_not_real_never_leaves_the_house(city: World) -> None:
    receiver = Receiver()
    receiver.outside = True
    async with city.database.transaction() as connection:
        for provenance in ("drill", "simulated", "recorded", "real"):
            message = Message(provenance, "app", f"to-{provenance}", "order", "1", {}, provenance)
            await store.put_message(connection, message, city.clock.now_us())
    sender = Outbox(city.database.dsn, {"app": receiver}, city.clock, np.random.default_rng(1))
    async with await connect(city.database.dsn) as led:
        await sender.drain(led)
    assert receiver.taken == ["real"]
    assert await states(city) == {"delivered": 1, "kept_inside": 3}


# -- deadlines ----------------------------------------------------------------------------------------------


async def directives(city: World, n: int, every_s: float) -> None:
    """Directives that are due one after the other, the first one now."""
    papers = PlanRuns.of(city.actions, Metrics()).papers
    for number in range(n):
        async with city.database.transaction() as connection:
            work = Work(connection, city.clock.now_us())
            due_us = city.clock.now_us() + round(number * every_s * 1e6)
            title, to = {"text": f"{number}"}, ("department:water_company",)
            new = NewPaper(PaperKind.DIRECTIVE, title, to, due_us=due_us, key=f"{number}")
            await papers.make(work, new, CHIEF.id)
            await work.publish()


async def overdue(city: World) -> list[int]:
    """How often each directive became overdue."""
    rows = await city.database.fetch(
        b"SELECT count(l.id)::integer AS n FROM papers p"
        b" LEFT JOIN paper_log l ON l.paper = p.id AND l.after = 'overdue' GROUP BY p.id"
    )
    return [row["n"] for row in rows]


@dataclass(slots=True)
class MortalDesk(Desk):
    """Ends in the middle of its n-th deadline: after the effect, before the commit."""

    lives: int = 1

    async def _fire(self, work: Work, subject: str, subject_id: str, kind: str) -> None:
        await Desk._fire(self, work, subject, subject_id, kind)
        self.lives -= 1
        if not self.lives:
            raise Killed


async def test_a_deadline_fires_exactly_once_however_often_the_desk_is_killed(city: World) -> None:
    await directives(city, 20, every_s=1.0)
    city.clock.advance(30)
    rng = np.random.default_rng(5)
    for _ in range(8):
        desk = MortalDesk(city.database.dsn, city.actions, city.clock, lives=int(rng.integers(1, 4)))
        async with await connect(city.database.dsn) as led:
            with contextlib.suppress(Killed):
                await desk.tick(led)
    await city.tick(2)
    assert await overdue(city) == [1] * 20


async def test_a_deadline_fires_within_a_second_and_what_came_due_while_nobody_watched_at_once(
    city: World,
) -> None:
    """In real time, with the desk as it runs in the worker."""
    await directives(city, 20, every_s=0.1)
    began_us = SystemClock().now_us()
    await city.database.execute(
        b"UPDATE deadlines SET due_at = due_at + %(by)s::interval",
        by=f"{began_us - city.clock.now_us()} microseconds",
    )
    await asyncio.sleep(0.5)  # a desk that is away: five have come due
    running = asyncio.create_task(Desk(city.database.dsn, city.actions, SystemClock()).run())
    try:
        async with asyncio.timeout(30):
            while sum(await overdue(city)) < 20:  # noqa: ASYNC110 - what another connection commits has no event
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
    drifts = await city.database.fetch(
        b"SELECT extract(epoch FROM fired_at - due_at)::float AS late FROM deadlines WHERE subject = 'paper'"
        b" AND fired_at IS NOT NULL ORDER BY due_at"
    )
    late_s = [row["late"] for row in drifts][5:]
    assert min(late_s) >= 0
    assert max(late_s) < 1.0


class Poison(StraightLine):
    """Cannot reckon the way to one place."""

    def seconds(
        self, origins: Sequence[Place], target: Place, blocked: Sequence[Obstacle] = ()
    ) -> list[float | None]:
        if self.network and target[0] == 121.5:
            raise ZeroDivisionError
        return StraightLine.seconds(self, origins, target, blocked)


async def test_a_case_that_makes_the_desk_stumble_holds_up_nobody_and_is_tried_again(city: World) -> None:
    await city.crews(NEAR, crew_row("far", lon=121.6))
    travel = Poison()
    travel.network = True
    city.desk = Desk(city.database.dsn, replace(city.actions, travel=travel), city.clock)
    await city.news(other(1, lon=121.5))
    await city.news(other(2, lon=121.49))
    await city.tick()
    sent_to = b"SELECT lon FROM orders WHERE state = 'sent' ORDER BY lon"
    assert [row["lon"] for row in await city.database.fetch(sent_to)] == [121.49]
    assert city.desk.metrics.counters['dispatch_failures_total{what="news"}'] == 1
    await city.tick(1, seconds=61)
    assert len(await city.database.fetch(sent_to)) == 1, "still poisoned, and still nobody is held up"
    travel.network = False
    await city.tick(1, seconds=61)
    assert [row["lon"] for row in await city.database.fetch(sent_to)] == [121.49, 121.5]
