"""The tracer: which site made the dust, with a wind that is told wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from events import plume
from events.plume import Air, Floats, trace
from tests.events.world import rng

STEPS = 48
SITES = np.array([[0.0, 0.0], [900.0, 0.0], [0.0, 900.0], [-700.0, -500.0]])
MONITORS = np.array([[x, y] for x in range(-1200, 1300, 400) for y in range(-1200, 1300, 400)], np.float64)


def air(rate_gs: Floats, *, error_deg: float = 0.0, seed: int = 1) -> Air:
    """A day of wind that turns by 90°, over sites with an emission (steps, sites) each."""
    chance = rng(seed)
    wind = 200.0 + np.linspace(0, 90, STEPS)
    speed = np.full(STEPS, 2.5)
    clean = Air(SITES, MONITORS, np.empty((STEPS, len(MONITORS))), wind, speed, "C")
    dust = np.einsum("tsm,ts->tm", plume.plumes(clean, wind[:, None])[:, 0], rate_gs)
    seen = (50.0 + dust) * (1 + 0.1 * chance.standard_normal(dust.shape))
    told = (wind + chance.normal(0, error_deg, STEPS)) % 360
    return Air(SITES, MONITORS, seen, told, speed, "C")


def emission(**hours: tuple[int, int]) -> Floats:
    rate = np.zeros((STEPS, len(SITES)))
    for site, (begin, end) in hours.items():
        rate[begin:end, int(site[1:])] = 2.0
    return rate


def test_clean_air_blames_nobody() -> None:
    found = trace(air(emission()))
    assert (found.log_odds < 0).all()
    assert not found.rate_gs.any()


@pytest.mark.parametrize("error_deg", [0.0, 15.0])
def test_the_site_at_work_is_found_with_its_hours_and_its_rate(error_deg: float) -> None:
    found = trace(air(emission(s2=(10, 34)), error_deg=error_deg))
    assert np.argmax(found.log_odds) == 2
    assert found.probability[2] > 0.99
    assert (found.probability[[0, 1, 3]] < 0.5).all()
    on = found.rate_gs[:, 2] > 0
    assert on[12:32].all()
    assert not on[:6].any()
    assert 1.0 < found.rate_gs[on, 2].mean() < 4.0


def test_two_sites_at_work_by_turns_are_both_found() -> None:
    found = trace(air(emission(s0=(0, 24), s3=(20, 48)), error_deg=10.0))
    assert set(np.flatnonzero(found.log_odds > 0)) == {0, 3}


def test_what_was_not_said_neither_speaks_for_nor_against() -> None:
    whole = air(emission(s1=(5, 40)))
    gaps = whole.seen.copy()
    gaps[rng(3).random(gaps.shape) < 0.3] = np.nan
    gaps[20] = np.nan
    found = trace(Air(SITES, MONITORS, gaps, whole.wind_from_deg, whole.wind_ms, "C"))
    assert np.argmax(found.log_odds) == 1
    assert np.isfinite(found.log_odds).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_few_steps_suffice(steps: int) -> None:
    whole = air(emission(s1=(0, STEPS)))
    few = Air(SITES, MONITORS, whole.seen[:steps], whole.wind_from_deg[:steps], whole.wind_ms[:steps], "C")
    assert np.isfinite(trace(few).log_odds).all()


def test_a_vane_that_jumps_is_believed_less_and_the_steps_around_it_more() -> None:
    true = 100.0 + np.linspace(0, 40, STEPS) + rng(1).normal(0, 6, STEPS)
    told = true + rng(2).normal(0, 20, STEPS)
    mean, sigma = plume.wind(told % 360)
    assert np.abs(mean - true).mean() < 0.7 * np.abs(told - true).mean()
    assert plume.wind(true % 360)[1].mean() < sigma.mean() < 20
