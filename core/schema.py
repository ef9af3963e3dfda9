"""Building blocks of everything that is declared in YAML."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class Declared(BaseModel):
    """A declaration: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def span_s(value: object) -> float:
    """Seconds of a span such as `90s`, `5m`, `1h 30m`; a bare number is refused: its unit is a guess."""
    if isinstance(value, str):
        parts = _SPAN.findall(value)
        if parts and not _SPAN.sub("", value).strip():
            return float(sum(float(amount) * _UNIT_S[unit] for amount, unit in parts))
    raise ValueError("must be a span of time such as 30s, 5m, 1h or 28d")


#: A span of time in seconds, written with its unit.
Span = Annotated[float, BeforeValidator(span_s)]

#: A name in code: rules, kinds, channels, roles.
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]

#: An id on the wire (DESIGN §6.1).
WireId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
WIRE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
