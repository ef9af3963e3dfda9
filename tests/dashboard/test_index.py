"""The city's index: a reader recomputes it by head, contributions sum up, and no mean calms while level 1 stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domains import Domains
from core.yamlfile import Mistakes
from dashboard.vitals import declare, index
from dashboard.vitals.declare import Vital
from dashboard.vitals.evaluate import Reading, State
from dashboard.vitals.index import SCORES, index_of
from iot import kinds

STATES: list[State] = ["ok", "low_coverage", "stale", "no_data", "empty"]


@pytest.fixture(scope="module")
def vitals(shipped: Domains) -> tuple[Vital, ...]:
    return declare.load(shipped, kinds.load(shipped))


def reading(key: str, level: int = 0, state: State = "ok", confidence: float = 1.0) -> Reading:
    return Reading(key, 1.0, level, state, (1, 1), confidence, 0)


def all_normal(vitals: tuple[Vital, ...]) -> dict[str, Reading]:
    return {vital.key: reading(vital.key) for vital in vitals}


def test_every_banded_vital_of_the_sixty_is_in_exactly_one_part(vitals: tuple[Vital, ...]) -> None:
    parts = index.load()
    scored = [vital for vital in vitals if vital.bands and vital.decl.scored]
    assert len(scored) == 58, "sixty, less the share of true alarms and open incidents, which have no colour"
    assert all(sum(part.has(vital) for part in parts) == 1 for vital in scored)


def test_all_normal_is_a_hundred(vitals: tuple[Vital, ...]) -> None:
    found = index_of(index.load(), vitals, all_normal(vitals))
    assert [found.shown, found.known, found.confidence] == pytest.approx([100, 1, 1])


@given(st.data())
def test_shares_sum_to_one_and_contributions_to_the_index(
    vitals: tuple[Vital, ...], data: st.DataObject
) -> None:
    shown = {
        vital.key: reading(
            vital.key,
            data.draw(st.integers(0, 4)),
            data.draw(st.sampled_from(STATES)),
            data.draw(st.floats(0, 1)),
        )
        for vital in vitals[:: data.draw(st.integers(1, 4))]
    }
    level_1 = data.draw(st.sets(st.sampled_from(["gas", "flood", "elsewhere"])))
    found = index_of(index.load(), vitals, shown, level_1)
    known = [part for part in found.parts if part.score is not None]
    if known:
        assert sum(part.share for part in known) == pytest.approx(1)
        assert found.mean == pytest.approx(sum(part.points for part in known))
        assert 100 - (found.mean or 0.0) == pytest.approx(sum(part.lost for part in known))
        for part in known:
            assert min(SCORES.values()) <= (part.score or 0.0) <= 100
    assert 0 <= found.confidence <= 1 + 1e-9
    if level_1:
        assert found.shown is not None
        assert found.shown <= SCORES[1], "no mean may calm anybody now"


def test_a_red_one_among_many_normal_ones_holds_its_part_down(vitals: tuple[Vital, ...]) -> None:
    shown = all_normal(vitals) | {"gas_worst_lel": reading("gas_worst_lel", 1)}
    found = index_of(index.load(), vitals, shown)
    gas = next(part for part in found.parts if part.key == "gas")
    assert (gas.score, gas.worst) == (40.0, "gas_worst_lel")
    assert found.shown == pytest.approx(100 - 0.18 * 60)


def test_while_a_level_1_incident_stands_its_part_is_red_and_is_what_is_shown(
    vitals: tuple[Vital, ...],
) -> None:
    found = index_of(index.load(), vitals, all_normal(vitals), {"flood"})
    assert found.worst is not None
    assert (found.worst.key, found.shown, found.shows) == ("flood", 10.0, "worst")
    assert found.mean == pytest.approx(100 - 0.15 * 90), "which a reader may still see, but not first"


def test_what_is_unknown_takes_its_weight_out_and_what_had_nothing_to_measure_does_not(
    vitals: tuple[Vital, ...],
) -> None:
    dark = {v.key: reading(v.key, 0, "no_data", 0.0) for v in vitals if v.domain == "gas"}
    found = index_of(index.load(), vitals, all_normal(vitals) | dark)
    assert [found.shown, found.known] == pytest.approx([100, 0.82])
    assert found.confidence == pytest.approx(0.82)
    calm = {"fl_recede_time": reading("fl_recede_time", 0, "empty")}
    assert index_of(index.load(), vitals, all_normal(vitals) | calm).confidence == pytest.approx(1)
    assert index_of(index.load(), vitals, {}).shown is None


def test_weights_that_do_not_sum_to_one_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "index.yaml"
    file.write_text("- {key: gas, weight: 0.5, domain: gas}\n", "utf-8")
    with pytest.raises(Mistakes, match="must sum to 1"):
        index.load(file)
