"""Rules exchanged without a restart: the file is looked at each second, and at once on SIGHUP.

A file with a mistake changes nothing: the rules before it stay in force, the log and an alert say so, and `tidewatch
doctor` names the line. What fires goes on firing.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from alerts import policy, rules
from alerts.watch import Watch
from config.settings import Settings

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


def _stamp(path: Path | None) -> Stamp | None:
    """What changes when the file is written or replaced; None: it is not there."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
