"""What a shelf finds near a place is what asking every single thing finds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.place import NOWHERE, Place, related
from events.shelf import FEW, Shelf, Spot
from events.types import Near


@dataclass(slots=True, eq=False)
class Thing:
    spot: Spot
    onset_us: int
    group: None = None


def place(east: float, north: float, zone: str) -> Place:
    """Around 31.5° N, where a grid that is measured by whole degrees of latitude would have a seam."""
    return Place(121.5 + east / 100, 31.5 + north / 100, zone=zone)


places = st.builds(place, st.floats(-2, 2), st.floats(-2, 2), st.sampled_from(["", "A", "B"]))
things = st.lists(
    st.builds(lambda at, us: Thing(Spot(at, 121.5), us), places, st.integers(0, 20)), max_size=60
)


@settings(max_examples=40, deadline=None)
@given(all_=things, asked=places, begin=st.integers(0, 20), span=st.integers(0, 20), gone=st.integers(0, 59))
@pytest.mark.parametrize(
    "near", [Near(within_m=400), Near(same=("zone",), within_m=900), Near(same=("zone",)), Near(within_m=20)]
)
def test_what_is_near_is_found_and_nothing_else(
    near: Near, all_: list[Thing], asked: Place, begin: int, span: int, gone: int
) -> None:
    shelf: Shelf[Thing] = Shelf()
    for number, thing in enumerate(all_):
        shelf.put(thing)
        if number == FEW + 1:
            list(
                shelf.near(near, Spot(asked, 121.5), (0, 20))
            )  # indexes begin with a question, and are kept from then on
    for thing in all_[gone : gone + 5]:
        shelf.take_out(thing)
    rest = all_[:gone] + all_[gone + 5 :]
    wanted = {
        thing
        for thing in rest
        if begin <= thing.onset_us <= begin + span and related(near, thing.spot.place, asked, NOWHERE)
    }
    assert set(shelf.near(near, Spot(asked, 121.5), (begin, begin + span))) == wanted


def test_only_what_is_within_reach_is_asked_whether_it_is_joined() -> None:
    near, asked = Near(within_m=100, along_m=500), place(0, 0, "")
    close, further, far = (Thing(Spot(place(east, 0, ""), 121.5), 0) for east in (0.05, 0.3, 1.0))
    shelf: Shelf[Thing] = Shelf()
    for thing in (close, further, far):
        shelf.put(thing)
    wondered: list[Thing] = []

    def joined(thing: Thing) -> bool:
        wondered.append(thing)
        return True

    assert set(shelf.near(near, Spot(asked, 121.5), (0, 0), joined)) == {close, further}
    assert wondered == [further]
    assert list(shelf.near(near, Spot(asked, 121.5), (0, 0))) == [close]
