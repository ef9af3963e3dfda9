"""Every word that this room may say is written in both languages."""

from __future__ import annotations

import re

import pytest

from core import text
from dispatch import cases, orders, papers, recommend, triage
from dispatch.cases import Asked, CaseAction, CaseState, Source
from dispatch.limits import Light, LimitUnit
from dispatch.orders import OrderAction, OrderState
from dispatch.plans import Plans
from dispatch.words import render
from tests.conftest import ROOT

CODE = "\n".join(path.read_text() for path in (ROOT / "dispatch").rglob("*.py"))
#: How a key is written in code, and the family that it belongs to.
PATTERNS = {
    "dispatch.error.": r'"dispatch\.error\.([a-z_]+)"',
    "dispatch.why.": (
        r'(?:(?:told|forbid|charge)\(\s*(?:[\w.*]+(?:\[[^\]]*\])?(?: \* [\w()]+)?,\s*)?|_told_(?:all|one)\()"([a-z_]+)"'
    ),
    "dispatch.message.": (
        r"notices\.(?:tell|order_late)\([^()]*?(?:\([^()]*\))?[^()]*?"
        r'"(?:role|crew)?[^"]*",\s*"([a-z_]+)"'
    ),
}


@pytest.mark.parametrize("family", PATTERNS)
def test_every_key_in_the_code_has_its_words(family: str, words: text.Texts) -> None:
    found = set(re.findall(PATTERNS[family], CODE))
    assert len(found) > 3
    assert [key for key in sorted(found) if not words.has(family + key)] == []


def test_every_state_action_and_reason_has_a_name(words: text.Texts) -> None:
    wanted = [f"case.state.{each}" for each in CaseState]
    wanted += [f"case.action.{each}" for each in CaseAction] + [f"case.source.{each}" for each in Source]
    wanted += [f"case.application.{each}" for each in Asked] + [f"case.light.{each}" for each in Light]
    wanted += [f"order.state.{each}" for each in OrderState] + [
        f"order.action.{each}" for each in OrderAction
    ]
    wanted += [f"limit_unit.{each}" for each in LimitUnit]
    wanted += [f"dispatch.triage.{each}" for each in triage.Why]
    wanted += [f"dispatch.message.new_{kind}" for kind in papers.PaperKind]
    assert [key for key in wanted if not words.has(key)] == []
    assert len(cases.STEPS) > len(orders.STEPS)


def test_every_reason_that_bars_a_crew_has_a_short_form_for_the_shortage(words: text.Texts) -> None:
    keys = set(
        re.findall(r'(?:forbid|charge)\(.*?"([a-z_]+)"', (ROOT / "dispatch" / "recommend.py").read_text())
    )
    assert [key for key in sorted(keys) if not words.has(f"dispatch.why.{key}_short")] == []


def test_skills_equipment_and_departments_of_the_plans_have_names(plans: Plans, words: text.Texts) -> None:
    wanted: set[str] = set()
    for plan in plans.by_key.values():
        needs = [need for need in (plan.decl.crew, *(task.crew for task in plan.decl.tasks)) if need]
        wanted |= {f"skill.{skill}" for need in needs for skill in need.skills}
        wanted |= {f"equipment.{each}" for need in needs for each in need.equipment}
        wanted |= {f"department.{task.to}" for task in plan.decl.tasks if task.to}
    assert [key for key in sorted(wanted) if not words.has(key)] == []


def test_keys_become_sentences_however_deep_they_stand(words: text.Texts) -> None:
    why = recommend.told("skills", skills=["pumping", "guard"])
    short = recommend.told("nobody", reasons=[{"key": "dispatch.why.busy", "n": 2}])
    shown = {"a": [why], "b": {"c": short}, "d": {"text": "水"}, "e": 1}
    assert render(shown, words, "zh") == {
        "a": ["具备：抽排、现场看护"],
        "b": {"c": "无可派队伍：任务中 2"},
        "d": "水",
        "e": 1,
    }
    assert render({"x": why}, words, "en") == {"x": "has: pumping, guarding"}
