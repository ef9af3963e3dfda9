"""The product's leak finder on a seed of L-Town that nothing was set by."""

from __future__ import annotations

import pytest

from app.score import battledim, leaks
from simulators import ltown
from simulators.ltown import Pipework


@pytest.mark.long
def test_on_an_unseen_seed_half_of_the_perfect_score_is_reached_with_few_false_detections() -> None:
    inp = ltown.network()
    pipework = Pipework.of(inp)
    record = ltown.run(inp, 12)
    said = leaks.find(record, leaks.knowledge(inp, pipework, record))
    verdict = battledim.judge(record, pipework, said)
    assert verdict.share >= 0.4
    assert verdict.false <= 10
