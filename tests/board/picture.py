"""The pictures of the README and of docs/board.md: `python -m tests.board.picture [--dir DIR] [--to docs]`.

Without a directory of a stack that runs, the demo is started for it, and the pictures are taken in its surge.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
PATIENCE_S = 40
START_S, SURGE_S, RISING_S = 240, 420, 50
"""How long the demo may take to start and to surge; and how long the surge rises before it is a picture."""
_STILL = """
  return !document.querySelector('[aria-busy], main [role=status], .failure')
    && document.getAnimations().every((one) => one.playState !== 'running');
"""


@dataclass(frozen=True)
class Picture:
    """One picture: what is opened, at which size, what is clicked on the way, what must be there."""

    name: str
    query: str
    size: tuple[int, int]
    there: str
    clicks: tuple[str, ...] = ()


PICTURES = (
    Picture("board", "lang=en&theme=light", (1440, 1120), "[data-row]:nth-of-type(3)"),
    Picture("board-zh", "lang=zh&theme=dark", (1440, 1120), "[data-row]:nth-of-type(3)"),
    Picture("board-tv", "lang=zh&theme=dark&view=tv", (1920, 1080), ".ribbon .rq"),
    Picture("board-phone", "lang=zh&theme=light", (390, 1500), ".qlist li"),
    Picture("board-list", "lang=en&theme=light", (1440, 900), ".rcheck", ("[data-of=frt] a",)),
    Picture(
        "board-conversation",
        "lang=en&theme=light",
        (1440, 1080),
        ".rcheck",
        ("[data-of=frt] a", "[data-item]"),
    ),
    Picture("board-history", "lang=en&theme=dark&page=history", (1440, 900), ".hours td"),
)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A browser without a window. Raises: RuntimeError where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise RuntimeError("chromium and chromedriver are needed for pictures: apt install chromium chromium-driver")
    options = Options()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def take(page: webdriver.Chrome, url: str, picture: Picture, target: Path) -> None:
    """Open it, wait until all that it asks for is there and nothing moves, and keep what is seen."""
    width, height = picture.size
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.get(f"{url}/?{picture.query}")
    wait = WebDriverWait(page, PATIENCE_S)
    for selector in (*picture.clicks, picture.there):
        wait.until(expected_conditions.presence_of_element_located((By.CSS_SELECTOR, selector)))
        if selector in picture.clicks:
            page.execute_script("document.querySelector(arguments[0]).click()", selector)
    wait.until(lambda now: now.execute_script(_STILL))
    kept(page.get_screenshot_as_png(), target)


def kept(picture: bytes, target: Path) -> None:
    """Write it in a palette of 256 colours: a page has few, and the file is a third of the size."""
    flat = Image.open(io.BytesIO(picture)).convert("RGB")
    flat.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)


def surging(access: dict[str, str]) -> bool:
    """Whether the surge's alert is open."""
    signed = {"Authorization": f"Bearer {access['board_token']}"}
    request = urllib.request.Request(f"{access['url']}/v1/live", headers=signed)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            alerts = json.loads(answer.read())["alerts"]
    except OSError:
        return False
    return any(alert["state"] == "firing" and alert.get("metric") == "surge" for alert in alerts)


@contextmanager
def demo() -> Iterator[Path]:
    """The demo in its surge; yields its directory. Raises: TimeoutError."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "demo"
        command = [sys.executable, "-m", "tidewatch.cli", "demo", "--data", str(directory), "--port", "0"]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            until((directory / "access.json").exists, START_S)
            access = json.loads((directory / "access.json").read_text())
            until(lambda: surging(access), SURGE_S)
            time.sleep(RISING_S)
            yield directory
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(60)


def until(true: Callable[[], bool], within_s: float) -> None:
    """Wait until `true()` holds. Raises: TimeoutError."""
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s:.0f} s")
        time.sleep(1)


def main(directory: Path, folder: Path) -> None:
    """All pictures of the board that runs on `directory`."""
    access = json.loads((directory / "access.json").read_text())
    with browser() as page:
        page.get(access["board_url"])
        for picture in PICTURES:
            take(page, access["url"], picture, folder / f"{picture.name}.png")
            print(f"{folder / picture.name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, help="the directory of a running stack; without it the demo is started")
    parser.add_argument("--to", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    with contextlib.nullcontext(asked.dir) if asked.dir else demo() as running:
        main(running, asked.to)
