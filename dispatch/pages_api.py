"""Routes of the desk's plain pages: `/queue`, `/department`, `/case/…`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.access import Scope
from core.actor import Actor
from core.errors import CityOpsError, Invalid, NotFound, SensorsDisagree
from core.http import STATUS, Allow
from core.text import Texts
from dispatch import pages, store, views
from dispatch.actions import Actions
from dispatch.crews import Crew
from dispatch.deploy import Deploying
from dispatch.edge_api import At, Edge
from dispatch.link_api import objection
from dispatch.words import render
from dispatch.work import Work

REFRESH_S = 20
MANY = 500
Centre = Annotated[Actor, Depends(Allow("screen.queue"))]
Department = Annotated[Actor, Depends(Allow("screen.department"))]
Either = Annotated[Actor, Depends(Allow("screen.case"))]


def add_page_routes(routes: APIRouter, actions: Actions, texts: Texts) -> None:
    screens = Pages(actions, texts)

    @routes.get("/queue", include_in_schema=False)
    async def queue(at: At, actor: Centre) -> Response:
        return await screens.queue(at, actor)

    @routes.post("/queue/assignment", include_in_schema=False)
    async def carry_out(at: At, actor: Centre) -> Response:
        async with at.request.form() as form:
            pairs = [str(item).partition(" ") for item in form.getlist("item")]
        wanted = {case: crew for case, _, crew in pairs}
        try:
            async with at.database.transaction() as connection:
                await Deploying(actions).carry_out(Work(connection, at.now_us), wanted, actor)
        except CityOpsError as refused:
            return await screens.queue(at, actor, refused)
        return RedirectResponse("/queue", 303)

    @routes.get("/department", include_in_schema=False)
    async def department(at: At, actor: Department) -> Response:
        return await screens.department(at, actor)

    @routes.get("/case/{id_}", include_in_schema=False)
    async def case(id_: str, at: At, actor: Either) -> Response:
        return await screens.case(at, id_, actor)

    @routes.post("/case/{id_}/act", include_in_schema=False)
    async def act(id_: str, at: At, actor: Either) -> Response:
        given = await words_of(at.request)
        action = given.get("action", "")
        try:
            async with at.database.transaction() as connection:
                fields = pages.fields_of(action, given)
                await actions.act_on_case(connection, id_, action, actor, at.now_us, **fields)
        except CityOpsError as refused:
            return await screens.case(at, id_, actor, refused)
        return RedirectResponse(f"/case/{id_}", 303)

    @routes.post("/case/{id_}/send", include_in_schema=False)
    async def send(id_: str, at: At, actor: Either) -> Response:
        crew = (await words_of(at.request)).get("crew", "")
        try:
            async with at.database.transaction() as connection:
                await actions.order_crew(connection, id_, crew, actor, at.now_us, send=True)
        except CityOpsError as refused:
            return await screens.case(at, id_, actor, refused)
        return RedirectResponse(f"/case/{id_}", 303)


async def words_of(request: Request) -> dict[str, str]:
    async with request.form() as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


class Pages:
    """Reads what a page shows and writes it in the reader's language; a refusal stands on the page that asked."""

    def __init__(self, actions: Actions, texts: Texts) -> None:
        self._actions = actions
        self._texts = texts

    async def queue(self, at: Edge, actor: Actor, refused: CityOpsError | None = None) -> Response:
        async with at.database.transaction() as connection:
            found = await views.open_cases(connection, at.now_us)
            held = await store.is_on(connection, "hold_all")
            items: list[Any] = []
            if self._actions.policy.permits(actor, "order.create"):
                proposed = await Deploying(self._actions).propose(Work(connection, at.now_us), actor)
                items = [asdict(item) for item in proposed.items]
            say = self._say(at, await store.crews(connection, provenance=None))
        body = f"<h1>{say('dispatch.page.queue')}</h1>" + self._refusal(at, refused)
        body += pages.wrong([say("dispatch.page.held")]) if held else ""
        body += pages.proposal(self._shown(at, items), say) + pages.lists(
            self._shown(at, found), pages.QUEUE, say
        )
        return self._answer(at, "dispatch.page.queue", body, refused, REFRESH_S)

    async def department(self, at: Edge, actor: Actor) -> Response:
        asked = views.Filter(
            departments=sorted(actor.departments), areas=sorted(actor.areas) or None, limit=MANY
        )
        async with at.database.transaction() as connection:
            found = await views.cases(connection, asked, at.now_us)
            say = self._say(at, await store.crews(connection, provenance=None))
        body = f"<h1>{say('dispatch.page.department')}</h1>"
        body += pages.lists(self._shown(at, found), pages.DEPARTMENT, say)
        return self._answer(at, "dispatch.page.department", body, None, REFRESH_S)

    async def case(self, at: Edge, id_: str, actor: Actor, refused: CityOpsError | None = None) -> Response:
        """The case with what this reader may do to it. A department sees its own ones. Raises `NotFound`."""
        async with at.database.transaction() as connection:
            work = Work(connection, at.now_us)
            shown = await views.case(connection, id_, at.now_us)
            if actor.departments and not actor.departments & {shown["lead"], *shown["assisting"]}:
                raise NotFound
            stored = await store.find_case(connection, id_)
            verdict = await self._actions.listen(work, stored)
            ranked = []
            if shown["state"] in ("dispatched", "handling") and self._may(actor, "order.create", shown):
                ranked = [{"able": c.able, **asdict(c)} for c in await self._actions.rank(work, stored)]
            say = self._say(at, await store.crews(connection, provenance=None))
        open_ = shown["state"] not in ("closed", "void", "refused")
        lines = [objection(each.shown()) for each in verdict.against_closing] if open_ else []
        allowed = [a for a in pages.FIELDS if a in shown["allowed"] and self._may(actor, f"case.{a}", shown)]
        body = self._refusal(at, refused)
        body += pages.case(self._shown(at, shown), allowed, lines, self._shown(at, ranked), say)
        return self._answer(at, "dispatch.page.case", body, refused)

    def _may(self, actor: Actor, action: str, shown: views.Shown) -> bool:
        mine = next(
            (d for d in (shown["lead"], *shown["assisting"]) if d in actor.departments), shown["lead"]
        )
        return self._actions.policy.permits(actor, action, Scope(shown["area"], mine))

    def _shown(self, at: Edge, value: Any) -> Any:  # noqa: ANN401 - what the API shows is plain data
        return _local(render(value, self._texts, at.language), self._actions)

    def _say(self, at: Edge, crews: Sequence[Crew] = ()) -> pages.Say:
        names = {f"crew.{crew.id}": crew.name for crew in crews}

        def say(key: str, **params: object) -> str:
            if key in names:
                return escape(names[key].get(at.language, key))
            known = self._texts.has(key)
            return escape(self._texts(key, at.language, **params) if known else key.rpartition(".")[2])

        return say

    def _refusal(self, at: Edge, refused: CityOpsError | None) -> str:
        if refused is None:
            return ""
        said = [self._texts(refused.key, at.language, **refused.params)]
        if isinstance(refused, SensorsDisagree):
            said += [objection(each) for each in refused.objections]
        why = refused.params.get("why") if isinstance(refused, Invalid) else None
        if isinstance(why, list):
            said += [str(line) for line in self._shown(at, why)]
        return pages.wrong([escape(line) for line in said])

    def _answer(
        self, at: Edge, title: str, body: str, refused: CityOpsError | None, refresh_s: int = 0
    ) -> Response:
        status = 200 if refused is None else next(code for kind, code in STATUS if isinstance(refused, kind))
        html = pages.page(self._say(at)(title), body, at.language, 0 if refused else refresh_s)
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def _local(value: Any, actions: Actions) -> Any:  # noqa: ANN401 - plain data
    """Moments as people of the city read them."""
    if isinstance(value, dict):
        return {name: _local(part, actions) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_local(part, actions) for part in value]
    if isinstance(value, datetime):
        return value.astimezone(actions.zone).strftime("%m-%d %H:%M")
    return value
