"""Pages that are no Dash pages: the responder's, which must be small and work on a phone over a bad link."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import HTMLResponse

from core.http import Allow, Lang
from core.text import Texts

RESPONDER = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<link rel="icon" href="/assets/icon.svg"><link rel="stylesheet" href="/assets/theme.css">
<link rel="stylesheet" href="/assets/base.css"><link rel="stylesheet" href="/assets/responder/responder.css">
</head><body><div id="responder"></div><script type="module" src="/assets/responder/app.mjs"></script></body></html>"""


def router(texts: Texts) -> APIRouter:
    """`/responder`, for whoever may open it; what it shows is decided by the API it asks."""
    routes = APIRouter()

    @routes.get("/responder", include_in_schema=False, dependencies=[Depends(Allow("screen.responder"))])
    async def responder(lang: Lang) -> HTMLResponse:
        return HTMLResponse(
            RESPONDER.format(lang="en" if lang == "en" else "zh-CN", title=texts("page.responder", lang))
        )

    return routes
