"""What a domain declares in `vitals.yaml`: one indicator a list item, checked against the catalogue at start.

A vital is a CEL expression over named inputs. An input is a set of points of one channel, a set of records (alerts,
incidents, cases, orders), a figure that a room gives, or devices. The words of the expressions are those of
`dashboard.vitals.words.Words`; a band is an expression too, over `value`, `usual` (its median at this hour), `z`
(robust distance from that), `hour` (of the city's day) and the vital's own figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cel
import numpy as np
from pydantic import ConfigDict, Field, model_validator

from core.clock import SECOND_US
from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span
from core.yamlfile import Mistake, Mistakes
from dashboard.vitals.words import Figure, Input, Installed, Points, Records, Series, Unknown, Words
from iot.kinds import Catalogue, resolve
from iot.registry import Device

LEVELS = {"red": 1, "orange": 2, "yellow": 3, "blue": 4}
Colour = Literal["red", "orange", "yellow", "blue"]
Reduce = Literal["fresh", "mean", "low", "high", "total", "leq", "share"]
#: A fresh reading is not older than this many of its usual periods.
FRESH_PERIODS = 3.0
#: The first are what stands now; the others what was within the last days (`rooms.Records`).
Topic = Literal[
    "alarms", "alerts", "incidents", "cases", "orders", "crews",
    "arrivals", "checked", "dispatched", "verdicts", "reports", "duty_checks",
]  # fmt: skip


class PointsDecl(Declared):
    """Points of a channel. `reduce` over `window` of event time; `fresh` is the newest reading, not too old.

    `share` is the share of the window's samples within `within` (lowest, highest); `per` divides by a device's own
    set value, `from` subtracts from one. With `step` the window is one of whole steps, each reduced by itself: words
    then speak of nights, excesses and spans. `hourly` says what of an hour's sum stands for it in history.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    channel: Key
    kinds: list[Key] = []
    where: dict[str, Any] = {}
    reduce: Reduce = "fresh"
    window: Span = 0.0
    step: Span = 0.0
    within: tuple[float, float] | None = None
    per: str = ""
    from_: Annotated[str, Field(alias="from")] = ""
    hourly: Literal["mean", "low", "high"] = "mean"

    @model_validator(mode="after")
    def _sound(self) -> PointsDecl:
        if (self.reduce == "fresh") == bool(self.window):
            raise ValueError(f"reduce {self.reduce} and window {self.window:g} s do not go together")
        if (self.reduce == "share") != (self.within is not None):
            raise ValueError("within belongs to reduce share, and to no other")
        if self.step and self.window % self.step:
            raise ValueError(f"window {self.window:g} s is no number of steps of {self.step:g} s")
        return self


class RecordsDecl(Declared):
    """Records of a topic whose fields have these values; a list is any of them, a string ending in `*` a beginning.

    `last`: only those of this span before now; `today`: only those of the city's day.
    """

    topic: Topic
    where: dict[str, Any] = {}
    last: Span = 0.0
    today: bool = False


class InputDecl(Declared):
    """Exactly one of: points, records, a figure by name, devices of kinds or domains."""

    points: PointsDecl | None = None
    records: RecordsDecl | None = None
    figure: str = ""
    devices: list[Key] | None = None

    @model_validator(mode="after")
    def _one(self) -> InputDecl:
        if (
            sum(
                (
                    self.points is not None,
                    self.records is not None,
                    bool(self.figure),
                    self.devices is not None,
                )
            )
            != 1
        ):
            raise ValueError("needs exactly one of points, records, figure, devices")
        return self


class SubDecl(Declared):
    """The line below the name: text `vital.<key>.sub` with figures, and the place of an input's extreme."""

    place: str = ""
    at: Literal["lowest", "highest"] = "highest"


class VitalDecl(Declared):
    """One indicator. Its words stand in `text/`: vital.<key>.name, .formula and, where it has one, .sub."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    group: Key
    order: int
    slot: Literal["row", "reserve", "kpi", "weather", "console"] = "console"
    unit: str = ""
    digits: Annotated[int, Field(ge=0, le=4)] = 0
    inputs: dict[Key, InputDecl]
    value: str
    figures: dict[Key, str] = {}
    parts: tuple[str, str] | None = None
    sub: SubDecl | None = None
    red: str = ""
    orange: str = ""
    yellow: str = ""
    blue: str = ""
    #: Fixed limits that a chart draws, by colour.
    limits: dict[Literal["red", "orange", "yellow", "blue"], float] = {}
    #: The wall draws the city's day by hours as bars: the hour's mean or its highest.
    day: Literal["", "mean", "highest"] = ""
    #: The cockpit sets its hours of today against those of the same weekday.
    compared: bool = False
    #: Whether it counts in the city's index (`index.yaml`); a vital without bands never does.
    scored: bool = True
    owner: str = ""
    source: str


@dataclass(frozen=True, slots=True)
class Vital:
    """A declared vital with its compiled expressions."""

    domain: str
    decl: VitalDecl
    value: Any
    figures: Mapping[str, Any]
    parts: tuple[Any, Any] | None
    bands: Mapping[int, Any]

    @property
    def key(self) -> str:
        return self.decl.key

    @property
    def points(self) -> dict[str, PointsDecl]:
        return {name: each.points for name, each in self.decl.inputs.items() if each.points is not None}


def load(domains: Domains, catalogue: Catalogue) -> tuple[Vital, ...]:
    """All vitals in their order. Raises `Mistakes` with file and line: unknown channel, word, figure or type."""
    wrong: list[Mistake] = []
    found: dict[str, Vital] = {}
    for declared in domains.section("vitals", VitalDecl):
        wrong += _unknown_points(declared, catalogue)
        vital, mistakes = _compiled(declared)
        wrong += mistakes
        if declared.item.key in found:
            wrong.append(declared.mistake(f"vital {declared.item.key} is declared twice", "key"))
        found[declared.item.key] = vital
    if wrong:
        raise Mistakes(wrong)
    return tuple(sorted(found.values(), key=lambda each: (each.decl.order, each.key)))


def _unknown_points(declared: Declaration[VitalDecl], catalogue: Catalogue) -> Iterator[Mistake]:
    for name, given in declared.item.inputs.items():
        if given.points is None:
            continue
        kinds = given.points.kinds or list(catalogue.kinds)
        unknown = [kind for kind in kinds if kind not in catalogue.kinds]
        for kind in unknown:
            yield declared.mistake(f"no kind {kind} is declared", "inputs", name, "points", "kinds")
        able = [
            k for k in kinds if k in catalogue.kinds and given.points.channel in catalogue.kinds[k].channels
        ]
        if not unknown and not able:
            yield declared.mistake(
                f"no kind has a channel {given.points.channel}", "inputs", name, "points", "channel"
            )
    if declared.item.sub is not None and declared.item.sub.place not in ("", *declared.item.inputs):
        yield declared.mistake(f"{declared.item.sub.place} is no input", "sub", "place")


def _compiled(declared: Declaration[VitalDecl]) -> tuple[Vital, list[Mistake]]:
    """Every expression compiled and tried once on numbers, so that a wrong type is found at start."""
    decl = declared.item
    wrong: list[Mistake] = []
    trial = Words({name: _sample(each) for name, each in decl.inputs.items()})
    trial.known |= {"value": 1.0, "z": 0.0, "usual": 1.0, "hour": 0.0}

    def program(text: str, *path: str | int) -> Any:  # noqa: ANN401 - a compiled expression
        try:
            made = cel.compile(text)
            trial.run(made)
        except Unknown:
            pass
        except (ValueError, TypeError, RuntimeError) as reason:
            wrong.append(declared.mistake(f"cannot be evaluated: {reason}", *path))
            return None
        return made

    figures = {}
    for name, text in decl.figures.items():
        figures[name] = program(text, "figures", name)
        trial.known[name] = 1.0
    value = program(decl.value, "value")
    parts = (program(decl.parts[0], "parts", 0), program(decl.parts[1], "parts", 1)) if decl.parts else None
    bands = {
        level: program(text, colour) for colour, level in LEVELS.items() if (text := getattr(decl, colour))
    }
    return Vital(declared.domain, decl, value, figures, parts, bands), wrong


def _sample(decl: InputDecl) -> Input:
    if decl.points:
        steps = np.arange(2, dtype=np.int64) * round(decl.points.step * SECOND_US)
        return Series.over(np.ones((2, 1)), steps) if decl.points.step else Points.of(1.0)
    return Records(()) if decl.records else Figure(1.0) if decl.figure else Installed(1, 1)


def matches(item: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether a record's fields have the values that a declaration asks for."""
    return all(_fits(item.get(name), wanted) for name, wanted in where.items())


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return any(_fits(value, each) for each in wanted)
    if isinstance(wanted, str) and wanted.endswith("*"):
        return str(value or "").startswith(wanted[:-1])
    if isinstance(wanted, bool):
        return bool(value) is wanted
    return value == wanted


def members(
    decl: PointsDecl, devices: Mapping[str, Device], catalogue: Catalogue, domain: str
) -> list[tuple[Device, str]]:
    """(device, full channel name) of every point that an input takes, in the order of device numbers."""
    found = []
    for device in sorted(devices.values(), key=lambda each: each.number):
        channel = catalogue.kinds[device.kind].channels.get(decl.channel)
        if channel is None or (decl.kinds and device.kind not in decl.kinds):
            continue
        if not decl.kinds and channel != resolve(catalogue.channels, domain, decl.channel):
            continue
        if matches(device.params, decl.where):
            found.append((device, channel))
    return found
