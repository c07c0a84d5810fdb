"""Take the pictures of pages for the documents: python docs/make_screenshots.py RUN...

Starts `echelon web` on a free port, opens its pages in a headless Chromium, then the report of the first run, and
writes PNG files to docs/images. The documents show those of `echelon run configs/quickstart.yaml`. Needs the extras
`web` and `dev`, and Chromium with its driver.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

IMAGES = Path(__file__).parent / "images"
ORDERS = "4.4.6.8.12.16.20.24.16.10.4.0.0.0.4.4.6.8.8.8.10.12.8.8.6.6.8.8.8.8.8.8.8.8.8.8"
DESKTOP, PHONE = 1200, 390
SHOTS = {
    "web_beer_game": ("/play?stage=wholesaler&orders=4.4.8.12.16", DESKTOP, False),
    "web_reveal": (f"/play?stage=wholesaler&orders={ORDERS}", DESKTOP, False),
    "web_reveal_dark": (f"/play?stage=wholesaler&orders={ORDERS}", DESKTOP, True),
    "web_phone": ("/play?stage=wholesaler&orders=4.4.8.12.16", PHONE, False),
    "web_what_if": ("/what-if?problem=placement", DESKTOP, False),
    "web_results": ("/runs", DESKTOP, False),
}
"""By file name the page, the width of the screen, and whether it is dark."""
REPORTS = {"report": (DESKTOP, False, 1215), "report_phone_dark": (PHONE, True, 1400)}
"""By file name the width of the screen, whether it is dark, and how much of the report is shown."""
DRAWN = (
    "return [...document.querySelectorAll('.nicegui-echart')].every(e => e.querySelector('svg path') && "
    "+e.querySelector('svg').getAttribute('width') === e.offsetWidth) && !!document.querySelector('h1')"
)


def main() -> None:
    """Take all pictures."""
    if len(sys.argv) < 2:
        raise SystemExit("give at least one run folder: python docs/make_screenshots.py RUN...")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "echelon.experiments.cli",
        "web",
        *sys.argv[1:],
        "--no-browser",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command)
    try:
        _await(f"http://127.0.0.1:{port}/")
        with tempfile.TemporaryDirectory() as profile:
            browser = _browser(profile)
            for name, (path, width, dark) in SHOTS.items():
                _shoot(browser, f"http://127.0.0.1:{port}{path}", IMAGES / f"{name}.png", width=width, dark=dark)
            report = (Path(sys.argv[1]) / "report.html").resolve().as_uri()
            for name, (width, dark, height) in REPORTS.items():
                _shoot(browser, report, IMAGES / f"{name}.png", width=width, dark=dark, height=height)
            browser.quit()
    finally:
        server.terminate()
        server.wait()


def _await(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


def _browser(profile: str) -> Chrome:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for option in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(option)
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


def _shoot(browser: Chrome, address: str, path: Path, *, width: int, dark: bool, height: int | None = None) -> None:
    """The whole page, as long as it is, or the first part of it."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    _resize(browser, width, 800)
    browser.get(address)
    WebDriverWait(browser, 30).until(lambda page: page.execute_script(DRAWN))
    script = "return Math.ceil(document.querySelector('footer').getBoundingClientRect().bottom)"
    _resize(browser, width, height or browser.execute_script(script))  # type: ignore[no-untyped-call]
    WebDriverWait(browser, 30).until(lambda page: page.execute_script(DRAWN))
    picture: dict[str, Any] = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path.write_bytes(base64.b64decode(picture["data"]))
    print(path)


def _resize(browser: Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


if __name__ == "__main__":
    main()
