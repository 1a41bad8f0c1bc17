"""What Prometheus scrapes is what the recorder holds."""

from __future__ import annotations

import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drainproof.errors import CannotRunError
from drainproof.record import Outcome
from drainproof.record.spool import Spool
from load.exporter import exporting
from load.recorder import Recorder
from load.schedule import SECOND, Stall

STREAM, AWAY = "http-new/a", "away/client"


def scrape(where: str) -> dict[tuple[str, str], float]:
    """Values by metric name and outcome (or bucket, or nothing); there is one stream of operations."""
    with urllib.request.urlopen(f"http://{where}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, sample.labels.get("outcome") or sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("stream") != AWAY or pytest.fail(f"{sample} is of no operation")
    }


def test_operations_gaps_durations_and_stalls_are_exported() -> None:
    now = time.monotonic_ns()
    recorder = Recorder([Spool.create([STREAM, AWAY])], now - 10 * SECOND)
    for ended in (9, 8, 3, 1):
        end = now - ended * SECOND
        recorder.done(0, end - SECOND, end - SECOND // 50, end, Outcome.OK)
    recorder.done(0, now - SECOND, now - SECOND, now, Outcome.TIMEOUT)
    recorder.done(1, now, now, now + 3 * SECOND, Outcome.OK)
    recorder.lateness(0, Stall(0, 2 * SECOND, SECOND))
    with exporting("probe", recorder, "127.0.0.1", 0) as where:
        found = scrape(where)
    assert found["drainproof_operations_total", "ok"] == 4
    assert found["drainproof_operations_total", "timeout"] == 1
    assert found["drainproof_operations_total", "error"] == 0
    assert found["drainproof_longest_gap_seconds", ""] == pytest.approx(5)
    assert found["drainproof_current_gap_seconds", ""] == pytest.approx(1, abs=0.9)
    assert found["drainproof_operation_seconds_bucket", "0.025"] == 4
    assert found["drainproof_operation_seconds_count", ""] == 5
    assert found["drainproof_operation_seconds_sum", ""] == pytest.approx(4 * 0.02 + 1)
    assert found["drainproof_void_seconds_total", ""] == 3
    assert found["drainproof_stall_seconds_total", ""] == 2


def test_a_scrape_sees_what_ended_since_the_last_one() -> None:
    now = time.monotonic_ns()
    recorder = Recorder([Spool.create([STREAM])], now)
    with exporting("probe", recorder, "127.0.0.1", 0) as where:
        for done in (1, 2):
            recorder.done(0, now, now, now + SECOND, Outcome.ERROR)
            assert scrape(where)["drainproof_operations_total", "error"] == done


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    recorder = Recorder([], 0)
    with exporting("probe", recorder, "127.0.0.1", 0) as where:
        port = int(where.rpartition(":")[2])
        with pytest.raises(CannotRunError, match=f"127.0.0.1:{port}.*free the port"), exporting(
            "ledger", recorder, "127.0.0.1", port
        ):
            pass


def test_an_observer_without_a_port_exports_nothing() -> None:
    with exporting("witness", Recorder([], 0), "127.0.0.1", None) as where:
        assert where == ""
