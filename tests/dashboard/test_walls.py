"""What a console asks a wall to do: shown for a while, silent for ten minutes at most, always with a name."""

from __future__ import annotations

import pytest

from core.actor import Actor
from core.changes import Feed
from core.clock import ManualClock
from core.db import Database
from core.errors import Invalid
from dashboard import wall, walls
from dashboard.wall import WallDecl

SHIFT_LEADER = Actor("lin", "林静", frozenset({"shift_leader"}))


async def test_a_wall_hears_what_it_shall_show_and_until_when(database: Database, clock: ManualClock) -> None:
    feed = Feed(database)
    await feed.start()
    async with database.transaction() as connection:
        told = await walls.direct(
            connection, "hall", SHIFT_LEADER, clock.now_us(), scene="flood", incident="i1", minutes=15
        )
    assert (told["id"], told["scene"], told["incident"], told["by"]) == ("wall/hall", "flood", "i1", "林静")
    assert [(change.topic, change.key) for change in await feed.read()] == [("walls", "hall")]
    assert await walls.all_walls(database) == [told]


async def test_silence_needs_a_reason_and_lasts_ten_minutes_at_most(
    database: Database, clock: ManualClock
) -> None:
    async with database.transaction() as connection:
        told = await walls.mute(
            connection, "hall", SHIFT_LEADER, clock.now_us(), reason="领导讲话", minutes=10
        )
        assert told["mute"] == {"name": "林静", "reason": "领导讲话", "until": "2025-06-15T15:16:40Z"}
        for reason, minutes in (("领导讲话", 11), (" ", 5), ("x", -1)):
            with pytest.raises(Invalid):
                await walls.mute(
                    connection, "hall", SHIFT_LEADER, clock.now_us(), reason=reason, minutes=minutes
                )


async def test_a_view_and_a_mute_do_not_overwrite_each_other(database: Database, clock: ManualClock) -> None:
    async with database.transaction() as connection:
        await walls.mute(connection, "hall", SHIFT_LEADER, clock.now_us(), reason="参观", minutes=5)
        told = await walls.direct(
            connection, "hall", SHIFT_LEADER, clock.now_us(), scene="gas", incident="", minutes=5
        )
    assert told["mute"] is not None
    assert told["scene"] == "gas"


@pytest.fixture
def declared() -> WallDecl:
    return wall.load()


def test_every_step_of_the_tour_and_every_scene_has_words(declared: WallDecl) -> None:
    from tests.dashboard import scripted

    texts = scripted.words()
    scenes = {scene.key for scene in declared.scenes}
    for language in ("zh", "en"):
        assert all(texts.has(f"scene.{key}", language) for key in scenes)
        for step in declared.tour:
            assert step.scene in scenes
            assert texts.has(f"tour.{step.key}.title", language)
            assert texts.has(f"tour.{step.key}.words", language)
