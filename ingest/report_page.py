"""The conformance report of a gateway on paper: one plain page, Chinese first, that prints on A4. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

#: A text key and its parameters → the words, not escaped.
Say = Callable[..., str]

PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
@page{{size:A4;margin:16mm}}body{{font:14px/1.55 system-ui,sans-serif;margin:0 auto;padding:16px;max-width:50rem;
color:#10161d;background:#fff}}h1{{font-size:1.4rem;margin:0 0 .2rem}}h2{{font-size:1.05rem;margin:1.2rem 0 .3rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #d7dee6;
vertical-align:top;overflow-wrap:anywhere}}th{{color:#56697c;font-weight:500}}tr{{break-inside:avoid}}
.passed{{color:#1d6f42;font-weight:700}}.failed{{color:#c8102e;font-weight:700}}.unseen,.note{{color:#56697c}}
</style></head><body>{body}</body></html>"""


def page(report: Mapping[str, Any], say: Say, lang: str) -> str:
    """`report` as `watch_store.report` gives it."""

    def word(key: str, **values: object) -> str:
        return escape(say(f"conformance.{key}", **values))

    title = f"{word('title')} · {escape(report['gateway'])}"
    totals = report["totals"]
    facts = [
        (word("since"), f"{report['since']} – {report['last_at'] or '—'}"),
        (word("formats"), _listed(report["formats"])),
        *((word(name), totals.get(name, 0)) for name in ("frames", "bytes", "readings", "resent", "conflicts", "gaps")),
        (word("offset"), _offsets(report["offsets_s"])),
        (word("devices"), ", ".join(report["devices"]) or "—"),
        (word("silent_devices"), ", ".join(report["silent_devices"]) or "—"),
    ]  # fmt: skip
    checks = [
        (
            f"<span class='{check['verdict']}'>{word(check['verdict'])}</span>",
            word(f"check.{check['check']}"),
            escape(say(f"conformance.found.{check['check']}", **check)),
        )
        for check in report["checks"]
    ]
    refused = [
        (escape(reason), escape(say(f"refusal.{reason}")), str(n)) for reason, n in report["refused"].items()
    ]
    refused += [(word("not_permitted"), escape(what), str(n)) for what, n in report["not_permitted"].items()]
    body = (
        f"<h1>{title}</h1><p class='note'>{word('made', at=report['made_at'])}</p>"
        f"<h2>{word('checks')}</h2>{_table(checks)}"
        f"<h2>{word('facts')}</h2>{_table((name, escape(str(value))) for name, value in facts)}"
        f"<h2>{word('refused')}</h2>{_table(refused) if refused else '<p class=note>—</p>'}"
    )
    return PAGE.format(lang="en" if lang == "en" else "zh-CN", title=title, body=body)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} × {n}" for name, n in counts.items()) or "—"


def _offsets(offsets_s: list[float]) -> str:
    return f"{offsets_s[0]:+.1f} … {offsets_s[1]:+.1f} s" if offsets_s else "—"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows of cells that are escaped already."""
    return f"<table>{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
