"""The comparison as people meet it: charts when they come into sight, all told without scripts, hostile names inert."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from reports.compare.__main__ import main
from reports.verdict import Verdict
from tests.browser.browsing import Opened, opened
from tests.browser.hostile import ALL, BREAKOUT, SCRIPT
from tests.unit.reports.compared import figure, write_run

TURNS = "ABBAABBAABBA"
DRAWN = ".plot[data-drawn]"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with hostile names, of which one is better; one of its runs stands out."""
    root = tmp_path_factory.mktemp("comparison")
    name = "".join(ALL)
    for number, letter in enumerate(TURNS):
        value = 1 + number / 100 + (letter == "B") + 20 * (number == 2)
        figures = [figure(value, name, object, reason=BREAKOUT) for object in (SCRIPT, BREAKOUT)]
        write_run(
            root / "runs", number, SCRIPT if letter == "A" else name, {"drain": [*figures, figure(value, "downtime")]},
            verdicts={"drain": Verdict.FAIL if letter == "B" else Verdict.PASS}, notes=(BREAKOUT,),
        )
    assert main([str(root / "runs"), "--out", str(root)]) == 0
    return root / "comparison.html"


def draw(one: Opened) -> int:
    """Bring every chart into sight; how many there are."""
    places = one.page.locator(".plot")
    for number in range(places.count()):
        places.nth(number).scroll_into_view_if_needed()
    one.page.wait_for_function(f"document.querySelectorAll('{DRAWN}').length === {places.count()}")
    return places.count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_and_nothing_is_complained_of(chromium: Browser, comparison: Path, scheme: str) -> None:
    with opened(chromium, comparison, color_scheme=scheme) as one:
        assert draw(one) == 3
        one.page.locator("button.time").first.click()
        one.page.wait_for_function("document.querySelector('.plot').layout.xaxis.type === 'date'")
        assert one.page.locator("button.time").first.get_attribute("aria-pressed") == "true"
        assert one.complaints == []
        assert one.requests == []


def test_hostile_names_are_shown_and_do_nothing(chromium: Browser, comparison: Path) -> None:
    with opened(chromium, comparison) as one:
        draw(one)
        for place in one.page.locator(".plot .points path").all()[:6]:
            place.hover(force=True)
        assert one.complaints == []
        assert one.page.locator("img").count() == 0
        assert one.page.locator(".plot a").count() == 0
        shown = one.page.evaluate("document.body.innerText")
        assert SCRIPT in shown
        assert BREAKOUT in shown


def test_everything_is_told_without_scripts(chromium: Browser, comparison: Path) -> None:
    with opened(chromium, comparison, java_script_enabled=False) as one:
        assert "is better on" in one.page.locator(".tally").first.inner_text()
        assert one.page.locator("table.found tbody tr").count() >= 1
        assert one.page.locator("svg.strip").first.is_visible()
        assert not one.page.locator(".charts").first.is_visible()
        assert not one.page.locator("button.time").first.is_visible()


def test_headings_leave_no_level_out_and_all_drawings_are_named(chromium: Browser, comparison: Path) -> None:
    with opened(chromium, comparison) as one:
        levels = one.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        unnamed = one.page.evaluate("document.querySelectorAll('svg[role=img]:not([aria-label])').length")
        assert unnamed == 0


def test_a_narrow_window_shows_all_of_it(chromium: Browser, comparison: Path) -> None:
    with opened(chromium, comparison) as one:
        one.page.set_viewport_size({"width": 380, "height": 800})
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 380
