"""Default deny: what nobody allowed is denied, and every way in names its action."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import policy
from app.policy import Paths
from core.access import Policy, Scope
from core.actor import NOBODY, Actor
from core.errors import NotAllowed, NotSignedIn
from core.yamlfile import Mistakes

POLICY = Policy(
    {"order.read": frozenset({"dispatcher"}), "case.close": frozenset({"shift_leader"})},
    {"order.read": frozenset({"responder"})},
)


def actor(role: str, **bounds: object) -> Actor:
    return Actor("a", "A", frozenset({role}), **bounds)  # type: ignore[arg-type] # a test's short cut


def test_an_action_that_stands_nowhere_is_denied_to_everybody() -> None:
    assert not POLICY.permits(actor("dispatcher"), "order.burn")
    assert not POLICY.knows("order.burn")


def test_a_role_may_what_its_row_says_and_no_more() -> None:
    assert POLICY.permits(actor("dispatcher"), "order.read")
    assert not POLICY.permits(actor("dispatcher"), "case.close")


def test_a_responder_sees_the_orders_of_its_own_crew_only() -> None:
    mine = actor("responder", crew="water-1")
    assert POLICY.permits(mine, "order.read", Scope(crew="water-1"))
    assert not POLICY.permits(mine, "order.read", Scope(crew="water-2"))
    assert not POLICY.permits(mine, "order.read")
    assert POLICY.may_ask(mine, "order.read")


def test_a_responder_without_a_crew_owns_nothing() -> None:
    assert not POLICY.permits(actor("responder"), "order.read", Scope(crew=""))


def test_areas_and_departments_bound_even_those_who_may() -> None:
    bounded = actor("dispatcher", areas=frozenset({"bund"}), departments=frozenset({"water"}))
    assert POLICY.permits(bounded, "order.read", Scope(area="bund", department="water"))
    assert not POLICY.permits(bounded, "order.read", Scope(area="lujiazui", department="water"))
    assert not POLICY.permits(bounded, "order.read", Scope(area="bund", department="gas"))


def test_nobody_is_asked_to_sign_in_and_somebody_is_refused() -> None:
    with pytest.raises(NotSignedIn):
        POLICY.require(NOBODY, "order.read")
    with pytest.raises(NotAllowed):
        POLICY.require(actor("collector"), "order.read")


def test_the_longest_path_prefix_decides_and_an_unknown_path_is_closed() -> None:
    paths = Paths({"/wall": "screen.wall", "/assets/": "open", "/_dash-layout": "screen.open"})
    assert paths.action("/wall") == "screen.wall"
    assert paths.action("/wall/deep") == "screen.wall"
    assert paths.action("/wallet") is None
    assert paths.action("/assets/x.css") == "open"
    assert paths.action("/.git/config") is None


def test_a_path_whose_action_nobody_declared_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("groups: {}\nallow:\n  a.b: [admin]\nown: {}\npaths:\n  /x: a.c\n")
    with pytest.raises(Mistakes) as found:
        policy.load(file)
    assert [(mistake.line, mistake.key) for mistake in found.value.mistakes] == [(6, "paths./x")]
