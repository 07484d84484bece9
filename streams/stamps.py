"""What is read out of a customer's words is stamped on the event, once: at the gateway, where the text was masked.

A foreign producer's event has no stamps; the worker reads it then, by the same function.
"""

from __future__ import annotations

from streams.events import Event


def unread(event: Event) -> bool:
    """Whether it is a customer's public text that nobody has read yet."""
    return (
        event.author == "customer"
        and event.sentiment is None
        and event.kind == "message"
        and not event.private
        and bool(event.text)
        and event.type in {None, "text"}
    )


def stamp(event: Event) -> None:
    """Read the text of an event that is unread. The same text gives the same stamps, here and everywhere."""
    if unread(event):
        from models.words import read

        keywords, event.sentiment = read(event.text or "")
        event.keywords = tuple(keywords)
