"""One tenant's settings in the units of the fold: ms, sets, and one question per number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from zoneinfo import ZoneInfo

from config.settings import CalendarSettings, QueueSettings, Settings, TenantSettings
from streams.windows import SECOND

GOODBYE_LENGTH: Final = 20
"""Characters a goodbye has at most. Source: METRICS §2."""
_NOTHING = QueueSettings()


class Policy:
    """What the numbers of one tenant depend on."""

    def __init__(self, settings: TenantSettings) -> None:
        self._settings = settings
        self.bot_window = _ms(settings.bot_window_s)
        self.expire = _ms(settings.expire_s)
        self.expire_backlog = _ms(settings.expire_backlog_s)
        self.silence = min(self.expire, self.expire_backlog)
        """For less than this nothing expires."""
        self.lateness = _ms(settings.lateness)
        self.asynchronous = frozenset(settings.async_channels)
        self.zone = ZoneInfo(settings.zone)
        self._target, self._short = _ms(settings.target_s), _ms(settings.short_s)
        queues = settings.queues.items()
        self._targets = {queue: _ms(own.target_s) for queue, own in queues if own.target_s is not None}
        self._shorts = {queue: _ms(own.short_s) for queue, own in queues if own.short_s is not None}
        self._calendar = settings.calendar
        self._calendars = {queue: own.calendar for queue, own in queues if own.calendar}
        self._phrases = _any_of(settings.closing_phrases)

    def target(self, queue: str) -> int:
        """T of a queue, ms."""
        return self._targets.get(queue, self._target)

    def short(self, queue: str) -> int:
        """S of a queue, ms."""
        return self._shorts.get(queue, self._short)

    def service_level(self, queue: str) -> float:
        """The share that a queue wants answered within T."""
        own = self._queue(queue).service_level
        return self._settings.service_level if own is None else own

    def calendar(self, queue: str) -> CalendarSettings | None:
        """Business hours of a queue, or None."""
        return self._calendars.get(queue, self._calendar)

    def goodbye(self, text: str | None) -> bool:
        """Whether a customer's text is only closing phrases; letter case and punctuation do not matter."""
        if not text or len(text) > GOODBYE_LENGTH:
            return False
        return self._phrases.fullmatch(_letters(text)) is not None

    def _queue(self, queue: str) -> QueueSettings:
        return self._settings.queues.get(queue, _NOTHING)


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    words = sorted({_letters(phrase) for phrase in phrases} - {""}, key=len, reverse=True)
    return re.compile("(?:" + "|".join(map(re.escape, words)) + ")+" if words else r"(?!)")


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _ms(seconds: float) -> int:
    return round(seconds * SECOND)


class Policies:
    """Tenant → its policy, made once each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Policy] = {}

    def __call__(self, tenant: str) -> Policy:
        """The policy in force for a tenant."""
        policy = self._known.get(tenant)
        if policy is None:
            policy = self._known[tenant] = Policy(self._settings.tenant(tenant))
        return policy
