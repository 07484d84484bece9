"""The notifier's delivery half, put together: rules, memory, judging and telling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from alerts import policy, rules
from alerts.alertmanager import Alertmanager
from alerts.callbacks import Answering
from alerts.heartbeat import Heart
from alerts.mail import Mail
from alerts.notifiers import Console, Notes, Notifier, Producer, Scribbled, Topic
from alerts.outbox import DEEDS, TOPIC, TOPICS, Store
from alerts.pace import Pace
from alerts.policy import CONSOLE
from alerts.reload import RulesFile
from alerts.robots import PagerDuty, Robot
from alerts.slack import Slack
from alerts.tell import Tell, now_ms, steady_ms
from alerts.watch import Watch
from alerts.webhook import Webhook
from config.settings import Channel, Settings
from streams.events import ALERTS, COMMANDS

FILE = "notifier.db"
BEAT_S = 1.0
"""How often time alone is looked at: an ended silence is told within 5 s."""
AGAIN_MS = 3_600_000
"""What went to the broker within so long goes there again at a start: an embedded broker forgets what the history may
not have stored yet. Rows that come again replace themselves."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What judges, and what tells."""

    watch: Watch
    tell: Tell
    heart: Heart | None = None
    rules: RulesFile | None = None
    answering: Answering | None = None


def doors(channels: Sequence[Channel], notes: Notes) -> dict[str, Notifier]:
    """A door for each channel; the console stands by for what no route matches.

    Raises:
        SettingsError: a channel lacks something, or may not be spoken to.
    """
    found: dict[str, Notifier] = {channel.name: _door(channel, notes) for channel in channels}
    found.setdefault(CONSOLE, Console())
    return found


def _door(channel: Channel, notes: Notes) -> Notifier:
    match channel.type:
        case "console":
            return Console()
        case "webhook":
            return Webhook(channel)
        case "slack":
            return Slack(channel, notes)
        case "email":
            return Mail(channel)
        case "pagerduty":
            return PagerDuty(channel)
        case "wecom" | "dingtalk" | "feishu":
            return Robot(channel, channel.type)
        case "alertmanager":
            return Alertmanager(channel)


def set_up(
    settings: Settings, store: Store, producer: Producer, board_base: str = "", pace: Pace | None = None
) -> Desk:
    """Everything that judges and tells. `pace`: shared with other notifiers; None: there are none.

    Raises:
        SettingsError, RulesError: a setting or a rule is wrong.
    """
    notifiers: Mapping[str, Notifier] = {
        **doors(settings.channels, store),
        TOPIC: Topic(producer, ALERTS),
        DEEDS: Topic(producer, COMMANDS),
    }
    store.again(TOPICS, now_ms() - AGAIN_MS)
    told = policy.load(settings.rules, settings.channels, settings.routes)
    base = settings.board_base or board_base
    zone_of = zones(settings)
    watch = Watch(store, rules.load(settings.rules), told, settings.labels, base, zone_of=zone_of, steady=steady_ms)
    watch.forget_channels(told.channels)
    tell = Tell(store, notifiers, watch.trouble, pace, watch.dead_after)
    watch.on_written = tell.poke
    heart = Heart(settings.heartbeat, lambda: watch.judged) if settings.heartbeat.url else None
    return Desk(watch, tell, heart, RulesFile(settings, watch), Answering(settings, watch, store))


def check(settings: Settings) -> None:
    """Whether what is judged and told by these settings can be set up.

    Raises:
        SettingsError, RulesError: it cannot.
    """
    doors(settings.channels, Scribbled())
    rules.load(settings.rules)
    policy.load(settings.rules, settings.channels, settings.routes)


def zones(settings: Settings) -> Callable[[str], str]:
    """Whose clock an alert's words are told on: its tenant's."""
    return lambda tenant: str(settings.tenant(tenant).zone)


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Desk]:
    """Tell, and look at the time each second, while the body reads ticks and has them judged."""
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(desk.tell.run(), name="tell"), tasks.create_task(_beat(desk), name="beat")]
        if desk.answering is not None:
            working.append(tasks.create_task(desk.answering.run(), name="answer"))
        if desk.heart is not None:
            working.append(tasks.create_task(desk.heart.run(), name="heart"))
        try:
            yield desk
        finally:
            for task in working:
                task.cancel()


async def _beat(desk: Desk) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        desk.watch.beat()
        if desk.rules is not None:
            desk.rules.look()


def store_in(directory: Path) -> Store:
    """The notifier's file in a directory.

    Raises:
        StoreError: it cannot be used.
    """
    return Store(directory / FILE)
