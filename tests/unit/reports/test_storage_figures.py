"""The figures of a disk: fio's stand only where it was proved to run while something was done to the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.checks.storage_operations import GUEST_SECONDS
from reports.evidence import Evidence
from reports.figures.storage import figures
from reports.verdict import Figure
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.storage_records import BEGUN, DONE, NAMESPACE, PERIOD, VM, disk_record, hold
from tests.unit.reports.timeline import at

WAY = {"ios": 100, "iops": 400.0, "bytes_per_s": 1_600_000, "p50_s": 0.001, "p99_s": 0.004, "max_s": 0.02}
Figures = dict[tuple[str, str], Figure]
FiguresOf = Callable[[Record], Figures]


@pytest.fixture
def figures_of(tmp_path: Path) -> FiguresOf:
    """Writes a record and reads the figures of its disk, by axis and object."""

    def found(record: Record) -> Figures:
        told = list(figures(Evidence.of(record.write(tmp_path / "run-1"))))
        assert len({(one.axis, one.object) for one in told}) == len(told)
        return {(one.axis, one.object): one for one in told}

    return found


def measured(record: Record, during: str, ended: float, runtime: float, **changes: Any) -> None:
    """fio measured the random job until a moment, and for so long."""
    told = {"runtime_s": runtime, "ended_ns": at(ended), "read": dict(WAY), "write": dict(WAY), **changes}
    record.event(ended, "fio", "result", VM, job="random", during=during, mib=64, **told)


def moving() -> Record:
    """The machine was migrated from BEGUN to DONE, while fio measured for two seconds, and before."""
    record = disk_record("migration")
    state = {"mode": "PreCopy", "sourceNode": "node-a", "targetNode": "node-b"}
    for seconds, phase in ((BEGUN, "Running"), (DONE, "Succeeded")):
        record.event(
            seconds, "watch", "vmim", f"{NAMESPACE}/move", event="MODIFIED", name="move", uid="u", vmi=VM, phase=phase,
            migration=state,
        )
    measured(record, "baseline", 3.0, 2.0)
    slower = {**WAY, "iops": 100.0, "bytes_per_s": 400_000, "p99_s": 0.04}
    measured(record, "migration", DONE + 0.5, 2.0, read=slower)
    return record


def test_what_fio_measured_stands_beside_its_baseline(figures_of: FiguresOf) -> None:
    """Both phases, each direction, and how they compare; how much of it was migration is told."""
    found = figures_of(moving())
    assert found["IOPS", "random read, baseline"].value == 400
    during = found["IOPS", "random read, migration"]
    assert (during.value, during.better) == (100, "more")
    assert during.reason == "the migration took 50% of the time that was measured"
    assert found["p99 latency", "random read, migration"].value == 0.04
    assert found["p99 latency", "random read, migration"].better == "less"
    assert found["bandwidth", "random write, migration"].value == 1_600_000
    assert found["IOPS against baseline", "random read, migration"].value == pytest.approx(0.25)
    assert found["p99 latency against baseline", "random read, migration"].value == pytest.approx(10)
    assert found["p99 latency against baseline", "random write, migration"].value == pytest.approx(1)


@pytest.mark.parametrize("ended", [BEGUN - 0.1, DONE + 2.1])
def test_without_overlap_there_is_no_figure(figures_of: FiguresOf, ended: float) -> None:
    """fio that ran before or after the migration tells nothing of it."""
    record = moving()
    record.drop("fio", "result", lambda event: event["data"]["during"] == "migration")
    measured(record, "migration", ended, 2.0)
    found = figures_of(record)
    for axis in ("IOPS", "p99 latency", "IOPS against baseline"):
        figure = found[axis, "random read, migration"]
        assert (figure.value, figure.reason) == (None, "no migration took place while it was measured")


def test_a_failed_migration_is_none_that_was_measured(figures_of: FiguresOf) -> None:
    """Its figures would be those of a machine that stayed where it was."""
    record = moving()
    record.found("watch", "vmim")[-1]["data"]["phase"] = "Failed"
    assert figures_of(record)["IOPS", "random read, migration"].value is None


def test_fio_that_failed_says_why(figures_of: FiguresOf) -> None:
    """Its error, in place of every figure; without a baseline there is nothing to compare with."""
    record = moving()
    record.drop("fio", "result")
    measured(record, "migration", DONE, 1.0)
    record.event(3.0, "fio", "result", VM, job="sequential", during="baseline", mib=64, error="no room")
    found = figures_of(record)
    assert found["IOPS", "sequential read, baseline"].reason == "fio could not measure: no room"
    assert found["IOPS", "random read, migration"].value == 400
    against = found["IOPS against baseline", "random read, migration"]
    assert (against.value, against.reason) == (None, "no baseline was measured")


def test_a_direction_in_which_nothing_was_done_has_no_figure(figures_of: FiguresOf) -> None:
    """Such as the reads of a job that only writes."""
    record = disk_record()
    measured(record, "baseline", 3.0, 2.0, read=None)
    figure = figures_of(record)["IOPS", "random read, baseline"]
    assert (figure.value, figure.reason) == (None, "nothing was done in this direction")


def test_the_longest_pause_and_the_times_of_operations(figures_of: FiguresOf) -> None:
    """Two pauses that lie closer together than the period are not told apart."""
    record = disk_record()
    hold(record, BEGUN, 1.0)
    found = figures_of(record)
    pause = found["longest I/O pause", VM]
    assert pause.value == pytest.approx(1.0, abs=0.15)
    assert pause.resolution == PERIOD
    assert not pause.at_least
    assert found["snapshot time", VM].value == pytest.approx(DONE - BEGUN)
    assert found["snapshot time", VM].resolution == 0.25


def test_a_pause_before_the_first_disturbance_is_none_of_it(figures_of: FiguresOf) -> None:
    """What the baseline held up says nothing of the fault."""
    record = disk_record()
    hold(record, 2.0, 3.0)
    assert figures_of(record)["longest I/O pause", VM].value == pytest.approx(PERIOD, abs=0.05)


def test_without_a_disturbance_there_is_no_pause_of_one(figures_of: FiguresOf) -> None:
    """The reason stands in its place."""
    record = disk_record()
    record.drop("run", "phase", lambda event: event["data"]["phase"].startswith(("fault", "settle")))
    record.events = [one for one in record.events if one["source"] != "fault"]
    figure = figures_of(record)["longest I/O pause", VM]
    assert (figure.value, figure.reason) == (None, "nothing was drained and no fault was injected")


@pytest.mark.parametrize("spoil", [
    lambda record: record.drop("io-ledger", "end"),
    lambda record: record.drop("run", "phase", lambda event: event["data"]["phase"] == "settle/1"),
])
def test_a_pause_whose_end_nobody_saw_is_at_least_that_long(
    figures_of: FiguresOf, spoil: Callable[[Record], None]
) -> None:
    """A disk that hangs for ever leaves a record that ends before the pause does."""
    record = disk_record()
    spoil(record)
    figure = figures_of(record)["longest I/O pause", VM]
    assert figure.at_least
    assert figure.reason


def test_fio_that_ran_mostly_undisturbed_says_nothing_of_the_disturbance(figures_of: FiguresOf) -> None:
    """The share that was disturbed is a figure of its own."""
    record = moving()
    record.drop("fio", "result", lambda event: event["data"]["during"] == "migration")
    measured(record, "migration", DONE + 1.5, 3.0)
    found = figures_of(record)
    assert found["time covered", "random, migration"].value == pytest.approx(0.33)
    for axis in ("IOPS", "p99 latency", "IOPS against baseline"):
        figure = found[axis, "random read, migration"]
        assert (figure.value, figure.reason) == (None, "the migration took 33% of the time that was measured")


TENTHS = 10
IDLE: dict[str, Any] = {"bytes": 0, "clat_ns": {}}


def stepwise(count: int, late: bool = False) -> list[dict[str, Any]]:
    """Tenths of seconds until DONE + 1 by a guest's clock that stands still for half a second before DONE.

    In each so many reads took 1 ms; during the migration half as many took 10 ms. What the guest told shortly before
    and after the migration began may arrive late.
    """
    found = []
    own_ms = 0
    begin, still = round(TENTHS * BEGUN) - 50, round(TENTHS * DONE) - 5
    for tenth in range(begin + 1, round(TENTHS * DONE) + TENTHS + 1):
        if still <= tenth < still + 5:
            continue
        own_ms += 100
        moves = BEGUN * TENTHS < tenth <= DONE * TENTHS
        took = {"10000000": count // 2} if moves else {"1000000": count}
        arrived = BEGUN + 0.2 if late and abs(tenth - BEGUN * TENTHS) <= 1 else tenth / TENTHS
        reads = {"bytes": 4096 * sum(took.values()), "clat_ns": took}
        found.append({"arrived_ns": at(arrived + 0.001), "own_ms": own_ms, "read": reads, "write": IDLE})
    return found


@pytest.mark.parametrize("late", [False, True])
def test_fio_that_tells_step_by_step_tells_of_the_migration_only(figures_of: FiguresOf, late: bool) -> None:
    """However short it was beside all the time that fio ran; the time for which the guest stood still counts too.

    What is told late was not done late.
    """
    record = moving()
    record.drop("fio", "result", lambda event: event["data"]["during"] == "migration")
    measured(record, "migration", DONE + 1, 6.5, steps=stepwise(40, late))
    found = figures_of(record)
    iops = found["IOPS", "random read, migration"]
    assert iops.value == pytest.approx(100, rel=0.01)
    assert iops.reason == "of 1.0 s, of which the migration took 100%"
    assert found["time covered", "random, migration"].value == 1
    assert found["bandwidth", "random read, migration"].value == pytest.approx(100 * 4096, rel=0.01)
    assert found["p99 latency", "random read, migration"].value == pytest.approx(0.01)
    assert found["IOPS against baseline", "random read, migration"].value == pytest.approx(0.25, rel=0.01)
    still = found["IOPS", "random write, migration"]
    assert still.value == 0


def test_too_few_operations_have_no_99th_percentile(figures_of: FiguresOf) -> None:
    """But how many there were is told; a disk that did nothing at all is not left out."""
    record = moving()
    record.drop("fio", "result", lambda event: event["data"]["during"] == "migration")
    measured(record, "migration", DONE + 1, 6.5, steps=stepwise(20))
    found = figures_of(record)
    figure = found["p99 latency", "random read, migration"]
    assert figure.value is None
    assert figure.reason.startswith("50 operations are too few")
    assert found["p99 latency against baseline", "random read, migration"].value is None
    assert found["IOPS", "random read, migration"].value == pytest.approx(50, rel=0.01)


def test_steps_that_met_no_migration_have_no_figure(figures_of: FiguresOf) -> None:
    """As of a job that ended too soon."""
    record = moving()
    record.drop("fio", "result", lambda event: event["data"]["during"] == "migration")
    steps = [one for one in stepwise(40) if one["arrived_ns"] < at(BEGUN)]
    measured(record, "migration", BEGUN - 0.1, 4.5, steps=steps)
    figure = figures_of(record)["IOPS", "random read, migration"]
    assert figure.value is None
    assert figure.reason.startswith("no migration took place while it was measured")


@pytest.mark.parametrize("steps", [
    [{}], [7], "odd", [{"arrived_ns": 1, "own_ms": 1, "read": {"bytes": 1, "clat_ns": {"1": -1}}, "write": IDLE}],
])
def test_steps_of_an_odd_shape_are_none(figures_of: FiguresOf, steps: Any) -> None:
    """What was told of all the time stands, where most of it was disturbed."""
    record = moving()
    record.found("fio", "result")[-1]["data"]["steps"] = steps
    assert figures_of(record)["IOPS", "random read, migration"].value == 100


def test_each_machine_has_its_own_fio(figures_of: FiguresOf) -> None:
    """One result does not take the place of another's."""
    record = disk_record()
    measured(record, "baseline", 3.0, 2.0)
    measured(record, "baseline", 3.0, 2.0, read={**WAY, "iops": 7.0})
    record.events[-1]["object"] = "bench-1"
    found = figures_of(record)
    assert found["IOPS", f"{VM}, random read, baseline"].value == 400
    assert found["IOPS", "bench-1, random read, baseline"].value == 7


def test_an_operation_that_did_not_come_to_its_end_has_no_time(figures_of: FiguresOf) -> None:
    """The reason stands in its place."""
    record = disk_record()
    record.drop("fault", "injected")
    figure = figures_of(record)["snapshot time", VM]
    assert (figure.value, figure.reason) == (None, "it did not come to its end")


def test_a_boot_storm_lasts_until_the_last_machine_answers(figures_of: FiguresOf) -> None:
    """The slowest counts."""
    answered = {"storm-0": at(BEGUN + 3), "storm-1": at(BEGUN + 5)}
    record = disk_record("boot-storm", requested_ns=at(BEGUN), answered_ns=answered)
    for event in record.events:
        if event["source"] == "fault":
            event["data"]["target"] = "storm-0,storm-1"
    storm = figures_of(record)["boot storm time", "2 machines"]
    assert storm.value == pytest.approx(5)
    assert storm.resolution == GUEST_SECONDS


def test_a_service_has_no_figures_of_a_disk(figures_of: FiguresOf) -> None:
    """Its own families have them."""
    assert not figures_of(good_record())
