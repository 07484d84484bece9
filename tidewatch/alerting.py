"""`tidewatch rules …` and `tidewatch alert …`: files checked and rehearsed, alerts listed and acted on.

What is listed is what the board shows, and what is asked for goes the board's way: over `/v1/live`, with a token, to
the notifier, whose answer is printed. So the command line can do no more than the token's holder could on the board.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from tidewatch.listing import clean, listing

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

DATA = Path("tidewatch-data")
ANSWER_S = 15.0
SEEN_S = 3.0
"""How long a silence may take to come back in the feed, with its id."""

rules = typer.Typer(help="Check and rehearse files of alert rules.", rich_markup_mode=None)
alert = typer.Typer(help="List the running stack's alerts, and act on them.", rich_markup_mode=None)


class Failed(Exception):
    """A command cannot do what it was asked. The message is one line."""


_THERE: dict[str, Any] = {"exists": True, "dir_okay": False, "readable": True}
Config = Annotated[Path | None, typer.Option("--config", help="The settings file (tidewatch.toml).", metavar="FILE")]
Data = Annotated[Path, typer.Option("--data", help="The directory of the running stack.", metavar="DIR")]
Url = Annotated[str, typer.Option("--url", help="The gateway, where it is not the stack of --data; needs --key.")]
Key = Annotated[str, typer.Option("--key", help="A token of a board's user.", envvar="TIDEWATCH_KEY")]
Rules = Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: those in force.", **_THERE)]
Stories = Annotated[Path, typer.Argument(metavar="FILE", help="Stories: numbers, and what is to fire.", **_THERE)]
OtherRules = Annotated[Path | None, typer.Option("--rules", metavar="FILE", help="Default: those in force.", **_THERE)]
AlertId = Annotated[str, typer.Argument(metavar="ID", help="As `alert list` shows it.")]


# Rules


@rules.command("check")
def check(file: Rules = None, config: Config = None) -> None:
    """Say every mistake of a file of rules: line, what is wrong, what is allowed.

    \b
    Examples:
      tidewatch rules check
      tidewatch rules check rules.yaml --config tidewatch.toml
    """
    from alerts.commands import rules_check
    from alerts.rules import SHIPPED
    from alerts.rules import load as read
    from config.settings import load

    settings = load(config)
    path = file or settings.rules or SHIPPED
    problems = rules_check(path, settings)
    for problem in problems:
        print(clean(problem))
    if problems:
        raise Failed(f"{path}: {_count(len(problems), 'mistake')}")
    print(f"{path}: {_count(len(read(path).by_name), 'rule')}, no mistake")


@rules.command("test")
def rehearse(file: Stories, rules_file: OtherRules = None, config: Config = None) -> None:
    """Rehearse rules on made-up numbers, and say where something else fired than the file expects.

    \b
    Examples:
      tidewatch rules test stories.yaml
      tidewatch rules test stories.yaml --rules rules.yaml
    """
    from alerts.commands import rules_test
    from config.settings import load

    differences = rules_test(rules_file or load(config).rules, file)
    for difference in differences:
        print(clean(difference))
    if differences:
        raise Failed(f"{file}: {_count(len(differences), 'difference')}")
    print(f"{file}: all as expected")


# Alerts


@alert.command("list")
def list_(
    data: Data = DATA,
    url: Url = "",
    key: Key = "",
    tenant: Annotated[str, typer.Option(help="Of one tenant only; * for what concerns the whole stack.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="Also those resolved in the last 30 minutes.")] = False,
    lang: Annotated[Literal["zh", "en"] | None, typer.Option(help="Default: as $LANG says.")] = None,
) -> None:
    """List open alerts, and silences; tab-separated where the output is no terminal.

    `by` has taken it; `quiet` is why nobody hears of it: who silenced it, or the graver alert that stands for it.

    \b
    Examples:
      tidewatch alert list
      tidewatch alert list --all --tenant acme
      tidewatch alert list --url https://chat.example --key TOKEN | cut -f1
    """
    with _live(data, url, key) as (_, frame):
        alerts = [one for one in frame["alerts"] if tenant in ("", one["tenant"])]
        silences = [one for one in frame["silences"] if tenant in ("", one["tenant"])]
    shown = [one for one in alerts if all_ or one["state"] != "resolved"]
    names = ("alert", "state", "severity", "tenant", "rule", "queue", "channel", "since", "by", "summary", "quiet")
    words = lang or ("zh" if os.environ.get("LANG", "").startswith("zh") else "en")
    listing(names, [_row(one, words) for one in shown], "no open alert" if not all_ else "no alert")
    if silences:
        listing(("silence", "tenant", "match", "until", "by", "reason"), [_quiet(one) for one in silences])


@alert.command("ack")
def ack(id_: AlertId, data: Data = DATA, url: Url = "", key: Key = "") -> None:
    """Acknowledge an alert: it is yours, and repeats and escalation end.

    \b
    Example:
      tidewatch alert ack 9f3c51d2a4b86e07
    """
    with _live(data, url, key) as (socket, _):
        _order(socket, {"ack": id_})
    print(f"acknowledged {clean(id_)}")


@alert.command("grade")
def grade(
    id_: AlertId,
    mark: Annotated[Literal["useful", "noise"], typer.Argument(help="What it was worth.")],
    data: Data = DATA,
    url: Url = "",
    key: Key = "",
) -> None:
    """Say whether an alert was worth it, for tuning.

    \b
    Example:
      tidewatch alert grade 9f3c51d2a4b86e07 noise
    """
    with _live(data, url, key) as (socket, _):
        _order(socket, {"grade": id_, "as": mark})
    print(f"graded {clean(id_)} as {mark}")


@alert.command("silence")
def silence(
    match: Annotated[list[str], typer.Option(metavar="LABEL=PATTERN", help="What to keep quiet; may be repeated.")],
    reason: Annotated[str, typer.Option(help="Why; the board shows it.")],
    minutes: Annotated[int, typer.Option(min=1, max=10_080, help="For how long.")] = 60,
    data: Data = DATA,
    url: Url = "",
    key: Key = "",
) -> None:
    """Tell nobody of what matches; what is still open at the end is told then.

    \b
    Examples:
      tidewatch alert silence --match queue='billing*' --minutes 30 --reason release
      tidewatch alert silence --match tenant=acme --match severity=info --reason drill
    """
    wish = {"match": _labels(match), "minutes": minutes, "reason": reason}
    with _live(data, url, key) as (socket, frame):
        before = {one["id"] for one in frame["silences"]}
        _order(socket, {"silence": wish})
        made = _new_silence(socket, before, wish)
    print(f"silenced for {_count(minutes, 'minute')}" + (f": {made}" if made else ""))


@alert.command("unsilence")
def unsilence(id_: AlertId, data: Data = DATA, url: Url = "", key: Key = "") -> None:
    """End a silence before its time.

    \b
    Example:
      tidewatch alert unsilence 1c0de5a7e2b94f10
    """
    with _live(data, url, key) as (socket, _):
        _order(socket, {"unsilence": id_})
    print(f"the silence {clean(id_)} has ended")


@alert.command("test")
def try_(
    channel: Annotated[list[str], typer.Option(metavar="NAME", help="Of the settings; may be repeated.")],
    config: Config = None,
) -> None:
    """Send a test alert, and its end, through a channel, and say what became of it.

    \b
    Example:
      tidewatch alert test --channel ops --config tidewatch.toml
    """
    import asyncio

    from alerts.commands import alert_test
    from alerts.notifier import doors
    from alerts.notifiers import Scribbled
    from alerts.troubles import why
    from config.settings import load

    found = doors(load(config).channels, Scribbled())
    unknown = [name for name in channel if name not in found]
    if unknown:
        raise typer.BadParameter(f"--channel: there is no channel {unknown[0]!r} (allowed: {', '.join(sorted(found))})")
    wanted = {name: found[name] for name in channel}
    told = asyncio.run(alert_test(wanted, time.time_ns() // 1_000_000))
    for name, result in told.items():
        print(f"{name}\t{clean(why(result, 'en'))}")
    failed = [name for name, result in told.items() if result != "sent"]
    if failed:
        raise Failed(f"not sent: {', '.join(failed)}")


# The live feed


def _way_in(data: Path, url: str, key: str) -> tuple[str, str]:
    """The gateway's base and a token. The token of a directory goes to that directory's gateway only."""
    if url and key:
        return url, key
    if url:
        raise typer.BadParameter("--url: a token is needed too (--key, or TIDEWATCH_KEY)")
    try:
        access = json.loads((data / "access.json").read_bytes())
        return str(access["url"]), key or str(access["board_token"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(
            f"{data}/access.json does not say how to get in: start `tidewatch up`, name its directory with --data, or "
            "give --url and --key"
        ) from None


@contextmanager
def _live(data: Path, url: str, key: str) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
    """The live feed, and its first frame.

    Raises:
        Failed: it cannot be had.
    """
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
    from websockets.sync.client import connect

    base, token = _way_in(data, url, key)
    if not base.startswith(("http://", "https://")):
        raise Failed(f"--url: {base!r} is no gateway (allowed: http://HOST:PORT or https://HOST)")
    target = f"ws{base.removeprefix('http').rstrip('/')}/v1/live"
    headers = {"Authorization": f"Bearer {token}"}
    proxy: Literal[True] | None = None if urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1") else True
    try:
        with connect(target, additional_headers=headers, max_size=None, open_timeout=ANSWER_S, proxy=proxy) as socket:
            yield socket, _next(socket, "snapshot", ANSWER_S)
    except InvalidStatus as error:
        status = error.response.status_code
        why = {401: "the token is not (or no longer) valid", 403: "the token lacks the role"}
        raise Failed(f"{base}: {why.get(status, f'answered {status}')}") from None
    except ConnectionClosed as error:
        reason = error.rcvd.reason if error.rcvd else ""
        raise Failed(f"{base}: the gateway closed the connection{': ' + reason if reason else ''}") from None
    except (InvalidURI, InvalidHandshake):
        raise Failed(f"{base}: no gateway of Tidewatch answers there") from None
    except TimeoutError:
        raise Failed(f"{base}: no answer within {ANSWER_S:g} s") from None
    except OSError as error:
        raise Failed(
            f"{base}: cannot be reached ({error.strerror or type(error).__name__}): is the stack up?"
        ) from None


def _next(socket: ClientConnection, kind: str, within_s: float) -> dict[str, Any]:
    """The next frame of a kind. Raises: TimeoutError."""
    until = time.monotonic() + within_s
    while True:
        frame: dict[str, Any] = json.loads(socket.recv(timeout=max(0.0, until - time.monotonic())))
        if frame.get("kind") == kind:
            return frame


def _order(socket: ClientConnection, order: Mapping[str, Any]) -> None:
    """Have it carried out.

    Raises:
        Failed: it was refused, with the notifier's reason.
    """
    socket.send(json.dumps(order))
    answer = _next(socket, "reply", ANSWER_S)
    if not answer.get("ok"):
        raise Failed(str(answer.get("error") or "refused"))


def _new_silence(socket: ClientConnection, before: set[str], wish: Mapping[str, Any]) -> str | None:
    """The id of the silence just made; None where the feed does not show it in time."""
    until = time.monotonic() + SEEN_S
    try:
        while True:
            frame = _next(socket, "delta", until - time.monotonic())
            for one in frame.get("silences") or ():
                if (
                    one["id"] not in before
                    and one["match"] == wish["match"]
                    and one["reason"] == wish["reason"].strip()
                ):
                    return str(one["id"])
    except TimeoutError:
        return None


# Words


def _labels(match: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in match:
        label, equals, pattern = pair.partition("=")
        if not (label and equals and pattern):
            raise typer.BadParameter(f"--match: {pair!r} is no label with a pattern (allowed: such as queue=billing*)")
        found[label] = pattern
    return found


def _row(one: Mapping[str, Any], lang: str) -> list[str]:
    plain = (one.get(name) for name in ("alert", "state", "severity", "tenant", "rule", "queue", "channel", "since"))
    quiet = one.get("silenced_by") or (f"beside {one['inhibited_by']}" if one.get("inhibited_by") else "")
    return [*(str(value) for value in plain), str(one.get("acknowledged_by") or ""), one["summary"][lang], str(quiet)]


def _quiet(one: Mapping[str, Any]) -> list[str]:
    match = " ".join(f"{label}={pattern}" for label, pattern in one["match"].items())
    return [str(value) for value in (one["id"], one["tenant"], match, one["until"], one["by"], one["reason"])]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
