"""Structured logs: one event, its facts as keys. Console for people, JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(role: str, level: str, style: str) -> None:
    """Set up logging of a process, once, at its start."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a room. Lazy: nothing happens at import."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=room)
    return log
