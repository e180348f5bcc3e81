"""How long a person waits for the first page: `python -m benchmarks.first_page`.

Starts the app on an empty data folder (the first start fetches PostgREST and creates the database),
then three times on the same folder. Measures the time until it is ready (it answers, with its
database up) and until a browser with an empty cache shows the sign-in page. Needs
requirements-dev.txt and a browser. Prints one JSON object last; times are in seconds.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from tests.running_app import run_app

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LATER_STARTS = 3


class Start(NamedTuple):
    """Seconds from the command until the app answers, and until a person sees a page."""

    ready_s: float
    page_s: float


def main() -> None:
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("No browser found: install Debian's chromium, or Chrome.")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        data_dir = Path(folder) / "data"
        first = _start(browser, data_dir)
        print(f"first start: {first.page_s:.1f} s", flush=True)
        later = [_start(browser, data_dir) for _ in range(_LATER_STARTS)]
        browser.close()
    result = {
        "first_start": first._asdict(),
        "later_starts": [start._asdict() for start in later],
        "later_ready_median_s": statistics.median(start.ready_s for start in later),
        "later_page_median_s": statistics.median(start.page_s for start in later),
    }
    print(json.dumps(result))


def _start(browser: Browser, data_dir: Path) -> Start:
    page = browser.new_page()
    began = time.perf_counter()
    with run_app(data_dir) as app:
        ready_s = time.perf_counter() - began
        page.goto(app.url)
        page.get_by_role("button", name="Continue as demo analyst").wait_for()
        page_s = time.perf_counter() - began
        page.close()
    return Start(round(ready_s, 2), round(page_s, 2))


if __name__ == "__main__":
    main()
