"""A sender of its own process, to be killed: `python -m tests.dispatch.sender_process DSN URL`."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from pydantic import SecretStr

from core.clock import SystemClock
from core.settings import ChannelSettings, Webhook
from core.text import Texts
from dispatch.channels.gateways import Speech, build
from dispatch.outbox_feed import Outbox


async def main(dsn: str, url: str) -> None:
    clock = SystemClock()
    settings = ChannelSettings(webhooks=[Webhook(name="erp", url=url, secret=SecretStr("s"))], timeout="2s")
    speech = Speech(Texts({"zh": {}, "en": {}}), "zh")
    await Outbox(dsn, build(settings, speech, clock), clock, np.random.default_rng(1)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
