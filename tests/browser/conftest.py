"""Certificates of synthetic runs, and one browser to open them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from reports import publish
from reports.judge import judge
from tests.browser.browsing import Opened, browser, opened
from tests.browser.hostile import spoil
from tests.unit.reports.fault_records import fault_record
from tests.unit.reports.records import good_record

Open = Callable[..., AbstractContextManager[Opened]]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; without it nothing here can be told, which must not look like a pass."""
    try:
        with browser() as found:
            yield found
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Certificates: of one good case, of three cases, and of a run in which every name is hostile."""
    root = tmp_path_factory.mktemp("runs")
    good, hostile = good_record(), good_record()
    spoil(hostile)
    judge(good.write(root / "good"))
    judge(hostile.write(root / "hostile"))
    for name, record in (("first", good), ("second", fault_record()), ("third", good)):
        judge(record.write(root / "many", f"{name}_case"))
    for run in root.iterdir():
        publish(run)
    return {run.name: run / "report.html" for run in root.iterdir()}


@pytest.fixture
def visit(chromium: Browser, runs: dict[str, Path]) -> Open:
    """Opens the certificate of that name."""

    def of(name: str, **context: Any) -> AbstractContextManager[Opened]:
        return partial(opened, chromium, runs[name])(**context)

    return of
