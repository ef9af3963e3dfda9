"""What alarms ask of operators over a span: the figures of ISA-18.2, of a back-test as of what is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.clock import DAY_US, MINUTE_US

#: ISA-18.2 and EEMUA 191: more alarms than this in ten minutes is a flood for one operator.
FLOOD = 10
WINDOW_US = 10 * MINUTE_US
#: An alarm that comes and goes this often within a minute chatters; one that stands for less is fleeting, for more
#: stale (ISA-18.2 leaves the numbers to the alarm philosophy; these are those of its examples).
CHATTER, CHATTER_US = 3, MINUTE_US
FLEETING_US, STALE_US = MINUTE_US, DAY_US
TOP = 10


@dataclass(frozen=True, slots=True)
class Stood:
    """An alert as far as it is a load: `source` is rule and subject; `returned_us` None while it stands."""

    rule: str
    source: str
    level: int
    raised_us: int
    returned_us: int | None

    def stood_us(self, end_us: int) -> int:
        """For how long, as far as is known at an end."""
        return min(end_us if self.returned_us is None else self.returned_us, end_us) - self.raised_us


@dataclass(frozen=True, slots=True)
class Load:
    """What rules asked of people over a span: figures for one operator."""

    days: float
    alerts: int
    incidents: int
    #: Incidents, and alerts that ask and belong to none.
    operator_alarms: int
    busiest_10min: int
    #: Share of the ten-minute windows with more than `FLOOD` operator alarms.
    flood_share: float
    #: Share of the alerts from the `TOP` busiest sources.
    top_share: float
    chattering: int
    fleeting: int
    stale: int
    by_rule: dict[str, int]
    by_type: dict[str, int]
    by_level: dict[int, int]
    top: list[tuple[str, int]]
    #: The sources that chatter, with how often they rose in their worst minute; at most `TOP`.
    chatterers: list[tuple[str, int]]
    #: The sources of what has stood for more than a day, from before the span, too.
    stale_sources: list[str]


def load_of(
    span_us: tuple[int, int],
    alerts: Sequence[Stood],
    types: Sequence[str],
    asked_us: Sequence[int],
    operators: int = 1,
    before: Sequence[Stood] = (),
) -> Load:
    """`types` of the incidents of a span, `asked_us` when something newly asked a person; shared by `operators`.

    `before`: alerts from before the span that stood in it; they count where they are stale.
    """
    begin, end = span_us
    asked = np.sort(np.array(asked_us, np.int64))
    windows = np.bincount((asked - begin) // WINDOW_US, minlength=max(1, -(-(end - begin) // WINDOW_US)))
    sources = Counter(alert.source for alert in alerts)
    top = sources.most_common(TOP)
    nervous = chatterers((alert.source, alert.raised_us) for alert in alerts)
    stale = [alert.source for alert in (*before, *alerts) if alert.stood_us(end) > STALE_US]
    return Load(
        days=(end - begin) / DAY_US,
        alerts=len(alerts),
        incidents=len(types),
        operator_alarms=len(asked),
        busiest_10min=-(-busiest(asked.tolist()) // operators),
        flood_share=float(np.mean(windows > FLOOD * operators)),
        top_share=sum(n for _, n in top) / max(len(alerts), 1),
        chattering=len(nervous),
        fleeting=sum(alert.stood_us(end) < FLEETING_US for alert in alerts),
        stale=len(stale),
        by_rule=dict(Counter(alert.rule for alert in alerts).most_common()),
        by_type=dict(Counter(types).most_common()),
        by_level=dict(sorted(Counter(alert.level for alert in alerts).items())),
        top=top,
        chatterers=nervous[:TOP],
        stale_sources=sorted(set(stale)),
    )


def busiest(times_us: list[int], window_us: int = WINDOW_US) -> int:
    """The most alarms in any ten minutes; `times_us` ascend."""
    most, first = 0, 0
    for last, at in enumerate(times_us):
        while at - times_us[first] >= window_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def chatterers(raised: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Sources that rose `CHATTER` times within a minute, with how often at worst; the worst first."""
    by_source: dict[str, list[int]] = {}
    for source, at_us in raised:
        by_source.setdefault(source, []).append(at_us)
    worst = {source: busiest(sorted(times), CHATTER_US) for source, times in by_source.items()}
    return sorted(
        ((source, n) for source, n in worst.items() if n >= CHATTER), key=lambda each: (-each[1], each[0])
    )
