"""Where the peers live: an environment and a build of their own under `.cache`, made from what is pinned here."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache"
LOCK = HERE / "requirements.lock"
VENV = CACHE / "peers"
PYTHON = VENV / "bin" / "python"
STREAMS = CACHE / "peers-streams"
WITHIN_S = 900


class Missing(Exception):
    """A peer cannot be had here; the reason."""


def python() -> Path:
    """The Python that has Quix Streams and Bytewax, installed by hash.

    Raises:
        Missing: they cannot be installed.
    """
    with _made(VENV, LOCK.read_bytes() + sys.version.encode(), _install):
        return PYTHON


def classes() -> str:
    """The class path of the peer on Kafka Streams.

    Raises:
        Missing: it cannot be built.
    """
    files = [HERE / "streams" / "pom.xml", *sorted((HERE / "streams").rglob("*.java"))]
    with _made(STREAMS, b"".join(file.read_bytes() for file in files), _build):
        return f"{STREAMS / 'classes'}{os.pathsep}{STREAMS / 'libs'}{os.sep}*"


def _install() -> None:
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True, timeout=WITHIN_S)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-input"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True, timeout=WITHIN_S)


def _build() -> None:
    if shutil.which("mvn") is None:
        raise Missing("mvn is not installed")
    goals = [
        "compile",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={STREAMS / 'libs'}",
    ]
    subprocess.run(
        ["mvn", "-q", "-B", "-f", HERE / "streams" / "pom.xml", f"-Dtarget={STREAMS}", *goals],
        check=True,
        timeout=WITHIN_S,
    )


@contextmanager
def _made(place: Path, source: bytes, make: Callable[[], None]) -> Iterator[None]:
    """Make it unless what is there was made from the same; one at a time."""
    CACHE.mkdir(exist_ok=True)
    stamp, wanted = place / ".made-from", hashlib.sha256(source).hexdigest()
    with (CACHE / f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            try:
                make()
            except (OSError, subprocess.SubprocessError) as error:
                raise Missing(f"{place.name} could not be made: {error}") from None
            stamp.write_text(wanted)
    yield
