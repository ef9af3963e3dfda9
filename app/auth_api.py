"""Routes of signing in and out. Everything here is open: it is what makes somebody out of nobody."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Request
from fastapi.security import OAuth2PasswordRequestForm
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.auth import TICKET_S, WALL_S, Auth
from app.identify import COOKIE, cookie_of, source_of
from core.actor import Actor
from core.errors import CityOpsError
from core.http import Allow, Json, Lang, Open
from core.text import Texts

SIGN_IN = Depends(Open("signing in"))

PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/assets/theme.css">
<link rel="stylesheet" href="/assets/sign-in.css"></head><body class="sign-in"><main><h1>{title}</h1>
<form method="post" action="/login"><input type="hidden" name="next" value="{next}">
<label>{user}<input name="username" autocomplete="username" required autofocus></label>
<label>{password}<input name="password" type="password" autocomplete="current-password" required></label>
<p role="alert">{wrong}</p><button>{enter}</button></form></main></body></html>"""


def local(target: str) -> str:
    """A path of ours, never another site."""
    parts = urlsplit(target)
    good = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc
    return target if good else "/"


def router(auth: Auth, texts: Texts) -> APIRouter:
    routes = APIRouter()

    def signed_in(
        response: Response, token: str, request: Request, lasts_s: float = auth.session_s
    ) -> Response:
        response.set_cookie(
            COOKIE, token, max_age=round(lasts_s), httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    def page(lang: str, target: str, wrong: str = "", status: int = 200) -> Response:
        words = {name: texts(f"sign_in.{name}", lang) for name in ("title", "user", "password", "enter")}
        safe = local(target).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        return HTMLResponse(PAGE.format(lang=lang, next=safe, wrong=wrong, **words), status)

    @routes.post("/api/v1/auth/token", dependencies=[SIGN_IN], tags=["auth"])
    async def token(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Response:
        actor = await auth.sign_in(form.username, form.password, source_of(request.scope))
        issued = await auth.open_session(actor.id, "bearer")
        return Json({"access_token": issued, "token_type": "bearer", "expires_in": round(auth.session_s)})

    @routes.post("/api/v1/auth/ticket", tags=["auth"])
    async def ticket(actor: Annotated[Actor, Depends(Allow("screen.open"))]) -> Response:
        """A single-use ticket of 30 s for WebSockets of clients that are no browsers."""
        return Json({"ticket": await auth.open_session(actor.id, "ticket", TICKET_S), "expires_in": TICKET_S})

    @routes.get("/api/v1/auth/me", dependencies=[Depends(Open("tells who asks"))], tags=["auth"])
    async def me(request: Request) -> Response:
        actor: Actor = request.state.actor
        return Json({"id": actor.id, "name": actor.name, "roles": sorted(actor.roles), "crew": actor.crew})

    @routes.get("/login", dependencies=[SIGN_IN], include_in_schema=False)
    async def ask(lang: Lang, next: str = "/", *, refused: bool = False) -> Response:  # noqa: A002 - the name in the address
        return page(lang, next, texts("sign_in.refused", lang) if refused else "")

    @routes.post("/login", dependencies=[SIGN_IN], include_in_schema=False)
    async def enter(
        request: Request,
        lang: Lang,
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        next: Annotated[str, Form()] = "/",  # noqa: A002 - the name in the form
    ) -> Response:
        try:
            actor = await auth.sign_in(username, password, source_of(request.scope))
        except CityOpsError as refused:
            return page(lang, next, texts(refused.key, lang), 401)
        return signed_in(
            RedirectResponse(local(next), 303), await auth.open_session(actor.id, "browser"), request
        )

    @routes.get("/once/{link}", dependencies=[SIGN_IN], include_in_schema=False)
    async def once(request: Request, link: str, lang: Lang) -> Response:
        """A one-time link from the terminal or its QR code.

        A wall that only looks stays signed in, there has nobody a keyboard; but only at the address that opened it.
        """
        try:
            actor, target = await auth.use_once(link, "link")
        except CityOpsError as used:
            return page(lang, "/", texts(used.key, lang), 401)
        is_wall = actor.roles == {"viewer"} and target.startswith("/wall")
        lasts_s, source = (WALL_S, source_of(request.scope)) if is_wall else (auth.session_s, "")
        token = await auth.open_session(actor.id, "browser", lasts_s, source=source)
        return signed_in(RedirectResponse(local(target), 303), token, request, lasts_s)

    @routes.post("/logout", dependencies=[Depends(Open("signing out"))], include_in_schema=False)
    async def leave(request: Request) -> Response:
        await auth.sign_out(cookie_of(request.headers))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    return routes
