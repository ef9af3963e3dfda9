"""Many orders at once, and where free crews should wait: proposals that a dispatcher reads, and then has carried out.

A proposal changes nothing. Carrying it out is one transaction: crews that are turned around are recalled first, then
every order leaves as if a person had sent it, with the same questions asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.access import Scope
from core.actor import Actor
from core.clock import DAY_US, to_datetime
from core.errors import Invalid
from dispatch import assign, cover, notices, store
from dispatch.actions import REASSIGNED, Actions, nobody
from dispatch.cases import Case
from dispatch.cover import Coverage
from dispatch.orders import DONE, ON_SITE, Order, OrderAction, OrderState
from dispatch.recommend import Candidate, Need, Told, may_serve, told
from dispatch.sending import HANDLE
from dispatch.travel import Place
from dispatch.work import Work

#: Cases that one proposal looks at, the important ones first.
AT_ONCE = 300
#: A case in this cell of a grid (degrees, some 500 m) makes it a place where the next one is expected (`ours`).
CELL_DEG = 0.005
LOOK_BACK_DAYS = 90
CELLS = 60
#: The share of time that a crew is out, as the coverage reckons with it (`ours`).
BUSY = 0.25


@dataclass(frozen=True, slots=True)
class Assigned:
    """What is proposed for a case: `keep` its crew, `send` one, `turn` (another takes over), `nobody`."""

    case: str
    number: str
    priority: int
    place: str
    change: str
    crew: str
    crew_now: str
    travel_s: float | None = None
    reasons: tuple[Told, ...] = ()
    shortfalls: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """`cost_s`: the sum over served cases, in seconds; `cost_now_s`: what the crews under way cost as they are."""

    items: tuple[Assigned, ...]
    cost_s: float
    cost_now_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """A case that needs a crew, the one that is under way to it (not yet there), and who could go."""

    case: Case
    order: Order | None
    candidates: Mapping[str, Candidate]

    @property
    def crew(self) -> str:
        """Who is under way; an order that is only proposed binds nobody."""
        return "" if self.order is None or self.order.state == OrderState.PROPOSED else self.order.crew


@dataclass(frozen=True, slots=True)
class Advice:
    """`crew` would cover more of what is expected from `lon`, `lat` (WGS 84); `gain` in shares of all cases."""

    crew: str
    lon: float
    lat: float
    gain: float
    travel_s: float


@dataclass(frozen=True, slots=True)
class Cover:
    """The share of expected cases that a free crew reaches in time, and the move that is worth most. `cells`: how many
    places the expectation rests on; 0: nothing is known and nothing is advised.
    """

    skill: str
    covered: float
    free: int
    cells: int
    advice: Advice | None


@dataclass(frozen=True, slots=True)
class Deploying:
    actions: Actions

    async def propose(self, work: Work, actor: Actor) -> Proposal:
        """The actor's cases that wait for a crew or whose crew is under way, matched with all crews at least cost."""
        rows = await self._rows(work, actor)
        crews = sorted(
            {crew for row in rows for crew, each in row.candidates.items() if each.able}
            | {row.crew for row in rows if row.crew}
        )
        column = {crew: n for n, crew in enumerate(crews)}
        cost_s = np.full((len(rows), len(crews)), math.inf)
        for n, row in enumerate(rows):
            for crew, each in row.candidates.items():
                if each.able:
                    cost_s[n, column[crew]] = each.cost_s
        present = [column.get(row.crew, -1) for row in rows]
        matched = assign.match(cost_s, [row.case.priority for row in rows], present)
        chosen = [crews[n] if n >= 0 else "" for n in matched.crew_of]
        now_s = [row.candidates[row.crew].cost_s for row in rows if row.crew in row.candidates]
        items = tuple(_assigned(row, crew) for row, crew in zip(rows, chosen, strict=True))
        return Proposal(items, matched.cost_s, float(sum(now_s)))

    async def carry_out(self, work: Work, wanted: Mapping[str, str], actor: Actor) -> list[str]:
        """Send these crews to these cases (case → crew, empty: nobody). The numbers of the orders that left.

        Raises `Invalid` when a crew cannot go any more; then nothing has changed.
        """
        sent: list[str] = []
        rows = [await self._locked(work, case, actor) for case in sorted(wanted)]
        changing = [(row, wanted[row.case.id]) for row in rows if row.crew != wanted[row.case.id]]
        for row, _ in changing:
            if row.order is not None:
                await self.actions.step_order(work, row.order, OrderAction.RECALL, actor.id, REASSIGNED)
        for row, crew in sorted(changing, key=lambda pair: pair[0].case.priority):
            ranked = await self.actions.rank(work, row.case)
            if not crew:
                await self._left_alone(work, row, ranked)
                continue
            found = next((each for each in ranked if each.crew == crew and each.able), None)
            if found is None:
                raise Invalid(
                    "dispatch.error.crew_cannot_go", field="crew", crew=crew, why=_why_not(ranked, crew)
                )
            order = await self.actions.propose(work, row.case, found, actor.id)
            sent.append((await self.actions.step_order(work, order, OrderAction.SEND, actor.id)).number)
        await work.publish()
        return sent

    async def _left_alone(self, work: Work, row: Row, ranked: list[Candidate]) -> None:
        """Its crew went to something more important: the dispatcher is told, and the desk looks for another."""
        await notices.tell(
            work, f"{row.case.id}:{row.crew}:left", "role:dispatcher", "no_crew", notices.of_case(row.case),
            number=row.case.number, why=nobody(ranked),
        )  # fmt: skip
        due = to_datetime(work.now_us)
        await store.run(
            work.connection, "set_deadline", subject="retry", id=row.case.id, kind=HANDLE, due=due
        )

    # -- what there is to match --------------------------------------------------------------------------------

    async def _rows(self, work: Work, actor: Actor) -> list[Row]:
        every_case = await store.cases_by(work.connection, "cases_for_crews", limit=AT_ONCE)
        permits = self.actions.policy.permits
        found = [case for case in every_case if permits(actor, "order.create", scope_of(case))]
        every = await store.orders_by(work.connection, "orders_of_case", ids=[case.id for case in found])
        orders: dict[str, list[Order]] = {}
        for order in every:
            orders.setdefault(order.case, []).append(order)
        todo = [
            (case, orders.get(case.id, [])) for case in found if self._waits(case, orders.get(case.id, []))
        ]
        moving = {order.id for _, own in todo for order in own if _of_case(order)}
        crews = [
            replace(crew, order="") if crew.order in moving else crew
            for crew in await store.crews(work.connection, provenance=None)
        ]
        blocked = await self.actions.blocked(work)
        return [
            Row(
                case,
                _under_way(own),
                {
                    each.crew: each
                    for each in self.actions.judge(work, case, self._need(case, own), crews, blocked)
                },
            )
            for case, own in todo
        ]

    def _waits(self, case: Case, orders: Sequence[Order]) -> bool:
        """A crew is needed, nobody is at work there, and the lead department has not reported completion."""
        at_work = any(_of_case(order) and order.state in ON_SITE for order in orders)
        open_ = case.lead is not None and case.lead.open
        return open_ and not at_work and self.actions.crew_need(case) is not None

    def _need(self, case: Case, orders: Sequence[Order]) -> Need:
        declined = {o.crew for o in orders if o.state in (OrderState.REFUSED, OrderState.EXPIRED)}
        return self.actions.need(case, HANDLE, frozenset(declined))

    async def _locked(self, work: Work, case_id: str, actor: Actor) -> Row:
        case = await store.lock_case(work.connection, case_id)
        self.actions.require(actor, "order.create", scope_of(case))
        own = await store.orders_by(work.connection, "orders_of_case", ids=[case.id])
        if not self._waits(case, own):
            raise Invalid("dispatch.error.no_crew_needed", field="case", number=case.number)
        return Row(case, _under_way(own), {})

    # -- where to wait -----------------------------------------------------------------------------------------

    async def coverage(self, work: Work, skill: str, within_s: float, actor: Actor) -> Cover:
        """How well free crews with a skill cover what the last months let expect, and the best move of one of them."""
        self.actions.require(actor, "crew.read")
        since = to_datetime(work.now_us - LOOK_BACK_DAYS * DAY_US)
        cells = await store.rows(work.connection, "demand_cells", since=since, cell=CELL_DEG, limit=CELLS)
        every = await store.crews(work.connection)
        able = [crew for crew in every if skill in crew.skills and may_serve(crew.provenance, "simulated")]
        free = [crew for crew in every if skill in crew.skills and crew.duty == "on" and not crew.order]
        if not cells or not free:
            return Cover(skill, 0.0, len(free), len(cells), None)
        here = [crew.whereabouts(work.now_us, self.actions.rules.position_max_age)[0] for crew in free]
        spots = [(cell["lon"], cell["lat"]) for cell in cells]
        posts = list(dict.fromkeys([*here, *(crew.depot for crew in able or free), *spots]))
        blocked = await self.actions.blocked(work)

        def times(origins: Sequence[Place], targets: Sequence[Place]) -> cover.Floats:
            found = [self.actions.travel.seconds(origins, target, blocked) for target in targets]
            return np.array([[math.inf if t is None else t for t in row] for row in found]).T

        demand = np.array([float(cell["n"]) for cell in cells])
        reach = (times(posts, spots) <= within_s).astype(np.float64)
        known = Coverage(reach, demand / demand.sum(), BUSY)
        standing = np.array([posts.index(place) for place in here])
        travel_s = np.minimum(times(here, posts), 86_400.0)
        move = cover.best_move(known, standing, travel_s)
        advice = (
            None
            if move is None
            else Advice(
                free[move.crew].id, *posts[move.place], move.gain, float(travel_s[move.crew, move.place])
            )
        )
        return Cover(skill, known.covered(standing), len(free), len(cells), advice)


def scope_of(case: Case) -> Scope:
    return Scope(case.area, case.lead_department)


def _of_case(order: Order) -> bool:
    return order.task == HANDLE and order.state not in DONE


def _under_way(orders: Sequence[Order]) -> Order | None:
    return next((order for order in orders if _of_case(order)), None)


def _assigned(row: Row, crew: str) -> Assigned:
    case, found = row.case, row.candidates.get(crew)
    change = "keep" if crew and crew == row.crew else "nobody" if not crew else "turn" if row.crew else "send"
    shown = Assigned(case.id, case.number, case.priority, case.place, change, crew, row.crew)
    if found is None:
        return shown if crew else replace(shown, shortfalls=(nobody(list(row.candidates.values())),))
    return replace(shown, travel_s=found.travel_s, reasons=found.reasons, shortfalls=found.shortfalls)


def _why_not(ranked: Sequence[Candidate], crew: str) -> list[Told]:
    found = next((each for each in ranked if each.crew == crew), None)
    return list(found.barred) if found else [told("skills_missing", skills=[])]
