"""The trend's page as people meet it: charts on demand, everything told without scripts, hostile names inert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from reports.trend.command import main
from tests.browser.browsing import Opened, opened
from tests.browser.hostile import ALL, BREAKOUT, SCRIPT, TEMPLATE
from tests.unit.reports.trend_runs import Night, write_nights

CHART, BUTTON = ".chart .svg-container", ".act > button"


@pytest.fixture(scope="module")
def trend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty nights in which every name is hostile; in the last two rows are lost."""
    root = tmp_path_factory.mktemp("trend")
    nights = [
        Night(
            outage=0.4 + number % 5 / 50, lost=number >= 28, drain_time=40.0 + number,
            case="".join(ALL), reason=BREAKOUT,
            target={"name": SCRIPT, BREAKOUT: TEMPLATE}, versions={TEMPLATE: SCRIPT if number >= 28 else BREAKOUT},
        )
        for number in range(30)
    ]
    nights[10] = replace(nights[10], outage=None)
    main([str(write_nights(root / "runs", nights)), "--out", str(root)])
    return root / "trend.html"


def draw(one: Opened, number: int) -> None:
    """Unfold everything, and ask for a chart by keyboard."""
    one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    button = one.page.locator(BUTTON).nth(number)
    button.focus()
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector(CHART)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_without_complaint(chromium: Browser, trend: Path, scheme: str) -> None:
    with opened(chromium, trend, color_scheme=scheme) as one:
        count = one.page.locator(BUTTON).count()
        for number in range(count):
            draw(one, number)
        assert one.page.locator(CHART).count() == count
        assert count >= 4
        assert one.complaints == []
        assert [url for url in one.requests if not url.startswith("blob:")] == []


def test_a_chart_closes_again_and_follows_the_colour_scheme(chromium: Browser, trend: Path) -> None:
    with opened(chromium, trend, color_scheme="light") as one:
        draw(one, 0)
        one.page.emulate_media(color_scheme="dark")
        one.page.wait_for_function("[...document.querySelectorAll('.chart .titletext, .chart .gtitle')].length > 0")
        one.page.locator(BUTTON).first.click()
        assert one.page.locator(".chart").count() == 0
        assert one.page.locator(BUTTON).first.get_attribute("aria-expanded") == "false"
        assert one.complaints == []


def test_everything_is_told_without_scripts(chromium: Browser, trend: Path) -> None:
    with opened(chromium, trend, java_script_enabled=False) as one:
        assert one.page.locator(".decision").inner_text() == "WORSE"
        assert one.page.locator(".block.fail").first.is_visible()
        assert one.page.locator(".block.fail svg").first.is_visible()
        assert "2 of 2 runs failed" in one.page.locator(".block.fail").first.inner_text()
        assert one.page.locator(BUTTON).count() == 0


def test_hostile_names_are_shown_and_do_nothing(chromium: Browser, trend: Path) -> None:
    with opened(chromium, trend) as one:
        draw(one, 0)
        for point in one.page.locator(".chart .point").all()[-3:]:
            point.hover(force=True)
        assert one.complaints == []
        assert [url for url in one.requests if not url.startswith("blob:")] == []
        assert one.page.locator("img, .chart a, main a").count() == 0
        shown = one.page.locator("body").inner_text()
        assert [attack for attack in ALL if attack not in shown] == []
        assert "<script>alert(1)</script>" in str(one.page.locator(".chart .gtitle").text_content())
