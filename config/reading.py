"""From a file and an environment to `Settings`, or to one line that says where it is wrong, how, and what is allowed.

Types are taken at their word: `"60"` is no number and `true` is not 1, so nothing is guessed. What a secret or an
address says never enters a message.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.lines import key_lines
from config.settings import Settings, SettingsError

PREFIX = "TIDEWATCH_"
NOT_SETTINGS = {
    "TIDEWATCH_CONFIG", "TIDEWATCH_KEY", "TIDEWATCH_ALIVE", "TIDEWATCH_REQUIRE", "TIDEWATCH_CRASH_AT", "TIDEWATCH_TEST",
    "TIDEWATCH_PURE",
}  # fmt: skip
"""The settings file itself, the token that `replay` uses, a health check's file, what only tests set, and what leaves
alone what is compiled (`streams.native`)."""
_OF_KUBERNETES = re.compile(r"\w+_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=.*|PORT(_\d+_\w+)?=\w+://.*|PORT_\d+_\w+=.*)")
"""Kubernetes puts these into every pod beside a service of our name; they are not meant for us."""
_HIDDEN = {"secret", "password", "url", "app_token", "signing_secret"}

Loc = tuple[str | int, ...]
Tree = dict[str, Any]


@dataclass
class _Origin:
    """Where each key came from, for messages."""

    file: str = ""
    lines: dict[Loc, int] = field(default_factory=dict)
    variables: dict[Loc, str] = field(default_factory=dict)

    def given_at(self, loc: Loc) -> Loc:
        """What a tenant has from the defaults is wrong there."""
        known = self.lines.keys() | self.variables.keys()
        above: Loc = ("defaults", *loc[2:])
        return above if loc[:1] == ("tenants",) and loc not in known and above in known else loc

    def place(self, loc: Loc) -> tuple[int, str]:
        """Line (0: none) and the words a message begins with."""
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
        for end in range(len(loc), 0, -1):
            if loc[:end] in self.variables:
                name = self.variables[loc[:end]]
                return 0, name if end == len(loc) else f"{name}: {dotted}"
            if loc[:end] in self.lines:
                return self.lines[loc[:end]], f"{self.file}:{self.lines[loc[:end]]}: {dotted}"
        return 0, f"{self.file}: {dotted}" if self.file and dotted else dotted or self.file or "settings"


def read(file: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. `TIDEWATCH_CONFIG` names the file where `file` does not.

    Raises:
        SettingsError: one line, see the module.
    """
    environ = os.environ if environ is None else environ
    if file is None and environ.get("TIDEWATCH_CONFIG"):
        file = Path(environ["TIDEWATCH_CONFIG"])
    origin = _Origin()
    tree = _file_tree(file, origin) if file else {}
    _overlay(tree, environ, origin)
    _inherit(tree)
    try:
        return Settings.model_validate_json(json.dumps(tree, default=_plain), strict=True)
    except ValidationError as wrong:
        raise SettingsError(_line(wrong, origin)) from None


def _file_tree(file: Path, origin: _Origin) -> Tree:
    origin.file = str(file)
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such file") from None
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}:{line}: not UTF-8") from None
    tree = _parsed(text, file)
    origin.lines = key_lines(text.replace("\r\n", "\n"))
    for key in ("rules", "events", "boards", "data"):
        if isinstance(tree.get(key), str):
            tree[key] = str(file.absolute().parent / tree[key])
    return tree


def _parsed(text: str, file: Path) -> Tree:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{file}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
        line = int(said[2]) if said and said[2] else text.count("\n") + 1
        problem = said[1] if said else "a number is too long"
        raise SettingsError(f"{file}:{line}: not valid TOML: {problem}") from None


def _plain(value: datetime | date | time) -> str:
    return value.isoformat()


# The environment


def _overlay(tree: Tree, environ: Mapping[str, str], origin: _Origin) -> None:
    """Put every `TIDEWATCH_…` variable over what the file says."""
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        loc = tuple(name.removeprefix(PREFIX).lower().split("__"))
        kind = _kind_at(loc)
        if kind is None:
            if _OF_KUBERNETES.fullmatch(f"{name}={environ[name]}"):
                continue
            raise SettingsError(f"{name}: there is no such setting{_nearest(name, list(_variables()))}")
        origin.variables[loc] = name
        inner = tree
        for part in loc[:-1]:
            if not isinstance(inner.get(part), dict):
                inner[part] = {}
            inner = inner[part]
        inner[loc[-1]] = environ[name] if _is_text(kind) else _from_json(environ[name])


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # validation says what it should have been


def _kind_at(loc: tuple[str, ...]) -> Any:
    """The annotation of the setting at a path; None: there is none."""
    kind: Any = Settings
    for part in loc:
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {entry.alias or key: entry for key, entry in kind.model_fields.items()}
            if part not in fields:
                return None
            kind = fields[part].annotation
        elif get_origin(kind) is dict and part:
            kind = get_args(kind)[1]
        else:
            return None
    return kind


def _bare(kind: Any) -> Any:
    """An annotation without `Annotated` and `| None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next(arg for arg in get_args(kind) if arg is not type(None))
        else:
            return kind


def _is_text(kind: Any) -> bool:
    kind = _bare(kind)
    numbers = (int, float, bool)
    return not (kind in numbers or get_origin(kind) in (dict, list, tuple) or _is_model(kind))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _variables(kind: Any = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """The names of all variables, for suggestions."""
    for key, entry in kind.model_fields.items():
        name = prefix + (entry.alias or key).upper()
        inner = _bare(entry.annotation)
        yield name
        if _is_model(inner):
            yield from _variables(inner, f"{name}__")


def _inherit(tree: Tree) -> None:
    """Lay every tenant's keys over the defaults'; their queues one by one."""
    defaults, tenants = tree.get("defaults"), tree.get("tenants")
    if not isinstance(defaults, dict) or not isinstance(tenants, dict):
        return
    for name, own in tenants.items():
        if isinstance(own, dict):
            merged = {**defaults, **own}
            if isinstance(defaults.get("queues"), dict) and isinstance(own.get("queues"), dict):
                merged["queues"] = _by_queue(defaults["queues"], own["queues"])
            tenants[name] = merged


def _by_queue(defaults: Tree, own: Tree) -> Tree:
    both = {name for name in own if isinstance(own[name], dict) and isinstance(defaults.get(name), dict)}
    return {**defaults, **own, **{name: {**defaults[name], **own[name]} for name in both}}


# What is wrong with it


def _line(wrong: ValidationError, origin: _Origin) -> str:
    """The first thing that is wrong, as one line."""
    found = set()
    for error in wrong.errors(include_url=False, include_context=True):
        loc: Loc = tuple(part for part in error["loc"] if part != "[key]")
        problem = _problem(error, loc)
        if not loc and error["type"] == "value_error":
            head, _, problem = problem.partition(": ")
            loc = tuple(int(part) if part.isdigit() else part for part in head.split("."))
        line, place = origin.place(origin.given_at(loc))
        found.add((line, f"{place}: {problem}"))
    text = min(found)[1]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return _printable(text) + more


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of ordinary size",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list of two",
    "dict_type": "a table",
    "model_type": "a table",
    "date_type": "a date such as 2026-10-01",
    "date_parsing": "a date such as 2026-10-01",
    "date_from_datetime_parsing": "a date such as 2026-10-01",
    "date_from_datetime_inexact": "a date without a time",
    "datetime_type": "an instant such as 2026-01-01T00:00:00+08:00",
    "datetime_parsing": "an instant such as 2026-01-01T00:00:00+08:00",
    "datetime_from_date_parsing": "an instant such as 2026-01-01T00:00:00+08:00",
    "too_long": "shorter",
    "missing": "a second item",
}


def _problem(error: ErrorDetails, loc: Loc) -> str:
    limits = error.get("ctx", {})
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limit = next((f"must be {sign} {limits[key]:,.12g}" for key, sign in signs.items() if key in limits), None)
    match error["type"]:
        case "extra_forbidden":
            allowed = _allowed_beside(loc)
            return f"there is no such setting{_nearest(str(loc[-1]), allowed)}"
        case "missing" if isinstance(loc[-1], str):
            return "is missing"
        case "value_error":
            return str(limits["error"])
        case "literal_error":
            return f"must be one of {limits['expected']}{_got(error, loc)}"
        case "string_too_short" | "string_too_long":
            return f"must have {limits.get('min_length', 0)} to {limits.get('max_length', 64)} characters"
        case kind if kind in _WANTED:
            return f"must be {_WANTED[kind]}{_got(error, loc)}"
        case _ if limit:
            return limit + _got(error, loc)
        case _:
            return error["msg"][:1].lower() + error["msg"][1:]


def _got(error: ErrorDetails, loc: Loc) -> str:
    value = error["input"]
    if any(part in _HIDDEN for part in loc) or value is None:
        return ""
    if isinstance(value, dict):
        return " (got a table)"
    if isinstance(value, list):
        return " (got a list)"
    said = json.dumps(value, ensure_ascii=False)
    return f" (got {said if len(said) <= 40 else 'something longer'})"


def _allowed_beside(loc: Loc) -> list[str]:
    """The keys that a table may have."""
    kind: Any = Settings
    for part in loc[:-1]:
        kind = _bare(kind)
        if _is_model(kind):
            kind = {entry.alias or key: entry for key, entry in kind.model_fields.items()}[str(part)].annotation
        else:
            kind = get_args(kind)[-1]
    return [entry.alias or key for key, entry in _bare(kind).model_fields.items()]


def _nearest(name: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (allowed: {', '.join(allowed)})" if len(allowed) <= 24 else ""
