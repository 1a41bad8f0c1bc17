"""The certificate as people meet it: in a browser, with and without scripts, by mouse, by keyboard and on paper."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.browsing import Opened
from tests.browser.conftest import Open
from tests.browser.hostile import ALL, BREAKOUT, LINK, SCRIPT

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
        assert one.page.locator(".legend button:enabled").count() == 0


BROKEN = {
    "missing": "Object.defineProperty(window, 'Plotly', { get: () => undefined, set: () => {} });",
    "throws": "Object.defineProperty(window, 'Plotly', { get: () => ({ newPlot() { throw Error('odd') } }), "
              "set: () => {} });",
    "rejects": "Object.defineProperty(window, 'Plotly', { get: () => ({ newPlot: async () => { throw Error('odd') } }),"
               " set: () => {} });",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_chart_that_cannot_be_drawn_leaves_its_picture(visit: Open, broken: str) -> None:
    """Whatever becomes of the charting library, the timeline can be seen, and no button pretends to do something."""
    with visit("good", before=BROKEN[broken]) as one:
        one.page.locator("#timeline-1").scroll_into_view_if_needed()
        one.page.locator("#timeline-1 .static svg").first.wait_for()
        assert not one.page.locator("#timeline-1 .chart").is_visible()
        assert not one.page.locator("#timeline-1 .controls").is_visible()
        assert one.page.locator(".legend button:enabled").count() == 0
        assert [told[:35] for told in one.complaints] == ["error: The interactive timeline can"]


STRICT = """
  const parse = Date.parse;
  Date.parse = (text) => /^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{3})?Z$/.test(text) ? parse(text) : NaN;
"""
"""What every browser understands of the moments that plotly.js writes, and no more."""


@pytest.mark.parametrize(
    ("moments", "told"),
    [
        (["2026-01-01", "2026-01-01 00:00:20"], "00:00:00.000 to 00:00:20.000 UTC"),
        (["2026-01-01 00:00:01.2345", "2026-01-01 00:00:02.5"], "00:00:01.234 to 00:00:02.500 UTC"),
        (["2026-01-01 00:00", "2026-01-01 00:00:30"], "00:00:00.000 to 00:00:30.000 UTC"),
    ],
)
def test_moments_are_read_in_every_browser(visit: Open, moments: list[str], told: str) -> None:
    """Also those of which plotly.js leaves out what is zero, and those with more digits than a millisecond has."""
    with visit("good", before=STRICT) as one:
        chart = one.chart()
        relayout = "([where, range]) => Plotly.relayout(document.querySelector(where), {'xaxis.range': range})"
        one.page.evaluate(relayout, [chart, moments])
        assert one.page.locator("#timeline-1 .range").inner_text() == told
        one.page.get_by_role("button", name="Zoom in").click()
        assert one.complaints == []


def harmless(one: Opened) -> bool:
    """Whether nothing on the page loads, leads or runs."""
    links = one.page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    strange = one.page.locator("img, iframe, object, embed, form, [onerror], [onload], [onclick]").count()
    return not strange and not any(str(link).strip().lower().startswith("javascript:") for link in links)


def test_hostile_names_do_nothing_unfolded_or_on_paper(visit: Open, tmp_path: Path) -> None:
    """Nor in the picture, which becomes a part of the page only then."""
    with visit("hostile") as one:
        one.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        listed = one.page.locator(".listing").inner_text()
        assert [attack for attack in (SCRIPT, BREAKOUT, LINK.replace("/", "|")) if attack not in listed] == []
        one.page.emulate_media(media="print")
        one.page.locator(".static svg").first.wait_for()
        one.page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
        assert "<a href=" in (one.page.locator(".static").first.text_content() or "")
        assert harmless(one)
        assert one.page.evaluate("document.scripts.length") == 3
        assert (one.complaints, one.requests) == ([], [])


def test_hostile_names_do_nothing_without_scripts(visit: Open) -> None:
    """The picture is then read as a part of the page from the beginning."""
    with visit("hostile", java_script_enabled=False) as one:
        assert one.page.locator(".static svg").first.is_visible()
        assert "<a href=" in (one.page.locator(".static").first.text_content() or "")
        assert one.page.locator(".claims tbody tr").first.is_visible()
        assert one.page.locator("script").count() == 3
        assert harmless(one)
        assert (one.complaints, one.requests) == ([], [])


def test_the_timeline_can_be_read_as_a_table(visit: Open) -> None:
    """By keyboard, with and without scripts; it names machines, moments and lengths."""
    for scripts in (True, False):
        with visit("good", java_script_enabled=scripts) as one:
            table = one.page.locator(".listing table")
            assert not table.is_visible()
            one.page.locator(".listing summary").focus()
            one.page.keyboard.press("Enter")
            table.wait_for()
            rows = [" | ".join(row.locator("td").all_inner_texts()) for row in table.locator("tbody tr").all()]
            assert any(row.endswith("| Node of each virtual machine | portal-a | node-a") for row in rows)
            assert any("| 5.000 s | What was done | drain | drain of node-a" in row for row in rows)
            assert any("| Migrations | portal-a | node-a → node-d: Running for" in row for row in rows)
            assert any("| portal-a | no answer" in row for row in rows)


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
        assert one.page.evaluate("document.querySelector('#case-3').getBoundingClientRect().top") < 900
        one.chart(3)


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
