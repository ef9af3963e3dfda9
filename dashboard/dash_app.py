"""The Dash application on the product's FastAPI server: pages, page head, content-security policy, callbacks' policy.

Pages are registered explicitly (`pages_folder=""`): Dash's own loader would run page files twice under another name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dash
from dash import Dash
from dash.development.base_component import Component
from dash.exceptions import DependencyException
from fastapi import FastAPI, Request, Response

from core.text import Texts
from dashboard import theme, wall
from dashboard.explore import page as explore
from dashboard.explore.source import Explorer

HERE = Path(__file__).parent
STYLES = ("fonts.css", "theme.css", "base.css", "wall/wall.css", "explore/explore.css")

#: Dash callback id → the policy action that whoever triggers it needs. Anything else is refused by a test.
CALLBACKS: Mapping[str, str] = {
    ".._pages_content.children..._pages_store.data..": "screen.open",
    "_pages_dummy.children": "screen.open",
    **explore.CALLBACKS,
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of ours: its path, the key of its title, and its layout for a language."""

    name: str
    path: str
    action: str
    layout: Callable[[Texts, str], Component]


PAGES: tuple[Page, ...] = (
    Page("wall", "/wall", "screen.wall", wall.layout),
    Page("explore", "/explore", "screen.explore", explore.layout),
)


def build(server: FastAPI, explorer: Explorer, language: str, title: str, files: str) -> Dash:
    """Mount Dash on a FastAPI application. `language` is that of pages whose address asks for none; `files` the version
    of our files.

    `server` must already carry every route of the product: Dash answers all other GET paths itself.
    """
    app = Dash(
        "dashboard",
        server=server,  # type: ignore[arg-type] # typed for Flask; FastAPI is taken since 4.1
        use_pages=True,
        pages_folder="",
        assets_folder=str(HERE / "assets"),
        include_assets_files=False,
        title=title,
        update_title="",
        serve_locally=True,
        enable_mcp=False,
        add_log_handler=False,
        index_string=index(language, f"/assets/{files}"),
    )
    texts = explorer.texts
    dash.page_registry.clear()
    for page in PAGES:
        dash.register_page(  # type: ignore[no-untyped-call] # it has no types
            page.name,
            path=page.path,
            title=texts(f"page.{page.name}", language),
            layout=_layout(page, texts, language),
        )
    app.layout = dash.page_container
    explore.register(app, explorer, theme.load())
    # Dash would open a socket of its own on every page (plotly/dash #3939); live data comes by dashboard/feed.py
    app.backend.websocket_capability = False
    server.add_exception_handler(DependencyException, _no_such_file)
    return app


async def _no_such_file(_request: Request, _wrong: Exception) -> Response:
    """Dash raises at an unknown component package; that is nobody's failure but who asks."""
    return Response(status_code=404)


async def warm(app: Dash) -> None:
    """Do what Dash puts off: page callbacks with their inline script (first request), its pages' route (lifespan).

    Await it once before serving, whether the server runs a lifespan or not: without it the first page that is
    opened lacks that script, and its hash the policy.
    """
    for prepare in getattr(app.backend, "_before_request_funcs"):  # noqa: B009 - there is no public way
        done = prepare()
        if inspect.isawaitable(done):
            await done
    getattr(app.backend, "_setup_catchall")()  # noqa: B009 - as above


def _layout(page: Page, texts: Texts, default: str) -> Callable[..., Component]:
    def layout(lang: str = "", **_: object) -> Component:
        return page.layout(texts, lang if lang in ("zh", "en") else default)

    return layout


def index(language: str, files: str) -> str:
    """The HTML around every page. No inline script but those of Dash, whose hashes stand in the policy.

    Our own module comes first and asks for what the page will show, while Dash still makes its frame.
    """
    links = "".join(f'<link rel="stylesheet" href="{files}/{name}">' for name in STYLES)
    return (
        f'<!DOCTYPE html><html lang="{"zh-CN" if language == "zh" else "en"}"><head>{{%metas%}}'
        f'<title>{{%title%}}</title><link rel="icon" href="/assets/icon.svg">'
        f'<script type="module" async src="{files}/boot.mjs"></script>{links}{{%css%}}</head>'
        "<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body></html>"
    )


def content_security_policy(app: Dash) -> str:
    """The header value for every page: scripts only of our own origin, no inline script, no eval.

    Call after `warm`: Dash's inline scripts are let in by their hash.
    """
    scripts = " ".join(["'self'", *app.csp_hashes()])
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",  # React and MapLibre set style attributes
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    )
