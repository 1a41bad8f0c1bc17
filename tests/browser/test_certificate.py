"""The certificate as people meet it: in a browser, with and without scripts, by mouse, by keyboard and on paper."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.browsing import Opened
from tests.browser.conftest import Open
from tests.browser.hostile import ALL

LIGHT_PAPER, DARK_PAPER = "rgb(255, 255, 255)", "rgb(21, 27, 34)"


def paper(one: Opened) -> str:
    return str(one.page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor"))


def chart_paper(one: Opened, chart: str) -> str:
    script = "where => getComputedStyle(document.querySelector(where + ' .main-svg')).background"
    return str(one.page.evaluate(script, chart))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["good", "hostile", "many"])
def test_nothing_is_complained_of_and_nothing_is_loaded(visit: Open, name: str, scheme: str) -> None:
    """All charts are drawn without an error, a refused script or a request."""
    with visit(name, color_scheme=scheme) as one:
        for number in range(1, one.page.locator(".chart").count() + 1):
            one.chart(number)
        assert one.complaints == []
        assert one.requests == []


def test_claims_are_visible_without_scripts(visit: Open) -> None:
    """Claims, verdict and a picture of the timeline are shown; what needs scripts is not."""
    with visit("good", java_script_enabled=False) as one:
        assert one.page.locator(".claims tbody tr").count() == 15
        assert one.page.locator(".claims tbody tr").first.is_visible()
        assert one.page.locator(".decision").inner_text() == "GO"
        assert one.page.locator(".static svg").first.is_visible()
        assert not one.page.locator(".controls").is_visible()
        assert not one.page.locator(".chart").is_visible()


def test_hostile_names_are_shown_and_do_nothing(visit: Open) -> None:
    """Names are text everywhere: no script of theirs, no picture, no link, no markup, in the page and in the chart."""
    with visit("hostile") as one:
        chart = one.chart()
        for text in one.page.locator(f"{chart} .bars .point").all()[:12]:
            text.hover(force=True)
        assert one.complaints == []
        assert one.page.locator("img").count() == 0
        links = one.page.evaluate("[...document.querySelectorAll('a')].map(one => one.getAttribute('href'))")
        assert all(not str(link).strip().lower().startswith("javascript:") for link in links)
        assert one.page.locator(f"{chart} a").count() == 0
        drawn = one.page.evaluate("where => document.querySelector(where).textContent", chart)
        assert "<a href=" in drawn
        shown = one.page.evaluate("document.body.innerText")
        assert [attack for attack in ALL if attack not in shown and attack not in drawn] == []
        assert one.page.evaluate("document.scripts.length") == 3


@pytest.mark.parametrize(("press", "narrower"), [("+", True), ("-", False)])
def test_keys_zoom(visit: Open, press: str, narrower: bool) -> None:
    """The chart can be reached by the tabulator and zoomed by keys; zero shows the whole run again."""
    with visit("good") as one:
        chart = one.chart()
        one.page.locator("#timeline-1 select").focus()
        one.page.keyboard.press("Tab")
        assert one.page.evaluate("document.activeElement.className").startswith("chart")
        begin, end = one.range(chart)
        one.page.keyboard.press("+")
        one.page.keyboard.press(press)
        one.settled(chart)
        first, last = one.range(chart)
        assert last - first == pytest.approx((end - begin) * (0.25 if narrower else 1), rel=0.01)
        one.page.keyboard.press("0")
        one.settled(chart)
        assert one.range(chart) == (begin, end)


def test_buttons_zoom_and_move(visit: Open) -> None:
    """Buttons halve what is shown, move along it within the run, and tell what is shown."""
    with visit("good") as one:
        chart = one.chart()
        begin, end = one.range(chart)
        told = one.page.locator("#timeline-1 .range").inner_text()
        one.page.get_by_role("button", name="Zoom in").click()
        one.settled(chart)
        first, last = one.range(chart)
        assert last - first == pytest.approx((end - begin) / 2, rel=0.01)
        for _ in range(4):
            one.page.get_by_role("button", name="Later").click()
        one.settled(chart)
        assert one.range(chart)[1] == pytest.approx(end, abs=2)
        assert one.page.locator("#timeline-1 .range").inner_text() != told


def test_disturbances_can_be_gone_to(visit: Open) -> None:
    """Each drain is offered, and choosing one shows it and little else."""
    with visit("good") as one:
        chart = one.chart()
        begin, end = one.range(chart)
        places = one.page.locator("#timeline-1 select")
        assert places.locator("option").count() == 4
        places.select_option(label="drain of node-b")
        one.settled(chart)
        first, last = one.range(chart)
        assert begin < first < last < end


def test_pointing_shows_values(visit: Open) -> None:
    """Whoever points at a mark reads what it is, when it was and how long it lasted."""
    with visit("good") as one:
        chart = one.chart()
        one.page.locator(f"{chart} .bars .point").first.hover(force=True)
        told = one.page.locator(f"{chart} .hoverlayer .hovertext")
        told.first.wait_for()
        assert "baseline" in (told.first.text_content() or "")
        assert "UTC" in (told.first.text_content() or "")


def test_machines_can_be_hidden(visit: Open) -> None:
    """A machine's button hides its curves and says so."""
    with visit("good") as one:
        chart = one.chart()
        curves = one.page.locator(f"{chart} .scatterlayer .trace")
        before = curves.count()
        button = one.page.get_by_role("button", name="portal-a")
        button.click()
        one.settled(chart)
        assert button.get_attribute("aria-pressed") == "false"
        assert curves.count() < before
        button.click()
        one.settled(chart)
        assert curves.count() == before


def test_dark_scheme_is_followed(visit: Open) -> None:
    """Page and chart are dark where the reader's system is, also when it changes meanwhile."""
    with visit("good", color_scheme="dark") as one:
        chart = one.chart()
        assert (paper(one), DARK_PAPER in chart_paper(one, chart)) == (DARK_PAPER, True)
        one.page.emulate_media(color_scheme="light")
        one.page.wait_for_function(
            "([where, paper]) => getComputedStyle(document.querySelector(where)).background.includes(paper)",
            arg=[f"{chart} .main-svg", LIGHT_PAPER],
        )
        assert paper(one) == LIGHT_PAPER


def test_paper_is_light(visit: Open, tmp_path: Path) -> None:
    """Printed, the picture stands for the chart, on white also for readers of the dark."""
    with visit("good", color_scheme="dark") as one:
        one.page.emulate_media(media="print", color_scheme="dark")
        assert paper(one) == LIGHT_PAPER
        assert one.page.locator(".static svg").first.is_visible()
        assert not one.page.locator(".chart").is_visible()
        written = one.page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        assert written.startswith(b"%PDF")
        assert one.complaints == []


def test_many_cases_have_an_index_and_are_drawn_when_shown(visit: Open) -> None:
    """The index leads to each case, and a chart far below is not drawn before it is reached."""
    with visit("many") as one:
        assert one.page.locator(".index-of-cases tbody tr").count() == 3
        assert one.page.locator(".chart[data-drawn]").count() == 0
        one.chart(1)
        assert one.page.locator("#timeline-3 .chart[data-drawn]").count() == 0
        one.page.locator(".index-of-cases a").nth(2).click()
        one.page.wait_for_selector("#timeline-3 .chart[data-drawn]")


def test_narrow_screens_do_not_scroll_sideways(visit: Open) -> None:
    """On a telephone the page is as wide as the screen."""
    with visit("good") as one:
        one.page.set_viewport_size({"width": 390, "height": 800})
        one.chart()
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_headings_and_tables_can_be_navigated(visit: Open) -> None:
    """Tables have captions or names, their headers a scope, and headings skip no level."""
    with visit("many") as one:
        levels = one.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
        unnamed = "[...document.querySelectorAll('table')].filter(t => !t.caption && !t.ariaLabel).length"
        assert one.page.evaluate(unnamed) == 0
        assert one.page.locator("th:not([scope])").count() == 0
        one.page.keyboard.press("Tab")
        assert one.page.evaluate("document.activeElement.className") == "skip"
