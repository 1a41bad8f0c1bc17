"""What a person reads while a run lasts."""

from __future__ import annotations

import io

from fixtures.progress import Progress
from tests.unit.harness.fakes import FakeClock


def test_the_line_tells_phase_migration_rate_and_gaps() -> None:
    """One line holds what matters now: phase, the newest migration, requests per second, gaps as clients see them."""
    clock = FakeClock()
    progress = Progress(io.StringIO(), clock)
    clock.sleep(12.5)
    progress.changed("vmi", {"name": "portal-0", "phase": "Running", "ready": False})
    progress.phase("deploy")
    assert progress.line() == "  12.5 s | deploy       | portal-0 Running"
    progress.changed("vmim", {"vmi": "portal-0", "phase": "TargetReady", "event": "MODIFIED"})
    progress.phase("drain/1")
    gaps = {"udp/a": 5.0, "sql/b": 70.0, "udp/a@node-a": 400.0}
    worst = {"udp/a": 9.0, "udp/b": 90.4, "sql/b": 900.0, "tcp-new/a@node-a": 5000.0}
    progress.totals = lambda: {"rps": 90.0, "failures": 2, "gap_ms": gaps, "worst_gap_ms": worst}
    assert progress.line() == (
        "  12.5 s | drain/1      | portal-0 TargetReady | 90 req/s, 2 failed | gap 70 ms (sql/b)"
        " | worst ms: sql 900, udp 90"
    )


def test_without_a_terminal_each_phase_is_a_plain_line() -> None:
    """No control characters, a line per phase."""
    out = io.StringIO()
    progress = Progress(out, FakeClock())
    progress.phase("deploy")
    progress.phase("baseline")
    assert out.getvalue().splitlines() == ["   0.0 s | deploy      ", "   0.0 s | baseline    "]


def test_hostile_names_are_shown_as_they_are() -> None:
    """Markup in a cluster's strings is text, not style."""
    out = io.StringIO()
    Progress(out, FakeClock()).note("[bold red]x[/]")
    assert out.getvalue() == "[bold red]x[/]\n"


def test_workers_of_one_terminal_are_told_apart() -> None:
    """Each worker of a run prints plain lines under its own name."""
    out = io.StringIO()
    progress = Progress(out, FakeClock(), worker="gw1")
    progress.phase("claim")
    progress.note("waiting for 4 free nodes")
    assert out.getvalue().splitlines() == ["gw1 |    0.0 s | claim       ", "gw1 | waiting for 4 free nodes"]
