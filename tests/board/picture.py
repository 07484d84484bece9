"""Take the README's picture of a running board: `python -m tests.board.picture DIR docs/board.png`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

SIZE = (1440, 1120)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")


def take(board_url: str, target: Path, query: str = "lang=en&theme=light") -> None:
    """Open the board, wait until it shows numbers, and keep what is seen."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, "--window-size={},{}".format(*SIZE)):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.get(f"{board_url}&{query}")
        WebDriverWait(driver, 30).until(lambda page: len(page.find_elements("css selector", "table tbody tr")) > 2)
        still = "return document.getAnimations().every((one) => one.playState !== 'running')"
        WebDriverWait(driver, 30).until(lambda page: page.execute_script(still))
        driver.save_screenshot(str(target))
    finally:
        driver.quit()


if __name__ == "__main__":
    take(json.loads(Path(sys.argv[1], "access.json").read_text())["board_url"], Path(sys.argv[2]), *sys.argv[3:4])
