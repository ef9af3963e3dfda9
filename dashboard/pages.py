"""Pages that are no Dash pages: the responder's, which must be small and work on a phone over a bad link; the
console's and the cockpit's, which draw themselves so often that React between them and their rows would only cost.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core.http import Allow, Lang, Open
from core.text import Texts

RESPONDER = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/theme.css">
<link rel="stylesheet" href="/assets/base.css"><link rel="stylesheet" href="/assets/responder/responder.css">
</head><body><div id="responder"></div><script type="module" src="/assets/responder/app.mjs"></script></body></html>"""


DESK = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/fonts.css">
<link rel="stylesheet" href="/assets/theme.css"><link rel="stylesheet" href="/assets/base.css">
<link rel="stylesheet" href="/assets/{page}/{page}.css">
</head><body><div id="{page}"></div><script type="module" src="/assets/{page}/main.mjs"></script></body></html>"""


def router(texts: Texts, language: str = "zh") -> APIRouter:
    """Pages for whoever may open them; what they show is decided by the API that they ask."""
    routes = APIRouter()
    _desks(routes, texts, language)

    @routes.get("/responder", include_in_schema=False, dependencies=[Depends(Allow("screen.responder"))])
    async def responder(lang: Lang) -> HTMLResponse:
        return HTMLResponse(
            RESPONDER.format(lang="en" if lang == "en" else "zh-CN", title=texts("page.responder", lang))
        )

    return routes


def _desks(routes: APIRouter, texts: Texts, default: str) -> None:
    def page(request: Request, name: str) -> HTMLResponse:
        asked = request.query_params.get("lang") or request.cookies.get("lang")
        lang = asked if asked in ("zh", "en") else default
        title = texts(f"page.{name}", lang)
        return HTMLResponse(DESK.format(lang="en" if lang == "en" else "zh-CN", title=title, page=name))

    @routes.get("/console", include_in_schema=False, dependencies=[Depends(Allow("screen.console"))])
    @routes.get(
        "/console/{view:path}", include_in_schema=False, dependencies=[Depends(Allow("screen.console"))]
    )
    async def console(request: Request) -> HTMLResponse:
        """Every view has an address; the page itself finds out which one it is."""
        return page(request, "console")

    @routes.get("/vitals", include_in_schema=False, dependencies=[Depends(Allow("screen.vitals"))])
    @routes.get("/vitals/{key}", include_in_schema=False, dependencies=[Depends(Allow("screen.vitals"))])
    async def vitals(request: Request) -> HTMLResponse:
        """The city's index and all vital signs; one of them with formula, inputs and readings."""
        return page(request, "vitals")

    @routes.get("/cockpit", include_in_schema=False, dependencies=[Depends(Allow("screen.cockpit"))])
    async def cockpit(request: Request) -> HTMLResponse:
        return page(request, "cockpit")

    @routes.get(
        "/vendors", include_in_schema=False, dependencies=[Depends(Open("how to speak to us is no secret"))]
    )
    async def vendors(request: Request) -> HTMLResponse:
        """For makers of gateways, who have no account: what is a gateway's own is asked with its secret."""
        return page(request, "vendors")

    @routes.get("/incidents/{id_}", include_in_schema=False, dependencies=[Depends(Allow("screen.console"))])
    async def incident(id_: str) -> Response:
        """The short address of an incident, for messages."""
        return RedirectResponse(f"/console/incidents/{quote(id_, safe='')}", 303)
