"""Routes of `deploy.py`: the matching of many orders at once, and where free crews should wait."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.db import DictConnection
from core.http import Allow, IdempotencyKey
from dispatch.actions import Actions
from dispatch.deploy import AT_ONCE, Deploying
from dispatch.edge_api import At, Body, Word
from dispatch.views import Shown
from dispatch.work import Work


class Wanted(Body):
    """A crew for a case; no crew: who is under way there is called back."""

    case: Word
    crew: Word = ""


class Assignment(Body):
    items: Annotated[list[Wanted], Field(min_length=1, max_length=AT_ONCE)]


def add_deploy_routes(routes: APIRouter, actions: Actions) -> None:
    deploying = Deploying(actions)

    @routes.get("/assignment")
    async def propose(at: At, actor: Annotated[Actor, Depends(Allow("order.create"))]) -> Response:
        """Which crew for which case, over all that wait or are under way. Changes nothing."""
        async with at.database.transaction() as connection:
            found = await deploying.propose(Work(connection, at.now_us), actor)
        items = [asdict(item) for item in found.items]
        return at.json({"items": items, "next": None, "cost_s": found.cost_s, "cost_now_s": found.cost_now_s})

    @routes.post("/assignment")
    async def carry_out(
        at: At, body: Assignment, actor: Annotated[Actor, Depends(Allow("order.create"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        """All of it or nothing: one transaction."""

        async def act(connection: DictConnection) -> Shown:
            wanted = {item.case: item.crew for item in body.items}
            return {"orders": await deploying.carry_out(Work(connection, at.now_us), wanted, actor)}

        return await at.act(actor, key, body, act)

    @routes.get("/coverage")
    async def coverage(
        at: At, skill: Word, actor: Annotated[Actor, Depends(Allow("crew.read"))],
        minutes: Annotated[float, Query(gt=0, le=240)] = 15.0,
    ) -> Response:  # fmt: skip
        actions.require(actor, "crew.read", Scope())
        async with at.database.transaction() as connection:
            found = await deploying.coverage(Work(connection, at.now_us), skill, minutes * 60, actor)
        return at.json(asdict(found))
