"""CEL, the one expression language: what may be asked, checked when a declaration is read."""

from __future__ import annotations

from collections.abc import Collection

import cel

#: What guards of rules may ask for (`events.guards` says what each is).
GUARD = frozenset({"value", "params", "latest", "site", "usual", "z", "dry_h", "rain_1h", "hour"})
#: What conditions of priorities may ask for (`events.assess`).
PRIORITY = frozenset({"level", "score", "points", "rules", "peak", "params"})


def mistake(expression: str, known: Collection[str]) -> str:
    """What is wrong with an expression, empty when nothing is."""
    try:
        program = cel.compile(expression)
    except (ValueError, RuntimeError) as wrong:
        return f"is no CEL: {str(wrong).splitlines()[0]}"
    unknown = sorted(set(program.variables()) - set(known))
    return f"knows no {', '.join(unknown)}; there are {', '.join(sorted(known))}" if unknown else ""
