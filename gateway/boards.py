"""The boards of the teams: TOML files in one directory, read when they change, written whole or not at all.

    DIR/billing.toml            everybody's
    DIR/t-acme/billing.toml     of the tenant `acme`, and of nobody else

A file that cannot be used is left out and said (`problems`); the others go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from streams.metrics import CATALOGUE, Place

TILES = ("backlog", "oldest", "frt", "sl", "abandon", "csat", "slots", "tide", "topics", "sentiment")
"""Tiles of BOARD §3, by the names they have there."""
RIBBONS = ("queues", "topics", "agents")
METRICS = tuple(name for name, metric in CATALOGUE.items() if metric.place in (Place.GAUGE, Place.WINDOW, Place.VOLUME))
"""What thresholds and columns may name: every number of a key."""
MOST_BOARDS, MOST_LIST, MOST_BYTES = 200, 64, 64 << 10
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_FIELDS = ("title", "tiles", "queues", "channels", "table", "rotate", "thresholds")
_LEVELS = ("near", "warning", "critical")


class Unusable(Exception):
    """A board that cannot be. The message names what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board."""

    name: str
    tenant: str | None
    """Whose; None: everybody's."""
    version: str
    body: Mapping[str, Any]

    def told(self) -> dict[str, Any]:
        """As `/v1/boards/NAME` has it."""
        return {"name": self.name, "tenant": self.tenant, "version": self.version, **self.body}


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a board says, with its defaults.

    Raises:
        Unusable: a name, a field, a tile, a metric or a number that is not allowed.
    """
    if not _NAME.fullmatch(name):
        raise Unusable(f"name: {name[:64]!r} (allowed: up to 64 letters a to z, digits and -)")
    for field in given:
        if field not in _FIELDS:
            raise Unusable(f"{str(field)[:64]!r}: not known in a board (allowed: {', '.join(_FIELDS)})")
    return {
        "title": _title(given.get("title"), name),
        "tiles": _choices(given.get("tiles", TILES[:6]), "tiles", TILES),
        "queues": _patterns(given.get("queues", ["*"]), "queues"),
        "channels": _patterns(given.get("channels", ["*"]), "channels"),
        "table": _choices(given.get("table", []), "table", METRICS),
        "rotate": _rotate(given.get("rotate", {})),
        "thresholds": [
            _threshold(one, at) for at, one in enumerate(_list(given.get("thresholds", []), "thresholds"), 1)
        ],
    }


def _title(value: Any, name: str) -> dict[str, str]:
    if value is None:
        return {"zh": name, "en": name}
    good = isinstance(value, Mapping) and set(value) == {"zh", "en"}
    if not good or not all(
        isinstance(text, str) and 0 < len(text) <= 80 and text.isprintable() for text in value.values()
    ):
        raise Unusable("title: zh and en are expected, 1 to 80 characters each")
    return dict(value)


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > MOST_LIST:
        raise Unusable(f"{field}: a list of at most {MOST_LIST} is expected")
    return list(value)


def _choices(value: Any, field: str, allowed: tuple[str, ...]) -> list[str]:
    found = _list(value, field)
    for one in found:
        if one not in allowed:
            raise Unusable(f"{field}: {str(one)[:64]!r} is not known (allowed: {', '.join(allowed)})")
    if len(set(found)) < len(found):
        raise Unusable(f"{field}: each once")
    return found


def _patterns(value: Any, field: str) -> list[str]:
    found = _list(value, field)
    if not found or not all(isinstance(one, str) and 0 < len(one) <= 128 and one.isprintable() for one in found):
        raise Unusable(f'{field}: a list of patterns is expected, such as ["billing*"]; ["*"] is all')
    return found


def _rotate(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) - {"every_s", "ribbons"}:
        raise Unusable("rotate: every_s and ribbons are expected")
    every = value.get("every_s", 12)
    if isinstance(every, bool) or not isinstance(every, int) or not 0 <= every <= 3_600:
        raise Unusable("rotate.every_s: whole seconds from 0 (it stands still) to 3600")
    return {"every_s": every, "ribbons": _choices(value.get("ribbons", RIBBONS), "rotate.ribbons", RIBBONS)}


def _threshold(value: Any, number: int) -> dict[str, Any]:
    at = f"thresholds {number}"
    if not isinstance(value, Mapping) or set(value) - {"metric", "queue", "channel", "min_n", *_LEVELS}:
        raise Unusable(f"{at}: metric, queue, channel, near, warning, critical and min_n are known")
    metric = value.get("metric")
    if metric not in METRICS:
        raise Unusable(f"{at}: {str(metric)[:64]!r} is not a metric (allowed: {', '.join(METRICS)})")
    levels = {name: _number(value.get(name), f"{at}: {name}") for name in _LEVELS}
    given = [level for level in levels.values() if level is not None]
    if not given or (given != sorted(given) and given != sorted(given, reverse=True)):
        raise Unusable(f"{at}: near, warning and critical rise or fall in this order, and one of them is needed")
    least = value.get("min_n", 0)
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise Unusable(f"{at}: min_n is a whole number from 0")
    scope = {name: _pattern(value.get(name, "*"), f"{at}: {name}") for name in ("queue", "channel")}
    return {"metric": metric, **scope, **levels, "min_n": least}


def _number(value: Any, at: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise Unusable(f"{at} is a number, in the metric's unit")
    return value


def _pattern(value: Any, at: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 128 or not value.isprintable():
        raise Unusable(f"{at} is a pattern, such as billing*")
    return value


def written(body: Mapping[str, Any]) -> str:
    """A board as TOML."""
    lines = ["# A board of Tidewatch; docs/api.md says what may stand here. The page writes it whole.\n"]
    for name, value in body.items():
        if name != "thresholds":
            lines.append(f"{name} = {_toml(value)}")
    for one in body.get("thresholds", ()):
        lines.append("\n[[thresholds]]")
        lines += [f"{name} = {_toml(value)}" for name, value in one.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Boards:
    """The files. Reading looks at what has changed only."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._known: dict[Path, tuple[tuple[int, int], Board | str]] = {}

    def all_of(self, tenant: str) -> tuple[list[Board], list[str]]:
        """The boards that a tenant (`*`: any) may see, by name; and what is wrong with files that cannot be used."""
        found = [self._read(file, whose) for file, whose in self._of(tenant)]
        boards = [one for one in found if isinstance(one, Board)]
        return sorted(boards, key=lambda one: (one.name, one.tenant or "")), [
            one for one in found if isinstance(one, str)
        ]

    def one(self, name: str, tenant: str) -> Board | None:
        """The board of a name: the tenant's own before everybody's."""
        named = [board for board in self.all_of(tenant)[0] if board.name == name]
        return next((board for board in named if board.tenant is not None), named[0] if named else None)

    def fault(self, name: str, tenant: str) -> str | None:
        """What is wrong with the file of a name, the tenant's own before everybody's; None: nothing, or no file."""
        read = [self._read(file, whose) for file, whose in reversed(self._of(tenant)) if file.stem == name]
        return next((one for one in read if isinstance(one, str)), None)

    def save(self, name: str, tenant: str | None, given: Mapping[str, Any], version: str | None) -> Board:
        """Write a board; safe on disk on return. `version`: of the one that was changed; None: a new one.

        Raises:
            Unusable: it cannot be, or somebody else has changed it since.
        """
        body = checked(name, given)
        file = self._file(name, tenant)
        self._same(file, tenant, version)
        if version is None and len(list(self._files())) >= MOST_BOARDS:
            raise Unusable(f"there are {MOST_BOARDS} boards already: remove one first")
        text = written(body)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(file, text)
        return Board(name, tenant, _digest(text.encode()), body)

    def remove(self, name: str, tenant: str | None, version: str | None) -> None:
        """Delete a board.

        Raises:
            Unusable: there is none, or somebody else has changed it since.
        """
        file = self._file(name, tenant)
        if not file.exists():
            raise Unusable("there is no such board")
        self._same(file, tenant, version)
        file.unlink()

    def _same(self, file: Path, tenant: str | None, version: str | None) -> None:
        held = self._read(file, tenant) if file.exists() else None
        now = held.version if isinstance(held, Board) else None
        if now != version and not isinstance(held, str):
            raise Unusable(
                "somebody else has saved it since: load it again" if now else "there is no such board any more"
            )

    def _file(self, name: str, tenant: str | None) -> Path:
        if self.directory is None:
            raise Unusable("this gateway has no directory of boards: set boards in tidewatch.toml")
        if not _NAME.fullmatch(name):
            raise Unusable(f"name: {name[:64]!r} (allowed: up to 64 letters a to z, digits and -)")
        return (self.directory if tenant is None else self.directory / f"t-{quote(tenant, safe='')}") / f"{name}.toml"

    def _files(self) -> list[tuple[Path, str | None]]:
        if self.directory is None or not self.directory.is_dir():
            return []
        own = [(file, None) for file in sorted(self.directory.glob("*.toml"))]
        theirs = [(file, unquote(file.parent.name[2:])) for file in sorted(self.directory.glob("t-*/*.toml"))]
        return [*own, *theirs][: 2 * MOST_BOARDS]

    def _of(self, tenant: str) -> list[tuple[Path, str | None]]:
        """The files that a tenant (`*`: any) may see, everybody's first."""
        return [(file, whose) for file, whose in self._files() if whose is None or tenant in ("*", whose)]

    def _read(self, file: Path, tenant: str | None) -> Board | str:
        """The board of a file, or what is wrong with it."""
        try:
            status = file.stat()
            seen = (status.st_mtime_ns, status.st_size)
            known = self._known.get(file)
            if known is None or known[0] != seen:
                known = self._known[file] = (seen, _parsed(file, tenant))
            return known[1]
        except OSError as error:
            return f"{file.name}: cannot be read ({type(error).__name__})"


def _parsed(file: Path, tenant: str | None) -> Board | str:
    raw = file.read_bytes()
    if len(raw) > MOST_BYTES:
        return f"{file.name}: longer than {MOST_BYTES} bytes"
    try:
        return Board(file.stem, tenant, _digest(raw), checked(file.stem, tomllib.loads(raw.decode())))
    except (Unusable, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return f"{file.name}: {error}"


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


def _replace(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
