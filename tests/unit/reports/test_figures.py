"""Figures: what a record measured, under names that are the same in every run of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drainproof.record import Outcome
from reports.evidence import Evidence
from reports.figures import figures
from reports.verdict import CaseVerdict, Figure, Verdict
from tests.unit.reports.fault_records import BACK, BEGUN, DIED, LOST, RUNS, fault_record
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.timeline import DRAIN, END, PAUSE, STOPPED, VMS, at, drain_begin


def found(record: Record, tmp_path: Path) -> dict[tuple[str, str], Figure]:
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    return {(figure.axis, figure.object): figure for figure in figures(evidence)}


def value(of: dict[tuple[str, str], Figure], axis: str, name: str) -> float:
    figure = of[axis, name]
    assert figure.value is not None, figure.reason
    return figure.value


@pytest.fixture
def good(tmp_path: Path) -> dict[tuple[str, str], Figure]:
    return found(good_record(), tmp_path)


def test_downtime_is_the_longest_silence_of_each_stream(good: dict[tuple[str, str], Figure]) -> None:
    for vm in VMS:
        assert value(good, "downtime", f"http-new/{vm}") == pytest.approx(PAUSE, abs=0.2)
        assert value(good, "hypervisor downtime", vm) == pytest.approx(STOPPED)
    assert value(good, "downtime", "http-new/vip") < 0.2
    assert good["downtime", "http-new/vip"].resolution == pytest.approx(0.2)


def test_total_unavailability_adds_up_what_exceeds_the_normal(tmp_path: Path) -> None:
    record = good_record()
    before = value(found(record, tmp_path / "before"), "total unavailability", "http-new/vip")
    record.silence("http-new/vip", drain_begin(0) + 0.5, drain_begin(0) + 1.5)
    record.silence("http-new/vip", drain_begin(1) + 0.5, drain_begin(1) + 2.5)
    after = found(record, tmp_path / "after")
    assert value(after, "total unavailability", "http-new/vip") - before == pytest.approx(2.8, abs=0.25)
    assert value(after, "downtime", "http-new/vip") == pytest.approx(2, abs=0.2)


def test_a_gap_in_the_baseline_is_normal_and_no_downtime(tmp_path: Path) -> None:
    record = good_record()
    record.silence("http-new/vip", 1.0, 3.0)
    quiet = found(record, tmp_path)
    assert value(quiet, "downtime", "http-new/vip") < 0.2
    assert value(quiet, "total unavailability", "http-new/vip") == 0


def test_an_observers_own_stall_is_taken_off_and_told(tmp_path: Path) -> None:
    record = good_record()
    record.silence("http-new/vip", drain_begin(0), drain_begin(0) + 2)
    begin, end = at(drain_begin(0) + 0.2), at(drain_begin(0) + 1.8)
    record.event(drain_begin(0) + 2, "probe", "stall", start_ns=begin, end_ns=end)
    figure = found(record, tmp_path)["downtime", "http-new/vip"]
    assert figure.value is not None
    assert figure.value < 0.7
    assert figure.at_least
    assert "stalled" in figure.reason


def test_a_stream_without_samples_has_no_value_but_a_reason(tmp_path: Path) -> None:
    record = good_record()
    del record.samples["sql/portal-b"]
    missing = found(record, tmp_path)
    for axis, name in (("downtime", "sql/portal-b"), ("total unavailability", "sql/portal-b"),
                       ("failed operations", "sql")):
        assert missing[axis, name].value is None
        assert "no sample" in missing[axis, name].reason
    assert missing["downtime", "sql/portal-a"].value is not None


def test_a_run_that_broke_off_measures_at_least(tmp_path: Path) -> None:
    record = good_record()
    record.drop("run", "phase", lambda event: event["data"]["phase"] == "settle/3")
    cut = found(record, tmp_path)
    assert cut["downtime", "http-new/portal-a"].at_least
    assert "incomplete" in cut["downtime", "http-new/portal-a"].reason
    assert cut["outage", "udp/portal-a"].at_least


def test_outages_are_the_stopwatchs_own_and_zero_has_a_resolution(good: dict[tuple[str, str], Figure]) -> None:
    assert value(good, "outage", "udp/portal-a") == pytest.approx(0.18, abs=0.02)
    none = good["outage", "tcp-new/vip"]
    assert none.value == 0
    assert none.resolution is not None
    assert none.resolution > 0
    assert not any("@" in name for _, name in good)


def test_an_outage_in_the_baseline_is_not_of_the_drains(tmp_path: Path) -> None:
    record = good_record()
    record.watched.lose("udp/portal-a", 2.0, 2.05)
    assert value(found(record, tmp_path), "total outage", "udp/portal-a") == pytest.approx(0.18, abs=0.02)


def test_an_absent_stopwatch_measures_at_least(tmp_path: Path) -> None:
    record = good_record()
    for tenth in range(0, int(10 * END), 5):
        record.watched.leave("outside", tenth / 10, tenth / 10 + 0.1)
    figure = found(record, tmp_path)["outage", "udp/portal-a"]
    assert figure.at_least
    assert "away" in figure.reason


def test_migrations_are_named_by_their_machine_and_drains_by_their_order(
    good: dict[tuple[str, str], Figure]
) -> None:
    assert {name for axis, name in good if axis == "migration time"} == set(VMS)
    assert {name for axis, name in good if axis == "drain time"} == {"drain 1", "drain 2", "drain 3"}
    assert value(good, "drain time", "drain 1") == pytest.approx(DRAIN, abs=1.5)


def test_data_moved_is_read_from_the_launchers_line(tmp_path: Path) -> None:
    record = good_record()
    for event in record.found("hypervisor", "downtime"):
        event["data"]["line"] = "Migration info for x: TimeElapsed:1867ms DataProcessed:282MiB DataTotal:512MiB"
    assert value(found(record, tmp_path), "data moved", "portal-a") == 282 * 2**20


def test_a_migration_that_failed_has_no_time(tmp_path: Path) -> None:
    record = good_record()
    for event in record.found("watch", "vmim"):
        if event["data"]["vmi"] == "portal-a" and event["data"]["phase"] == "Succeeded":
            event["data"]["phase"] = "Failed"
    failed = found(record, tmp_path)
    assert failed["migration time", "portal-a"].value is None
    assert "Failed" in failed["migration time", "portal-a"].reason
    assert failed["migration time", "portal-b"].value is not None


def test_a_migration_that_nobody_watched_took_no_zero_seconds(tmp_path: Path) -> None:
    """Who made it says that it succeeded; only the watch says when."""
    record = good_record()
    record.drop("watch", "vmim", lambda event: event["data"]["vmi"] == "portal-a")
    record.event(
        drain_begin(0) + 3, "migrate", "outcome", "portal-a", vm="portal-a", vmim="evacuation-portal-a",
        phase="Succeeded",
    )
    blind = found(record, tmp_path)["migration time", "portal-a"]
    assert (blind.value, blind.reason) == (
        None, "the watch did not tell both when it was running and when it had ended"
    )


def test_the_preparation_of_a_migration_lies_before_it_runs(tmp_path: Path) -> None:
    """Volumes are attached on the target before the guest begins to move."""
    good = found(good_record(), tmp_path / "good")
    assert value(good, "migration preparation", "portal-a") == pytest.approx(0.7)
    assert value(good, "migration time", "portal-a") == pytest.approx(1.9)
    assert good["migration time", "portal-a"].resolution == pytest.approx(0.1)


def test_a_migration_that_was_told_to_fail_is_not_missed(tmp_path: Path) -> None:
    """Its time is nobody's finding, and would be missing in every run."""
    record = good_record()
    begin, facts = drain_begin(0), {"fault": "migration-cancel", "target": "portal-a"}
    record.event(begin, "run", "phase", phase="fault/1", state="begin")
    record.event(begin + 4, "run", "phase", phase="fault/1", state="end")
    for seconds, kind in ((0.1, "begin"), (3.0, "injected"), (3.1, "healed"), (3.2, "end")):
        told = {"expects": {"moved": {"portal-a": "Failed"}}} if kind == "begin" else {}
        record.event(begin + seconds, "fault", kind, "migration-cancel/1", **facts, **told)
    for event in record.found("watch", "vmim"):
        if event["data"]["vmi"] == "portal-a" and event["data"]["phase"] == "Succeeded":
            event["data"]["phase"] = "Failed"
    told_to_fail = found(record, tmp_path)
    assert ("migration time", "portal-a") not in told_to_fail
    assert told_to_fail["migration time", "portal-b"].value is not None


def test_a_family_that_breaks_keeps_what_it_told_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event of an odd shape takes no other figure away."""

    def broken(_: Evidence) -> Iterator[Figure]:
        yield Figure(axis="first", object="a", value=1.0, unit="s")
        raise KeyError("odd")

    monkeypatch.setattr("reports.figures.FAMILIES", (broken,))
    told = found(good_record(), tmp_path)
    assert told["first", "a"].value == 1
    (other,) = [figure for key, figure in told.items() if key != ("first", "a")]
    assert other.value is None
    assert "KeyError: 'odd'" in other.reason


def test_the_observers_stall_in_the_baseline_is_not_normal(tmp_path: Path) -> None:
    """Otherwise a gap of a second after it would be none."""
    record = good_record()
    record.silence("http-new/vip", 1.0, 3.0)
    record.event(3.0, "probe", "stall", start_ns=at(1.1), end_ns=at(2.95))
    record.silence("http-new/vip", drain_begin(1), drain_begin(1) + 1.5)
    assert value(found(record, tmp_path), "total unavailability", "http-new/vip") == pytest.approx(1.2, abs=0.3)


def test_without_a_baseline_nothing_is_known_to_exceed_it(tmp_path: Path) -> None:
    """The longest silence is a figure all the same."""
    record = good_record()
    begin, end = at(-0.1), at(drain_begin(0))
    record.samples["http-new/vip"] = [row for row in record.samples["http-new/vip"] if not begin < row[1] < end]
    told = found(record, tmp_path)
    total = told["total unavailability", "http-new/vip"]
    assert (total.value, total.at_least) == (None, False)
    assert "baseline" in total.reason
    assert told["downtime", "http-new/vip"].value is not None


def test_what_a_broken_off_run_measured_of_clients_and_replication_is_at_least(tmp_path: Path) -> None:
    """The baseline was whole."""
    record = good_record()
    record.drop("run", "phase", lambda event: event["data"]["phase"] == "settle/3")
    cut = found(record, tmp_path)
    for axis, name in (("p99 latency, {}", "http-new"), ("flow control, {}", "portal-a")):
        assert cut[axis.format("disturbed"), name].at_least
        assert not cut[axis.format("baseline"), name].at_least
    assert cut["failed operations", "http-new"].at_least


def test_a_drain_that_was_given_up_lasted_at_least(tmp_path: Path) -> None:
    record = good_record()
    record.found("drain", "end")[0]["data"]["error"] = "WaitTimeoutError: still there"
    figure = found(record, tmp_path)["drain time", "drain 1"]
    assert figure.at_least
    assert "given up" in figure.reason


def test_recovery_runs_from_the_loss_to_the_last_stream_that_serves(tmp_path: Path) -> None:
    lost = found(fault_record(), tmp_path)
    assert value(lost, "recovery", LOST) == pytest.approx(BACK - DIED, abs=1.5)
    assert value(lost, "restart", LOST) == pytest.approx(RUNS - BEGUN, abs=2)
    assert ("recovery", "portal-a") not in lost


def test_a_failed_operation_counts_with_the_time_out(tmp_path: Path) -> None:
    record = good_record()
    clean = value(found(record, tmp_path / "clean"), "p99 latency, disturbed", "http-new")
    for row in record.samples["http-new/vip"]:
        if row[1] > at(drain_begin(0)):
            row[3] = Outcome.ERROR
    failed = found(record, tmp_path / "failed")
    assert value(failed, "p99 latency, disturbed", "http-new") >= 5 > clean
    assert value(failed, "failed operations", "http-new") == pytest.approx(0.25, abs=0.05)
    assert value(failed, "p99 latency, baseline", "http-new") < 1


def test_flow_control_is_unknown_without_prometheus(tmp_path: Path) -> None:
    record = good_record()
    record.query("flow_control_paused_ns")["error"] = "no answer"
    figure = found(record, tmp_path)["flow control, disturbed", "portal-a"]
    assert figure.value is None
    assert "no answer" in figure.reason


def test_figures_are_stored_and_read_again() -> None:
    kept = (
        Figure(axis="downtime", object="vip", value=0.25, unit="s", resolution=0.1, at_least=True, reason="why"),
        Figure(axis="data moved", object="portal-a", value=None, unit="bytes"),
    )
    verdict = CaseVerdict(
        case="a", title="A", verdict=Verdict.FAIL, limits={}, claims=(), judged_by={"version": "4"}, figures=kept
    )
    assert CaseVerdict.of_json(verdict.as_json()).figures == kept
