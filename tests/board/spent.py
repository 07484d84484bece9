"""What a page's main thread spends, in its own processor time: Chrome's trace, read without the wall clock.

    FunctionCall, TimerFire… script   UpdateLayoutTree style   Layout   PrePaint, Paint, Layerize, Commit paint

On a busy machine a task takes longer; it does not take more of its thread's time.
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from selenium import webdriver
from websockets.sync.client import ClientConnection, connect

_CATEGORIES = "devtools.timeline,disabled-by-default-devtools.timeline,blink.user_timing,toplevel"
_KINDS = {
    "script": ("FunctionCall", "EvaluateScript", "TimerFire", "FireAnimationFrame", "EventDispatch", "RunMicrotasks"),
    "style": ("UpdateLayoutTree",),
    "layout": ("Layout",),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer"),
}  # fmt: skip


@dataclass
class Spent:
    """One task of the main thread, ms of its thread's time; `parts` are those of its parts, each counted once."""

    ms: float
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Trace:
    """Chrome's own account of what a page did while it was open."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        where = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{where}/json/version", timeout=10) as answer:
            self._browser = json.load(answer)["webSocketDebuggerUrl"]
        self.events: list[dict[str, Any]] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Everything within is traced."""
        numbers = itertools.count(1)
        with connect(self._browser, max_size=None, compression=None) as socket:
            _ask(socket, next(numbers), "Tracing.start", traceConfig={"includedCategories": _CATEGORIES.split(",")})
            yield
            socket.send(json.dumps({"id": next(numbers), "method": "Tracing.end"}))
            end = time.monotonic() + 60
            while time.monotonic() < end:
                said = json.loads(socket.recv(timeout=60))
                if said.get("method") == "Tracing.dataCollected":
                    self.events += said["params"]["value"]
                if said.get("method") == "Tracing.tracingComplete":
                    return

    def frames(self) -> list[Spent]:
        """Every task in which the page drew: it ran script, and its style, layout or picture was worked out."""
        return [one for one in self.tasks() if one.parts["paint"] and one.parts["script"] > 0.2]

    def tasks(self) -> list[Spent]:
        """Every task of the thread that lays the page out."""
        threads = Counter((e["pid"], e["tid"]) for e in self.events if e["name"] == "UpdateLayoutTree")
        (main, _), *_ = threads.most_common(1) or [((0, 0), 0)]
        own = sorted(
            (e for e in self.events if (e["pid"], e["tid"]) == main and e["ph"] == "X"),
            key=lambda e: (e["ts"], -e.get("dur", 0)),
        )
        found: list[Spent] = []
        end = 0
        inner: list[dict[str, Any]] = []
        for event in own:
            if event["ts"] >= end and event["name"] in ("RunTask", "ThreadControllerImpl::RunTask"):
                _close(found, inner)
                end, inner = event["ts"] + event.get("dur", 0), [event]
            elif event["ts"] < end:
                inner.append(event)
        _close(found, inner)
        return found


def _ask(socket: ClientConnection, number: int, method: str, **params: Any) -> None:
    socket.send(json.dumps({"id": number, "method": method, "params": params}))
    while json.loads(socket.recv(timeout=20)).get("id") != number:
        pass


def _close(found: list[Spent], inner: list[dict[str, Any]]) -> None:
    """A task with what is in it: of nested parts the innermost kind counts."""
    if not inner:
        return
    spent = Spent(inner[0].get("tdur", inner[0].get("dur", 0)) / 1000)
    stack: list[dict[str, Any]] = []
    own: dict[int, float] = {}
    for event in inner[1:]:
        while stack and event["ts"] >= stack[-1]["ts"] + stack[-1].get("dur", 0):
            stack.pop()
        took = event.get("tdur", 0) / 1000
        own[id(event)] = took
        if stack:
            own[id(stack[-1])] -= took
        stack.append(event)
    for event in inner[1:]:
        kind = next((kind for kind, names in _KINDS.items() if event["name"] in names), "other")
        spent.parts[kind] += own[id(event)]
    found.append(spent)
