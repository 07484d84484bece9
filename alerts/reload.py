"""Rules, channels and routes exchanged without a restart: their files are looked at each second, the rules also at
once on SIGHUP.

A file with a mistake changes nothing: what was before stays in force, the log and an alert say so, and `tidewatch
doctor` names the line. What fires goes on firing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from alerts import policy, rules
from alerts.watch import Watch
from config.settings import Settings, SettingsError

log = structlog.get_logger()

Stamp = tuple[int, int, int]


class RulesFile:
    """The file of rules in force, where the settings name one, and what it was when it was last read."""

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self._settings, self._watch = settings, watch
        self._path = settings.rules
        self._stamp = _stamp(self._path)
        watch.refuse(None)  # it was read at the start, and so is right

    def look(self, again: bool = False) -> None:
        """Read the file if it has changed, or in any case (`again`); have its rules in force, or say why not."""
        stamp = _stamp(self._path)
        if self._path is None or (stamp == self._stamp and not again):
            return
        self._stamp = stamp
        try:
            ruleset = rules.load(self._path)
            told = policy.load(self._path, self._settings.channels, self._settings.routes)
        except (rules.RulesError, OSError, UnicodeDecodeError) as error:
            mistake = str(error) if isinstance(error, rules.RulesError) else f"cannot be read: {type(error).__name__}"
            log.error("rules_refused", mistake=mistake, mend="tidewatch rules check; the rules before it stay in force")
            self._watch.refuse(mistake)
            return
        self._watch.reload(ruleset, told)
        self._watch.refuse(None)
        log.info("rules_reloaded", rules=len(ruleset.rules))


TAKEN = ("channels", "routes", "heartbeat", "callbacks", "rules")
"""What of the settings may change while the notifier runs. All else is read at the start only."""


class Changed(Exception):  # no error: the notifier begins anew with what changed
    """The settings have changed, and are right."""


class SettingsFile:
    """The settings in force, and the file they came from (`TIDEWATCH_CONFIG`), where they came from one."""

    def __init__(self, settings: Settings, check: Callable[[Settings], object], read: Callable[[], Settings]) -> None:
        """`check` raises what `read` may raise, or a RulesError, where settings cannot be worked with."""
        named = os.environ.get("TIDEWATCH_CONFIG")
        self.now, self._check, self._read = settings, check, read
        self._path = Path(named) if named else None
        self._stamp = _stamp(self._path)
        self.mistake: str | None = None
        """Why the file, as it is now, was refused."""

    def look(self) -> None:
        """Read the file if it has changed.

        Raises:
            Changed: `now` is other than it was.
        """
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = self._read()
            new = self.now.model_copy(update={name: getattr(found, name) for name in TAKEN})
            self._check(new)
        except (SettingsError, rules.RulesError, OSError) as error:
            self.mistake = f"cannot be read: {type(error).__name__}" if isinstance(error, OSError) else str(error)
            log.error("settings_refused", mistake=self.mistake, mend="the channels and routes before it stay in force")
            return
        self.mistake = None
        if new != self.now:
            self.now = new
            raise Changed


def _stamp(path: Path | None) -> Stamp | None:
    """What changes when the file is written or replaced; None: it is not there."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
