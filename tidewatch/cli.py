"""The commands. Each says what was wrong in one line on stderr; exit 0: well, 2: wrong usage, 1: anything else.

What a command needs is imported when it runs: `--help` must not load ClickHouse, nor the gateway Faust.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from typer.exceptions import TyperException

from config import alive, crash, spare
from config.logs import configure, printable
from config.settings import load
from tidewatch import alerting, auditing, deeds, planning, screens

app = typer.Typer(
    name="tidewatch",
    help="Watches customer-service chat: counts it as it comes, shows it on a wallboard, tells people when it surges.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(alerting.rules, name="rules")
app.add_typer(alerting.alert, name="alert")
app.add_typer(deeds.audit, name="audit")
app.add_typer(planning.event, name="event")
app.add_typer(screens.tv, name="tv")
auditing.add(app)

DATA = Path("tidewatch-data")
LEAVE_S = 2.0
"""How long a role that is done waits for what in its process is not."""
_THERE: dict[str, Any] = {"exists": True, "dir_okay": False, "readable": True}
KNOWN_ROLES = ("ingest", "replay", "viewer", "supervisor", "analyst", "admin")

Config = Annotated[Path | None, typer.Option("--config", help="The settings file (tidewatch.toml).", metavar="FILE")]
Data = Annotated[Path, typer.Option("--data", help="The directory that holds everything.", metavar="DIR")]
DemoData = Annotated[Path, typer.Option("--data", help="The demo's own directory; made anew each time.", metavar="DIR")]
Host = Annotated[str | None, typer.Option("--host", help="Where the gateway listens (default 127.0.0.1).")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Its port (default 8400; 0: free ones).")]


class Failed(Exception):
    """A command cannot do what it was asked. The message is one line."""


def main() -> None:
    """The console script."""
    arguments = sys.argv[1:] or ["--help"]
    configure("tidewatch", "warning", libraries="critical")
    try:
        code = app(arguments, prog_name="tidewatch", standalone_mode=False)
    except TyperException as wrong:
        _fail(wrong.format_message(), wrong.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 1)
    except BrokenPipeError:
        os._exit(1)  # who read us has gone; there is nobody to tell
    except Exception as error:  # noqa: BLE001  the last resort: one line for people, all of it for the log
        structlog.get_logger().debug("command_failed", exc_info=True)
        _fail(str(error) if _is_ours(error) else f"{type(error).__name__}: {error}", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _is_ours(error: Exception) -> bool:
    """Whether the message was written for a person."""
    return type(error).__module__.split(".")[0] in (
        "config",
        "streams",
        "alerts",
        "sinks",
        "gateway",
        "tidewatch",
        "__main__",
    )


def _fail(message: str, code: int) -> None:
    print("tidewatch:", printable(" ".join(message.split())), file=sys.stderr, flush=True)
    sys.exit(code)


# The stack


@app.command()
def up(data: Data = DATA, host: Host = None, port: Port = None, config: Config = None) -> None:
    """Run everything on this machine, in one directory, until Ctrl-C."""
    from tidewatch.embedded import Stack

    configure("supervisor")
    stack = Stack(data, port=port, host=host, config=config)
    print(f"tidewatch: starting in {data.absolute()}; the board's link comes when everything is ready", flush=True)
    asyncio.run(until_told(spare.sparing(_up(stack)), stack.kill_all))


async def _up(stack: Any) -> None:
    async with stack:
        print(
            f"tidewatch: ready\n  board  {stack.access['board_url']}\n  token  {stack.access['ingest_token']}",
            flush=True,
        )
        print(f"  all of it in {stack.directory.path / 'access.json'}; Ctrl-C ends everything", flush=True)
        try:
            await stack.broken()
        finally:
            print("tidewatch: stopping", flush=True)


async def until_told(work: Coroutine[Any, Any, Any], now: Callable[[], None] | None = None) -> None:
    """Run until it is done, or until TERM, HUP or Ctrl-C cancel it and it has cleaned up. A second one calls `now`."""
    task = asyncio.ensure_future(work)
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()
        elif now:
            now()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, tell)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise


@app.command()
def demo(data: DemoData = Path("demo-data"), host: Host = None, port: Port = None) -> None:
    """Run everything, with real conversations replayed into it, a surge, and its alert."""
    from tidewatch import demo as show

    configure("demo", "warning")
    _call(show.run, data, host, port)


# The roles


@app.command()
def gateway(config: Config = None) -> None:
    """The doors: chat in, numbers out, the wallboard."""
    _role("gateway", config, "gateway.server")


@app.command()
def worker(config: Config = None) -> None:
    """The stream worker: folds chat into numbers."""
    _role("worker", config, "streams.app")


@app.command()
def sink(config: Config = None) -> None:
    """The history: writes what the workers say into ClickHouse."""
    _role("sink", config, "sinks.store")


@app.command()
def notifier(config: Config = None) -> None:
    """The present and the alerts: writes Redis, judges the rules, tells people."""
    _role("notifier", config, "streams.notifier")


def _role(name: str, config: Path | None, module: str) -> None:
    """One role of production, until TERM. A bug ends it, loudly, for its supervisor to start it again."""
    settings = load(config)
    if config is not None:
        os.environ["TIDEWATCH_CONFIG"] = str(config)  # for the role that reads it again
    crash.arm()
    configure(name, settings.log_level)
    os.umask(0o077)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else numpy's threads turn round and wait, on every core

    async def run() -> None:
        code = 1
        try:
            await alive.beating(spare.sparing(importlib.import_module(module).run(settings)))
            code = 0
        finally:
            _leave(code)

    try:
        _call(run)
    except Exception as error:
        alone = _alone(error)
        if _is_ours(alone):
            raise alone from None
        structlog.get_logger().exception("role_failed")
        raise


def _leave(code: int) -> None:
    """End the process within `LEAVE_S`, whoever stays. A consumer's threads and tasks go on for ever if its broker is
    away, a reader's query for half a minute; what was to be kept is kept by now.
    """
    end = threading.Timer(LEAVE_S, os._exit, (code,))
    end.daemon = True
    end.start()


def _alone(error: Exception) -> Exception:
    """What a group of tasks ended of, where that is one thing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _call(run: Callable[..., Any], *given: Any, **named: Any) -> None:
    """Call what may be a coroutine function (then TERM cancels it) or a plain one (then it minds TERM itself)."""
    if inspect.iscoroutinefunction(run):
        asyncio.run(until_told(run(*given, **named)))
    elif isinstance(code := run(*given, **named), int) and code:
        raise typer.Exit(code)


# The tools


@app.command()
def replay(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files of events, or names of data sets.")],
    speed: Annotated[float | None, typer.Option(help="Times real time; not given: as fast as it goes.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Go on live afterwards.")] = False,
    url: Annotated[
        str, typer.Option(help="The gateway (default: the stack's of ./tidewatch-data, or 127.0.0.1:8400).")
    ] = "",
    key: Annotated[str, typer.Option(help="A token with the roles ingest and replay.")] = "",
) -> None:
    """Send recorded chat through the replay door, with its own clock."""
    from tidewatch.replay import command

    raise typer.Exit(command(files, speed, live, url, key))


@app.command()
def backtest(
    rules: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: those in force.", **_THERE)] = None,
    from_: Annotated[
        str, typer.Option("--from", metavar="INSTANT", help="Judge from here on; or 14d before --to.")
    ] = "",
    to: Annotated[str, typer.Option("--to", metavar="INSTANT", help="The end; default: that of the history.")] = "",
    file: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Events, or a known data set; may be repeated.", **_THERE)
    ] = None,
    clickhouse: Annotated[
        str, typer.Option(metavar="URL", help="With user and password in it, or those of --config.")
    ] = "",
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The stack whose history is used.")] = None,
    config: Config = None,
    tenant: Annotated[str, typer.Option(help="One tenant, or * for all.")] = "*",
    incidents: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was really wrong; default: alerts graded useful.", **_THERE),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Planned events; default: those in force.")
    ] = None,
    every: Annotated[str, typer.Option(help="From tick to tick, 1s to 30s; live it is 1s.")] = "30s",
    learn: Annotated[str, typer.Option(help="ClickHouse: so much before --from only teaches the models.")] = "28d",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page, a picture and the numbers there.")
    ] = None,
) -> None:
    """Try rules on a history before they are armed: how often they fire, at night, with what lead over incidents.

    \b
    Examples:
      tidewatch backtest --rules rules.yaml --from 2026-11-01 --to 2026-11-15 --out backtest
      tidewatch backtest --from 7d --to 2026-11-15 --clickhouse http://bi:PASSWORD@history:8123
      tidewatch backtest --rules rules.yaml --file chat.jsonl.gz --incidents incidents.toml
    """
    from tidewatch import backtest as trial

    asked = trial.Asked(
        rules, from_, to, file or (), clickhouse, data, config, tenant, incidents, events, every, learn, out
    )
    try:
        raise typer.Exit(trial.command(asked))
    except trial.Wrong as wrong:
        raise typer.BadParameter(str(wrong)) from None


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(KNOWN_ROLES)}; may be repeated.")],
    tenant: Annotated[str, typer.Option(help="The tenant, or * for all.")] = "*",
    ttl: Annotated[str, typer.Option(help="How long it is good for, such as 30m, 12h or 7d.")] = "12h",
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="A stack's directory, for its secret.")
    ] = None,
    config: Config = None,
) -> None:
    """Print a signed token."""
    from tidewatch.access import make_token

    unknown = [name for name in role if name not in KNOWN_ROLES]
    if unknown:
        raise typer.BadParameter(f"there is no role {unknown[0]!r} (allowed: {', '.join(KNOWN_ROLES)})")
    if not tenant:
        raise typer.BadParameter("--tenant: a name is expected, or * for all")
    print(make_token(_secret(data, config), "cli", tenant, role, _duration(ttl)))


def _secret(data: Path | None, config: Path | None) -> str:
    from tidewatch.directory import signing_secret

    settings = load(config)
    secret = settings.secret.get_secret_value()
    if data is None and secret:
        return secret
    found = signing_secret(data or settings.data or DATA)
    if found is None:
        raise Failed(
            f"{data or DATA} holds no secret: set TIDEWATCH_SECRET, or name the directory of a stack with --data"
        )
    return found


def _duration(text: str) -> timedelta:
    parts = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if parts is None:
        raise typer.BadParameter(f"--ttl: {text!r} is no length of time (allowed: such as 90s, 30m, 12h, 7d)")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[parts[2]]
    length = timedelta(**{unit: int(parts[1])})
    if length > timedelta(days=400):
        raise typer.BadParameter(f"--ttl: {text!r} is too long (allowed: up to 400d)")
    return length


@app.command()
def doctor(data: Annotated[Path | None, typer.Option("--data", metavar="DIR")] = None, config: Config = None) -> None:
    """Say what is reachable, what is configured and what is wrong, each with the mend."""
    from tidewatch import doctor as examine

    near = DATA if data is None and config is None and DATA.is_dir() else data
    findings = asyncio.run(examine.examine(config, near))
    for finding in findings:
        print(finding)
    wrong = sum(not finding.good for finding in findings)
    if wrong:
        print(f"tidewatch: {wrong} of {len(findings)} looked at are wrong; the mend stands below each", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
