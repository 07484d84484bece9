"""A collector, as Alertmanager's own acceptance tests have one: a story in event time, and what must arrive when.

A story is lines of `instant | what happens | what arrives`. What happens: `a=30` (the backlog of a queue at this tick;
those not named keep theirs, `a=-` ends the key), `lag=40s`, `silence a 10m`, `unsilence a`, `ack a`, `restart`,
`rules …` (other bounds for all). What arrives, until the next line and no more: `a firing`, or `boss:a firing` where it
is not the channel `ops`. Posts go through real sockets; the story's clock is the only one that counts.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerts import policy
from alerts.outbox import TOPICS, Store
from alerts.readings import EVERYWHERE, TenantReading
from alerts.rule import Ruleset
from alerts.rules import duration_ms, parse
from alerts.tell import Tell
from alerts.watch import Watch
from alerts.webhook import Webhook
from config.settings import Channel, Route
from streams.events import REAL
from tests.alerts.build import T0, key, readings
from tests.alerts.receiver import Receiver, receiver, until
from tests.alerts.test_tell import Fake

CHANNELS = ("ops", "boss")


@dataclass
class Story:
    """One scenario."""

    name: str
    lines: str
    rules: str
    notify: str = ""
    routes: list[Route] = field(default_factory=list)

    @property
    def steps(self) -> list[tuple[int, list[str], Counter[str]]]:
        """(instant in ms after the start, what happens, what arrives)."""
        found = []
        for line in self.lines.strip().splitlines():
            at, does, arrives, *_ = (part.strip() for part in (line + "|").split("|"))
            posts = [post.strip() for post in arrives.split(",") if post.strip()]
            found.append((duration_ms(at), does.split(";"), Counter(p if ":" in p else f"ops:{p}" for p in posts)))
        return found


_RULES = re.compile(r"^# rules: (\w+)\n+```yaml\n(.*?)\n```", re.MULTILINE | re.DOTALL)


def told(text: str) -> list[Story]:
    """The stories of a page."""
    rules = dict(_RULES.findall(text))
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, *lines = part.strip().splitlines()
        story = Story(name, "", "")
        for line in lines:
            word, _, rest = line.partition(": ")
            if "|" in line:
                story.lines += line + "\n"
            elif word == "rules":
                story.rules = rules[rest]
            elif word == "route":
                match, channel = rest.split()
                label, _, pattern = match.partition("=")
                story.routes.append(Route(match={label: pattern}, channels=[channel]))
            elif line:
                story.notify += line + "\n"
        found.append(story)
    return found


class Collector:
    """Runs a story against real receivers, and compares every interval."""

    def __init__(self, story: Story, path: Path) -> None:
        self._story, self._path = story, path
        self._now = T0
        self._backlog: dict[str, int] = {}
        self._lag: int | None = None
        self._silences: dict[str, str] = {}
        self._got: dict[str, Receiver] = {}
        self._seen: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self._text = story.rules

    async def run(self) -> tuple[list[str], int]:
        """(differences, posts in all)."""
        differences: list[str] = []
        async with AsyncExitStack() as stack:
            for name in CHANNELS:
                self._got[name] = await stack.enter_async_context(receiver())
            self._open()
            for at, does, expected in self._story.steps:
                self._now = T0 + at
                for deed in does:
                    await self._do(deed.strip())
                await self._judged()
                found = self._arrived()
                if found != expected:
                    differences.append(f"{self._story.name}: after {at // 1000} s: {dict(found)}, not {dict(expected)}")
            await self._close()
        return differences, sum(len(there.posts) for there in self._got.values())

    def _channels(self) -> list[Channel]:
        return [
            Channel(name=name, type="webhook", url=there.url, allow_private=True) for name, there in self._got.items()
        ]

    def _open(self) -> None:
        self._store = Store(self._path)
        routes = self._story.routes or [Route(match={}, channels=["ops"])]
        how = policy.parse(f"rules: []\n{self._story.notify}", "r.yaml", self._channels(), routes)
        self._watch = Watch(self._store, self._ruleset(), how, now=lambda: self._now)
        doors: dict[str, Any] = {channel.name: Webhook(channel) for channel in self._channels()}
        self._tell = Tell(self._store, {**doors, **{name: Fake() for name in TOPICS}}, self._watch.trouble)
        self._watch.on_written = self._tell.poke
        self._task = asyncio.create_task(self._tell.run())

    def _ruleset(self) -> Ruleset:
        lines = "\n".join(f"  {line}" for line in self._text.strip("\n").splitlines())
        return Ruleset(parse(f"rules:\n{lines}\n"))

    async def _close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._store.close()

    async def _do(self, deed: str) -> None:
        what, _, more = deed.partition(" ")
        match what:
            case "":
                pass
            case "silence":
                queue, minutes = more.split()
                before = {one["id"] for one in self._watch.silences()}
                self._order(
                    do="silence", match={"queue": queue}, minutes=duration_ms(minutes) // 60_000, reason="drill"
                )
                (self._silences[queue],) = {one["id"] for one in self._watch.silences()} - before
            case "unsilence":
                self._order(do="unsilence", id=self._silences[more])
            case "ack":
                (id_,) = [
                    a["alert"] for a in self._watch.open_alerts() if a["queue"] == more and a["state"] == "firing"
                ]
                self._order(do="ack", alert=id_)
            case "restart":
                await self._close()
                self._open()
            case "rules":
                self._text = more.replace("\\n", "\n")
                self._watch.reload(self._ruleset(), self._watch._policy)
            case _:
                for part in deed.split():
                    self._set(*part.split("="))

    def _set(self, name: str, value: str) -> None:
        if name == "lag":
            self._lag = duration_ms(value)
        elif value == "-":
            self._backlog.pop(name, None)
        else:
            self._backlog[name] = int(value)

    def _order(self, **order: Any) -> None:
        answer = self._watch.command({"tenant": "*", "by": "li", **order})
        assert answer["ok"], answer

    async def _judged(self) -> None:
        keys = [key(name, backlog=value) for name, value in self._backlog.items()]
        tenants = {EVERYWHERE: TenantReading(ingest_lag_ms=self._lag)}
        self._watch.judge(REAL, self._now, readings(keys, shop=TenantReading(), **tenants))
        self._watch.beat()
        self._tell.poke()
        await until(lambda: not self._store.unsettled())

    def _arrived(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, there in self._got.items():
            for post in there.posts[self._seen[name] :]:
                body = json.loads(post.body)
                found[f"{name}:{body['queue'] if body['queue'] != '*' else body['rule']} {body['state']}"] += 1
            self._seen[name] = len(there.posts)
        return found
