"""How long a person waits for the first page: `python -m benchmarks.first_page`.

Starts the app on an empty data folder (the first start fetches PostgREST and makes the database),
then three times on the same folder, each time until a browser shows the sign-in page. Needs
requirements-dev.txt and a browser. Prints one JSON object last; times are in seconds.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from tests.running_app import run_app

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LATER_STARTS = 3


def main() -> None:
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("No browser found: install Debian's chromium, or Chrome.")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        data_dir = Path(folder) / "data"
        first_s = _seconds_to_first_page(browser, data_dir)
        print(f"first start: {first_s:.1f} s", flush=True)
        later_s = [_seconds_to_first_page(browser, data_dir) for _ in range(_LATER_STARTS)]
        browser.close()
    print(
        json.dumps(
            {
                "first_start_s": round(first_s, 2),
                "later_starts_s": [round(seconds, 2) for seconds in later_s],
                "later_start_median_s": round(statistics.median(later_s), 2),
            }
        )
    )


def _seconds_to_first_page(browser: Browser, data_dir: Path) -> float:
    page = browser.new_page()
    began = time.perf_counter()
    with run_app(data_dir) as app:
        page.goto(app.url)
        page.get_by_role("button", name="Continue as demo analyst").wait_for()
        elapsed_s = time.perf_counter() - began
        page.close()
    return elapsed_s


if __name__ == "__main__":
    main()
