"""One event, one line, whatever is in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog

from config.logs import configure, printable

NASTY = [
    'a\nb\r\n{"event": "fake"}',
    "\x1b[31mred\x1b[0m",
    "%s {} %(name)s",
    "x\u2028y\u202ez",
    "\x00",
    "\ud800",
    "长" * 9000,
]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where the events of this test go; afterwards logging is as it was."""
    before, hook = (logging.getLogger().handlers[:], logging.getLogger().level), threading.excepthook
    stream = io.StringIO()
    configure("tester", "info", stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    threading.excepthook = hook
    logging.getLogger().handlers[:], logging.getLogger().level = before


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nothing_breaks_a_line(text: str, out: io.StringIO) -> None:
    configure("tester", "info", out)  # again: the runner's own handler, which came since, keeps texts as they are
    structlog.get_logger().info("odd", text=text, many={text: [text, 1]})
    logging.getLogger("some.package").warning("said %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger().exception("failed")
    assert [line["role"] for line in lines(out)] == ["tester"] * 3
    assert all(line.isprintable() and len(line) < 30_000 for line in out.getvalue().split("\n"))


def test_an_event_has_its_time_in_utc_its_level_and_its_keys(out: io.StringIO) -> None:
    structlog.get_logger().warning("queue_full", queue="billing", waiting=3, share=None)
    (line,) = lines(out)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "queue_full", "level": "warning", "role": "tester", "queue": "billing", "waiting": 3, "share": None,
    }  # fmt: skip


def test_talkative_libraries_are_heard_from_warning_on(out: io.StringIO) -> None:
    logging.getLogger("faust.worker").info("hello")
    logging.getLogger("aiokafka.conn").error("lost")
    structlog.get_logger().debug("unseen")
    assert [line["event"] for line in lines(out)] == ["lost"]


def test_what_is_printable_twice_is_printable_once() -> None:
    for text in NASTY:
        assert printable(printable(text)) == printable(text) or len(text) > 4000


@pytest.mark.parametrize(
    ("error", "event"), [(asyncio.CancelledError(), "thread_cancelled"), (ZeroDivisionError("x\ny"), "thread_failed")]
)
def test_a_thread_that_ends_of_an_error_says_so_in_one_line(out: io.StringIO, error: BaseException, event: str) -> None:
    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail, name="reader")
    thread.start()
    thread.join()
    (line,) = lines(out)
    assert (line["event"], line["thread"]) == (event, "reader")
    assert ("exception" in line) == (event == "thread_failed"), "a traceback where there is a bug"
