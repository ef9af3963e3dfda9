"""Routes with which a city keeps its own lists: crews, their duty and shifts, the duty list, addresses, stock, aid."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from core import changes
from core.access import Scope
from core.actor import Actor
from core.changes import Change
from core.clock import to_datetime
from core.errors import NotFound
from core.http import Allow, Json
from dispatch import store
from dispatch.actions import Actions
from dispatch.edge_api import At, Body, Latitude, Longitude, Word

Name = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[list[Word], Field(max_length=50)]


class CrewBody(Body):
    name_zh: Name
    name_en: Name
    department: Name
    skills: Words
    equipment: Words = []
    depot_lon: Longitude
    depot_lat: Latitude
    kind: Word = ""
    members: Annotated[int, Field(ge=1, le=500)] = 2
    area: Word = ""
    phone: Word = ""
    duty: Literal["on", "off", "rest"] = "on"
    provenance: Literal["real", "recorded", "simulated"] = "real"


class DutyBody(Body):
    duty: Literal["on", "off", "rest"]


class ShiftBody(Body):
    begins: AwareDatetime
    until: AwareDatetime


class DutyRow(Body):
    """Who has cases of a code (empty: any) in an area (empty: everywhere). `fallback` takes what is given back."""

    code: Word = ""
    area: Word = ""
    lead: Name
    assisting: Words = []
    fallback: Word = ""


class DutyRows(Body):
    items: Annotated[list[DutyRow], Field(min_length=1, max_length=2000)]


class ContactBody(Body):
    """`level`: messages of this level and more important ones go there (1 is the most important)."""

    receiver: Annotated[str, Field(pattern="^(crew|role|person|department):.+", max_length=200)]
    channel: Literal["sms", "voice", "mail", "webhook"]
    address: Name
    level: Annotated[int, Field(ge=1, le=4)] = 4


class MaterialBody(Body):
    name_zh: Name
    name_en: Name
    unit: Word
    depot: Word
    department: Word
    quantity: Annotated[float, Field(ge=0)] = 0.0
    least: Annotated[float, Field(ge=0)] = 0.0
    lon: Longitude
    lat: Latitude


class AidBody(Body):
    name_zh: Name
    name_en: Name
    skills: Words
    phone: Word
    reach_s: Annotated[float, Field(gt=0)]


def add_forces_routes(routes: APIRouter, actions: Actions) -> None:
    _add_crews(routes, actions)
    _add_duty_list(routes, actions)
    _add_stores(routes)


def _add_crews(routes: APIRouter, actions: Actions) -> None:
    writer = Depends(Allow("crew.write"))

    @routes.put("/crews/{id_}", dependencies=[writer])
    async def put_crew(id_: str, at: At, body: CrewBody) -> Response:
        async with at.database.transaction() as connection:
            await store.put_crews(connection, [{"id": id_, **body.model_dump()}], at.now_us)
        return Json({"id": id_})

    @routes.post("/crews/{id_}/duty")
    async def set_duty(
        id_: str, at: At, body: DutyBody, actor: Annotated[Actor, Depends(Allow("crew.duty"))]
    ) -> Response:
        """On duty, off, or at rest. What binds the crew now is not touched: it is only not sent again."""
        async with at.database.transaction() as connection:
            found = await store.crews(connection, id_, None)
            if not found:
                raise NotFound
            actions.require(actor, "crew.duty", Scope(department=found[0].department, crew=id_))
            now = to_datetime(at.now_us)
            if await store.run(connection, "set_duty", id=id_, duty=body.duty, now=now):
                await changes.append(connection, [Change("crews", id_)], at.now_us)
        return Json({"id": id_, "duty": body.duty})

    @routes.post("/crews/{id_}/shifts", dependencies=[writer])
    async def put_shift(id_: str, at: At, body: ShiftBody) -> Response:
        async with at.database.transaction() as connection:
            await store.run(connection, "put_shift", crew=id_, from_at=body.begins, until_at=body.until)
        return Json({"id": id_})


def _add_duty_list(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/duty-list")
    async def duty_list(at: At, _: Annotated[Actor, Depends(Allow("case.read"))]) -> Response:
        async with at.database.transaction() as connection:
            return Json({"items": await store.rows(connection, "duty_rows"), "next": None})

    @routes.put("/duty-list")
    async def put_duty_list(
        at: At, body: DutyRows, _: Annotated[Actor, Depends(Allow("duty_list.write"))]
    ) -> Response:
        """Add rows, or change those of the same code and area."""
        for row in body.items:
            if row.code:
                actions.city.known(row.code)
        async with at.database.transaction() as connection:
            await store.put_duty_list(connection, [row.model_dump() for row in body.items], at.now_us)
        return Json({"rows": len(body.items)})


def _add_stores(routes: APIRouter) -> None:
    @routes.put("/contacts", dependencies=[Depends(Allow("contact.write"))])
    async def put_contact(at: At, body: ContactBody) -> Response:
        async with at.database.transaction() as connection:
            await store.run(connection, "put_contact", **body.model_dump())
        return Json({"receiver": body.receiver})

    @routes.put("/materials/{id_}", dependencies=[Depends(Allow("crew.write"))])
    async def put_material(id_: str, at: At, body: MaterialBody) -> Response:
        """What it is and how much must be there; `quantity` counts only for a new one, later stock is moved."""
        async with at.database.transaction() as connection:
            await store.run(
                connection, "put_material", id=id_, now=to_datetime(at.now_us), **body.model_dump()
            )
        return Json({"id": id_})

    @routes.put("/mutual-aid/{id_}", dependencies=[Depends(Allow("crew.write"))])
    async def put_aid(id_: str, at: At, body: AidBody) -> Response:
        async with at.database.transaction() as connection:
            await store.run(connection, "put_aid", id=id_, **body.model_dump())
        return Json({"id": id_})
