"""What every channel is, and the two ways in which it fails."""

from __future__ import annotations

from typing import Protocol

from dispatch.messages import Message


class Away(Exception):
    """The receiver cannot be reached or does not answer: nobody is to blame, and it is tried until it is back."""


class Failed(Exception):
    """The receiver answered that it failed; after ten of these the message is parked."""


class Refused(Exception):
    """The receiver will never take this message: it is parked at once, and visible."""


class Channel(Protocol):
    """`outside`: what it sends can reach a real person or machine. Simulated and drill messages never go there."""

    @property
    def name(self) -> str: ...
    @property
    def outside(self) -> bool: ...

    async def send(self, message: Message) -> None:
        """Deliver, carrying `message.key` so that a repeat has one effect. Raises `Away`, `Failed` or `Refused`."""
