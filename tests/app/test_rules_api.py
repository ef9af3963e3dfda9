"""Rules are read with their rationale, tried beside those in force, and only then put in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb

from app import declared, rules_api
from app.declared import Declared
from app.rulebook import Rulebook
from core.actor import Actor
from core.clock import DAY_US, HOUR_US, ManualClock, to_datetime
from core.db import Database
from core.http import install_errors
from events import edited, edited_store
from events.engine import Model
from iot.registry import Registry
from tests.app.test_backtest import registry  # noqa: F401 - the fixture
from tests.dashboard import scripted
from tests.events.world import NOON_US

LEADER = Actor("u1", "班长", frozenset({"shift_leader"}))
KEY = "fl.depth.wet"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Declared:
    config = tmp_path_factory.mktemp("rules") / "config.yaml"
    root = Path(declared.__file__).resolve().parents[1]
    config.write_text(f"paths: {{data: var, domains: {root / 'domains'}}}\n", "utf-8")
    return declared.load(config)


@asynccontextmanager
async def asking(
    known: Declared, database: Database, actor: Actor = LEADER
) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.policy, app.state.database = known.policy, database
    app.state.clock = ManualClock(NOON_US + 3 * HOUR_US)
    install_errors(app, known.texts)
    app.include_router(rules_api.router(Rulebook(known, database)), prefix="/api/v1")
    signed = scripted.SignedIn(app, actor, {})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(signed), base_url="http://city.test/api/v1"
    ) as http:
        yield http


async def tried(known: Declared, database: Database, yaml: str, base: str) -> int:
    moment = to_datetime(NOON_US)
    return await edited_store.put_trial(
        database, rule=KEY, yaml=yaml, base=base, begins=to_datetime(NOON_US - DAY_US), ends=moment,
        before=Jsonb({"alerts": 5}), after=Jsonb({"alerts": 2}), by="u1", at=moment,
    )  # fmt: skip


async def test_a_rule_is_shown_with_its_text_and_where_it_stands(known: Declared, database: Database) -> None:
    async with asking(known, database) as http:
        listed = (await http.get("/rules")).json()["items"]
        one = (await http.get(f"/rules/{KEY}")).json()
        assert (await http.get("/rules/no.such")).status_code == 404
    assert len(listed) == len(known.model.rules)
    assert one["yaml"].startswith(f"key: {KEY}\nkinds: [fl_street_depth, fl_underpass]\n")
    assert one["file"] == "domains/flood/rules.yaml"
    assert not one["is_edited"]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("at_least: 5", "at_least: 2", 7, "safe side"),
        ("level: 4", "level: 9", 4, "less than or equal to 4"),
        ("channel: depth", "channel: dept", 5, "channel dept"),
        ("level: 4", "level: [", 6, "not YAML"),
        ("key: fl.depth.wet", "key: fl.depth.pond", 1, "must be the one rule"),
    ],
)
async def test_a_wrong_text_is_refused_with_its_line_and_reason(
    known: Declared, database: Database, old: str, new: str, line: int, reason: str
) -> None:
    async with asking(known, database) as http:
        text = (await http.get(f"/rules/{KEY}")).json()["yaml"].replace(old, new)
        answer = await http.post(f"/rules/{KEY}/trial", json={"yaml": text})
    assert answer.status_code == 422
    (mistake, *_) = answer.json()["mistakes"]
    assert mistake["file"] == KEY
    assert reason in mistake["reason"]
    assert mistake["line"] <= line


async def test_only_what_was_tried_beside_the_rules_in_force_is_put_in_force(
    known: Declared, database: Database
) -> None:
    book = Rulebook(known, database)
    async with asking(known, database) as http:
        text = (await http.get(f"/rules/{KEY}")).json()["yaml"].replace("at_least: 5", "at_least: 8")
        trial = await tried(known, database, text, known.model.rules.version)
        without = await http.put(f"/rules/{KEY}", json={"trial": trial})
        unknown = await http.put(f"/rules/{KEY}", json={"trial": trial + 1, "reason": "x"})
        done = await http.put(f"/rules/{KEY}", json={"trial": trial, "reason": "夜间误报"})
        again = await http.put(f"/rules/{KEY}", json={"trial": trial, "reason": "夜间误报"})
        one = (await http.get(f"/rules/{KEY}")).json()
    assert [answer.status_code for answer in (without, unknown, done, again)] == [422, 404, 200, 409]
    assert one["is_edited"]
    assert "at_least: 8" in one["yaml"]
    assert "at_least: 5" in one["shipped"]
    (version,) = one["versions"]
    assert (version["by_name"], version["reason"], version["after"]) == ("班长", "夜间误报", {"alerts": 2})
    await book.load()
    edge = book.model.rules.by_key[KEY].decl.on
    assert edge is not None
    assert edge.at_least == 8
    assert book.model.rules.version != known.model.rules.version
    news = await database.fetch(b"SELECT key FROM changes WHERE topic = 'rules'")
    assert [row["key"] for row in news] == [KEY]


async def test_whoever_decides_by_the_rules_hears_of_a_new_text(known: Declared, database: Database) -> None:
    book = Rulebook(known, database)
    await book.load()
    heard: asyncio.Queue[Model] = asyncio.Queue()
    book.changed.append(heard.put_nowait)
    task = asyncio.create_task(book.follow())
    text = (edited.shipped(known.domains, KEY) or ("", 0, ""))[2].replace("level: 4", "level: 3")
    trial = await tried(known, database, text, known.model.rules.version)
    async with database.transaction() as connection:
        row: dict[str, Any] = {"rule": KEY, "yaml": text, "trial": trial, "reason": "x"}
        await edited_store.activate(connection, NOON_US, **row, by="u1", by_name="班长")
    model = await asyncio.wait_for(heard.get(), 10)
    task.cancel()
    assert model.rules.by_key[KEY].decl.level == 3


async def test_who_is_no_leader_reads_and_changes_nothing(known: Declared, database: Database) -> None:
    operator = Actor("u2", "值班员", frozenset({"duty_operator"}))
    async with asking(known, database, operator) as http:
        assert (await http.get("/rules")).status_code == 200
        assert (await http.post(f"/rules/{KEY}/trial", json={"yaml": ""})).status_code == 403
        assert (await http.put(f"/rules/{KEY}", json={"trial": 1, "reason": "x"})).status_code == 403


async def test_an_edited_rule_that_no_longer_fits_leaves_the_shipped_ones_in_force(
    known: Declared, database: Database
) -> None:
    trial = await tried(known, database, "key: gone.rule\n", "x")
    async with database.transaction() as connection:
        row: dict[str, Any] = {"rule": "gone.rule", "yaml": "key: gone.rule\n", "trial": trial, "reason": "x"}
        await edited_store.activate(connection, NOON_US, **row, by="u1", by_name="班长")
    book = Rulebook(known, database)
    await book.load()
    assert book.model is known.model


@pytest.mark.long
async def test_a_trial_says_what_the_changed_rule_would_have_said(
    known: Declared,
    database: Database,
    registry: Registry,  # noqa: F811 - the fixture
) -> None:
    assert registry.devices
    rules = [
        rule.key
        for rule in known.model.rules
        if rule.key.startswith("ws.pressure") or rule.domain == "water_supply"
    ]
    async with asking(known, database) as http:
        for key in rules:
            text = (await http.get(f"/rules/{key}")).json()["yaml"]
            if "ws_pressure_logger" in text and "detector: fall" in text:
                break
        answer = await http.post(
            f"/rules/{key}/trial", json={"yaml": text + "enabled: false\n", "days": 0.5}, timeout=120
        )
    found = answer.json()
    assert answer.status_code == 200, found
    assert found["before"]["by_rule"].get(key, 0) > 0
    assert key not in found["after"]["by_rule"]
