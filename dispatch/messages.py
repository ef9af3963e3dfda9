"""A message that must leave the house: what it says, by which channel, to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """`key` is its identity, which the receiver sees too: the same message twice has one effect."""

    key: str
    channel: str
    receiver: str
    subject: str
    subject_id: str
    payload: Mapping[str, object]
    provenance: str
