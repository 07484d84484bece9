"""What a viewer is sent (CONTRACT §2, Live): the present, cut to a tenant, as a snapshot or as what changed since.

    held ──► Feed(scope) ──► frame(since) ──► bytes, version        one Feed for all viewers with the same scope

A viewer remembers one integer, the version it was sent last. A slow one comes back later with an old integer and gets
everything since in one frame: newer states in place of older ones. Frames are built once for all who ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.held import LISTS, Held, KeyHead, KeyId, Lists, completed, decode_object, minute_of, since

EVERY = "*"
"""As a tenant: all of them."""

MOST = 60
"""A viewer that has not said what it watches gets the history of this many keys, those with most volume."""

_RESELECT_MS = 10_000
"""How long that choice stands: keys that pass each other must not be sent whole, back and forth."""

RIGHTS: dict[str, tuple[str, ...]] = {
    "viewer": (),
    "supervisor": ("ack", "silence", "drill"),
    "analyst": ("drill",),
    "admin": ("ack", "silence", "drill", "admin"),
}
"""What each role may do on the board. Other roles may not open it."""

PIECE = 64 * 1024
"""Bytes of a frame that are given to a connection at once."""

Pieces = tuple[bytes, ...]

_SHARED_MS = 200
"""A frame that was built this recently, of the same versions, is good for the next viewer too."""

_encode = msgspec.json.encode


@dataclass(frozen=True)
class Scope:
    """Whose numbers, and whose history among them. None: not said."""

    tenant: str
    queues: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    reads: bool = True
    """Whether samples of what customers wrote are shown."""

    @property
    def asked(self) -> bool:
        """Whether the viewer has said what it watches."""
        return self.queues is not None or self.channels is not None

    def sees(self, tenant: str) -> bool:
        return self.tenant in (EVERY, tenant)

    def watches(self, key: KeyId) -> bool:
        """Whether a viewer that has said what it watches gets this key's history."""
        return (self.queues is None or key[1] in self.queues) and (self.channels is None or key[2] in self.channels)


@dataclass(frozen=True)
class Now:
    """What a frame says beside the numbers: the moment it is made, and whether the numbers can be trusted."""

    ms: int
    stale: str | None = None


def rights(roles: Iterable[str]) -> list[str]:
    """What these roles may do, in the contract's order."""
    may = {right for role in roles for right in RIGHTS.get(role, ())}
    return [right for right in RIGHTS["admin"] if right in may]


def unread(raw: bytes) -> bytes:
    """A key object without what customers wrote."""
    return _encode(decode_object(raw) | {"samples": []}) if b'"samples"' in raw else raw


def instant(ms: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signed(snapshot: Pieces, sub: str, tenant: str, roles: Iterable[str]) -> Pieces:
    """A snapshot with who looks at it, whose token that is, and what they may do: what viewers do not share."""
    viewer = {"sub": sub, "tenant": tenant, "roles": sorted(roles), "can": rights(roles)}
    return *snapshot[:-1], snapshot[-1][:-1] + b"," + _field("viewer", viewer) + b"}"


def pieces(frame: bytes) -> Pieces:
    """A frame in pieces, each made once for all who get it."""
    return tuple(frame[start : start + PIECE] for start in range(0, len(frame), PIECE))


class Feed:
    """Builds the frames of one scope. Keeps only which keys' history it sends, and since which version."""

    def __init__(self, scope: Scope, zone: str, labels: dict[str, dict[str, dict[str, str]]]) -> None:
        self._scope = scope
        self._zone = zone
        self._given = labels
        self._watched: dict[KeyId, int] = {}
        self._chosen_ms: int | None = None
        self._labels: dict[str, dict[str, dict[str, str]]] = {}
        self._labels_version = 0
        self._seen = -1

    @property
    def tenant(self) -> str:
        """Whose numbers; `*`: everybody's."""
        return self._scope.tenant

    def snapshot(self, held: Held, now: Now) -> bytes:
        """Everything, and 180 panes of what is watched; all but the `viewer`, which `signed` adds."""
        self._look(held, now)
        parts = [_field("kind", "snapshot"), *self._head(held, now), _field("labels", self._labels)]
        parts.append(b'"keys":[' + b",".join(self._keys(held, -1, -1)) + b"]")
        parts += [_field(name, self._list(held, name)) for name in LISTS]
        return b"{" + b",".join(parts) + b"}"

    def delta(self, held: Held, now: Now, version: int, whole: bool = False) -> bytes:
        """What changed after `version`: changed keys whole, changed lists whole, changed panes.

        `whole`: all panes of what is watched, for a viewer that watches other keys than in its last frame.
        """
        self._look(held, now)
        watched = self._keys(held, version, -1 if whole else version)
        parts = [_field("kind", "delta"), *self._head(held, now)]
        if self._labels_version > version:
            parts.append(_field("labels", self._labels))
        parts.append(b'"keys":[' + b",".join((*watched, *self._gone(held, version))) + b"]")
        parts += [_field(name, self._list(held, name)) for name in LISTS if self._listed(held, name, version)]
        return b"{" + b",".join(parts) + b"}"

    def _look(self, held: Held, now: Now) -> None:
        """Notice what is new in `held`: which keys' history to send, which labels to know."""
        if self._seen == held.version:
            return
        self._seen = held.version
        heads = [key.head for id_, key in held.keys.items() if self._scope.sees(id_[0])]
        self._watch(heads, held.version, now.ms)
        labels = self._known(heads, held)
        if labels != self._labels:
            self._labels, self._labels_version = labels, held.version

    def _watch(self, heads: list[KeyHead], version: int, now_ms: int) -> None:
        if self._scope.asked:
            chosen = {head.id for head in heads if self._scope.watches(head.id)}
        elif self._chosen_ms is None or len(self._watched) < MOST or now_ms - self._chosen_ms >= _RESELECT_MS:
            most = sorted(heads, key=lambda head: (-head.volume, head.id))[:MOST]
            chosen, self._chosen_ms = {head.id for head in most}, now_ms
        else:
            chosen = {head.id for head in heads if head.id in self._watched}
        self._watched = {key: self._watched.get(key, version) for key in chosen}

    def _keys(self, held: Held, version: int, panes_version: int) -> Iterator[bytes]:
        for id_, key in held.keys.items():
            if not self._scope.sees(id_[0]):
                continue
            panes = self._panes(held, id_, panes_version)
            if key.version > version or panes is not None:
                raw = key.raw if self._scope.reads else unread(key.raw)
                yield raw[:-1] + b',"series":' + (_encode(panes) if panes else b"null") + b"}"

    def _panes(self, held: Held, key: KeyId, version: int) -> dict[str, Any] | None:
        watched, series = self._watched.get(key), held.series.get(key)
        if watched is None or series is None:
            return None
        if version >= watched:
            return since(series, version)
        as_of = self._clock(held, key[0])
        return since(completed(series, minute_of(as_of) + 1 if as_of else series.end), -1)

    def _gone(self, held: Held, version: int) -> Iterator[bytes]:
        for (tenant, queue, channel), gone in held.gone.items():
            if gone > version and self._scope.sees(tenant):
                yield _encode({"tenant": tenant, "queue": queue, "channel": channel, "gone": True})

    def _lists(self, held: Held) -> Iterator[Lists]:
        return (lists for tenant, lists in sorted(held.lists.items()) if self._scope.sees(tenant))

    def _listed(self, held: Held, name: str, version: int) -> bool:
        return any(lists.versions[name] > version for lists in self._lists(held))

    def _list(self, held: Held, name: str) -> list[dict[str, Any]]:
        found = [item for lists in self._lists(held) for item in lists.values[name]]
        return found if self._scope.reads else [item | {"samples": []} if "samples" in item else item for item in found]

    def _head(self, held: Held, now: Now) -> list[bytes]:
        meta, tenant = held.meta, self._scope.tenant
        as_of = meta.real if tenant == EVERY else self._clock(held, tenant)
        zones = {name: zone for name, zone in meta.zones.items() if self._scope.sees(name)}
        clocks = {name: self._clock(held, name) for name in sorted(held.tenants()) if self._scope.sees(name)}
        head = {
            "as_of": as_of,
            "clocks": clocks,
            "server_time": instant(now.ms),
            "zone": zones.get(tenant, self._zone),
            "zones": zones,
            "ingest_lag_ms": meta.ingest_lag_ms,
            "stale": now.stale is not None,
            "stale_reason": now.stale,
            "partitions": {"total": 0, "behind": 0} | meta.partitions,
            "parity": self._parity(held),
        }
        return [_field(name, value) for name, value in head.items()]

    def _parity(self, held: Held) -> dict[str, Any] | None:
        """Whether what is stored is what is shown, of the tenants of this scope; None: nobody has looked yet."""
        said = held.meta.parity
        if said is None:
            return None
        found = [one for tenant, one in sorted(said.get("by", {}).items()) if self._scope.sees(tenant)]
        first = found[0]["first_fault"] if found else None
        faults = sum(one["faults"] for one in found)
        return {"checked_at": said["checked_at"], "compared": said["compared"], "faults": faults, "first_fault": first}

    @staticmethod
    def _clock(held: Held, tenant: str) -> str | None:
        if tenant in held.meta.replaying:
            return held.meta.clocks.get(tenant)
        return held.meta.clocks.get(tenant) or held.meta.real

    def _known(self, heads: list[KeyHead], held: Held) -> dict[str, dict[str, dict[str, str]]]:
        """The labels of what this scope can see, and no others: a name can say who else is a customer here."""
        given = {kind: {**self._given.get(kind, {}), **held.meta.labels.get(kind, {})} for kind in _KINDS}
        if self._scope.tenant == EVERY:
            return given
        seen = {kind: set(ids) for kind, ids in self._met(heads, held).items()}
        return {kind: {id_: label for id_, label in given[kind].items() if id_ in seen[kind]} for kind in _KINDS}

    def _met(self, heads: list[KeyHead], held: Held) -> dict[str, set[str]]:
        alerts = self._list(held, "alerts")
        drivers = [driver for alert in alerts for driver in alert.get("drivers") or ()]
        return {
            "queue": {head.queue for head in heads} | {str(alert.get("queue")) for alert in alerts},
            "channel": {head.channel for head in heads} | {str(driver.get("value")) for driver in drivers},
            "topic": {topic.topic for head in heads for topic in head.topics or ()}
            | {str(driver.get("value")) for driver in drivers},
            "agent": {str(agent.get("agent")) for agent in self._list(held, "agents")},
        }


class Shared:
    """A feed and the frames it built just now: many viewers who come at the same moment cost one."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._built: dict[tuple[Any, ...], tuple[int, Pieces]] = {}

    def snapshot(self, held: Held, now: Now, sub: str, roles: Iterable[str]) -> Pieces:
        """The first frame of a viewer, in pieces."""
        built = self._once(("snapshot", held.version, now.stale), now, lambda: self._feed.snapshot(held, now))
        return signed(built, sub, self._feed.tenant, roles)

    def delta(self, held: Held, now: Now, version: int, whole: bool) -> Pieces:
        """The next frame of a viewer that has seen `version`, in pieces."""
        asked = (version, whole, held.version, now.stale)
        return self._once(asked, now, lambda: self._feed.delta(held, now, version, whole))

    def forget(self, now: Now) -> None:
        """Drop frames that nobody should get any more."""
        self._built = {asked: made for asked, made in self._built.items() if 0 <= now.ms - made[0] < _SHARED_MS}

    def _once(self, asked: tuple[Any, ...], now: Now, build: Callable[[], bytes]) -> Pieces:
        self.forget(now)
        if asked not in self._built:
            self._built[asked] = (now.ms, pieces(build()))
        return self._built[asked][1]


_KINDS = ("queue", "channel", "topic", "agent")


def _field(name: str, value: Any) -> bytes:
    return b'"' + name.encode() + b'":' + _encode(value)
