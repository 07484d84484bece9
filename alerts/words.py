"""The words of a rule: texts with fields in braces, filled with what an alert knows. Pure.

A field is a bare name: no attribute, no index, no format, so a rules file can reach nothing but what stands here. What
is filled in is never read as a template again.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

FIELDS = ("where", "tenant", "queue", "channel", "topic", "what", "value", "peak", "limit", "usual", "since", "lasted")
"""What a text may name. Numbers come with their unit, names as people know them, instants in the tenant's zone."""


def has_fields(text: str) -> bool:
    """Whether a text is a template."""
    return "{" in text or "}" in text


def checked(text: str) -> str:
    """The text, if it can be filled.

    Raises:
        ValueError: with what is allowed.
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"a brace too many or too few: {error} (allowed: {{field}}, and {{{{ for a brace)") from None
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            raise ValueError(f"there is no field {field!r} (allowed: {', '.join(FIELDS)})")
        if form or conversion:
            raise ValueError(f"{{{field}}} takes no format (allowed: {{{field}}})")
    return text


def filled(text: str, known: Mapping[str, str]) -> str:
    """The text with its fields filled; what is not known is a dash."""
    return "".join(
        literal + ("" if field is None else known.get(field) or "–") for literal, field, _, _ in Formatter().parse(text)
    )
