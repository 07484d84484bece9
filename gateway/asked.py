"""What a URL asks, read by the table of routes: every name known, every value within its bounds, or why not. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from gateway.instants import END_MS, FIRST_MS, instant
from gateway.routes import Parameter, Route

_MOST_QUERY = 8_192
_MOST_NAMES = 120
"""Names that an error lists."""


class Wrong(Exception):
    """The question cannot be answered. `mend`: what to do about it; `status`: 400, 403, 404 or 409."""

    def __init__(self, error: str, mend: str, status: int = 400) -> None:
        super().__init__(error)
        self.mend = mend
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read."""

    route: Route
    part: str = ""
    """What stands for the variable part of the path."""
    values: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    """What was said, and the defaults; instants in ms."""

    def text(self, name: str) -> str:
        """A text that was said, or is the default."""
        return str(self.values[name])

    def whole(self, name: str) -> int:
        """A whole number, or an instant in ms."""
        value = self.values[name]
        return value if isinstance(value, int) else 0

    def texts(self, name: str) -> list[str]:
        """The choices that were made."""
        value = self.values[name]
        return value if isinstance(value, list) else [str(value)]

    def maybe(self, name: str) -> str | None:
        """A text; None: not said."""
        value = self.values.get(name)
        return None if value is None else str(value)

    def maybe_ms(self, name: str) -> int | None:
        """An instant or a whole number; None: not said."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None


def read(route: Route, part: str, query: str) -> Asked:
    """The question that a URL asks.

    Raises:
        Wrong: an unknown name, one that is said twice, a value out of its bounds, or one that is missing.
    """
    if len(query) > _MOST_QUERY:
        raise Wrong(f"the question is longer than {_MOST_QUERY} characters", "ask for less")
    known = {one.name: one for one in route.parameters}
    said: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=64)
    except ValueError:
        raise Wrong("the part behind ? cannot be read", "write name=value, joined with &, percent-encoded") from None
    for name, value in pairs:
        if name not in known:
            raise Wrong(f"{_shown(name)}: not known here", f"allowed: {', '.join(known) or 'nothing'}")
        if name in said:
            raise Wrong(f"{name}: said twice", "say it once")
        said[name] = value
    values = {name: _value(one, said[name]) for name, one in known.items() if name in said}
    for one in route.parameters:
        if one.name not in values and one.required:
            raise Wrong(f"{one.name}: missing", f"say {one.name}=…: {one.says}")
        if one.name not in values and one.default is not None:
            values[one.name] = one.default
    return Asked(route, part, values)


def _value(one: Parameter, text: str) -> str | int | list[str]:
    match one.kind:
        case "whole":
            if not (text.isascii() and text.isdigit() and one.least <= int(text[:20]) <= one.most):
                raise Wrong(f"{one.name}: {_shown(text)}", f"a whole number from {one.least} to {one.most}")
            return int(text)
        case "instant":
            return _instant(one.name, text)
        case "choice":
            return _choice(one, text)
        case "choices":
            names = [_choice(one, name) for name in text.split(",")]
            if len(names) > one.most or len(set(names)) < len(names):
                raise Wrong(f"{one.name}: {len(names)} of them", f"up to {one.most}, each once")
            return names
        case _:
            if not one.least <= len(text) <= one.most or any(character < " " for character in text):
                raise Wrong(f"{one.name}: {_shown(text)}", f"{one.least} to {one.most} characters, none of control")
            return text


def _instant(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and FIRST_MS <= int(text[:20]) < END_MS:
        return int(text)
    found = instant(text)
    if isinstance(found, str):
        raise Wrong(
            f"{name}: {_shown(text)}", "RFC 3339 with offset such as 2026-11-21T10:00:00Z, or ms since the epoch"
        )
    return found


def _choice(one: Parameter, text: str) -> str:
    if text not in one.allowed:
        names = one.allowed[:_MOST_NAMES]
        more = f", and {len(one.allowed) - len(names)} more: /v1/keys" if len(one.allowed) > len(names) else ""
        raise Wrong(f"{one.name}: {_shown(text)} is not known", f"allowed: {', '.join(names)}{more}")
    return text


def _shown(text: str) -> str:
    """What a stranger wrote, short enough to be said back."""
    return repr(text if len(text) <= 64 else text[:63] + "…")


def whose(given: str | None, token: str, known: Collection[str]) -> str:
    """The tenant that a question is about.

    Raises:
        Wrong: another tenant's, which is as unknown as one that never was; or it must be said.
    """
    if token != "*":  # noqa: S105 - the tenant of a token, no secret
        if given in (None, token):
            return token
        raise Wrong("there is no such tenant", "leave tenant out, or ask for your own", 404)
    if given is not None:
        if given in known:
            return given
        raise Wrong("there is no such tenant", "ask /v1/keys which there are", 404)
    if len(known) == 1:
        return next(iter(known))
    raise Wrong("tenant: missing", "say whose; /v1/keys lists the tenants")
