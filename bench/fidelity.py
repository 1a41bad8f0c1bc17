"""How far the lab answers as the recorded cluster did: comparisons per recording, and how many are alike.

`python -m bench.fidelity [topic...]` compares some or all of them, and ends with 1 where a difference has no reason.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from tests.contract.fidelity import flows, ground, loss, plan, quirks
from tests.contract.fidelity.quirks import Verdict
from tests.recordings import BESIDE, VARIABLE, directory

ORDERS, LOSS = "orders", "node loss"
TOPICS = (*plan.TOPICS, ORDERS, LOSS)


def measure() -> Iterator[Figure]:
    """Send the recorded requests to a lab of simulated nodes; says so where the recordings are not at hand."""
    folder = directory()
    if folder is None:
        print(absent(), file=sys.stderr, flush=True)
        return
    for topic, verdict in verdicts(folder, TOPICS):
        yield from _figures(topic, verdict)


def absent() -> str:
    """A sentence about recordings that are not there."""
    return (f"fidelity: there are no recordings in {BESIDE}, nor does {VARIABLE} name a directory of them: "
            "nothing was compared.")


def verdicts(folder: Path, topics: tuple[str, ...]) -> Iterator[tuple[str, Verdict]]:
    """The judged comparisons of each topic; what is sent again as it is shares one lab."""
    known = quirks.load()
    sent = [topic for topic in plan.TOPICS if topic in topics]
    if sent:
        with tempfile.TemporaryDirectory() as state, ground.running(Path(state)) as lab:
            for topic in sent:
                yield topic, quirks.judge(plan.compared(lab, folder, topic), known)
    if ORDERS in topics:
        with tempfile.TemporaryDirectory() as state, ground.running(Path(state), flows.SCALE) as lab:
            yield ORDERS, quirks.judge(flows.compared(lab, folder), known)
    if LOSS in topics:
        with (
            tempfile.TemporaryDirectory() as state,
            ground.running(Path(state), grace_seconds=loss.GRACE_SECONDS) as lab,
        ):
            yield LOSS, quirks.judge(loss.compared(lab, folder), known)


def _figures(topic: str, verdict: Verdict) -> Iterator[Figure]:
    yield Figure(f"fidelity, {topic}: compared", verdict.compared, "")
    yield Figure(f"fidelity, {topic}: alike", verdict.equal, "")
    yield Figure(f"fidelity, {topic}: meant to differ", verdict.explained, "")
    yield Figure(f"fidelity, {topic}: known faults", verdict.known, "", "0")
    yield Figure(f"fidelity, {topic}: unexplained", verdict.unexplained_places, "", "0")


def main() -> int:
    """Print a line per topic and every difference without a reason."""
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"of {', '.join(TOPICS)}; all of them if none")
    chosen = tuple(parser.parse_args().topics)
    if unknown := set(chosen) - set(TOPICS):
        parser.error(f"no such topic: {', '.join(sorted(unknown))}; there are {', '.join(TOPICS)}")
    folder = directory()
    if folder is None:
        print(absent())
        return 2
    print(f"{'topic':<14}{'compared':>9}{'alike':>7}{'meant':>7}{'faults':>8}{'unexplained':>13}{'seconds':>9}")
    failed, begun = False, time.monotonic()
    for topic, verdict in verdicts(folder, chosen or TOPICS):
        counts = (verdict.compared, verdict.equal, verdict.explained, verdict.known, verdict.unexplained_places)
        widths = zip(counts, (9, 7, 7, 8, 13), strict=True)
        print(f"{topic:<14}{''.join(f'{count:>{width}}' for count, width in widths)}"
              f"{time.monotonic() - begun:>9.0f}", flush=True)
        begun = time.monotonic()
        for line in (*verdict.unexplained, *(f"matches nothing: {part}" for part in verdict.idle)):
            print(f"  {line}", flush=True)
        failed |= bool(verdict.unexplained or verdict.idle)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
