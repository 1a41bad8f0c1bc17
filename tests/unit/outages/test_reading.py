"""Reading the stopwatch's streams: when each vantage point was blind, and what counts as undisturbed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from drainproof.record import Event, Outcome, SampleFile, read_samples
from drainproof.record.merging import merge_shards
from drainproof.record.spool import PLAIN_ROW, header
from drainproof.settings import Load
from drainproof.streams import Stream
from reports.outages.calibration import Calibration
from reports.outages.outage import Probes
from reports.outages.reading import Reading, Stopwatch
from reports.outages.voids import Voids
from reports.spans import Span
from reports.verdict import MissingEvidenceError
from tests.unit.outages.simulation import MS, Blackout, answered_through, schedule

SECOND = 1000 * MS
BEGIN = 100 * SECOND
WINDOW, BASELINE = Span(BEGIN, BEGIN + 4 * SECOND), Span(BEGIN, BEGIN + SECOND)
LOAD = Load(udp_rate=1000, control_rate=1000, tcp_new_rate=200, vantage_share=0.5)
CONTROL, UDP, NEW, ELSEWHERE = "control/client", "udp/a", "tcp-new/a", "udp/a@node"
QUIET = (WINDOW.begin, WINDOW.end)


def at(milliseconds: float) -> int:
    return BEGIN + round(milliseconds * MS)


def dark(begin: float, end: float, *, held: bool = False) -> Blackout:
    """A blackout between two milliseconds of the window."""
    return Blackout(at(begin), at(end), held)


def asked(*blackouts: Blackout, rate: int = 1000, until: float = 4000) -> Probes:
    count = round(until * rate / 1000)
    return answered_through(schedule(count, SECOND // rate, BEGIN), blackouts, np.random.default_rng(1))


def gone(*spans: tuple[float, float]) -> Probes:
    """Rows of the times in which a loop was away."""
    edges = np.array([(at(begin), at(end)) for begin, end in spans], np.int64).reshape(-1, 2)
    return Probes(edges[:, 0], edges[:, 1], np.ones(len(edges), np.bool_))


def told(kind: str, subject: str, begin: float, end: float, **facts: float | str) -> Event:
    return Event(at(end), "stopwatch", kind, subject, {"start_ns": at(begin), "end_ns": at(end), **facts})


def kept(directory: Path, streams: dict[str, Probes]) -> SampleFile:
    """The streams as a record holds them."""
    shard = directory / "stopwatch.spool"
    rows = [np.zeros(len(probes), PLAIN_ROW) for probes in streams.values()]
    for number, (row, probes) in enumerate(zip(rows, streams.values(), strict=True)):
        row["start"], row["end"], row["stream"] = probes.start, probes.end, number
        row["outcome"] = np.where(probes.answered, Outcome.OK, Outcome.TIMEOUT)
    shard.write_bytes(header([*streams], keyed=False) + np.concatenate(rows).tobytes())
    merge_shards([shard], directory / "samples.parquet")
    return read_samples(directory / "samples.parquet")


def watching(directory: Path, events: Sequence[Event] = (), **changes: Probes) -> Stopwatch:
    """A stopwatch that saw nothing special but for some streams: control, away, udp, new, and elsewhere at a node."""
    streams = {
        CONTROL: changes.get("control", asked()), "away/client": changes.get("away", gone()),
        UDP: changes.get("udp", asked()), NEW: changes.get("new", asked(rate=200)),
        "control/client@node": asked(), "away/client@node": changes.get("away_there", gone()),
        ELSEWHERE: changes.get("elsewhere", asked(rate=500)),
    }
    empty = [name for name, probes in streams.items() if not len(probes) and not name.startswith("away")]
    return Stopwatch(kept(directory, {name: rows for name, rows in streams.items() if name not in empty} | {
        name: gone((-10, -9)) for name, rows in streams.items() if name.startswith("away") and not len(rows)
    }), events, LOAD, BASELINE)


def read(watch: Stopwatch, stream: str) -> Reading:
    return watch.read(Stream.of(stream), WINDOW)


def spans(voids: Voids) -> list[tuple[int, int]]:
    return list(zip(voids.begin.tolist(), voids.end.tolist(), strict=True))


def test_a_vantage_point_is_blind_by_itself(tmp_path: Path) -> None:
    """An absence at one vantage point excuses nothing at another; a robbed host puts both in doubt."""
    out = dark(2000, 2100)
    watch = watching(
        tmp_path, [told("robbed", "", 3000, 3100, steal_ms=90)], udp=asked(out), elsewhere=asked(out, rate=500),
        away_there=gone((1990, 2110)),
    )
    assert spans(watch.voids(Stream.of(ELSEWHERE), WINDOW)) == [(at(1990), at(2110))]
    assert len(read(watch, UDP).finding.outages) == 1
    assert read(watch, UDP).void_ns == 100 * MS
    assert read(watch, ELSEWHERE).finding.outages == ()
    assert read(watch, ELSEWHERE).void_ns == 220 * MS


@pytest.mark.parametrize(("taken", "found"), [(30, 1), (90, 0)])
def test_a_robbery_excuses_what_it_can_have_delayed(tmp_path: Path, taken: float, found: int) -> None:
    """Answers that were held for 60 ms: the host can have done that when it took so much, and only then."""
    robbed = told("robbed", "", 1980, 2080, steal_ms=taken)
    watch = watching(tmp_path, [robbed], udp=asked(dark(2000, 2060, held=True)))
    outages = read(watch, UDP).finding.outages
    assert len(outages) == found
    assert all(one.lo_ns <= 60 * MS <= one.hi_ns for one in outages)


def test_a_robbery_does_not_hide_what_was_lost(tmp_path: Path) -> None:
    """No answer came for half a second: a host that takes time delays, but it loses nothing."""
    robbed, out = told("robbed", "", 1950, 2650, steal_ms=150), dark(2000, 2500)
    found = read(watching(tmp_path, [robbed], udp=asked(out)), UDP).finding
    assert found.neutral == 0
    (outage,) = found.outages
    assert outage.lo_ns <= 500 * MS <= outage.hi_ns
    assert outage.lo_ns > 300 * MS


def test_datagrams_that_the_kernel_dropped_blind_their_vantage_point_only(tmp_path: Path) -> None:
    watch = watching(tmp_path, [told("udp-drops", "node", 2000, 3000, count=5)])
    assert read(watch, UDP).void_ns == 0
    assert read(watch, ELSEWHERE).void_ns == SECOND


@pytest.mark.parametrize("held", [False, True])
def test_a_known_blackout_blinds_nobody_and_disturbs_no_baseline(tmp_path: Path, held: bool) -> None:
    """Known blackouts are left out of what is normal, however many fall into the baseline, and are no voids."""
    known = [dark(begin, begin + 20, held=held) for begin in (200, 600, 1500, 2500)]
    events = [
        told("control-blackout", CONTROL, (one.begin - BEGIN) / MS, (one.end - BEGIN) / MS, mode="x") for one in known
    ]
    watch = watching(tmp_path, events, control=asked(*known))
    assert read(watch, UDP).void_ns == 0
    assert isinstance(normal := read(watch, CONTROL).normal, Calibration)
    assert normal.slow_ns < MS
    found = read(watch, CONTROL).finding.outages
    assert [abs(one.mid_ns - 20 * MS) < MS for one in found] == [True] * 4


@pytest.mark.parametrize("held", [False, True])
def test_a_failure_of_the_control_that_nobody_made_is_a_void(tmp_path: Path, held: bool) -> None:
    accident = dark(2000, 2300, held=held)
    watch = watching(tmp_path, control=asked(accident), udp=asked(dark(2050, 2250)))
    reading = read(watch, UDP)
    assert reading.finding.outages == ()
    assert reading.void_ns >= accident.length - MS
    assert reading.finding.longest_gap_ns >= 200 * MS
    assert read(watch, ELSEWHERE).void_ns == 0


def test_a_failure_of_the_control_is_not_explained_by_a_blackout_beside_it(tmp_path: Path) -> None:
    """Of a failure of 300 ms a known blackout of 20 ms at its begin explains nothing."""
    known = told("control-blackout", CONTROL, 2000, 2020, mode="drop")
    watch = watching(tmp_path, [known], control=asked(dark(2000, 2300)), udp=asked(dark(2050, 2250)))
    assert read(watch, UDP).finding.outages == ()
    assert read(watch, UDP).void_ns >= 298 * MS


def test_a_loop_that_died_accuses_nobody(tmp_path: Path) -> None:
    """From when on the control stream was not even asked, nobody looked."""
    watch = watching(tmp_path, control=asked(until=2500), udp=asked(dark(2600, 4000)))
    assert spans(watch.control_failures("outside", WINDOW)) == [(at(2499), WINDOW.end)]
    assert read(watch, UDP).finding.outages == ()
    assert read(watch, UDP).finding.longest_gap_ns >= 1400 * MS


def test_voids_are_left_out_of_what_is_normal(tmp_path: Path) -> None:
    """What was read late after an absence in the baseline, or lost in it, does not tell what late means."""
    probes = asked(dark(300, 400))
    end = np.where((probes.end > at(600)) & (probes.end <= at(700)) & probes.answered, at(700) + 10_000, probes.end)
    slow = Probes(probes.start, end, probes.answered)
    watch = watching(tmp_path, udp=slow, away=gone((299, 401), (599, 700)))
    assert isinstance(normal := read(watch, UDP).normal, Calibration)
    assert normal.slow_ns < MS


def test_losses_in_the_baseline_that_nothing_excuses_leave_the_stream_unjudged(tmp_path: Path) -> None:
    watch = watching(tmp_path, udp=asked(dark(300, 400)))
    with pytest.raises(MissingEvidenceError, match="100 of 1000 probes of the undisturbed baseline were lost"):
        read(watch, UDP)


def test_a_baseline_that_was_all_void_leaves_the_stream_unjudged(tmp_path: Path) -> None:
    watch = watching(tmp_path, away=gone((-1, 995)))
    with pytest.raises(MissingEvidenceError, match="the baseline has . answers"):
        read(watch, UDP)


def test_a_connection_that_was_tried_again_was_lost(tmp_path: Path) -> None:
    """It came about a second later, which is not when the outage ended; one that was merely slow is no loss."""
    out = dark(2000, 2180)
    probes = asked(out, rate=200)
    late = (probes.start >= out.begin) & (probes.start < out.end)
    again = Probes(probes.start, np.where(late, probes.start + SECOND + MS, probes.end), probes.answered | late)
    slow = np.searchsorted(probes.start, at(1500))
    again.end[slow] += 3 * MS
    (outage,) = read(watching(tmp_path, new=again), NEW).finding.outages
    assert outage.lo_ns <= out.length <= outage.hi_ns
    assert outage.hi_ns - outage.lo_ns < 12 * MS


def test_an_arrival_that_cannot_be_true_hides_no_outage(tmp_path: Path) -> None:
    """One answer read from a clock that stood an hour ahead changes nothing of what follows it."""
    probes = asked(dark(2000, 2300, held=True))
    probes.end[1500] += 3600 * SECOND
    (outage,) = read(watching(tmp_path, udp=probes), UDP).finding.outages
    assert outage.lo_ns <= 300 * MS <= outage.hi_ns


def test_a_stream_elsewhere_is_asked_less_often(tmp_path: Path) -> None:
    """The period is the longest that the schedule leaves: of new connections two slots."""
    watch = watching(tmp_path)
    periods = {name: watch.period_ns(Stream.of(name)) / MS for name in (UDP, NEW, ELSEWHERE, "control/client@node")}
    assert periods == {UDP: 1, NEW: 10, ELSEWHERE: 2, "control/client@node": 2}


def test_a_stopwatch_without_a_word_of_its_absences_judges_nothing(tmp_path: Path) -> None:
    rows = {CONTROL: asked(), UDP: asked()}
    watch = Stopwatch(kept(tmp_path, rows), (), LOAD, BASELINE)
    with pytest.raises(MissingEvidenceError, match="has no away/client"):
        read(watch, UDP)
