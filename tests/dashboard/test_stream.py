"""Topics: snapshot, deltas with seq, nobody sees what the policy hides."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access import Policy
from core.actor import Actor
from dashboard.stream import EVERYTHING, Message, Nouns, View, view_of

POLICY = Policy(
    {"stream.orders": frozenset({"dispatcher"}), "stream.vitals": frozenset({"dispatcher"})},
    {"stream.orders": frozenset({"responder"})},
)
DISPATCHER = Actor("d", "", frozenset({"dispatcher"}))
CREW_7 = Actor("r", "", frozenset({"responder"}), crew="7")


def read(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(message)
    return found


@pytest.fixture
def orders() -> Nouns:
    return Nouns("orders", POLICY)


def test_a_delta_holds_what_changed_and_names_what_left(orders: Nouns) -> None:
    orders.put([{"id": "a", "state": "sent"}, {"id": "b", "state": "sent"}])
    assert (encode := orders.delta()) is not None
    assert read(encode(EVERYTHING))["seq"] == 1
    orders.put([{"id": "a", "state": "accepted"}, {"id": "b", "state": "sent"}])
    orders.remove(["b", "never"])
    assert (encode := orders.delta()) is not None
    assert read(encode(EVERYTHING)) == {
        "topic": "orders", "type": "delta", "seq": 2, "items": [{"id": "a", "state": "accepted"}], "gone": ["b"],
    }  # fmt: skip


def test_what_says_the_same_as_before_is_no_news(orders: Nouns) -> None:
    orders.put([{"id": "a", "state": "sent"}])
    orders.delta()
    orders.put([{"id": "a", "state": "sent"}])
    assert orders.delta() is None
    assert orders.seq == 1


def test_a_crew_sees_its_own_orders_and_a_lost_one_as_gone(orders: Nouns) -> None:
    view = view_of(POLICY, CREW_7, "stream.orders")
    orders.put([{"id": "a", "crew": "7"}, {"id": "b", "crew": "8"}])
    assert [item["id"] for item in read(orders.snapshot(view))["items"]] == ["a"]
    orders.delta()
    orders.put([{"id": "a", "crew": "8"}])
    encode = orders.delta()
    assert encode is not None
    told = read(encode(view))
    assert (told["items"], told["gone"]) == ([], ["a"])


def test_who_is_bound_by_areas_sees_only_those() -> None:
    policy = Policy({"stream.orders": frozenset({"dispatcher"})}, {})
    orders = Nouns("orders", policy)
    orders.put([{"id": "a", "area": "east"}, {"id": "b", "area": "west"}])
    bound = Actor("d", "", frozenset({"dispatcher"}), areas=frozenset({"east"}))
    view = view_of(policy, bound, "stream.orders")
    assert [item["id"] for item in read(orders.snapshot(view))["items"]] == ["a"]


def test_equal_rights_share_one_view_and_so_one_encoding() -> None:
    assert view_of(POLICY, DISPATCHER, "stream.orders") is EVERYTHING
    other = Actor("r2", "", frozenset({"responder"}), crew="7")
    assert view_of(POLICY, CREW_7, "stream.orders") == view_of(POLICY, other, "stream.orders")


def test_a_snapshot_is_encoded_once_until_something_changes(orders: Nouns) -> None:
    orders.put([{"id": "a"}])
    orders.delta()
    assert orders.snapshot(EVERYTHING) is orders.snapshot(EVERYTHING)
    orders.put([{"id": "b"}])
    assert len(read(orders.snapshot(EVERYTHING))["items"]) == 2


def test_slow_fields_travel_only_when_they_changed() -> None:
    vitals = Nouns("vitals", POLICY, frozenset({"trend"}))
    vitals.put([{"id": "p", "value": 1, "trend": [1, 2]}])
    vitals.delta()
    vitals.put([{"id": "p", "value": 2, "trend": [1, 2]}])
    assert (encode := vitals.delta()) is not None
    assert read(encode(EVERYTHING))["items"] == [{"id": "p", "value": 2}]
    assert read(vitals.snapshot(EVERYTHING))["items"] == [{"id": "p", "value": 2, "trend": [1, 2]}]


def test_a_slow_field_that_changed_is_not_lost_by_a_later_change_in_the_same_tick() -> None:
    vitals = Nouns("vitals", POLICY, frozenset({"trend"}))
    vitals.put([{"id": "p", "value": 1, "trend": [1]}])
    vitals.delta()
    vitals.put([{"id": "p", "value": 2, "trend": [1, 2]}])
    vitals.put([{"id": "p", "value": 3, "trend": [1, 2]}])
    assert (encode := vitals.delta()) is not None
    assert read(encode(EVERYTHING))["items"] == [{"id": "p", "value": 3, "trend": [1, 2]}]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40), st.integers(0, 40))
def test_snapshot_and_deltas_lead_every_reader_to_the_same_items(
    steps: list[tuple[str, int]], joined: int
) -> None:
    orders = Nouns("orders", POLICY)
    known: dict[str, Any] | None = None
    for number, (key, value) in enumerate(steps):
        if number == joined:
            known = {item["id"]: item for item in read(orders.snapshot(EVERYTHING))["items"]}
        if value:
            orders.put([{"id": key, "value": value}])
        else:
            orders.remove([key])
        encode = orders.delta() if number % 2 else None
        if encode is not None and known is not None:
            told = read(encode(EVERYTHING))
            known |= {item["id"]: item for item in told["items"]}
            known = {key: item for key, item in known.items() if key not in told["gone"]}
    encode = orders.delta()
    if encode is not None and known is not None:
        told = read(encode(EVERYTHING))
        known |= {item["id"]: item for item in told["items"]}
        known = {key: item for key, item in known.items() if key not in told["gone"]}
    assert known is None or known == orders.items


def test_the_bounds_of_a_view_are_those_of_its_actor() -> None:
    assert View(frozenset({"responder"}), crew="7").actor().crew == "7"
