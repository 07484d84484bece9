"""A browser before a stage: the real page, fed by a real Redis through the real feed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.board.answers import ANSWERS
from tests.board.scenes import Present, surge
from tests.board.stage import Claims, Feeder, Stage, running_redis, until
from tests.conftest import require

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1",
    "--disable-dev-shm-usage", "--lang=en-US",
)  # fmt: skip


_TWO_FRAMES = """
  const done = arguments[0];
  requestAnimationFrame(() => requestAnimationFrame(() => done()));
"""


_DRESSED = """
  const root = document.documentElement;
  return arguments[0] === 'lang' ? root.lang.slice(0, 2) : root.dataset.theme;
"""


class Theatre:
    """A stage in a thread of its own. What it plays is written every half second."""

    def __init__(self) -> None:
        self.stage: Stage
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._open = threading.Event()
        self._scene: Callable[[int], Present] | None = surge
        self._wanted = self._shown = 0
        """Which scene is asked for, and which one has been written whole."""
        self._end: asyncio.Event
        self._next: asyncio.Event

    def run(self) -> None:
        """Play until `close`."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        self._end, self._next = asyncio.Event(), asyncio.Event()
        with tempfile.TemporaryDirectory() as folder:
            async with running_redis(Path(folder)) as url:
                self.stage, feeder = Stage(url), Feeder(url)
                following = asyncio.create_task(self.stage.mirror.run())
                playing = asyncio.create_task(self._play(feeder))
                server = await self.stage.start()
                self.port = server.sockets[0].getsockname()[1]
                await until(lambda: self.stage.mirror.stale is None)
                self._open.set()
                await self._end.wait()
                for task in (playing, following):
                    task.cancel()
                server.close()
                await feeder.close()

    async def _play(self, feeder: Feeder) -> None:
        while True:
            self._next.clear()
            asked, scene = self._wanted, self._scene
            if scene is not None:
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await feeder.write(scene(time.time_ns() // 1_000_000))
                    await until(lambda: (self.stage.mirror._seq or 0) >= feeder.seq)
            self._shown = asked
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next.wait(), 0.5)

    def opened(self) -> None:
        """Returns when the stage is up."""
        assert self._open.wait(60)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)

    def play(self, scene: Callable[[int], Present] | None, **claims: Any) -> None:
        """From now on this is played (None: nothing is written any more), to somebody with these claims."""
        self.stage.claims, self.stage.refuse = Claims(**claims), False
        self.stage.garble = ""
        self.stage.orders.clear()
        self.stage.answers = dict(ANSWERS)
        self._scene = scene
        self._wanted += 1
        self._loop.call_soon_threadsafe(self._next.set)
        while self._shown < self._wanted:
            time.sleep(0.01)

    def ordered(self) -> dict[str, object]:
        """The one order that a reader has given, once it is here; the page shows it before."""
        end = time.monotonic() + 60
        while not self.stage.orders and time.monotonic() < end:
            time.sleep(0.02)
        (order,) = self.stage.orders
        return order

    def drop(self) -> None:
        """Cut every viewer's connection."""
        for viewer in list(self.stage.mirror.viewers):
            self._loop.call_soon_threadsafe(viewer.connection.transport.abort)  # type: ignore[attr-defined]

    def address(self, query: str = "") -> str:
        """Where the board is."""
        return f"http://127.0.0.1:{self.port}/?{query}"


class Page:
    """The board in a browser."""

    def __init__(self, driver: webdriver.Chrome, theatre: Theatre) -> None:
        self.driver = driver
        self.theatre = theatre

    def open(self, query: str = "lang=en&theme=dark", width: int = 1440, height: int = 1000) -> None:
        """Open it at a size, and wait for the first numbers (or the message in place of them)."""
        self.measure(width, height)
        self.complaints()
        self.driver.get(self.theatre.address(query))
        self.wait("return !document.querySelector('[aria-busy]') && !!document.querySelector('main')")
        self.settle()

    def measure(self, width: int = 1440, height: int = 1000) -> None:
        """Give the window a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def resize(self, width: int, height: int = 1000) -> None:
        """Another size, without loading anything anew."""
        self.measure(width, height)
        self.wait("return innerWidth === arguments[0]", width)
        self.settle()

    def dress(self, lang: str, theme: str) -> None:
        """Another language and theme, by the page's own keys."""
        for name, key, now in (("lang", "e", lang), ("theme", "d", theme)):
            if self.do(_DRESSED, name) != now:
                self.do("dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))", key)
        assert (self.do(_DRESSED, "lang"), self.do(_DRESSED, "theme")) == (lang, theme)

    def settle(self) -> None:
        """Let drawings take the room they found."""
        self.do(_TWO_FRAMES, later=True)
        self.wait("return document.getAnimations().every((one) => one.playState !== 'running')")

    def do(self, script: str, *values: Any, later: bool = False) -> Any:
        """Run a script in the page."""
        run = self.driver.execute_async_script if later else self.driver.execute_script
        return run(script, *values)

    def wait(self, script: str, *values: Any, within_s: float = 60) -> Any:
        """Wait until a script says something true; returns it."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            found = self.do(script, *values)
            if found:
                return found
            time.sleep(0.03)
        raise AssertionError(f"never true: {script}")

    def text(self, selector: str = "body") -> str:
        """What a part of the page says."""
        return str(self.do("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def press(self, keys: str) -> None:
        """Type on the keyboard, wherever the focus is."""
        webdriver.ActionChains(self.driver).send_keys(keys).perform()

    def complaints(self) -> list[str]:
        """What the browser had to say: errors, refused scripts and styles."""
        told = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium gives it no types
        return [entry["message"] for entry in told if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="session", name="theatre")
def _theatre() -> Iterator[Theatre]:
    require("chromium", "chromedriver")
    theatre = Theatre()
    thread = threading.Thread(target=theatre.run, name="theatre")
    thread.start()
    theatre.opened()
    yield theatre
    theatre.close()
    thread.join(20)


@pytest.fixture(scope="session", name="_driver")
def _browser(theatre: Theatre) -> Iterator[webdriver.Chrome]:
    options = Options()
    for flag in _FLAGS:
        options.add_argument(flag)
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
        try:
            yield driver
        finally:
            driver.quit()


@pytest.fixture(name="page")
def _page(_driver: webdriver.Chrome, theatre: Theatre) -> Page:
    theatre.play(surge)
    page = Page(_driver, theatre)
    page.measure()  # whatever the last test left
    return page
