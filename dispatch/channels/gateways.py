"""Webhooks, short messages, calls, mail, and the way down to our own devices."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from core.clock import SECOND_US, Clock
from core.http import to_json
from core.settings import ChannelSettings, HttpGateway, Mail, Webhook
from core.text import Texts
from dispatch.channels.channel import Away, Channel, Failed, Refused
from dispatch.channels.http_post import post
from dispatch.links import Links
from dispatch.messages import Message
from dispatch.words import render

#: Publishes a payload to a topic of a gateway; False when it is not connected.
Publish = Callable[[str, bytes], bool]


@dataclass(frozen=True, slots=True)
class Speech:
    """A message as a sentence, with a link to its order where there is one."""

    texts: Texts
    language: str
    links: Links | None = None

    def __call__(self, message: Message) -> str:
        said = str(render(message.payload["message"], self.texts, self.language))
        receiver = str(message.payload.get("receiver", ""))
        if self.links and message.subject == "order" and receiver.startswith("crew:"):
            said += " " + self.links.url(message.subject_id, receiver.removeprefix("crew:"))
        return said


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Posts to the receiver that the message names. The signature covers time and body: neither can be changed,
    and an old one can be told.
    """

    hooks: Mapping[str, Webhook]
    speech: Speech
    clock: Clock
    timeout_s: float
    name: str = "webhook"
    outside: bool = True

    async def send(self, message: Message) -> None:
        hook = self.hooks.get(message.receiver)
        if hook is None:
            raise Refused("no webhook of this name")
        body = to_json(
            {
                "key": message.key, "text": self.speech(message), "subject": message.subject,
                "id": message.subject_id, "level": message.payload.get("level"),
                "message": message.payload["message"], "provenance": message.provenance,
            }
        )  # fmt: skip
        at = str(self.clock.now_us() // SECOND_US)
        headers = {
            "Idempotency-Key": message.key,
            "X-CityOps-Signature": sign(hook.secret.get_secret_value(), at, body),
        }
        await post(hook.url, body, headers, self.timeout_s)


def sign(secret: str, at: str, body: bytes) -> str:
    """`t=<seconds>,v1=<hex of HMAC-SHA256 over "<t>.<body>">`."""
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A gateway for short messages (`sms`) or for calls that are spoken (`voice`)."""

    name: str
    gateway: HttpGateway
    speech: Speech
    timeout_s: float
    outside: bool = True

    async def send(self, message: Message) -> None:
        body = to_json({"to": message.receiver, "text": self.speech(message), "key": message.key})
        token = self.gateway.token.get_secret_value()
        headers = {"Idempotency-Key": message.key, **({"Authorization": f"Bearer {token}"} if token else {})}
        await post(self.gateway.url, body, headers, self.timeout_s)


@dataclass(frozen=True, slots=True)
class Letters:
    """Mail. The key is its Message-ID, so that a mail program shows a repeat once."""

    mail: Mail
    speech: Speech
    timeout_s: float
    name: str = "mail"
    outside: bool = True

    async def send(self, message: Message) -> None:
        said = self.speech(message)
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self.mail.sender, message.receiver, said[:200]
        digest = hashlib.sha256(message.key.encode()).hexdigest()[:32]
        letter["Message-ID"] = f"<{digest}@{self.mail.sender.partition('@')[2] or 'cityops'}>"
        letter.set_content(said)
        await asyncio.to_thread(self._send, letter)

    def _send(self, letter: EmailMessage) -> None:
        try:
            with smtplib.SMTP(self.mail.host, self.mail.port, timeout=self.timeout_s) as server:
                if self.mail.starttls:
                    server.starttls()
                if self.mail.user:
                    server.login(self.mail.user, self.mail.password.get_secret_value())
                server.send_message(letter)
        except smtplib.SMTPRecipientsRefused as refused:
            raise Refused(str(refused)) from None
        except smtplib.SMTPResponseException as failed:
            if 400 <= failed.smtp_code < 500:
                raise Failed(str(failed)) from None
            raise Refused(str(failed)) from None
        except (OSError, smtplib.SMTPException) as away:
            raise Away(f"{type(away).__name__}: {away}") from None


@dataclass(frozen=True, slots=True)
class Downlink:
    """MQTT to our own signs, barriers and sirens: `command/<gateway>`, answered by the gateway with the same id.

    Only confirmed commands get here (`dispatch.paper_actions`).
    """

    publish: Publish
    name: str = "mqtt"
    outside: bool = True

    async def send(self, message: Message) -> None:
        if not self.publish(f"command/{message.receiver}", to_json(message.payload)):
            raise Away("gateway is not connected")


def build(
    settings: ChannelSettings, speech: Speech, clock: Clock, publish: Publish | None = None
) -> dict[str, Channel]:
    """The ways out that are set up, by name."""
    found: list[Channel] = []
    if settings.webhooks:
        hooks = {hook.name: hook for hook in settings.webhooks}
        found.append(Webhooks(hooks, speech, clock, settings.timeout))
    found += [
        Spoken(name, gateway, speech, settings.timeout)
        for name, gateway in (("sms", settings.sms), ("voice", settings.voice))
        if gateway is not None
    ]
    if settings.mail is not None:
        found.append(Letters(settings.mail, speech, settings.timeout))
    if publish is not None:
        found.append(Downlink(publish))
    return {channel.name: channel for channel in found}
