"""Routes of cases, orders, crews and plans (DESIGN §6.2)."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.clock import to_us
from core.errors import NotAllowed, NotFound
from core.http import Allow, IdempotencyKey, Json, page
from core.text import Texts
from dispatch import views
from dispatch.actions import Actions, CaseFields, NewReport, OrderFields
from dispatch.cases import Source
from dispatch.deploy_api import add_deploy_routes
from dispatch.duty_api import add_duty_routes
from dispatch.edge_api import At, Body, Latitude, Longitude, Page, Word, next_key
from dispatch.forces_api import add_forces_routes
from dispatch.indicator_api import add_indicator_routes
from dispatch.link_api import add_link_routes
from dispatch.links import Links
from dispatch.pages_api import add_page_routes
from dispatch.paper_api import add_paper_routes
from dispatch.plan_api import add_plan_routes
from dispatch.views import Shown


class CaseAct(CaseFields):
    action: Word


class OrderAct(OrderFields):
    action: Word


class NewCase(Body):
    code: Word
    title: Annotated[str, Field(min_length=1, max_length=400)]
    lon: Longitude
    lat: Latitude
    source: Source = Source.OPERATOR
    place: Word = ""
    area: Word = ""
    priority: Annotated[int, Field(ge=1, le=4)] = 3
    level: Annotated[int, Field(ge=1, le=4)] = 4
    domain: Word = ""
    incident: Word = ""
    provenance: Annotated[str, Field(pattern="^(real|recorded|simulated|drill)$")] = "real"


class NewOrder(Body):
    case: Word
    crew: Word
    send: bool = True


class Position(Body):
    lon: Longitude
    lat: Latitude
    at: AwareDatetime | None = None


class Hold(Body):
    on: bool
    reason: Annotated[str, Field(min_length=1, max_length=400)]


Reader = Annotated[Actor, Depends(Allow("case.read"))]


def router(actions: Actions, texts: Texts, links: Links | None = None) -> APIRouter:
    """All routes of this room; with `links` also the pages behind them."""

    def with_texts(request: Request) -> None:
        request.state.texts = texts

    whole = APIRouter(tags=["dispatch"], dependencies=[Depends(with_texts)])
    routes = APIRouter(prefix="/api/v1")
    case_routes(routes, actions)
    order_routes(routes, actions)
    crew_routes(routes, actions)
    add_deploy_routes(routes, actions)
    add_forces_routes(routes, actions)
    list_routes(routes, actions)
    add_plan_routes(routes, actions)
    add_paper_routes(routes, actions)
    add_duty_routes(routes, actions)
    add_indicator_routes(routes, actions)
    whole.include_router(routes)
    add_page_routes(whole, actions, texts)
    if links is not None:
        add_link_routes(whole, actions, links, texts)
    return whole


def case_routes(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/cases")
    async def list_cases(at: At, asked: Annotated[Page, Query()], actor: Reader) -> Response:
        async with at.database.transaction() as connection:
            found = await views.cases(connection, asked.filter(actor), at.now_us)
        return at.json(page(found, asked.limit, next_key))

    @routes.get("/cases/{id_}")
    async def get_case(id_: str, at: At, actor: Reader) -> Response:
        async with at.database.transaction() as connection:
            found = await views.case(connection, id_, at.now_us)
        _require_party(actor, found)
        return at.json(found)

    @routes.post("/cases")
    async def report(
        at: At,
        body: NewCase,
        actor: Annotated[Actor, Depends(Allow("case.create"))],
        key: IdempotencyKey = None,
    ) -> Response:
        new = NewReport(**body.model_dump())
        return await at.act(actor, key, body, lambda c: actions.report(c, new, actor, at.now_us, key or ""))

    @routes.post("/cases/{id_}/actions")
    async def act_on_case(
        id_: str, at: At, body: CaseAct, actor: Annotated[Actor, Depends(Allow("case.act"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        fields = body.model_dump(exclude={"action"}, exclude_unset=True)
        return await at.act(
            actor, key, body, lambda c: actions.act_on_case(c, id_, body.action, actor, at.now_us, **fields)
        )

    @routes.get("/cases/{id_}/recommendation")
    async def recommendation(id_: str, at: At, actor: Reader) -> Response:
        async with at.database.transaction() as connection:
            ranked = await actions.recommend(connection, id_, actor, at.now_us)
        items = [{"able": each.able, **asdict(each)} for each in ranked]
        return at.json({"items": items, "next": None})


def order_routes(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/orders")
    async def list_orders(
        at: At, asked: Annotated[Page, Query()], actor: Annotated[Actor, Depends(Allow("order.read"))]
    ) -> Response:
        filter_ = asked.filter(actor)
        if not actions.policy.permits(actor, "order.read"):
            filter_ = replace(filter_, crew=actor.crew)  # its own ones, whatever it asked for
        async with at.database.transaction() as connection:
            found = await views.orders(connection, filter_, at.now_us)
        return at.json(page(found, asked.limit, next_key))

    @routes.get("/orders/{id_}")
    async def get_order(id_: str, at: At, actor: Annotated[Actor, Depends(Allow("order.read"))]) -> Response:
        async with at.database.transaction() as connection:
            found = await views.order(connection, id_, at.now_us)
        scope = Scope(department=found["department"], crew=found["crew"])
        if not actions.policy.permits(actor, "order.read", scope):
            raise NotFound  # whether it exists is not this crew's business
        return at.json(found)

    @routes.post("/orders")
    async def order_crew(
        at: At, body: NewOrder, actor: Annotated[Actor, Depends(Allow("order.create"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        return await at.act(
            actor, key, body,
            lambda c: actions.order_crew(c, body.case, body.crew, actor, at.now_us, send=body.send),
        )  # fmt: skip

    @routes.post("/orders/{id_}/actions")
    async def act_on_order(
        id_: str, at: At, body: OrderAct, actor: Annotated[Actor, Depends(Allow("order.act"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        fields = body.model_dump(exclude={"action"}, exclude_unset=True)
        return await at.act(
            actor, key, body, lambda c: actions.act_on_order(c, id_, body.action, actor, at.now_us, **fields)
        )

    @routes.post("/dispatch/hold")
    async def hold(at: At, body: Hold, actor: Annotated[Actor, Depends(Allow("dispatch.hold"))]) -> Response:
        async with at.database.transaction() as connection:
            await actions.hold(connection, actor, at.now_us, on=body.on, reason=body.reason)
        return Json({"on": body.on})


def crew_routes(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/crews")
    async def list_crews(at: At, actor: Annotated[Actor, Depends(Allow("crew.read"))]) -> Response:
        own = None if actions.policy.permits(actor, "crew.read") else actor.crew
        async with at.database.transaction() as connection:
            return Json({"items": await views.crews(connection, own), "next": None})

    @routes.post("/crews/{id_}/position")
    async def move_crew(
        id_: str, at: At, body: Position, actor: Annotated[Actor, Depends(Allow("crew.position"))]
    ) -> Response:
        measured_us = to_us(body.at) if body.at else at.now_us
        async with at.database.transaction() as connection:
            await actions.move_crew(connection, id_, actor, (body.lon, body.lat), measured_us, at.now_us)
        return Json({"id": id_})

    @routes.get("/forces")
    async def list_forces(at: At, _: Annotated[Actor, Depends(Allow("crew.read"))]) -> Response:
        async with at.database.transaction() as connection:
            return Json({"items": await views.forces(connection), "next": None})


def list_routes(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/codes")
    async def list_codes(_: Reader) -> Response:
        items = [
            {"code": c.code, "major": c.major, "name": c.name, "limits": [x.model_dump() for x in c.limits]}
            for c in actions.city.codes.values()
        ]
        return Json({"items": items, "next": None})


def _require_party(actor: Actor, shown: Shown) -> None:
    """A department sees the cases that it is a party of. Raises `NotAllowed`."""
    parties = {shown["lead"], *shown["assisting"]}
    if actor.departments and not actor.departments & parties:
        raise NotAllowed(action="case.read")
