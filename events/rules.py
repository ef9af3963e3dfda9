"""What the domains declare in `rules.yaml`: one model, checked against the catalogue before anything runs."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span, span_s
from core.text import Texts
from core.yamlfile import Document, Mistake, Mistakes, gather_list
from events.expressions import GUARD, mistake
from iot.kinds import Catalogue, ChannelDecl, Kind, resolve

Class = Literal["life", "field", "device", "info"]
#: Readings → a number → the decision. Those of the last line are driven by time, not by readings.
Detector = Literal[
    "threshold", "rise", "fall", "count", "sum", "mean", "leq", "highest", "lowest", "total", "stuck", "drift",
    "novelty", "balance", "apart",
    "silence", "gateway_lost", "area_lost", "all_lost", "overdue", "repeats", "unanswered",
]  # fmt: skip
TIME_DRIVEN = frozenset(
    {"silence", "gateway_lost", "area_lost", "all_lost", "overdue", "repeats", "unanswered"}
)
#: Detectors whose numbers are counts, shares or scores rather than values in the channel's unit.
UNITLESS = {"count": "count", "stuck": "count", "drift": "sigma", "novelty": "score"}
#: Detectors of several points that belong together; of them only what is usual can be asked beside.
GROUPED = frozenset({"balance", "apart"})
WINDOWED = frozenset({"rise", "fall", "count", "sum", "mean", "leq", "highest", "lowest", "total"}) | GROUPED
#: Detectors whose signal may be compared with what is usual or with what others say.
COMPARABLE = frozenset({"threshold", "mean", "leq", "highest", "lowest", "total"}) | GROUPED
RATIO = "/"
#: A life rule waits longer than this only where the reporting period forces it.
LIFE_DELAY_S = 60.0
ANY_KIND = "*"
EVERY_CHANNEL = "*"


class OfDevice(Declared):
    """A number that each device brings: `params[param] × factor + offset`, or the default where it has none."""

    param: Key
    factor: float = 1.0
    offset: float = 0.0
    default: float | None = None

    def of(self, params: Mapping[str, object]) -> float | None:
        """The number for a device; None means that the rule does not watch it."""
        value = params.get(self.param, self.default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value * self.factor + self.offset


class SpanOfDevice(Declared):
    """A span that a device may bring in seconds under `param`."""

    param: Key
    default: Span

    def of(self, params: Mapping[str, object]) -> float:
        value = params.get(self.param, self.default)
        return float(value) if isinstance(value, int | float) else self.default


Limit = float | OfDevice


class Edge(Declared):
    """One side of a decision: a comparison, how long it must hold in event time, and how many samples agree."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    above: Limit | None = None
    at_least: Limit | None = None
    below: Limit | None = None
    at_most: Limit | None = None
    equals: Literal[0, 1] | None = None
    hold: Span | SpanOfDevice = Field(default=0.0, alias="for")
    min_samples: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _one_number_form(cls, data: object) -> object:
        """Pydantic would report both members of `Span | SpanOfDevice`; say the one thing that is wrong."""
        if isinstance(data, dict) and isinstance(data.get("for"), str):
            span_s(data["for"])
        return data

    @model_validator(mode="after")
    def _one(self) -> Edge:
        if len(self._given()) != 1:
            raise ValueError("needs exactly one of above, at_least, below, at_most, equals")
        return self

    def _given(self) -> list[str]:
        names = ("above", "at_least", "below", "at_most", "equals")
        return [name for name in names if getattr(self, name) is not None]

    @property
    def comparison(self) -> str:
        return self._given()[0]

    @property
    def upward(self) -> bool:
        """True where larger values fulfil it."""
        return self.comparison in ("above", "at_least") or self.equals == 1

    @property
    def strict(self) -> bool:
        return self.comparison in ("above", "below")

    @property
    def limit(self) -> Limit:
        if self.equals is not None:
            return 0.5
        found: Limit = getattr(self, self.comparison)
        return found

    def hold_s(self, params: Mapping[str, object]) -> float:
        return self.hold.of(params) if isinstance(self.hold, SpanOfDevice) else self.hold

    @property
    def usual_hold_s(self) -> float:
        return self.hold.default if isinstance(self.hold, SpanOfDevice) else self.hold


class Schedule(Declared):
    """Hours of the city's day in which a rule decides; `from` after `to` spans midnight.

    Outside them its alerts end; one that `sleeps` stands as it stood until the hours of the next day, so that it
    can count nights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: Annotated[str, Field(alias="from", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    to: Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")]
    sleeps: bool = False

    @property
    def minutes(self) -> tuple[int, int]:
        return _minutes(self.since), _minutes(self.to)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


class Part(Declared):
    """What is watched and when it counts. `unit` is that of the numbers in `on` and `off`."""

    #: `*`: every channel of the kind (detector stuck).
    channel: Key | Literal["*"] | None = None
    detector: Detector = "threshold"
    unit: str = ""
    window: Span | None = None
    #: Detectors rise and fall: for so long at most the level before is what the value must come back to.
    latch: Span = 0.0
    #: Share of the window's expected samples without which it says nothing.
    share: Annotated[float, Field(gt=0, le=1)] = 0.75
    #: What one sample must fulfil to be counted (detector count).
    each: Edge | None = None
    #: Detectors balance and apart: what joins their points. `reach`: the pipes between one meter and the next above.
    group: Literal["zone", "asset", "area", "city", "reach"] | None = None
    #: Devices with this parameter (and not 0) are none of the group.
    unless: Key | None = None
    #: Detector balance: how much (in the channel's unit) a millimetre of rain in the last hour brings in between.
    rain: OfDevice | None = None
    #: How long after a window a group waits for those of its readings that are on their way.
    wait: Span = 60.0
    #: Compare the signal with the usual of the hour, with background stations or with the nearest neighbours.
    against: Literal["usual", "background", "neighbours"] | None = None
    by: Literal["difference", "ratio"] = "difference"
    #: Against the usual: so many robust sigmas must lie between, too.
    z: Annotated[float, Field(ge=0)] = 0.0
    #: Sigma is never taken smaller than this, in the channel's unit, or than this share of the usual value.
    floor: Annotated[float, Field(ge=0)] = 0.0
    floor_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    on: Edge | None = None
    off: Edge | None = None


class Source(Declared):
    """Where a number comes from. mark: S seen in the standard, S? text not read, P practice, city, ours."""

    ref: str
    mark: Literal["S", "S?", "P", "city", "ours"]
    note: str = ""


class Owner(Declared):
    lead: Key
    supervisor: Key | None = None
    assisting: list[Key] = []


class RuleDecl(Part):
    """One rule, rationalised as ISA-18.2 asks: what it watches, why, what to do, by whom and by when.

    Its name, cause, consequence and action are texts `rule.<key>.*`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    key: Key
    kinds: Annotated[list[str], Field(min_length=1)]
    klass: Class = Field(alias="class")
    level: Annotated[int, Field(ge=1, le=4)]
    #: Detectors repeats and unanswered: the rule whose alerts are looked at (`*`: of any rule, a point).
    of: Key | Literal["*"] | None = None
    #: Alternatives: each is watched on its own and raises this rule at its own point.
    any: list[Part] = []
    schedule: Schedule | None = None
    #: CEL (`events.guards`, docs/guide/rules.md): asked only when the rest says yes.
    guard: str = ""
    #: Permits, seasons or events without one of which, at this place and time, the rule decides nothing.
    armed_by: list[Key] = []
    source: Source
    seen_within: Span
    act_within: Span
    owner: Owner
    #: Rules and switches that hold this one back while they stand at the same place.
    muted_by: list[str] = []
    case_code: str = ""
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _complete(self) -> RuleDecl:
        if self.any and (self.channel or self.on or self.off):
            raise ValueError("has `any`: channel, on and off belong into its items")
        for part in self.parts:
            _check_part(part)
        if (self.of is not None) != (self.detector in ("repeats", "unanswered")):
            raise ValueError(
                "`of` says whose alerts are looked at: needed by repeats and unanswered, by no other"
            )
        if self.detector == "repeats" and self.window is None:
            raise ValueError("repeats needs a window")
        if self.detector in TIME_DRIVEN and self.any:
            raise ValueError(f"{self.detector} is driven by time and takes no alternatives")
        if self.klass == "life":
            _check_life(self)
        return self

    @property
    def parts(self) -> list[Part]:
        return self.any or [self]


def _check_part(part: Part) -> None:
    if part.detector in TIME_DRIVEN:
        if part.window is not None and part.detector != "repeats":
            raise ValueError(f"detector {part.detector} takes no window")
        if part.channel or part.on is None or part.off is None:
            raise ValueError(f"{part.detector} has no channel, and says in `on` and `off` how long")
        return
    if not part.channel:
        raise ValueError("needs a channel")
    if (part.channel == EVERY_CHANNEL) and part.detector != "stuck":
        raise ValueError("only the detector stuck looks at every channel")
    if part.on is None or part.off is None:
        raise ValueError("needs `on` and `off`")
    if part.on.upward == part.off.upward:
        raise ValueError("`off` must lie on the other side of `on` (above/at_least against below/at_most)")
    _check_dead_band(part.on, part.off)
    if (part.window is not None) != (part.detector in WINDOWED):
        told = "needs a window" if part.detector in WINDOWED else "takes no window"
        raise ValueError(f"detector {part.detector} {told}")
    if part.against and part.detector not in COMPARABLE:
        raise ValueError(f"detector {part.detector} is compared with nothing")
    _check_group(part)
    if part.z and part.against != "usual":
        raise ValueError("z counts sigmas of the usual: needs against: usual")
    if part.each is not None and isinstance(part.each.limit, OfDevice):
        raise ValueError("`each` takes a plain number")
    if (part.each is not None) != (part.detector == "count"):
        raise ValueError("`each` says what a counted sample is: needed by count, by no other detector")


def _check_group(part: Part) -> None:
    if (part.group is not None) != (part.detector in GROUPED):
        raise ValueError("`group` says what is looked at together: needed by balance and apart, by no other")
    if part.rain is not None and part.detector != "balance":
        raise ValueError("`rain` falls between the meters of a balance")
    if part.group is None:
        return
    if part.against not in (None, "usual"):
        raise ValueError(f"detector {part.detector} is compared with the usual or with nothing")
    if part.by == "ratio" and (part.detector == "apart" or part.against is None):
        raise ValueError("only the balance against the usual may be a ratio")
    if part.group == "reach" and part.detector != "balance":
        raise ValueError("a reach is balanced: what is apart in it is told by a zone")
    if part.window is not None and part.wait > part.window:
        raise ValueError("`wait` may not be longer than the window")


def _check_dead_band(on: Edge, off: Edge) -> None:
    """`off` on the safe side of `on`, as far as numbers are known before a device is."""
    one, other = on.limit, off.limit
    if isinstance(one, float | int) and isinstance(other, float | int):
        gap = one - other if on.upward else other - one
    elif (
        isinstance(one, OfDevice) and isinstance(other, OfDevice)
        and (one.param, one.factor) == (other.param, other.factor)
    ):  # fmt: skip
        gap = one.offset - other.offset if on.upward else other.offset - one.offset
    else:
        return
    if gap < 0:
        raise ValueError(f"`off` ({_shown(other)}) must lie on the safe side of `on` ({_shown(one)})")


def _shown(limit: Limit) -> str:
    return limit.param if isinstance(limit, OfDevice) else f"{limit:g}"


def _check_life(rule: RuleDecl) -> None:
    for part in rule.parts:
        if part.on and part.on.usual_hold_s > LIFE_DELAY_S and part.on.min_samples == 1 and not part.window:
            raise ValueError(
                f"a life rule may not wait {part.on.usual_hold_s:g} s: at most {LIFE_DELAY_S:g} s, or min_samples"
                " where the reporting period is longer"
            )


@dataclass(frozen=True, slots=True)
class Rule:
    """A declared rule with its place in the rule set; `number` is its index there."""

    number: int
    domain: str
    decl: RuleDecl

    @property
    def key(self) -> str:
        return self.decl.key

    @property
    def mark(self) -> int:
        """What snapshots know the rule by: 31 bits of its key and of all that its detector state depends on."""
        parts = [part.model_dump_json(exclude={"guard"}) for part in self.decl.parts]
        return (
            int.from_bytes(hashlib.blake2b("\n".join([self.key, *parts]).encode(), digest_size=4).digest())
            >> 1
        )


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force. `version` changes with every letter of a declaration."""

    rules: tuple[Rule, ...]
    version: str

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    @property
    def by_key(self) -> dict[str, Rule]:
        return {rule.key: rule for rule in self.rules}


#: What may mute a rule beside other rules: permits and the switches of the city.
SWITCHES = ("permit.", "season.", "protect.")
TEXTS = ("name", "cause", "consequence", "action")


def load(
    domains: Domains, catalogue: Catalogue, texts: Texts | None = None, edited: Iterable[Document] = ()
) -> RuleSet:
    """The rules of all domains, with those that a city has `edited` in their place (`events.edited`).

    Raises `Mistakes`; with `texts`, a rule without its rationale is one.
    """
    declared = _in_force(domains.section("rules", RuleDecl), edited)
    wrong = [*_known_twice(declared), *_unordered_levels(declared)]
    keys = {found.item.key for found in declared}
    for found in declared:
        wrong += _check_kinds(found, catalogue)
        if found.item.guard and (told := mistake(found.item.guard, GUARD)):
            wrong.append(found.mistake(told, "guard"))
        wrong += [
            found.mistake(f"no rule {name} is declared", "muted_by", index)
            for index, name in enumerate(found.item.muted_by)
            if "." in name and not name.startswith(SWITCHES) and name.partition("@")[0] not in keys
        ]
        if texts is not None:
            wrong += [
                found.mistake(f"has no text rule.{found.item.key}.{part} in {language}.yaml", "key")
                for part in TEXTS
                for language in ("zh", "en")
                if not texts.has(f"rule.{found.item.key}.{part}", language)
            ]
    if wrong:
        raise Mistakes(wrong)
    digest = hashlib.blake2b(digest_size=6)
    for found in declared:
        digest.update(found.item.model_dump_json().encode())
    rules = tuple(Rule(number, found.domain, found.item) for number, found in enumerate(declared))
    return RuleSet(rules, digest.hexdigest())


def _in_force(
    shipped: list[Declaration[RuleDecl]], edited: Iterable[Document]
) -> list[Declaration[RuleDecl]]:
    """The shipped rules, each replaced by its edited text where there is one."""
    texts = {document.at((0, "key")): document for document in edited}
    wrong: list[Mistake] = []
    found = []
    for each in shipped:
        document = texts.pop(each.item.key, None)
        if document is None:
            found.append(each)
        else:
            items = gather_list(document, RuleDecl, wrong)
            found += [Declaration(each.domain, item, document, index) for index, item in items]
    wrong += [document.mistake((0, "key"), f"no rule {key} is declared") for key, document in texts.items()]
    if wrong:
        raise Mistakes(wrong)
    return found


def _known_twice(declared: list[Declaration[RuleDecl]]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for found in declared:
        if found.item.key in seen:
            yield found.mistake(f"rule {found.item.key} stands in {seen[found.item.key]} already", "key")
        seen[found.item.key] = found.document.file


def _check_kinds(found: Declaration[RuleDecl], catalogue: Catalogue) -> Iterator[Mistake]:
    rule = found.item
    for index, name in enumerate(rule.kinds):
        if name != ANY_KIND and name not in catalogue.kinds:
            yield found.mistake(f"no kind {name} is declared", "kinds", index)
    kinds = [catalogue.kinds[name] for name in rule.kinds if name in catalogue.kinds]
    for number, part in enumerate(rule.parts):
        path = ("any", number) if rule.any else ()
        yield from _check_channel(found, part, path, kinds, catalogue)


def _check_channel(
    found: Declaration[RuleDecl],
    part: Part,
    path: tuple[str | int, ...],
    kinds: list[Kind],
    catalogue: Catalogue,
) -> Iterator[Mistake]:
    if part.channel is None or part.channel == EVERY_CHANNEL:
        return
    having = [kind for kind in kinds if part.channel in kind.channels]
    if ANY_KIND in found.item.kinds:
        name = resolve(catalogue.channels, found.domain, part.channel)
        channels = [catalogue.channels[name]] if name else []
    else:
        channels = [catalogue.channels[kind.channels[part.channel]] for kind in having]
        if not found.item.any and len(having) < len(kinds):
            lacking = [kind.key for kind in kinds if kind not in having]
            yield found.mistake(f"channel {part.channel} is none of {', '.join(lacking)}", *path, "channel")
            return
    if not channels:
        yield found.mistake(f"channel {part.channel} is declared nowhere", *path, "channel")
    for channel in channels:
        wanted = RATIO if part.by == "ratio" else UNITLESS.get(part.detector, channel.unit)
        if part.unit != wanted and not _is_state(channel, part):
            yield found.mistake(f"must be {wanted}, the unit of what is compared", *path, "unit")
            return


def _is_state(channel: ChannelDecl, part: Part) -> bool:
    """Switches and counts are compared with plain numbers."""
    return not part.unit and channel.unit in ("1", "count")


def _unordered_levels(declared: list[Declaration[RuleDecl]]) -> Iterator[Mistake]:
    """Of rules on one quantity the more urgent must be the more extreme."""
    known: dict[tuple[object, ...], list[tuple[int, float, str]]] = {}
    for found in declared:
        rule = found.item
        for part in rule.parts:
            if part.on is None or not isinstance(part.on.limit, float | int) or part.on.equals is not None:
                continue
            if rule.schedule or rule.guard or rule.any:
                continue
            extreme = float(part.on.limit) if part.on.upward else -float(part.on.limit)
            span = (part.window, part.each.model_dump_json() if part.each else "", part.against, part.by)
            for kind in rule.kinds:
                key = (kind, part.channel, part.detector, part.on.upward, span)
                for level, limit, other in known.setdefault(key, []):
                    if (rule.level < level and extreme < limit) or (rule.level > level and extreme > limit):
                        yield found.mistake(
                            f"level {rule.level} at {part.on.limit:g} against level {level} of {other}: "
                            "the more urgent level must be the more extreme",
                            "level",
                        )
                known[key].append((rule.level, extreme, rule.key))
