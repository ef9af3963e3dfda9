"""A construction site: machines that make noise, dust and draw power while they work.

Sound falls by 20·lg(r) + 8 dB from a source on the ground (half sphere, free field: ISO 9613-2 without the terms
that need terrain); levels add as energies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def at_distance(power_db: float, distance_m: float) -> float:
    """Level in dB(A) at a distance from a machine of a sound power level."""
    return power_db - 20 * math.log10(max(distance_m, 1.0)) - 8.0


def together(*levels_db: float) -> float:
    """The level of several sources at once."""
    return 10 * math.log10(sum(10 ** (level / 10) for level in levels_db))


@dataclass(frozen=True, slots=True)
class Work:
    """What the machines of a kind of work do: sound power dB(A), dust µg/m³ at the fence, electric power kW."""

    sound_db: float
    pm10: float
    power_kw: float


#: Proposals of ours, of the usual size: a bored pile rig, and an impact piling rig by day.
NIGHT_BORING = Work(sound_db=106.0, pm10=55.0, power_kw=310.0)
DAY_PILING = Work(sound_db=116.0, pm10=120.0, power_kw=420.0)
IDLE = Work(sound_db=0.0, pm10=0.0, power_kw=0.0)


@dataclass(slots=True)
class Site:
    """The site with what works on it now; the monitor stands at the fence."""

    fence_m: float = 25.0
    work: Work = IDLE

    def level_db(self, background_db: float) -> float:
        """Level at the fence over the background of the street."""
        return together(background_db, at_distance(self.work.sound_db, self.fence_m))
