"""Ways out, against receivers of this machine: signed, repeated with the same key, parked when refused."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from core.clock import to_datetime
from core.errors import NotFound
from core.settings import ChannelSettings, HttpGateway, Mail, Webhook
from core.text import Texts
from dispatch import store
from dispatch.channels.channel import Away, Failed, Refused
from dispatch.channels.gateways import Downlink, Speech, build, sign
from dispatch.links import LIVES_US, load_key
from dispatch.messages import Message
from dispatch.outbox_feed import Outbox
from tests.conftest import ROOT
from tests.dispatch.receiver import Receiver, mailbox, receiving
from tests.dispatch.test_chain import NEAR, quiet, sent
from tests.dispatch.world import BURST, LINKS, START, World, crew_row


def message(channel: str, receiver: str, provenance: str = "real") -> Message:
    told = {"key": "dispatch.message.order_sent", "params": {"number": "GD-1", "place": "中山东一路"}}
    payload = {"message": told, "level": 1, "receiver": "crew:near"}
    return Message("order_1:order_sent", channel, receiver, "order", "order_1", payload, provenance)


@pytest.fixture
async def outside() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def settings(receiver: Receiver) -> ChannelSettings:
    return ChannelSettings(
        webhooks=[Webhook(name="erp", url=receiver.url, secret=SecretStr("hush"))],
        sms=HttpGateway(url=receiver.url, token=SecretStr("t0ken")),
        voice=HttpGateway(url=receiver.url),
        timeout="1s",
    )


async def test_a_webhook_is_signed_over_time_and_body(outside: Receiver, words: Texts, city: World) -> None:
    channels = build(settings(outside), Speech(words, "zh", LINKS), city.clock)
    await channels["webhook"].send(message("webhook", "erp"))
    ((_, headers, body),) = outside.posts
    at = str(START // 1_000_000)
    digest = hmac.new(b"hush", f"{at}.{body['raw']}".encode(), hashlib.sha256).hexdigest()
    assert (
        headers["x-cityops-signature"] == f"t={at},v1={digest}" == sign("hush", at, str(body["raw"]).encode())
    )
    assert headers["idempotency-key"] == body["key"] == "order_1:order_sent"
    assert str(body["text"]).startswith("新工单 GD-1，地点：中山东一路 https://city.example/o/order_1.")


async def test_short_messages_and_calls_go_to_their_gateway(
    outside: Receiver, words: Texts, city: World
) -> None:
    channels = build(settings(outside), Speech(words, "en"), city.clock)
    for name in ("sms", "voice"):
        await channels[name].send(message(name, "+8613800000000"))
    (_, sms, body), (_, voice, _) = outside.posts
    assert (body["to"], body["text"]) == ("+8613800000000", "new order GD-1 at 中山东一路")
    assert sms["authorization"] == "Bearer t0ken"
    assert "authorization" not in voice


@pytest.mark.parametrize(
    ("status", "error"), [(500, Failed), (503, Failed), (429, Failed), (404, Refused), (302, Failed)]
)
async def test_what_a_receiver_answers_decides_whether_it_is_tried_again(
    outside: Receiver, status: int, error: type[Exception], words: Texts, city: World
) -> None:
    outside.status = status
    channels = build(settings(outside), Speech(words, "zh"), city.clock)
    with pytest.raises(error):
        await channels["webhook"].send(message("webhook", "erp"))


async def test_a_receiver_that_is_away_or_says_nothing_is_nobody_s_fault(
    outside: Receiver, words: Texts, city: World
) -> None:
    outside.delay_s = 3.0
    channels = build(settings(outside), Speech(words, "zh"), city.clock)
    with pytest.raises(Away):
        await channels["webhook"].send(message("webhook", "erp"))
    nobody = settings(outside).model_copy(update={"sms": HttpGateway(url="http://127.0.0.1:9/")})
    with pytest.raises(Away):
        await build(nobody, Speech(words, "zh"), city.clock)["sms"].send(message("sms", "+86"))
    with pytest.raises(Refused):
        await channels["webhook"].send(message("webhook", "nobody-set-this-up"))


async def test_a_letter_has_one_identity_however_often_it_is_sent(words: Texts, city: World) -> None:
    async with mailbox() as box:
        mail = Mail(host="127.0.0.1", port=box.port, sender="ops@city.example", starttls=False)
        channel = build(ChannelSettings(mail=mail), Speech(words, "zh"), city.clock)["mail"]
        for _ in range(2):
            await channel.send(message("mail", "chief@city.example"))
        ids = {
            line for letter in box.letters for line in letter.splitlines() if line.startswith("Message-ID")
        }
        assert (len(box.letters), len(ids)) == (2, 1)
        box.refuse = True
        with pytest.raises(Refused):
            await channel.send(message("mail", "nobody@city.example"))
    with pytest.raises(Away):
        await channel.send(message("mail", "chief@city.example"))


async def test_a_command_waits_for_its_gateway_and_its_reply_ends_it(city: World) -> None:
    heard: list[tuple[str, bytes]] = []
    here = False

    def publish(topic: str, payload: bytes) -> bool:
        heard.append((topic, payload))
        return here

    sender = Outbox(city.database.dsn, {"mqtt": Downlink(publish)}, city.clock, np.random.default_rng(1))
    from dispatch.commands import Command
    from dispatch.work import Work

    papers = city.desk.runs.papers
    async with city.database.transaction() as connection:
        work = Work(connection, city.clock.now_us())
        new = Command("", "", "D1", "barrier_closed", 1.0, "proposed", "water", "li", START, "real")
        command = await papers.step_command(work, await papers.propose(work, new, "li"), "confirm", "wang")
    await sender.drain(city.led)
    here = True
    city.clock.advance(3)
    await sender.drain(city.led)
    assert [topic for topic, _ in heard] == ["command/gw", "command/gw"]
    city.desk.hear("gw", b'{"id": "' + command.id.encode() + b'", "status": "ok"}')
    city.desk.hear("gw", b"not json")
    city.desk.hear("gw", b'{"id": "nothing"}')
    await city.tick()
    row = await city.database.fetch_one(store.QUERIES["find_command"], id=command.id)
    assert row is not None
    assert (row["state"], row["reply"]["status"]) == ("done", "ok")


async def test_an_order_of_a_real_incident_leaves_by_every_way_its_crew_wants_and_a_simulated_one_by_none(
    city: World,
) -> None:
    await city.crews(crew_row("near", provenance="real"), crew_row("sim", lon=121.6))
    async with city.database.transaction() as connection:
        for crew in ("near", "sim"):
            for channel, level in (("sms", 4), ("voice", 1)):
                await store.run(
                    connection,
                    "put_contact",
                    receiver=f"crew:{crew}",
                    channel=channel,
                    address="+86",
                    level=level,
                )
    await city.news(replace(BURST, provenance="real"))
    await city.tick()
    found = await city.database.fetch(b"SELECT channel FROM outbox")
    assert [row["channel"] for row in found] == ["sms"], "level 2: voice is for level 1 only"
    await city.news(replace(BURST, id="inc-2", number="SJ-2"))
    await city.tick()
    assert len(await city.database.fetch(b"SELECT 1 FROM outbox")) == 1


# -- the real thing: kill -9 ----------------------------------------------------------------------------------


async def killing(city: World, outside: Receiver, orders: int, kills: int) -> None:
    """Kill the sender again and again while it works; then let it finish."""
    async with city.database.transaction() as connection:
        for n in range(orders):
            told = {"message": {"key": "x", "params": {}}, "level": 1}
            new = Message(f"order-{n}", "webhook", "erp", "order", f"{n}", told, "real")
            await store.put_message(connection, new, 0)
    rng = np.random.default_rng(3)
    for n in range(kills + 1):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.dispatch.sender_process", city.database.dsn, outside.url, cwd=ROOT
        )
        before = len(outside.posts)
        wanted = before + int(rng.integers(1, max(2, orders // (kills + 2)))) if n < kills else orders * 2
        async with asyncio.timeout(120):
            await outside.until(wanted, orders)
            for _ in range(600 if n == kills else 0):
                if not await left(city):
                    break
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert outside.effects == {f"order-{n}" for n in range(orders)}, "nothing undelivered"
    assert outside.repeats <= kills, "at most one duplicate a kill"


async def test_a_sender_that_is_killed_loses_nothing_and_repeats_at_most_one_a_kill(
    city: World, outside: Receiver
) -> None:
    await killing(city, outside, orders=20, kills=1)


async def left(city: World) -> int:
    row = await city.database.fetch_one(b"SELECT count(*) AS n FROM outbox WHERE state = 'queued'")
    return int(row["n"]) if row else 0


@pytest.mark.long
async def test_twenty_five_kills_over_a_thousand_orders(city: World, outside: Receiver) -> None:
    await killing(city, outside, orders=1000, kills=25)


# -- links ----------------------------------------------------------------------------------------------------


async def test_a_link_opens_one_order_without_an_account_and_does_its_next_step(
    http: httpx.AsyncClient, city: World
) -> None:
    order = (await sent(city))["orders"][0]
    url = f"/o/{LINKS.token(order['id'], 'near')}"
    page = await http.get(url)
    assert page.status_code == 200
    assert "接单" in page.text
    assert order["number"] in page.text
    assert "<script" not in page.text
    for action in ("accept", "depart", "arrive"):
        answer = await http.post(url, data={"action": action})
        assert (answer.status_code, answer.headers["location"]) == (303, url)
    city.clock.advance(300)
    await city.say("P1", "pressure", 0.12, 0.12, 0.12)
    refused = await http.post(url, data={"action": "finish"})
    assert refused.status_code == 409
    assert "P1 pressure 0.12 MPa" in refused.text
    city.clock.advance(300)
    await quiet(city)
    assert (await http.post(url, data={"action": "finish"})).status_code == 303
    assert "已完成" in (await http.get(url)).text


async def test_a_link_that_was_guessed_or_is_old_or_is_another_order_s_finds_nothing(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(NEAR)
    order = (await sent(city))["orders"][0]
    good = LINKS.token(order["id"], "near")
    for bad in (
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        LINKS.token(order["id"], "far"),
        "x",
        f"{order['id']}.",
    ):
        assert (await http.get(f"/o/{bad}")).status_code == 404
    city.clock.advance(LIVES_US / 1e6 + 1)
    assert (await http.get(f"/o/{good}")).status_code == 404


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "links.key"
    key = load_key(path)
    assert load_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["links.key"]


def test_a_link_is_for_its_crew_and_its_order() -> None:
    token = LINKS.token("order_1", "near")
    order, code = LINKS.order_of(token)
    assert LINKS.actor(order, "near", code, START, START).crew == "near"
    with pytest.raises(NotFound):
        LINKS.actor(order, "far", code, START, START)
    with pytest.raises(NotFound):
        LINKS.order_of("nothing")
    assert to_datetime(START)
