"""Every setting: its type, its unit, its default and why. Built once at start; nothing else reads file or environment.

Order: environment (`TIDEWATCH_…`, nested with `__`) over the file (`tidewatch.toml`) over the defaults below;
`[tenants.NAME]` over `[defaults]`, key by key. `config.reading` reads them; a wrong one stops the start with its name,
what is wrong with it, and what is allowed (`SettingsError`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_zones = cache(available_timezones)


class SettingsError(Exception):
    """The settings cannot be used. The message is one line a person can act on."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"no such time zone: {name!r} (allowed: IANA names such as Asia/Shanghai or UTC)")
    return name


def _clock(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        raise ValueError(f"{text!r} is not a time of day (allowed: 00:00 to 24:00)")
    return text


Zone = Annotated[str, AfterValidator(_zone)]
TimeOfDay = Annotated[str, AfterValidator(_clock)]
Span = tuple[TimeOfDay, TimeOfDay]


def _apart(spans: list[Span]) -> list[Span]:
    last = "00:00"
    for start, end in sorted(spans):
        if start >= end:
            raise ValueError(f"the span {start}–{end} does not end after it begins")
        if start < last:
            raise ValueError(f"the span {start}–{end} begins before the one before it ends ({last})")
        last = end
    return spans


Spans = Annotated[list[Span], AfterValidator(_apart)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class CalendarVersion(_Part):
    """Business hours in force from `from` on. Make-up days (`workdays`, 调休) win over holidays; both over the week."""

    from_: datetime | None = Field(default=None, alias="from")
    weekly: dict[Weekday, Spans] = {}
    holidays: list[date] = []
    workdays: dict[date, Spans] = {}

    @model_validator(mode="after")
    def _has_a_zone(self) -> CalendarVersion:
        if self.from_ is not None and self.from_.tzinfo is None:
            raise ValueError("from: an instant needs its offset, such as 2026-01-01T00:00:00+08:00")
        return self


class CalendarSettings(_Part):
    """METRICS §1, two clocks. Either one week for ever, or `versions`."""

    zone: Zone
    weekly: dict[Weekday, Spans] = {}
    holidays: list[date] = []
    workdays: dict[date, Spans] = {}
    versions: list[CalendarVersion] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> CalendarSettings:
        if self.versions is not None and (self.weekly or self.holidays or self.workdays):
            raise ValueError("give either versions, or weekly with holidays and workdays, not both")
        return self


Seconds = Annotated[float, Field(ge=0, le=400 * 86_400)]


class QueueSettings(_Part):
    """What one queue has of its own; None: the tenant's."""

    target_s: Seconds | None = None
    short_s: Seconds | None = None
    service_level: Annotated[float, Field(ge=0, le=1)] | None = None
    calendar: CalendarSettings | None = None


class TenantSettings(_Part):
    """What the numbers depend on, for one tenant (`[defaults]`, `[tenants.NAME]`). Defaults are METRICS.md's."""

    target_s: Seconds = 60
    """T: a first response within it is in target."""
    short_s: Seconds = 10
    """S: who gives up within it is left out of the rates."""
    service_level: Annotated[float, Field(ge=0, le=1)] = 0.8
    """The share to be answered within T."""
    calendar: CalendarSettings | None = None
    queues: dict[str, QueueSettings] = {}
    zone: Zone = "UTC"
    """Where `today` and every day begins."""
    bot_window_s: Seconds = 60
    async_channels: list[str] = ["wechat", "whatsapp", "email"]
    """Channels nobody can leave, so without abandonment."""
    closing_phrases: list[str] = [
        "谢谢", "好的", "ok", "thanks", "thank you", "多谢", "谢谢你", "谢谢您", "好", "okay", "bye", "再见",
    ]  # fmt: skip
    expire_s: Annotated[float, Field(ge=1, le=400 * 86_400)] = 86_400
    expire_backlog_s: Annotated[float, Field(ge=1, le=400 * 86_400)] = 604_800
    lateness: Annotated[float, Field(ge=0, le=3_600)] = 60
    """Seconds: how far the watermark stays behind the greatest event time."""


class Kafka(_Part):
    bootstrap: str = "127.0.0.1:9092"
    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    """Fixed when the topics are made: a conversation's partition must not move."""
    replication: Annotated[int, Field(ge=1, le=9)] = 1


class Redis(_Part):
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")


class ClickHouse(_Part):
    url: str = "http://127.0.0.1:8123"
    user: str = "default"
    password: SecretStr = SecretStr("")
    database: str = "tidewatch"
    port: Annotated[int, Field(ge=0, le=65535)] = 8123
    """Embedded stack only: where its HTTP door listens. 0: a free one."""


class Gateway(_Part):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    origins: list[str] = []
    """Origins of browsers that may open sockets, besides the gateway's own."""
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    max_per_address: Annotated[int, Field(ge=1)] = 6_000
    events_per_s: Annotated[int, Field(ge=1)] = 50_000
    """Of one ingest connection, on average over 10 s; more than twice that is told to go (4429)."""


class Label(_Part):
    zh: str
    en: str


class Labels(_Part):
    queue: dict[str, Label] = {}
    channel: dict[str, Label] = {}
    topic: dict[str, Label] = {}
    agent: dict[str, Label] = {}


class Channel(_Part):
    """Where alerts go. Which keys a type needs is checked in `alerts.notifiers`."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    type: Literal["console", "webhook", "slack", "email", "pagerduty", "wecom", "dingtalk", "feishu", "alertmanager"]
    url: str | None = None
    secret: SecretStr | None = None
    app_token: SecretStr | None = None
    """Slack's bot: the app-level token (xapp-…) by which buttons are answered through Socket Mode."""
    signing_secret: SecretStr | None = None
    """Slack's bot: what signs the posts to the request URL, the other way to answer buttons."""
    people: dict[str, str] = {}
    """Slack's bot: who may press buttons, by their Slack id → the name that the audit has."""
    allow_private: bool = False
    """A private or loopback address is refused unless this is set (SSRF)."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10


class Heartbeat(_Part):
    """Where the notifier says that it is at work. Whoever misses it there raises the alarm that we no longer can."""

    url: str | None = None
    """None: says nothing."""
    every_s: Annotated[float, Field(ge=1, le=3_600)] = 60
    allow_private: bool = False


class Callbacks(_Part):
    """The notifier's door for Slack's request URL (`POST /slack`). Whoever opens it to the world puts TLS before it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """None: there is no such door."""


class Route(_Part):
    match: dict[str, str] = {}
    """Label → pattern with `*`; all must match."""
    channels: list[str]


def _long_enough(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < 32:
        raise ValueError("is too short (allowed: 32 characters or more)")
    return secret


class Settings(_Part):
    """All of it. Frozen; functions receive the value they need, not this."""

    secret: Annotated[SecretStr, AfterValidator(_long_enough)] = SecretStr("")
    """Signs tokens (HS256). At least 32 characters; the embedded stack makes its own."""
    data: Path | None = None
    """The embedded stack's directory; None in production."""
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    clickhouse: ClickHouse = ClickHouse()
    gateway: Gateway = Gateway()
    defaults: TenantSettings = TenantSettings()
    tenants: dict[str, TenantSettings] = {}
    labels: Labels = Labels()
    rules: Path | None = None
    """rules.yaml, relative to the settings file; None: the shipped `config/rules.yaml`."""
    events: Path | None = None
    """Planned events, events.toml, relative to the settings file; None: `data`/events.toml."""
    channels: list[Channel] = []
    """None: the console."""
    routes: list[Route] = []
    """None: every alert to every channel."""
    heartbeat: Heartbeat = Heartbeat()
    callbacks: Callbacks = Callbacks()
    boards: Path | None = None
    """The directory of the teams' boards, relative to the settings file; None: `DIR/boards` of the embedded stack."""
    board_base: str = ""
    """What links to the board begin with, in alerts; empty: the gateway's own address."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _names_meet(self) -> Settings:
        names = [channel.name for channel in self.channels]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"channels: the name {min(twice)!r} is given twice")
        allowed = ", ".join(names) or "none yet"
        for index, route in enumerate(self.routes):
            for name in route.channels:
                if name not in names:
                    raise ValueError(f"routes.{index}.channels: there is no channel {name!r} (allowed: {allowed})")
        return self

    def tenant(self, name: str) -> TenantSettings:
        """The settings in force for a tenant."""
        return self.tenants.get(name, self.defaults)


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file and an environment (default: this process's).

    Raises:
        SettingsError: one line with the place (`tidewatch.toml:12`, or the variable), the key, and what is allowed.
    """
    from config.reading import read

    return read(file, environ)
