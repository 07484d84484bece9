"""Logging: readable lines on a terminal, one JSON object a line elsewhere; always UTC, always one line per event.

`log = structlog.get_logger()`, then `log.info("event_name", key=value)`. What libraries log through `logging` takes the
same way; the talkative ones from `warning` on. Chat text, tokens and addresses with secrets never go into a log: that
is the caller's promise; that nothing said can break a line or move the cursor is ours.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

TALKATIVE = (
    "aiohttp", "aiokafka", "asyncio", "chdb", "clickhouse_connect", "faust", "jieba", "mode", "urllib3", "websockets",
)  # fmt: skip
LONGEST = 4_000
"""Characters of one value; what is longer is cut. A traceback keeps its end, which says what happened."""


def configure(role: str, level: str = "info", stream: TextIO | None = None, libraries: str = "warning") -> None:
    """Send this process's events to `stream` (default: standard error, which Faust leaves alone).

    `libraries`: from where on the talkative ones are heard. A command says itself what was wrong: it has them silent.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Role(role),
        escape,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a role configures again, once it knows its settings
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(stream)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    floor = max(logging.getLevelNamesMapping()[libraries.upper()], root.level)
    handler.addFilter(lambda record: record.levelno >= floor or record.name.partition(".")[0] not in TALKATIVE)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(floor)  # some set their own when they are imported: hence the filter as well
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    logging.raiseExceptions = False  # a full disk must not fill the terminal with tracebacks


def _thread_ended(how: threading.ExceptHookArgs) -> None:
    """One line, as for everything else. One that was cancelled has no bug: what it served ended under it."""
    name = how.thread.name if how.thread else ""
    if issubclass(how.exc_type, asyncio.CancelledError):
        structlog.get_logger().warning("thread_cancelled", thread=name)
    elif how.exc_value is not None:
        structlog.get_logger().error("thread_failed", thread=name, exc_info=how.exc_value)


class _Role:
    def __init__(self, role: str) -> None:
        self.role = role

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("role", self.role)
        return event


def escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every value printable: control and direction characters as escapes, long values cut. Numbers stay."""
    return {printable(key): _plain(value) for key, value in event.items()}


def printable(text: str) -> str:
    """One line that cannot steer a terminal: what does not print becomes an escape. `LONGEST` at most."""
    if len(text) > LONGEST:
        text = "…" + text[-LONGEST:]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {printable(str(key)): _plain(item) for key, item in value.items()}
    return printable(value if isinstance(value, str) else str(value))


def _renderer(stream: TextIO) -> Any:
    if stream.isatty():
        return structlog.dev.ConsoleRenderer(pad_event_to=24)
    return structlog.processors.JSONRenderer(ensure_ascii=False)
