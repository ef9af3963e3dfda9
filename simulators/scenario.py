"""Scenarios: what happens on the sample city and what a perfect engine says about it, declared in YAML.

A mistake is named with file, line and reason (`core.yamlfile`); `docs/guide/simulators.md` shows how to write one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, field_validator, model_validator

from core import yamlfile
from core.clock import to_us
from core.schema import Declared, Key, Span
from core.yamlfile import Mistake, Mistakes

#: A scenario's key and the name of its file.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
FOLDER = Path(__file__).parent / "scenarios"


class Act(Declared):
    """Something that is done to the city at a time after the start."""

    at: Span
    #: What expectations call it.
    name: Key | None = None


class Lasting(Act):
    """Ends by itself after a while; 0: goes on to the end of the run."""

    lasts: Span = 0.0


class Burst(Lasting):
    """A pipe breaks at once (or, with `grows`, slowly). Without `pipe` one of the zone is drawn."""

    do: Literal["burst"]
    zone: str = ""
    pipe: str = ""
    flow_m3h: Annotated[float, Field(gt=0, le=5000)]
    grows: Span = 0.0


class Draw(Lasting):
    """Water is taken from a hydrant: flushing, fire fighting, theft."""

    do: Literal["draw"]
    hydrant: Annotated[int, Field(ge=1)] = 1
    flow_m3h: Annotated[float, Field(gt=0, le=500)]


class PumpTrip(Lasting):
    """The pumps of a works stop."""

    do: Literal["pump_trip"]


class Demand(Lasting):
    """The whole city uses more or less water."""

    do: Literal["demand"]
    factor: Annotated[float, Field(gt=0.2, lt=3)]


class Rain(Lasting):
    """Rain of the Chicago shape over the city, its peak at four tenths of its time.

    How much: the intensity at the very peak, or how rarely so much falls by the city's storm formula.
    """

    do: Literal["rain"]
    peak_mm_h: Annotated[float, Field(ge=0, le=600)] = 0.0
    years: Annotated[float, Field(ge=0, le=1000)] = 0.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.peak_mm_h > 0) == (self.years > 0):
            raise ValueError("needs either peak_mm_h or years")
        return self


class PowerLost(Lasting):
    """The pumps of an underpass have no power."""

    do: Literal["power_lost"]
    underpass: Annotated[int, Field(ge=1)] = 1


class Clog(Lasting):
    """Inlets around the n-th underpass and around low points take only a share of what they should."""

    do: Literal["clog"]
    share: Annotated[float, Field(ge=0, le=1)]
    points: Annotated[int, Field(ge=0)] = 3
    underpass: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.points and not self.underpass:
            raise ValueError("needs points or an underpass")
        return self


class Blockage(Lasting):
    """A drain of the chain is closed below its n-th manhole."""

    do: Literal["blockage"]
    below: Annotated[int, Field(ge=1, le=8)]


class Discharge(Lasting):
    """Somebody pumps into the n-th manhole of the chain."""

    do: Literal["discharge"]
    into: Annotated[int, Field(ge=1, le=8)]
    flow_m3h: Annotated[float, Field(gt=0, le=2000)]


class GasLeak(Lasting):
    """A hole in a gas pipe at the cluster of valves."""

    do: Literal["gas_leak"]
    hole_mm: Annotated[float, Field(gt=0, le=100)]
    pressure_pa: Annotated[float, Field(gt=0, le=7e5)] = 2e5


class Biogas(Lasting):
    """Sewer gas in one of the wells away from gas pipes, rising and falling with the warmth of the day (six hours)."""

    do: Literal["biogas"]
    well: Annotated[int, Field(ge=1, le=4)] = 1
    lel_pct: Annotated[float, Field(gt=0, le=60)]


class Dust(Lasting):
    """A site raises dust; the wind carries it."""

    do: Literal["dust"]
    site: Annotated[int, Field(ge=1)] = 1
    rate_gs: Annotated[float, Field(gt=0, le=50)]


class Haze(Lasting):
    """All monitors rise together."""

    do: Literal["haze"]
    pm10: Annotated[float, Field(gt=0, le=1000)]


class Wind(Act):
    """The wind from now on; it turns over `turns`."""

    do: Literal["wind"]
    from_deg: Annotated[float, Field(ge=0, lt=360)]
    speed_ms: Annotated[float, Field(ge=0, le=40)]
    turns: Span = 0.0


class Noise(Lasting):
    """Machines at a site: sound power in dB(A), electric power in kW."""

    do: Literal["noise"]
    site: Annotated[int, Field(ge=1)] = 1
    sound_db: Annotated[float, Field(ge=60, le=140)]
    power_kw: Annotated[float, Field(ge=0, le=2000)] = 250.0


class Fire(Lasting):
    """A fire in the first building; `detectors` of a floor respond in order of their distance."""

    do: Literal["fire"]
    growth: Literal["slow", "medium", "fast", "ultrafast"] = "fast"
    detectors: Annotated[int, Field(ge=1, le=6)] = 6


class Nuisance(Lasting):
    """Cooking, dust, insects: single detectors anywhere, `count` times."""

    do: Literal["nuisance"]
    count: Annotated[int, Field(ge=1, le=200)]


class Fault(Lasting):
    """Hardware: which devices (id, or a beginning that ends in *), what is wrong, how much (`simulators.hardware`).

    `area`: only those of this street (街道) or zone; a base station that fails silences an area.
    """

    do: Literal["fault"]
    devices: str
    kind: Literal[
        "stuck", "bias", "drift", "spikes", "noisy", "clip", "dropout", "clock", "clock_drift", "epoch", "late",
        "battery", "humid", "duplicate", "silent", "spoof",
    ]  # fmt: skip
    area: str = ""
    size: float = 0.0
    count: Annotated[int, Field(ge=1)] = 1000


class GatewayOut(Lasting):
    """A gateway has no network: it keeps its frames and dumps them, oldest first, when it is back."""

    do: Literal["gateway_out"]
    gateway: str
    dump_per_s: Annotated[float, Field(gt=0, le=1000)] = 30.0


class Chatter(Lasting):
    """Devices (id, or a beginning that ends in *) report this often: load."""

    do: Literal["chatter"]
    devices: str = "*"
    period: Span


class Fact(Act):
    """A report or a permit as the product knows it beside readings: `report.no_water`, `permit.work_order` …"""

    do: Literal["fact"]
    what: Annotated[str, Field(pattern=r"^(report|permit)\.[a-z_]+$")]
    near: str
    lasts: Span = 3600.0


Action = Annotated[
    Burst | Draw | PumpTrip | Demand | Rain | PowerLost | Clog | Blockage | Discharge | GasLeak | Biogas
    | Dust | Haze | Wind | Noise | Fire | Nuisance | Fault | GatewayOut | Chatter | Fact,
    Field(discriminator="do"),
]  # fmt: skip


class Expected(Declared):
    """An incident that a perfect engine says: of one of these types, for this cause, in time and near it."""

    type: list[Key] | Key
    cause: Key
    within: Span
    near_m: Annotated[float, Field(gt=0, le=20_000)] = 300.0

    @property
    def types(self) -> list[str]:
        return [self.type] if isinstance(self.type, str) else self.type


class Expect(Declared):
    """What counts as right. Said incidents that belong to none of these are false."""

    incidents: list[Expected] = []
    #: Causes whose further incidents are no mistake: a storm floods more than one road.
    more: list[Key] = []
    #: More operator alarms than this in any 10 minutes is too many.
    alarms_10min: Annotated[int, Field(ge=0)] | None = None
    #: Readings that must not have been lost, as a share of those that were said.
    kept: Annotated[float, Field(ge=0, le=1)] = 0.0


class Scenario(Declared):
    """One script. `start` is local time of the city; devices speak at least `period` apart."""

    key: Slug
    number: Annotated[int, Field(ge=1, le=99)]
    seed: int = 1
    start: datetime
    lasts: Span
    tick: Span = 5.0
    period: Span = 60.0
    domains: list[Key] = []
    #: Crews go where the product says an incident, and what they do there changes the city.
    crews: bool = False
    actions: list[Action] = []
    expect: Expect = Expect()

    @field_validator("start")
    @classmethod
    def _local(cls, value: datetime) -> datetime:
        if value.tzinfo is not None:
            raise ValueError("is local time of the city: write it without a zone")
        return value

    def start_us(self, zone: ZoneInfo) -> int:
        return to_us(self.start.replace(tzinfo=zone))

    @property
    def names(self) -> dict[str, int]:
        """Name of an action → its row."""
        return {action.name: row for row, action in enumerate(self.actions) if action.name}


def read(path: Path) -> Scenario:
    """One scenario. Raises `Mistakes` with every one of them."""
    document = yamlfile.read(path, f"{path.parent.name}/{path.name}")
    found = yamlfile.parse(document, Scenario)
    wrong: list[Mistake] = []
    if found.key != path.stem:
        wrong.append(document.mistake(("key",), f"must be the file's name, {path.stem}"))
    for row, expected in enumerate(found.expect.incidents):
        if expected.cause not in found.names:
            known = ", ".join(sorted(found.names)) or "none"
            wrong.append(
                document.mistake(
                    ("expect", "incidents", row, "cause"), f"no action has this name; known: {known}"
                )
            )
    for row, name in enumerate(found.expect.more):
        if name not in found.names:
            wrong.append(document.mistake(("expect", "more", row), "no action has this name"))
    for row, action in enumerate(found.actions):
        if action.at >= found.lasts:
            wrong.append(document.mistake(("actions", row, "at"), "lies behind the end of the scenario"))
    if wrong:
        raise Mistakes(wrong)
    return found


def shipped(folder: Path = FOLDER) -> Iterator[Scenario]:
    """All scenarios in the order of their numbers. Raises `Mistakes` of all files at once."""
    found: list[Scenario] = []
    wrong: list[Mistake] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append(read(path))
        except Mistakes as mistakes:
            wrong += mistakes.mistakes
    if wrong:
        raise Mistakes(wrong)
    yield from sorted(found, key=lambda scenario: scenario.number)


def find(key: str, folder: Path = FOLDER) -> Scenario:
    """A shipped scenario by its key. Raises `Mistakes`; a key that is none names those that are."""
    path = folder / f"{key}.yaml"
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml")))
        raise Mistakes([Mistake(str(path.name), 1, "(file)", "", f"no such scenario; there are {known}")])
    return read(path)
