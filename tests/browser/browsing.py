"""Opens certificates in Debian's Chromium, and collects whatever a page complains of or asks the network for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

REMEDY = "chromium is not installed: run `./bootstrap.sh workshop`"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)
WIDTH, HEIGHT = 1280, 900
DRAWN = ".chart[data-drawn]"


@dataclass
class Opened:
    """A page, and what it did besides being shown."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, everything written to the console, dialogs."""
    requests: list[str] = field(default_factory=list)
    """What was asked for besides the page itself."""

    def refuse(self, dialog: Dialog) -> None:
        """A certificate asks nobody anything."""
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def chart(self, number: int = 1) -> str:
        """Scroll to the timeline of a case, wait until it is drawn and return its selector."""
        section = f"#timeline-{number}"
        self.page.locator(section).scroll_into_view_if_needed()
        self.page.evaluate("where => document.querySelector(where).scrollIntoView()", section)
        self.page.wait_for_selector(f"{section} {DRAWN}")
        return f"{section} .chart"

    def range(self, chart: str) -> tuple[float, float]:
        """What the chart's clock shows, in milliseconds since the epoch."""
        found = self.page.evaluate(
            "where => document.querySelector(where)._fullLayout.xaxis.range.map(edge => +new Date(edge + 'Z'))", chart
        )
        return float(found[0]), float(found[1])

    def settled(self, chart: str) -> None:
        """Wait until what was asked of plotly.js is shown."""
        self.page.evaluate("where => Plotly.relayout(document.querySelector(where), {}).then(() => true)", chart)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window; raises FileNotFoundError with the remedy when there is none."""
    executable = shutil.which("chromium")
    if executable is None:
        raise FileNotFoundError(REMEDY)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS])
        try:
            yield made
        finally:
            made.close()


@contextmanager
def opened(one: Browser, report: Path, fragment: str = "", before: str = "", **context: Any) -> Iterator[Opened]:
    """Open a certificate; `context` is what playwright takes, such as `color_scheme` or `java_script_enabled`.

    `before` is a script that runs before those of the page, as if it came from the browser itself.
    """
    made = one.new_context(viewport={"width": WIDTH, "height": HEIGHT}, **context)
    page, address = made.new_page(), report.as_uri()
    if before:
        page.add_init_script(before)
    found = Opened(page)
    page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("dialog", found.refuse)
    try:
        page.goto(f"{address}{fragment}")
        found.requests = [url for url in found.requests if not url.startswith((address, "data:image/png;"))]
        yield found
    finally:
        made.close()
