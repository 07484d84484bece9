"""An alert storm through the embedded stack: how many posts people get, and how soon each channel and the history tell.

In each of so many queues somebody begins to wait at once; a rule fires for each queue. A Slack channel, a webhook and
ClickHouse's `alerts` are then to tell of all of them. `python -m tests.bench.storm`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import machine
from tests.bench.stack import cpu_s, entry, supervised
from tests.integration.alarmed import Receiver, receiving
from tests.integration.outside import History, Sender, wait

RULES = 'rules:\n  - {name: storm, metric: backlog, scope: {queue: "*"}, fire: ">= 1", clear: "<= 0"}\n'
MOST_POSTS = 20
FRAME = 500
_COUNT = re.compile(r"(\d+) alerts")


@dataclass(frozen=True)
class Storm:
    """Seconds from the last event's ack until all scopes are there, and what it took."""

    slack_posts: int
    slack_s: float
    webhook_s: float
    history_s: float
    cpu: dict[str, float]


def run(scopes: int) -> Storm:
    """One storm."""
    with tempfile.TemporaryDirectory(prefix="tidewatch-storm-") as here, receiving() as slack, receiving() as hook:
        config = _settings(Path(here), slack, hook)
        with supervised(Path(here) / "data", more=("--config", str(config))) as stack:
            access = wait("the stack", lambda: entry(Path(here) / "data"))
            history, before = History(access), cpu_s(stack)
            Sender(access, replay=False).send(list(_frames(scopes)))
            seen = _until(
                {
                    "slack": lambda: sum(map(_told, slack.posts)) >= scopes,
                    "webhook": lambda: len(hook.posts) >= scopes,
                    "history": lambda: _stored(history) >= scopes,
                }
            )
            used = {name: spent - before.get(name, 0.0) for name, spent in cpu_s(stack).items()}
            return Storm(len(slack.posts), seen["slack"], seen["webhook"], seen["history"], used)


def _settings(here: Path, slack: Receiver, hook: Receiver) -> Path:
    (here / "rules.yaml").write_text(RULES)
    channel = '[[channels]]\nname = "{}"\ntype = "{}"\nurl = "{}"\nallow_private = true\n'
    told = channel.format("people", "slack", slack.url) + channel.format("hook", "webhook", hook.url)
    path = here / "tidewatch.toml"
    path.write_text(f'rules = "rules.yaml"\n{told}')
    return path


def _frames(scopes: int) -> Iterator[dict[str, object]]:
    at = time.time_ns() // 1_000_000
    events = [
        {"id": "m", "kind": "message", "at": at, "tenant": "shop", "conversation": f"c{number}", "queue": f"q{number}",
         "author": "customer", "text": "?"}
        for number in range(scopes)
    ]  # fmt: skip
    for first in range(0, scopes, FRAME):
        yield {"events": events[first : first + FRAME]}


def _told(post: tuple[str, bytes]) -> int:
    """How many alerts one message to Slack is about."""
    found = _COUNT.match(json.loads(post[1])["text"])
    return int(found[1]) if found else 1


def _stored(history: History) -> int:
    return int(
        history.rows("SELECT uniqExact(alert) AS n FROM alerts WHERE rule = 'storm' AND state = 'firing'")[0]["n"]
    )


def _until(holds: dict[str, Callable[[], bool]], within_s: float = 600) -> dict[str, float]:
    """When each came to hold, in seconds from now."""
    began, found = time.monotonic(), dict[str, float]()
    while len(found) < len(holds):
        now = time.monotonic() - began
        assert now < within_s, f"{found} of {list(holds)} after {within_s} s"
        found |= {name: now for name, does in holds.items() if name not in found and does()}
        time.sleep(0.2)
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scopes", type=int, default=2_000)
    given = parser.parse_args()
    print(machine(), flush=True)
    one = run(given.scopes)
    print(f"{given.scopes} scopes: {one.slack_posts} posts to Slack (at most {MOST_POSTS}), all told after "
          f"{one.slack_s:.1f} s; webhook, a post each: {one.webhook_s:.1f} s; ClickHouse: {one.history_s:.1f} s; CPU "
          + ", ".join(f"{name} {spent:.1f} s" for name, spent in sorted(one.cpu.items()))
          + f"; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    if one.slack_posts > MOST_POSTS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
