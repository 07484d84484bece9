"""The embedded stack's directory: who may use it, and what is kept in it.

version        layout, one number          partitions   of the topics, fixed when the directory was made
lock           held while a stack runs     secrets.json signing secret and passwords (0600)
access.json    how to get in (0600)        run.json     what runs where (0600); both only while it runs
logs/ ports/ redis/                        the rest belongs to the roles
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

VERSION = 1
"""Of the layout. A directory of a newer one is refused; older ones would be brought up here."""


class CannotStart(Exception):
    """The stack cannot start. The message is one line with the mend."""


class Directory:
    """An opened directory: locked for this process, of our version, with its secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.secrets: dict[str, str] = {}
        self._lock: IO[str] | None = None

    def open(self, partitions: int) -> None:
        """Make it or take it.

        Raises:
            CannotStart: it is in use, of a newer version, of another partition count, or cannot be written.
        """
        try:
            self._take(partitions)
        except OSError as error:
            self.close()
            raise CannotStart(f"{self.path}: {mend(error)}") from None
        except CannotStart:
            self.close()
            raise

    def _take(self, partitions: int) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._only_us((self.path / "lock").open("a+"))
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        self._check("version", VERSION, self._refuse_version)
        self._check("partitions", partitions, self._refuse_partitions)
        for name in ("logs", "ports", "redis"):
            (self.path / name).mkdir(mode=0o700, exist_ok=True)
        for stale in [self.path / "access.json", self.path / "run.json", *(self.path / "ports").iterdir()]:
            stale.unlink(missing_ok=True)
        self._read_secrets()

    def _only_us(self, lock: IO[str]) -> IO[str]:
        """Lock it. Who cannot leaves everything as it is: it belongs to the stack that runs."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
            raise CannotStart(
                f"{self.path} is in use by a running stack (process {holder}): stop it, or name another with --data"
            ) from None
        return lock

    def _check(self, name: str, ours: int, refuse: Any) -> None:
        file = self.path / name
        if not file.exists():
            write_private(file, f"{ours}\n")
            return
        text = file.read_text().strip()
        if not text.isascii() or not text.isdigit():
            raise CannotStart(
                f"{file} is damaged: it should hold a number; restore it, or name another directory with --data"
            )
        if int(text) != ours:
            refuse(int(text), ours)

    def _refuse_version(self, theirs: int, ours: int) -> None:
        if theirs > ours:
            raise CannotStart(
                f"{self.path} was written by a newer Tidewatch (layout {theirs}, this one knows {ours}): "
                "update Tidewatch, or name another directory with --data"
            )
        raise CannotStart(f"{self.path} has layout {theirs}, which never was: name another directory with --data")

    def _refuse_partitions(self, theirs: int, ours: int) -> None:
        raise CannotStart(
            f"{self.path} was made with {theirs} partitions, and the settings say {ours}: "
            f"set kafka.partitions = {theirs}, or name another directory with --data"
        )

    def _read_secrets(self) -> None:
        file = self.path / "secrets.json"
        if file.exists():
            try:
                self.secrets = _texts(json.loads(file.read_text()))
            except ValueError:
                raise CannotStart(f"{file} is damaged: delete it, and new secrets are made (old tokens end)") from None
        made = {
            name: secrets.token_urlsafe(32) for name in ("secret", "redis", "clickhouse") if name not in self.secrets
        }
        if made:
            self.secrets |= made
            write_private(file, json.dumps(self.secrets, indent=2) + "\n")

    def close(self) -> None:
        """Let another have it."""
        if self._lock is not None:
            for passing in ("access.json", "run.json"):  # who waits for the next run must not find this one's ports
                with suppress(OSError):
                    (self.path / passing).unlink()
            with suppress(OSError):  # on a full disk; it is let go of all the same
                self._lock.close()
            self._lock = None


def signing_secret(path: Path) -> str | None:
    """The secret that signs the tokens of the stack in this directory; None: there is none yet."""
    try:
        return _texts(json.loads((path / "secrets.json").read_text()))["secret"]
    except (OSError, ValueError, KeyError):
        return None


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) and text for text in value.values()):
        raise ValueError("not an object of texts")
    return value


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def mend(error: OSError) -> str:
    """What an operating system's error asks of a person."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: make room, or name a directory on another disk with --data"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "cannot be written: change its owner or mode, or name another directory with --data"
        case errno.ENOTDIR | errno.EEXIST:
            return "is not a directory: name another with --data"
        case _:
            return f"{error.strerror or error}: name another directory with --data"
