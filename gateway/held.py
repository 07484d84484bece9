"""The present as a gateway holds it, in memory: what Redis says, and since when each part of it says so.

Every change raises `version`, and each part remembers the version it last changed at. So what a viewer has not seen yet
is a comparison of integers, whenever the viewer comes to ask: nobody's pace matters to anybody else.

Nothing here reads a clock or a socket. Keys are kept as the bytes they came in: what is forwarded is what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

PANES = 180
"""How many minutes of volume a viewer gets to see."""

GRAVES = 4_096
"""How many keys that are gone are remembered; who has missed more starts anew from a snapshot."""

COLUMNS = ("customer_messages", "arrivals", "expected", "low", "high", "version")
QUIET = (0, 0, None, None, None, 0)
"""A pane that nobody wrote: nothing happened in it."""

LISTS = ("agents", "silences", "events", "alerts")

EVERYWHERE = "*"
"""As a tenant of the lists: the stack as a whole, which only those see who see all tenants."""

KeyId = tuple[str, str, str]
"""Tenant, queue, channel."""


class _Topic(msgspec.Struct):
    topic: str


class _Window(msgspec.Struct):
    customer_messages: int = 0


class KeyHead(msgspec.Struct):
    """What the gateway itself reads of a key object of CONTRACT §2; the rest passes through."""

    tenant: str
    queue: str
    channel: str
    windows: dict[str, _Window] = {}
    topics: list[_Topic] | None = None

    @property
    def id(self) -> KeyId:
        return (self.tenant, self.queue, self.channel)

    @property
    def volume(self) -> int:
        """Customer messages of the last 30 minutes."""
        window = self.windows.get("30m")
        return window.customer_messages if window else 0


class Meta(msgspec.Struct):
    """`tw:meta`: what holds for all keys at once."""

    seq: int = 0
    clocks: dict[str, str | None] = {}
    real: str | None = None
    replaying: list[str] = []
    zones: dict[str, str] = {}
    partitions: dict[str, int] = {}
    ingest_lag_ms: int | None = None
    written_at: str | None = None
    labels: dict[str, dict[str, dict[str, str]]] = {}
    parity: dict[str, Any] | None = None
    """When the board and ClickHouse were last compared, how much, and per tenant what differs (`streams.parity`)."""


class Change(msgspec.Struct):
    """One message of `tw:changes`."""

    seq: int
    keys: list[msgspec.Raw] = []
    gone: list[KeyId] = []
    series: list[dict[str, Any]] = []
    lists: dict[str, dict[str, Any]] = {}
    meta: Meta | None = None


decode_change = msgspec.json.Decoder(Change).decode
decode_meta = msgspec.json.Decoder(Meta).decode
decode_head = msgspec.json.Decoder(KeyHead).decode
decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Key(msgspec.Struct):
    """One key object: its bytes as written, and the version it last changed at."""

    head: KeyHead
    raw: bytes
    version: int


class Series(msgspec.Struct):
    """The last panes of one key, column by column, and the version each pane last changed at."""

    start: int
    """Start of the first pane, in minutes since the epoch."""
    columns: dict[str, list[Any]]
    versions: list[int]

    @property
    def end(self) -> int:
        return self.start + len(self.versions)


class Lists(msgspec.Struct):
    """The other lists of one tenant, and the version each last changed at."""

    values: dict[str, list[dict[str, Any]]] = msgspec.field(default_factory=lambda: {name: [] for name in LISTS})
    versions: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(LISTS, 0))


class Held:
    """All of it. `apply` and `load` are the only ways in."""

    def __init__(self) -> None:
        self.version = 0
        self.floor = 0
        """Who has seen less than this needs a snapshot: graves older than it were given up."""
        self.keys: dict[KeyId, Key] = {}
        self.series: dict[KeyId, Series] = {}
        self.gone: dict[KeyId, int] = {}
        self.lists: dict[str, Lists] = {}
        self.meta = Meta()

    def apply(self, change: Change) -> None:
        """Take one change in. Its parts all become visible at once, under one new version."""
        self.version += 1
        for raw in change.keys:
            self._set(bytes(raw).strip())
        for tenant, queue, channel in change.gone:
            self._drop((tenant, queue, channel))
        for part in change.series:
            self._draw((part["tenant"], part["queue"], part["channel"]), part)
        for tenant, lists in change.lists.items():
            self._list(tenant, lists)
        if change.meta is not None:
            self.meta = change.meta
        self._forget()

    def load(
        self, keys: Iterable[bytes], series: Mapping[KeyId, dict[str, Any]], lists: Mapping[str, Any], meta: Meta
    ) -> None:
        """Take the whole present in. Only what differs from what is held counts as changed."""
        self.version += 1
        seen = {self._set(raw.strip()) for raw in keys}
        for lost in self.keys.keys() - seen:
            self._drop(lost)
        for key in self.series.keys() - series.keys():
            del self.series[key]
        for key, part in series.items():
            self._draw(key, part)
        for tenant in self.lists.keys() | lists.keys():
            self._list(tenant, lists.get(tenant) or {name: [] for name in LISTS})
        self.meta = meta
        self._forget()

    def tenants(self) -> set[str]:
        """Every tenant anything is known of; the row of the stack as a whole is none."""
        return ({key[0] for key in self.keys} | self.lists.keys() | self.meta.clocks.keys()) - {EVERYWHERE}

    def _set(self, raw: bytes) -> KeyId:
        head = decode_head(raw)
        held = self.keys.get(head.id)
        if held is None or held.raw != raw:
            self.keys[head.id] = Key(head, raw, self.version)
            self.gone.pop(head.id, None)
        return head.id

    def _drop(self, key: KeyId) -> None:
        if self.keys.pop(key, None) is not None:
            self.gone[key] = self.version
        self.series.pop(key, None)

    def _draw(self, key: KeyId, part: Mapping[str, Any]) -> None:
        run = _run(part, self.version)
        held = self.series.get(key)
        self.series[key] = run if held is None else merged(held, run)

    def _list(self, tenant: str, lists: Mapping[str, Any]) -> None:
        held = self.lists.setdefault(tenant, Lists())
        if lists.get("changed_agents"):
            changed = {agent["agent"]: {"tenant": tenant} | agent for agent in lists["changed_agents"]}
            held.values["agents"] = [changed.get(agent["agent"], agent) for agent in held.values["agents"]]
            held.versions["agents"] = self.version
        for name in LISTS:
            if lists.get(name) is None:
                continue
            value = [{"tenant": tenant} | item for item in lists[name]]
            if value != held.values[name]:
                held.values[name], held.versions[name] = value, self.version

    def _forget(self) -> None:
        while len(self.gone) > GRAVES:
            oldest = next(iter(self.gone))
            self.floor = max(self.floor, self.gone.pop(oldest))


def _run(part: Mapping[str, Any], version: int) -> Series:
    """A run of panes from `from` on. Columns that are absent or short are null there."""
    width = max((len(part.get(name) or ()) for name in COLUMNS), default=0)
    columns = {name: _wide(part.get(name), width) for name in COLUMNS}
    return Series(minute_of(part["from"]), columns, [version] * width)


def _wide(values: Any, width: int) -> list[Any]:
    given = list(values) if isinstance(values, list) else [values] * width if values is not None else []
    return given[:width] + [None] * (width - len(given))


def minute_of(instant: str | int) -> int:
    """Minutes since the epoch of an instant as the feed writes it."""
    if isinstance(instant, int):
        return instant // 60_000
    return int(datetime.fromisoformat(instant).timestamp()) // 60


def merged(held: Series, run: Series) -> Series:
    """`held` with the panes of `run` in it: the last `PANES`. A pane that says the same as before stays unchanged."""
    if not run.versions:
        return held
    end = max(held.end, run.end)
    start = max(min(held.start, run.start), end - PANES)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    versions: list[int] = []
    for minute in range(start, end):
        old, new = _pane(held, minute), _pane(run, minute)
        changed = new is not None and new != old
        pane = (new if changed else old) or QUIET
        for at, name in enumerate(COLUMNS):
            columns[name].append(pane[at])
        versions.append(run.versions[0] if changed or old is None else held.versions[minute - held.start])
    return Series(start, columns, versions)


def completed(series: Series, end: int) -> Series:
    """The 180 panes up to `end` (minutes) at least: what nobody wrote was quiet."""
    end = max(end, series.end)
    panes = [_pane(series, minute) or QUIET for minute in range(end - PANES, end)]
    columns = {name: [pane[at] for pane in panes] for at, name in enumerate(COLUMNS)}
    return Series(end - PANES, columns, [0] * PANES)


def _pane(series: Series, minute: int) -> tuple[Any, ...] | None:
    at = minute - series.start
    return tuple(series.columns[name][at] for name in COLUMNS) if 0 <= at < len(series.versions) else None


def since(series: Series, version: int) -> dict[str, Any] | None:
    """The run of panes that covers all that changed after `version`, as CONTRACT §2 has it; None where nothing did."""
    first = next((at for at, changed in enumerate(series.versions) if changed > version), None)
    if first is None:
        return None
    last = max(at for at, changed in enumerate(series.versions) if changed > version)
    start = datetime.fromtimestamp((series.start + first) * 60, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"from": start, "step_s": 60} | {name: series.columns[name][first : last + 1] for name in COLUMNS}
