"""What the gateway says about itself, for Prometheus. Labels come from closed sets, never from what clients send."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.process_collector import ProcessCollector

from streams.events import Event

FIELDS = frozenset(field.name for field in msgspec.structs.fields(Event)) | {"v", "tick"}


class Metrics:
    """Counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.frames = self._counter("frames_total", "Frames that came through the ingest door.")
        self.accepted = self._counter("events_accepted_total", "Events that were accepted, repeats included.")
        self.rejected = self._counter("events_rejected_total", "Events that were rejected, by what was wrong.", "field")
        self.retries = self._counter("frames_retry_total", "Frames that were answered `retry`.")
        self.denied = self._counter("requests_denied_total", "Requests for a socket that were refused.", "status")
        self.closed = self._counter(
            "connections_closed_total", "Connections that ended, by close code.", "door", "code"
        )
        self.cut = self._counter("connections_cut_total", "Connections cut because they do not read.")
        self.connections = self._gauge("connections", "Open connections.", "door")
        self.pending = self._gauge("pending_bytes", "Accepted and not yet safe.")
        self.differs = self._counter("receipts_differ_total", "Receipts whose number was another when reckoned anew.")
        self.loop_lag = self._gauge("loop_lag_seconds", "How late the loop last got to what was due.")
        self.position = self._gauge("journal_position", "Last position that is safe in the journal.")
        self.fed = self._gauge("journal_fed_position", "Position up to which the broker has the journal.")

    def refused(self, error: str) -> None:
        """Count a rejection under the field it names."""
        name = error.partition(":")[0]
        self.rejected.labels(field=name if name in FIELDS else "json").inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"tidewatch_gateway_{name}", says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(f"tidewatch_gateway_{name}", says, labels, registry=self.registry)
