"""Every topic and how many partitions it has: the same on the embedded broker and on a Kafka, whoever makes it."""

from __future__ import annotations

from streams.events import ALERTS, COMMANDS, EVENTS, READINGS

LABELS = "chat.labels"
USUAL = "chat.usual"
"""What the model of volume says about each minute (`streams.usual_row`)."""


class WrongPartitions(RuntimeError):
    """A topic has not as many partitions as the settings say. The message is one line with the mend."""


def need_partitions(topic: str, found: int, wanted: int) -> None:
    """A conversation's partition must not move: they are fixed when the topic is made.

    Raises:
        WrongPartitions: it has more, or fewer.
    """
    if found != wanted:
        raise WrongPartitions(
            f"topic {topic} has {found} partitions, and {wanted} belong there: set kafka.partitions as it was when the "
            "topics were made, or make the topic anew"
        )


def topics(partitions: int) -> dict[str, int]:
    """Topic → partitions, where the settings say `kafka.partitions = partitions`."""
    return {EVENTS: partitions, READINGS: partitions, ALERTS: 1, COMMANDS: 1, LABELS: 1, USUAL: 1}
