"""Child processes that end with their parent, and whose output goes to bounded files.

Three things see to it that none is left behind: the kernel (Linux: PR_SET_PDEATHSIG, which follows the thread that
started the child, so start children from the thread that lives longest), the leash (`tidewatch.leash`), and `stop`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
LOG_BYTES = 5 * 1024 * 1024
"""Of one log file; one older is kept beside it."""


class Log:
    """`PATH` and `PATH.1`, together at most twice `LOG_BYTES`. A disk that is full costs lines, never the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = ""
        """The last line that says something."""
        self.lost = 0
        """Bytes that could not be written."""
        self._file: IO[bytes] | None = None

    def write(self, chunk: bytes) -> None:
        """Append, turning the file over when it is full."""
        said = [line for line in chunk.decode(errors="replace").splitlines() if line.strip()]
        self.last = said[-1].strip() if said else self.last
        try:
            if self._file is None:
                self._file = self._open()
            if self._file.tell() > LOG_BYTES:
                self.close()
                self.path.replace(self.path.with_name(self.path.name + ".1"))
                self._file = self._open()
            self._file.write(chunk)
        except OSError:
            self.lost += len(chunk)

    def _open(self) -> IO[bytes]:
        return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Child:
    """One running child process, the head of a process group of its own."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: int, log: Log) -> None:
        self.name = name
        self.pid = process.pid
        self.log = log
        self._since = time.monotonic()
        self._process = process
        self._output = output
        os.set_blocking(output, False)
        asyncio.get_running_loop().add_reader(output, self._read)

    def _read(self) -> bool:
        """Write down what it says; True while there may be more at once."""
        try:
            chunk = os.read(self._output, 65_536)
        except BlockingIOError:
            return False
        if chunk:
            self.log.write(chunk)
        else:
            asyncio.get_running_loop().remove_reader(self._output)
        return bool(chunk)

    async def wait(self) -> int:
        """Its exit code; negative: the signal that ended it. What it said is written by then, and its group is gone.

        Once only.
        """
        code = await self._process.wait()
        self._kill_group()
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._output)
        os.close(self._output)
        self.log.close()
        return code

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._since

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    def kill(self) -> None:
        """SIGKILL to it and its group."""
        if self.alive:
            self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass  # nobody is left

    async def stop(self, grace: float) -> None:
        """TERM, and KILL after `grace` seconds. Returns when it has ended."""
        if self.alive:
            self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


class Nursery:
    """Starts children and holds the leash that ends them should this process be killed."""

    def __init__(self) -> None:
        self._leash: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start the leash. Before any child."""
        script = Path(__file__).with_name("leash.py")
        self._leash = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(script), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )

    async def spawn(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log: Log, given: bytes = b""
    ) -> Child:
        """Start a child with exactly this environment. `given` is its standard input."""
        # Pipes of our own: asyncio's would let `wait` wait for whoever else holds them.
        output, said = os.pipe()
        source = _filled(given)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=env,
                stdin=source,
                stdout=said,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
                preexec_fn=_die_with(os.getpid()),
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(said)
            os.close(source)
        self._tell(f"+{process.pid}")
        return Child(name, process, output, log)

    def forget(self, child: Child) -> None:
        """This child has ended; its number may become another's."""
        self._tell(f"-{child.pid}")

    async def close(self) -> None:
        """Let the leash go; it kills whom it still knows."""
        if self._leash is not None and self._leash.stdin is not None:
            self._leash.stdin.close()
            await self._leash.wait()

    def _tell(self, line: str) -> None:
        if self._leash is not None and self._leash.stdin is not None and self._leash.returncode is None:
            self._leash.stdin.write(f"{line}\n".encode())


def _filled(given: bytes) -> int:
    """The reading end of a pipe that holds these bytes (a few kilobytes at most), and then ends."""
    source, end = os.pipe()
    os.write(end, given)
    os.close(end)
    return source


def _die_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program (Linux)."""
    if _LIBC is None:
        return None
    prctl = _LIBC.prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went between the fork and the request
            os._exit(1)

    return ask
