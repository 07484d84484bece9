"""Every topic and how many partitions it has: the same on the embedded broker and on a Kafka, whoever makes it."""

from __future__ import annotations

from streams.events import ALERTS, COMMANDS, EVENTS, READINGS

LABELS = "chat.labels"
USUAL = "chat.usual"
"""What the model of volume says about each minute (`streams.usual_row`)."""


def topics(partitions: int) -> dict[str, int]:
    """Topic → partitions, where the settings say `kafka.partitions = partitions`."""
    return {EVENTS: partitions, READINGS: partitions, ALERTS: 1, COMMANDS: 1, LABELS: 1, USUAL: 1}
