"""The embedded stack: broker, Redis and the four roles as child processes of this one, on one directory.

The supervisor decides little: who has died is started again, after a pause that grows while it keeps dying. The broker
is special: it forgets everything, so when it dies, everyone who talks to it is stopped, the topics are made anew, and
everyone is started again, the worker first; positions in the journal make that harmless. It has no bound on its memory
either, and grows slower with it, so it is ended on purpose now and then (`tidewatch.wear`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from config.logs import printable
from config.settings import Settings, load
from tidewatch import flow, servers
from tidewatch.directory import CannotStart, Directory, mend, write_private
from tidewatch.processes import Child, Log, Nursery
from tidewatch.wear import Wear

if TYPE_CHECKING:
    from tidewatch.access import Access

ROLES = ("worker", "sink", "gateway", "notifier")
"""In the order of their start."""
SERVERS = ("redis", "broker")
DOORS = ("gateway", "clickhouse")
"""What listens on a port that may be chosen freely."""
STOPPED = (("gateway",), ("worker", "sink", "notifier"), SERVERS)
"""In the order of their end."""
BI = "bi"
"""Who may read the embedded ClickHouse."""
PAUSES: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a child is started again, by how often it died within the last minute."""
GRACE = {"gateway": 3.5, "worker": 8.0, "sink": 8.0, "notifier": 8.0, "redis": 2.0, "broker": 2.0}
"""Seconds from TERM to KILL. The gateway goes first, the roles together, then the servers: 13.5 s at the most."""
GIVE_UP = 3
"""Deaths of one role before the stack was ever ready, after which it does not start."""
ADDRESS_S = 20.0
"""How long the notifier's start waits for the gateway's address, with which the links in its alerts begin."""
SETTLED = 1.0
"""Seconds that a role must live to count as up: what cannot start dies sooner, or shows in /readyz."""
NEW_TOKENS = 86_400
"""Seconds after which `access.json` is written anew, so that its tokens never run out while the stack runs."""

Command = Callable[[str, Path | None], list[str]]
Say = Callable[[str], None]


def role_command(role: str, config: Path | None) -> list[str]:
    """How a role is started: by this Python, from this code, whatever the current directory holds."""
    more = ["--config", str(config)] if config else []
    return [sys.executable, "-P", "-m", "tidewatch.cli", role, *more]


def to_stderr(line: str) -> None:
    """One line for the person at the terminal, if there is still one."""
    with suppress(OSError, ValueError):
        print(f"tidewatch: {line}", file=sys.stderr, flush=True)


class Stack:
    """`async with Stack(directory, port=0) as stack`: a running stack, ready, until the block ends.

    Raises on entering:
        CannotStart: one line with the mend.
        SettingsError: the same, of the settings.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        host: str | None = None,
        config: Path | None = None,
        environ: Mapping[str, str] | None = None,
        command: Command = role_command,
        say: Say = to_stderr,
    ) -> None:
        self.directory = Directory(directory)
        self.access: Access | None = None
        """How to get in, once it is ready."""
        self._config = config.absolute() if config else None
        self._env = _chosen(os.environ if environ is None else environ, port, host)
        self._command = command
        self._flows = command is role_command
        """Whether these are the real roles, which must also be seen at work."""
        self._stored: dict[int, int] = {}
        """How far the sink had come when it was started."""
        self._say = say
        self._nursery = Nursery()
        self._children: dict[str, Child] = {}
        """Who should be running. A child that is not in here is not missed."""
        self._deaths: dict[str, list[float]] = {}
        self._words: dict[str, str] = {}
        """What each child said last before it died."""
        self._ended: asyncio.Queue[tuple[Child, int]] = asyncio.Queue()
        self._waits: set[asyncio.Task[None]] = set()
        self._comebacks: dict[str, asyncio.Task[None]] = {}
        self._chores: list[asyncio.Task[None]] = []
        self._broken: asyncio.Queue[BaseException] = asyncio.Queue()
        """Bugs of the supervisor itself."""

    # What others ask of it

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise CannotStart(f"{self.directory.path}: {mend(error)}") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def pid(self, name: str) -> int | None:
        """The process of a role, of `broker` or of `redis`; None while there is none."""
        child = self._children.get(name)
        return child.pid if child and child.alive else None

    @property
    def roles_environment(self) -> Mapping[str, str]:
        """What the roles are given: settings, addresses, secrets."""
        return self._env

    def kill(self, name: str) -> None:
        """SIGKILL it; the supervisor sees to the rest."""
        self._children[name].kill()

    def kill_all(self) -> None:
        """Without patience; `stop` is still needed."""
        for child in self._children.values():
            child.kill()

    async def broken(self) -> None:
        """Never returns.

        Raises:
            Exception: the supervisor itself has a bug; it no longer sees to anything.
        """
        raise await self._broken.get()

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                self._broken.put_nowait(error)

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        return task

    async def missing(self) -> list[str]:
        """Who is not ready, each with the reason where there is one to be had; empty: the stack is ready."""
        found = [name for name in (*SERVERS, *ROLES) if not self._is_up(name)]
        for role, door, path in (("sink", "clickhouse", "/ping"), ("gateway", "gateway", "/readyz")):
            port = self._port(door)
            status, said = await servers.get(self._host(door), port, path) if port else (0, "no port yet")
            if role not in found and status != 200:
                found.append(f"{role} ({printable(said)[:200]})")
        return found or (await self._not_flowing() if self._flows else [])

    async def _not_flowing(self) -> list[str]:
        late = flow.behind(await flow.present(self._env["TIDEWATCH_REDIS__URL"]), flow.now())
        moved = flow.all_moved(self._stored, flow.inserted(self.directory.path), self._settings.kafka.partitions)
        return [*filter(None, [late]), *([] if moved else ["sink (has stored nothing yet)"])]

    def _is_up(self, name: str) -> bool:
        child = self._children.get(name)
        settled = child is not None and (name in SERVERS or child.age >= SETTLED)
        return settled and self.pid(name) is not None

    async def stop(self) -> None:
        """End everything, in order, within 15 s. Harmless to repeat."""
        chores = [*self._chores, *self._comebacks.values()]
        for task in chores:
            task.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        for group in STOPPED:
            await self._end(group, GRACE)
        await asyncio.gather(*self._waits, return_exceptions=True)
        await self._nursery.close()
        self.directory.close()

    # Start

    async def _start(self) -> None:
        settings = load(self._config, self._env)
        self._settings = settings
        self._programs = {"broker": servers.broker_program(), "redis": servers.redis_program()}
        servers.need_clickhouse()
        need_rules(settings)
        self.directory.open(settings.kafka.partitions)
        servers.need_port(settings.gateway.host, settings.gateway.port, "--port")
        servers.need_port(servers.LOOPBACK, settings.clickhouse.port, "TIDEWATCH_CLICKHOUSE__PORT")
        self._secret = settings.secret.get_secret_value() or self.directory.secrets["secret"]
        self._bi_password = settings.clickhouse.password.get_secret_value() or self.directory.secrets["clickhouse"]
        self._redis_port = servers.free_port()
        self._env |= self._role_env()
        await self._nursery.open()
        await self._serve_redis()
        await self._serve_broker()
        for role in ROLES:
            await self._serve_role(role)
        self._chores.append(self._task(self._watch()))
        await self._until_ready()
        self._write_access()
        self._chores.append(self._task(self._mind_the_broker()))
        self._chores.append(self._task(self._renew_tokens()))

    def _role_env(self) -> dict[str, str]:
        code = str(Path(__file__).resolve().parents[1])
        redis = f"redis://:{self.directory.secrets['redis']}@{servers.LOOPBACK}:{self._redis_port}/0"
        return {
            "PYTHONPATH": os.pathsep.join(filter(None, [code, self._env.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",  # glibc's are one a thread else, and none gives back what it once held
            "TIDEWATCH_DATA": str(self.directory.path),
            "TIDEWATCH_SECRET": self._secret,
            "TIDEWATCH_KAFKA__PARTITIONS": str(self._settings.kafka.partitions),
            "TIDEWATCH_KAFKA__REPLICATION": "1",
            "TIDEWATCH_REDIS__URL": redis,
            "TIDEWATCH_CLICKHOUSE__USER": BI,
            "TIDEWATCH_CLICKHOUSE__PASSWORD": self._bi_password,
        }

    async def _until_ready(self) -> None:
        waited = 0
        while missing := await self.missing():
            for name, deaths in self._deaths.items():
                if len(deaths) >= GIVE_UP:
                    raise CannotStart(f"{name} does not start: {self._words[name]} (more in {self._log(name)})")
            await asyncio.sleep(0.1)
            waited += 1
            if waited % 300 == 0:
                self._say(f"still waiting for {', '.join(missing)}")

    # Who runs

    async def _serve(self, name: str) -> None:
        """Start one of the children by its name."""
        match name:
            case "redis":
                await self._serve_redis()
            case "broker":
                await self._serve_broker()
            case role:
                await self._serve_role(role)

    async def _serve_redis(self) -> None:
        config = servers.redis_config(self.directory.path / "redis", self._redis_port, self.directory.secrets["redis"])
        child = await self._spawn("redis", [self._programs["redis"], "-"], {"LC_ALL": "C"}, config)
        await self._until_listening(child, self._redis_port)

    async def _serve_broker(self) -> None:
        port = servers.free_port()
        child = await self._spawn("broker", servers.broker_command(self._programs["broker"], port), {})
        await self._until_listening(child, port)
        await servers.create_topics(port, self._settings.kafka.partitions)
        self._env["TIDEWATCH_KAFKA__BOOTSTRAP"] = f"{servers.LOOPBACK}:{port}"
        self._write_run()

    async def _serve_role(self, role: str) -> None:
        if role == "sink":
            self._stored = flow.inserted(self.directory.path)
        if role == "notifier":
            await self._until_addressed()
        doors = {f"TIDEWATCH_{door.upper()}__PORT": str(self._port(door)) for door in DOORS}
        if not self._settings.board_base and self._port("gateway"):
            doors["TIDEWATCH_BOARD_BASE"] = self._url()
        await self._spawn(role, self._command(role, self._config), self._env | doors)

    async def _until_addressed(self) -> None:
        """Returns once the gateway has a port, or when it has died meanwhile, or takes too long."""
        gateway = self._children.get("gateway")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADDRESS_S):
                while not self._port("gateway"):
                    if gateway is None or not gateway.alive:
                        return
                    await asyncio.sleep(0.02)

    async def _spawn(self, name: str, command: list[str], env: Mapping[str, str], given: bytes = b"") -> Child:
        env = {"PATH": os.defpath, "HOME": str(self.directory.path)} | dict(env)
        child = await self._nursery.spawn(name, command, env, Log(self._log(name)), given)
        self._children[name] = child
        wait = self._task(self._wait(child))
        self._waits.add(wait)
        wait.add_done_callback(self._waits.discard)
        return child

    async def _until_listening(self, child: Child, port: int) -> None:
        async with asyncio.timeout(20):
            while not await servers.listens(port):
                if not child.alive:
                    raise CannotStart(f"{child.name} does not start: {child.log.last or 'it says nothing'}")
                await asyncio.sleep(0.02)

    async def _wait(self, child: Child) -> None:
        code = await child.wait()
        self._nursery.forget(child)
        self._ended.put_nowait((child, code))

    async def _end(self, names: Sequence[str], grace: Mapping[str, float]) -> None:
        """Stop these together. If this is called off, who has not ended counts as a child again, for `stop` to end."""
        children = [self._children.pop(name) for name in names if name in self._children]
        try:
            await asyncio.gather(*(child.stop(grace[child.name]) for child in children))
        except asyncio.CancelledError:
            self._children |= {child.name: child for child in children if child.alive}
            raise

    # Who died

    async def _watch(self) -> None:
        """Start again whoever ends without having been asked to."""
        while True:
            child, code = await self._ended.get()
            if self._children.get(child.name) is not child:
                continue
            how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
            self._words[child.name] = child.log.last.removeprefix("tidewatch: ") or how
            self._say(f"{child.name} {how}; starting it again")
            pause = self._pause(child.name)
            if child.name == "broker":
                await self._after_the_broker(pause)
            else:
                self._comebacks[child.name] = self._task(self._come_back(child.name, pause))

    def _pause(self, name: str) -> float:
        now = asyncio.get_running_loop().time()
        recent = [death for death in self._deaths.get(name, []) if now - death < 60] + [now]
        self._deaths[name] = recent
        return PAUSES[min(len(recent), len(PAUSES)) - 1]

    async def _come_back(self, name: str, pause: float) -> None:
        """Start it after the pause, again and again should the machine not let us."""
        while True:
            await asyncio.sleep(pause)
            try:
                await self._serve(name)
            except (CannotStart, OSError, TimeoutError) as error:
                self._say(f"{name} cannot be started: {printable(str(error)) or 'it took too long'}")
                await self._end((name,), {name: 0})
                pause = PAUSES[-1]
            else:
                self._say(f"{name} runs again (process {self.pid(name)})")
                return

    async def _after_the_broker(self, pause: float) -> None:
        """It forgot everything, so everyone begins anew with it."""
        for task in [self._comebacks.pop(role) for role in ROLES if role in self._comebacks]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._end(ROLES, dict.fromkeys(ROLES, 2.0))
        await self._come_back("broker", pause)
        for role in ROLES:
            await self._come_back(role, 0)

    async def _mind_the_broker(self) -> None:
        wear = Wear()
        while True:
            await asyncio.sleep(10)
            broker = self._children.get("broker")
            if broker and broker.alive and wear.worn(broker.age, _resident(broker.pid), _spent(broker.pid)):
                self._say("the broker holds much that is long done; it begins anew")
                self.kill("broker")

    # What is written down

    def _write_access(self) -> None:
        from tidewatch.access import make_access

        url = self._url()
        clickhouse = f"http://{servers.LOOPBACK}:{self._port('clickhouse')}"
        self.access = make_access(url, clickhouse, self._secret, BI, self._bi_password)
        write_private(self.directory.path / "access.json", json.dumps(self.access, indent=2) + "\n")

    async def _renew_tokens(self) -> None:
        while True:
            await asyncio.sleep(NEW_TOKENS)
            try:
                self._write_access()
            except OSError as error:
                self._say(f"access.json: {mend(error)}")

    def _write_run(self) -> None:
        kafka = self._env["TIDEWATCH_KAFKA__BOOTSTRAP"]
        run = {"pid": os.getpid(), "kafka": kafka, "redis": f"{servers.LOOPBACK}:{self._redis_port}"}
        write_private(self.directory.path / "run.json", json.dumps(run) + "\n")

    def _log(self, name: str) -> Path:
        return self.directory.path / "logs" / f"{name}.log"

    def _port(self, door: str) -> int:
        """The port as set; where that is 0, the one its role took and wrote down; 0: none yet."""
        given = self._settings.gateway.port if door == "gateway" else self._settings.clickhouse.port
        if given:
            return given
        try:
            return int((self.directory.path / "ports" / door).read_text())
        except (OSError, ValueError):
            return 0

    def _url(self) -> str:
        """The gateway's own address."""
        return f"http://{_in_url(self._host('gateway'))}:{self._port('gateway')}"

    def _host(self, door: str) -> str:
        host = self._settings.gateway.host if door == "gateway" else servers.LOOPBACK
        return {"0.0.0.0": servers.LOOPBACK, "::": "::1", "": servers.LOOPBACK}.get(host, host)  # noqa: S104  compared only


def _chosen(environ: Mapping[str, str], port: int | None, host: str | None) -> dict[str, str]:
    """The environment with what was chosen on the command line. Port 0: free ports everywhere."""
    env = dict(environ)
    if port is not None:
        env["TIDEWATCH_GATEWAY__PORT"] = str(port)
    if port == 0:
        env["TIDEWATCH_CLICKHOUSE__PORT"] = "0"
    if host is not None:
        env["TIDEWATCH_GATEWAY__HOST"] = host
    return env


def need_rules(settings: Settings) -> None:
    """Check alert rules, channels and routes before anything is started.

    Raises:
        CannotStart: they cannot be used.
    """
    from tidewatch.needs import CannotAlert, need_alerting

    try:
        need_alerting(settings)
    except CannotAlert as error:
        raise CannotStart(printable(str(error))) from None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _resident(pid: int) -> int:
    """Bytes of memory a process holds; 0 where the system does not say (it does on Linux)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _spent(pid: int) -> float:
    """Seconds of processor time that a process has taken; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
