"""Changing `events.toml` by command.

The commands change the text of the file, so that everything else in it stays as a person wrote it. The file is replaced
whole or not at all, and by one command at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.calendar_events import KEYS, EventsError, Planned, event_of, local_time, parse, zone_of
from config.lines import key_lines


def add(path: Path, entry: Mapping[str, Any]) -> Planned:
    """Append an event (`name`, `from`, `to`, `factor`, and as wanted `zone`, `match`) to a file; makes the file.

    Raises:
        EventsError: the event or the file is wrong, or cannot be written; the file is as before.
    """
    with _alone(path) as text:
        before = parse(text, str(path))
        if any(event.name == str(entry.get("name", "")).strip() for event in before):
            raise EventsError(
                f"{path}: there is an event {entry['name']!r} already (remove it first, or name it apart)"
            )
        event = event_of(entry, zone_of(text, str(path)))
        whole = f"{text.rstrip()}\n\n{_block(entry)}".lstrip("\n")
        if event not in parse(whole, str(path)):
            raise EventsError(
                f"{path}: cannot be added to by command (allowed: [[event]] tables, and nothing behind them)"
            )
        _replace(path, whole)
    return event


def remove(path: Path, name: str) -> Planned:
    """Take an event out of a file.

    Raises:
        EventsError: there is none of that name, or the file cannot be read or written; it is as before.
    """
    with _alone(path) as text:
        events = parse(text, str(path))
        found = next((event for event in events if event.name == name), None)
        if found is None:
            known = ", ".join(repr(event.name) for event in events[:20]) or "none"
            raise EventsError(f"{path}: there is no event {name!r} (there: {known})")
        left = _without(text, events.index(found))
        if left is None or parse(left, str(path)) != [event for event in events if event is not found]:
            raise EventsError(f"{path}: {name!r} is not a table of its own: take it out by hand")
        _replace(path, left)
    return found


def _without(text: str, index: int) -> str | None:
    """The text without one `[[event]]` table; comments above the next table stay with that."""
    lines, places = text.splitlines(keepends=True), key_lines(text.replace("\r\n", "\n"))
    start = places.get(("event", index))
    if start is None or not lines[start - 1].lstrip().startswith("[["):
        return None
    end = places.get(("event", index + 1), len(lines) + 1)
    while end <= len(lines) and end - 1 > start and _idle(lines[end - 2]):
        end -= 1
    return "".join([*lines[: start - 1], *lines[end - 1 :]])


def _idle(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _block(entry: Mapping[str, Any]) -> str:
    lines = ["[[event]]"]
    for key in KEYS:
        value = entry.get(key)
        if key in ("from", "to"):
            lines.append(f"{key} = {local_time(value).isoformat()}")
        elif isinstance(value, Mapping):
            pairs = ", ".join(f"{name} = {_quoted(pattern)}" for name, pattern in value.items())
            lines += [f"{key} = {{ {pairs} }}"] if value else []
        elif value is not None:
            lines.append(f"{key} = {_quoted(value) if isinstance(value, str) else value}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _alone(path: Path) -> Iterator[str]:
    """The file's text, while no other command changes it."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY)
    except OSError as error:
        raise EventsError(f"{path}: {(error.strerror or 'cannot be used').lower()}: {path.absolute().parent}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise EventsError(f"{path}: cannot be read: {type(error).__name__}") from None
        yield text
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """The file's new text, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if path.exists():
            fresh.chmod(path.stat().st_mode & 0o777)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise EventsError(f"{path}: cannot be written: {(error.strerror or '').lower()}") from None
