"""The page behind a link in a short message: one order, its next step, without an account and without a script."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.actor import Actor
from core.errors import CityOpsError, SensorsDisagree
from core.http import Open
from core.text import Texts
from dispatch import store, views
from dispatch.actions import Actions
from dispatch.edge_api import At
from dispatch.links import Links
from dispatch.words import render

#: The order of the buttons; the first that is allowed is the big one.
BUTTONS = ("accept", "depart", "arrive", "handle", "finish", "request_support", "refuse")
OPEN = Depends(Open("the link itself is the secret"))

PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{number}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer"><style>
body{{font:18px/1.5 system-ui,sans-serif;margin:0;padding:16px;max-width:34rem;background:#fff;color:#10161d}}
h1{{font-size:1.4rem;margin:.2rem 0}}dl{{display:grid;grid-template-columns:auto 1fr;gap:.2rem .8rem}}
dt{{color:#56697c}}dd{{margin:0}}button,.map{{display:block;width:100%;min-height:60px;margin:.5rem 0;font:inherit;
border-radius:.6rem;border:2px solid #1259b5;background:#fff;color:#1259b5;text-align:center;line-height:56px;
text-decoration:none;
box-sizing:border-box}}button.next{{background:#1259b5;color:#fff;font-weight:700}}input{{font:inherit;width:100%;
min-height:48px;box-sizing:border-box}}.wrong{{background:#ffe9e9;border-left:.4rem solid #c8102e;padding:.6rem}}
</style></head><body><h1>{title}</h1><p>{state}</p>{wrong}<dl>{facts}</dl>
<a class="map" href="geo:{lat},{lon}?q={lat},{lon}">{map}</a>{buttons}</body></html>"""


def add_link_routes(routes: APIRouter, actions: Actions, links: Links, texts: Texts) -> None:
    async def opened(at: At, token: str) -> tuple[Actor, dict[str, Any]]:
        """Who the link is, and its order. Raises `NotFound`."""
        id_, code = links.order_of(token)
        async with at.database.transaction() as connection:
            order = await store.find_order(connection, id_)
            actor = links.actor(order.id, order.crew, code, order.created_us, at.now_us)
            return actor, await views.order(connection, order.id, at.now_us)

    @routes.get("/o/{token}", dependencies=[OPEN], include_in_schema=False)
    async def show(token: str, at: At) -> Response:
        _, order = await opened(at, token)
        return page(order, token, at, texts)

    @routes.post("/o/{token}", dependencies=[OPEN], include_in_schema=False)
    async def act(
        token: str, at: At, action: Annotated[str, Form()], reason: Annotated[str, Form()] = ""
    ) -> Response:
        actor, order = await opened(at, token)
        try:
            async with at.database.transaction() as connection:
                await actions.act_on_order(connection, order["id"], action, actor, at.now_us, reason=reason)
        except SensorsDisagree as refused:
            said = texts(refused.key, at.language, **refused.params)
            return page(
                order, token, at, texts, wrong=[said, *map(objection, refused.objections)], status=409
            )
        except CityOpsError as refused:
            return page(
                order, token, at, texts, wrong=[texts(refused.key, at.language, **refused.params)], status=409
            )
        return RedirectResponse(f"/o/{token}", 303)


def objection(found: dict[str, object]) -> str:
    """A sensor that objects, in a line."""
    value = "—" if found["value"] is None else found["value"]
    return f"{found['device']} {found['channel']} {value} {found['unit']} ({found['comparison']} {found['limit']})"


def page(
    order: dict[str, Any],
    token: str,
    at: At,
    texts: Texts,
    *,
    wrong: list[str] | None = None,
    status: int = 200,
) -> Response:
    """The order as a page; every word escaped."""
    lang = at.language

    def say(key: str, **params: object) -> str:
        return escape(texts(key, lang, **params))

    facts = {
        "number": order["number"],
        "place": order["place"],
        "level": texts(f"level.{order['level']}", lang),
        "provenance": texts(f"provenance.{order['provenance']}", lang),
    }
    rows = "".join(
        f"<dt>{say(f'dispatch.link.{name}')}</dt><dd>{escape(str(value))}</dd>"
        for name, value in facts.items()
    )
    allowed = [name for name in BUTTONS if name in order["allowed"]]
    told = "".join(f"<p>{escape(line)}</p>" for line in wrong or [])
    return HTMLResponse(
        PAGE.format(
            lang=lang,
            number=escape(order["number"]),
            title=escape(str(render(order["title"], texts, lang))),
            state=say(f"order.state.{order['state']}"),
            wrong=f'<div class="wrong" role="alert">{told}</div>' if told else "",
            facts=rows,
            lat=order["lat"],
            lon=order["lon"],
            map=say("dispatch.link.map"),
            buttons="".join(button(name, n == 0, token, say) for n, name in enumerate(allowed)),
        ),
        status,
        headers={"Cache-Control": "no-store"},
    )


def button(action: str, first: object, token: str, say: Any) -> str:  # noqa: ANN401 - a function of this module
    """A form with one button; refusing asks why."""
    reason = (
        f'<input name="reason" required placeholder="{say("dispatch.link.reason")}">'
        if action == "refuse"
        else ""
    )
    look = ' class="next"' if first else ""
    return (
        f'<form method="post" action="/o/{escape(token)}">{reason}'
        f'<button{look} name="action" value="{action}">{say(f"order.action.{action}")}</button></form>'
    )
