"""What the peers print is read right, and read in the way that serves them best."""

from __future__ import annotations

import numpy as np
import pytest

from bench.instrument.blackouts import MS, Truth
from bench.instrument.peers import outputs
from bench.instrument.peers.readings import Requests, Window, best, by_failures, failures, gaps, slow

QUIET = (0, 1000 * MS)


def steady(until_ms: int, dark: tuple[int, int] | None = None, *, stuck: bool = False) -> Requests:
    """A request each 10 ms that takes 1 ms; in the dark none is answered before its end, or one is stuck until then."""
    start = np.arange(0, until_ms, 10, dtype=np.int64) * MS
    took = np.full(len(start), MS, np.int64)
    if dark:
        inside = (start >= dark[0] * MS) & (start < dark[1] * MS)
        if stuck:
            took[np.flatnonzero(inside)[0]] = (dark[1] - dark[0]) * MS
            inside[np.flatnonzero(inside)[0]] = False
        start, took = start[~inside], took[~inside]
    return Requests(start, start + took, np.ones(len(start), np.bool_))


def test_a_gap_between_answers_is_an_alarm_of_its_length() -> None:
    (alarm,) = gaps(steady(3000, (2000, 2100)), 10 * MS, 50 * MS)
    assert (alarm.begin_ns, alarm.mid_ns) == (1991 * MS, 100 * MS)


def test_requests_that_overlap_are_one_alarm_as_long_as_the_slowest() -> None:
    start = np.array([0, 10, 20, 500], np.int64) * MS
    told = Requests(start, start + np.array([80, 90, 1, 60], np.int64) * MS, np.ones(4, np.bool_))
    assert [(alarm.begin_ns, alarm.mid_ns) for alarm in slow(told, MS, 50 * MS)] == [(0, 89 * MS), (500 * MS, 59 * MS)]
    assert failures(told) == []


@pytest.mark.parametrize("stuck", [False, True])
def test_the_best_reading_finds_what_the_output_shows(stuck: bool) -> None:
    truth = Truth("drop", 2000 * MS, 2000 * MS, 2200 * MS, 2200 * MS)
    reading = best(steady(4000, (2000, 2200), stuck=stuck), QUIET, [truth])
    assert reading.score.detection == 1
    assert reading.score.false == []
    assert reading.error_ns <= 2 * MS


def test_a_tool_that_only_sums_up_is_read_by_its_runs() -> None:
    slowest_ms = (3, 4, 210, 5)
    windows = [Window(at * 1000 * MS, (at + 1) * 1000 * MS, took * MS, 0) for at, took in enumerate(slowest_ms)]
    truth = Truth("drop", 2100 * MS, 2100 * MS, 2150 * MS, 2150 * MS)
    reading = best(windows, (0, 2000 * MS), [truth])
    assert (len(reading.score.pairs), len(reading.score.false)) == (1, 0)
    assert by_failures(windows, [truth]) == 0


def test_wrk_tells_its_slowest_request_and_its_errors() -> None:
    told = """  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   512.12us  357.58us   2.74ms   80.81%
    Req/Sec     0.93k    35.38     1.01k    80.00%
  1855 requests in 2.00s, 130.43KB read
  Socket errors: connect 0, read 2, write 0, timeout 3
"""
    assert outputs.wrk(told) == (2_740_000, 1855, 5)
    assert outputs.wrk("unable to connect") == (0, 0, 1)


def test_hey_counts_from_its_start() -> None:
    told = (
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n"
        "0.0015,0,0,0,0,0,200,0.5\n"
        "0.01,0,0,0,0,0,503,1.5\n"
    )
    read = outputs.hey(told, 1000)
    assert read.start.tolist() == [500_001_000, 1_500_001_000]
    assert (read.end - read.start).tolist() == [1_500_000, 10_000_000]
    assert read.good.tolist() == [True, False]


def test_h2load_counts_in_wall_time() -> None:
    read = outputs.h2load("1795262501250125\t200\t169\n1795262501250200\t500\t10\n", 1795262501250000 * 1000)
    assert read.start.tolist() == [125_000, 200_000]
    assert read.good.tolist() == [True, False]


def test_echoes_are_placed_by_when_they_were_read_and_losses_count() -> None:
    told = (
        "[1795262490.06589] 10.0.0.2 : [0], 64 bytes, 0.012 ms (0.012 avg, 0% loss)\n"
        "[1795262490.07589] 10.0.0.2 : [1], timed out (0.012 avg, 50% loss)\n"
    )
    read = outputs.fping(told, 1795262490 * 10**9)
    assert read.end.tolist() == [65_890_000, 75_890_000]
    assert read.start.tolist()[0] == 65_878_000
    assert read.good.tolist() == [True, False]
    told = (
        "[1795262494.1] 64 bytes from 10.0.0.2: icmp_seq=988 ttl=64 time=0.5 ms\n"
        "[1795262494.300001] no answer yet for icmp_seq=989\n"
    )
    read = outputs.ping(told, 1795262494 * 10**9)
    assert read.end.tolist() == [100_000_000, 300_001_000]
    assert read.good.tolist() == [True, False]
