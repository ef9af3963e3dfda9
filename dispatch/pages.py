"""Plain pages of the desk: the dispatcher's queue, a department's cases, one case with its next steps.

No script: lists, forms and buttons, usable on any screen. Pure: what is shown comes in as the API shows it, in the
reader's language; every word is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

Shown = Mapping[str, Any]
#: A text key and its parameters → the words, escaped. `crew.<id>` is the crew's name.
Say = Callable[..., str]

#: Sections of the two lists, and the states of the cases in each.
QUEUE = {
    "new": ("reported", "verifying"),
    "to_dispatch": ("registered",),
    "under_way": ("dispatched", "handling"),
    "to_check": ("fed_back", "checking"),
    "suspended": ("suspended",),
}
DEPARTMENT = {
    "to_accept": ("dispatched",),
    "at_work": ("handling",),
    "to_check": ("fed_back", "checking"),
    "suspended": ("suspended",),
}
#: What each action asks for. `reason` and the like must be given where the action needs them; the service says so.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "accept": (), "feed_back": ("overrule",), "check": ("result", "reason", "overrule"), "close": ("overrule",),
    "verify": ("result",), "register": ("code", "reason"), "dispatch": ("lead", "assisting"),
    "decide": ("granted", "reason"), "resume": (), "apply": ("kind", "amount", "reason"), "claim": (),
    "refuse": ("reason",), "rule_on_dispute": ("lead", "reason"), "supervise": ("reason",), "appeal": ("reason",),
    "call_back": ("satisfied",), "comment": ("reason",), "void": ("reason",), "force_close": ("reason",),
}  # fmt: skip
CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("verify", "result"): ("exists", "missing", "undecided"),
    ("check", "result"): ("pass", "fail"),
    ("apply", "kind"): ("extend", "return", "suspend"),
    ("decide", "granted"): ("true", "false"),
    ("call_back", "satisfied"): ("true", "false"),
}

PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>{refresh}
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:16px;max-width:76rem;background:#fff;color:#10161d}}
h1{{font-size:1.5rem;margin:.2rem 0}}h2{{font-size:1.1rem;margin:1.2rem 0 .3rem}}a{{color:#1259b5}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.35rem .5rem;border-bottom:1px solid #d7dee6;
vertical-align:top}}
td:first-child{{white-space:nowrap}}
th{{color:#56697c;font-weight:500}}dl{{display:grid;grid-template-columns:max-content 1fr;
gap:.2rem .8rem}}dt{{color:#56697c}}dd{{margin:0}}input,select,button{{font:inherit;min-height:40px;margin:.15rem 0}}
button{{padding:0 1rem;white-space:nowrap;border-radius:.4rem;border:2px solid #1259b5;background:#fff;color:#1259b5}}
button.next{{background:#1259b5;color:#fff;font-weight:700}}form{{margin:.3rem 0}}summary{{cursor:pointer}}
.red{{color:#c8102e;font-weight:700}}.yellow{{color:#8a5a00;font-weight:700}}.green{{color:#1d6f42}}
.wrong{{background:#ffe9e9;border-left:.4rem solid #c8102e;padding:.6rem}}.none{{color:#56697c}}
@media (max-width:40rem){{thead{{display:none}}tr{{display:block;border-bottom:2px solid #d7dee6;padding:.3rem 0}}
td{{display:block;border:0;padding:.1rem 0}}}}
</style></head><body>{body}</body></html>"""


def page(title: str, body: str, lang: str, refresh_s: int = 0) -> str:
    """A whole page; `title` and `body` are escaped already."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return PAGE.format(lang="en" if lang == "en" else "zh-CN", title=title, refresh=refresh, body=body)


def lists(cases: Sequence[Shown], sections: Mapping[str, tuple[str, ...]], say: Say) -> str:
    """Cases by section, the most urgent first."""
    return "".join(
        f"<h2>{say(f'dispatch.page.section.{key}')} <span class='n'>({len(own)})</span></h2>"
        + _table(own, say)
        for key, states in sections.items()
        for own in [sorted((c for c in cases if c["state"] in states), key=_urgency)]
    )


def _urgency(case: Shown) -> tuple[int, int, str]:
    return ("red", "yellow", "green").index(case["light"]), case["priority"], str(case["created_at"])


def _table(cases: Sequence[Shown], say: Say) -> str:
    if not cases:
        return f"<p class='none'>{say('dispatch.page.nothing')}</p>"
    head = "".join(
        f"<th>{say(f'dispatch.page.column.{name}')}</th>"
        for name in ("light", "case", "place", "level", "lead", "crews", "due", "state")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(_row(case, say) for case in cases)}</tbody></table>"


def _row(case: Shown, say: Say) -> str:
    waits = any(each["granted"] is None for each in case["applications"])
    state = say(f"case.state.{case['state']}") + (f" · {say('dispatch.page.application')}" if waits else "")
    cells = (
        _light(case["light"], say),
        _name(case, say),
        escape(case["place"]),
        say(f"level.{case['level']}"),
        _department(case["lead"], say),
        ", ".join(say(f"crew.{crew}") for crew in case["crews"]),
        escape(short(case["due_at"])),
        state,
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _light(light: str, say: Say) -> str:
    return f"<span class='{light}'>{say('case.light.' + light)}</span>"


def _name(case: Shown, say: Say) -> str:
    link = f"<a href='/case/{escape(case['id'])}'>{escape(case['number'])}</a>"
    return f"{link} {escape(str(case['title']))} <small>{say('provenance.' + case['provenance'])}</small>"


def _department(key: str, say: Say) -> str:
    return say(f"department.{key}") if key else "—"


def short(moment: object) -> str:
    """Day and minute of a moment in the city's time, as `edge` made it."""
    return "—" if moment is None else str(moment)


def proposal(items: Sequence[Shown], say: Say) -> str:
    """What the matching would change, and the one button that has it carried out."""
    changes = [item for item in items if item["change"] != "keep" and (item["crew"] or item["crew_now"])]
    if not changes:
        return ""
    rows = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in (
            f"<a href='/case/{escape(item['case'])}'>{escape(item['number'])}</a>",
            escape(item["place"]),
            say(f"dispatch.page.change.{item['change']}"),
            " → ".join(say(f"crew.{crew}") if crew else "—" for crew in (item["crew_now"], item["crew"])),
            escape("；".join(map(str, (*item["reasons"], *item["shortfalls"])))),
        )) + "</tr>"
        for item in changes
    )  # fmt: skip
    hidden = "".join(
        f"<input type='hidden' name='item' value='{escape(item['case'])} {escape(item['crew'])}'>"
        for item in changes
    )
    return (
        f"<h2>{say('dispatch.page.proposal')}</h2><table><tbody>{rows}</tbody></table>"
        f"<form method='post' action='/queue/assignment'>{hidden}"
        f"<button class='next'>{say('dispatch.page.carry_out')}</button></form>"
    )


# -- one case -----------------------------------------------------------------------------------------------


def case(
    shown: Shown, allowed: Sequence[str], objections: Iterable[str], candidates: Sequence[Shown], say: Say
) -> str:
    """Facts, what objects, departments, orders, who could go, next steps, and what was done."""
    lines = list(objections)
    facts = {
        "state": say(f"case.state.{shown['state']}"),
        "light": _light(shown["light"], say),
        "place": escape(shown["place"]),
        "level": say(f"level.{shown['level']}"),
        "lead": _department(shown["lead"], say),
        "due": escape(short(shown["due_at"])),
        "provenance": say(f"provenance.{shown['provenance']}"),
    }
    table = "".join(
        f"<dt>{say(f'dispatch.page.column.{name}')}</dt><dd>{value}</dd>" for name, value in facts.items()
    )
    return "".join(
        (
            f"<h1>{escape(shown['number'])} {escape(str(shown['title']))}</h1>",
            f"<dl>{table}</dl>",
            wrong([say("dispatch.page.objects"), *map(escape, lines)]) if lines else "",
            _orders(shown["orders"], say),
            _candidates(shown, candidates, say),
            f"<h2>{say('dispatch.page.steps')}</h2>",
            *(form(shown, action, n == 0, say) for n, action in enumerate(allowed)),
            _log(shown["log"], say),
        )
    )


def wrong(lines: Sequence[str]) -> str:
    """Lines (escaped) that say why something was refused."""
    return f"<div class='wrong' role='alert'>{''.join(f'<p>{line}</p>' for line in lines)}</div>"


def _orders(orders: Sequence[Shown], say: Say) -> str:
    if not orders:
        return ""
    rows = "".join(
        f"<tr><td>{escape(order['number'])}</td><td>{say('crew.' + order['crew'])}</td>"
        f"<td>{say('order.state.' + order['state'])}</td></tr>"
        for order in orders
    )
    return f"<h2>{say('dispatch.page.orders')}</h2><table>{rows}</table>"


def _candidates(shown: Shown, candidates: Sequence[Shown], say: Say) -> str:
    """The first five, each with its reasons; who can go has a button."""
    if not candidates:
        return ""
    rows = "".join(
        f"<tr><td>{say('crew.' + each['crew'])}</td><td>{_minutes(each['travel_s'], say)}</td>"
        f"<td>{escape('；'.join(map(str, (*each['barred'], *each['reasons'], *each['shortfalls']))))}</td>"
        f"<td>{_send(shown['id'], each['crew'], say) if each['able'] else ''}</td></tr>"
        for each in candidates[:5]
    )
    return f"<h2>{say('dispatch.page.candidates')}</h2><table>{rows}</table>"


def _minutes(travel_s: float | None, say: Say) -> str:
    return "—" if travel_s is None else say("dispatch.page.minutes", n=max(1, round(travel_s / 60)))


def _send(case_id: str, crew: str, say: Say) -> str:
    return (
        f"<form method='post' action='/case/{escape(case_id)}/send'>"
        f"<button name='crew' value='{escape(crew)}'>{say('order.action.send')}</button></form>"
    )


def form(shown: Shown, action: str, first: object, say: Say) -> str:
    """One action with what it asks for; the first one stands open."""
    fields = "".join(field(action, name, shown, say) for name in FIELDS[action])
    name = say(f"case.action.{action}")
    look = " class='next'" if first else ""
    button = f"<button{look} name='action' value='{action}'>{name}</button>"
    start = f"<form method='post' action='/case/{escape(shown['id'])}/act'>"
    if not fields or first:
        return f"{start}{fields}{button}</form>"
    return f"<details><summary>{name}</summary>{start}{fields}{button}</form></details>"


def field(action: str, name: str, shown: Shown, say: Say) -> str:
    label = say(f"dispatch.page.field.{name}")
    choices = CHOICES.get((action, name))
    if choices:
        options = "".join(
            f"<option value='{value}'>{say(f'dispatch.page.option.{name}.{value}')}</option>"
            for value in choices
        )
        return f"<label>{label} <select name='{name}'>{options}</select></label> "
    value = {"code": shown["code"], "lead": shown["lead"], "assisting": " ".join(shown["assisting"])}.get(
        name, ""
    )
    kind = "type='number' step='0.25' min='0'" if name == "amount" else "type='text'"
    return f"<label>{label} <input {kind} name='{name}' value='{escape(value)}'></label> "


def _log(log: Sequence[Shown], say: Say) -> str:
    rows = "".join(
        f"<tr><td>{escape(short(line['at']))}</td><td>{escape(line['by_name'])}</td>"
        f"<td>{say('case.action.' + line['action'])}</td><td>{escape(str(line['reason']))}</td></tr>"
        for line in log
    )
    return f"<h2>{say('dispatch.page.log')}</h2><table>{rows}</table>"


def fields_of(action: str, given: Mapping[str, str]) -> dict[str, object]:
    """The fields of a form as the service takes them; what was left empty was not given."""
    found: dict[str, object] = {}
    for name in FIELDS.get(action, ()):
        value = given.get(name, "").strip()
        if not value:
            continue
        if name in ("granted", "satisfied"):
            found[name] = value == "true"
        elif name == "assisting":
            found[name] = value.replace(",", " ").replace("、", " ").split()
        else:
            found[name] = value
    return found
