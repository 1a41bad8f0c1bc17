"""Cases and claims that the newest runs no longer have: a test that is gone proves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reports.trend.history import Stream
from reports.trend.series import Series, wanted


@dataclass(frozen=True, slots=True)
class Vanished:
    """A case, or a claim of a case that goes on, missing in the newest runs for longer than ever between two runs."""

    case: str
    claim: str
    """Empty: the case as a whole."""
    last_seen: int
    missing: int
    """How many of the newest runs (of the case) lack it."""


def vanished(stream: Stream, several: Iterable[Series], patterns: Sequence[str]) -> tuple[Vanished, ...]:
    """Cases first, then claims of those cases that go on."""
    return (*_vanished_cases(stream, patterns), *_vanished_claims(stream, several))


def _vanished_cases(stream: Stream, patterns: Sequence[str]) -> Iterator[Vanished]:
    """Cases that are missing now for longer than ever before; a suite that runs once a week is not."""
    for case in sorted({case for row in stream.rows for case in row.cases if wanted(case, patterns)}):
        seen = [at for at, row in enumerate(stream.rows) if case in row.cases]
        if missing := _missing(seen, range(len(stream.rows))):
            yield Vanished(case, "", seen[-1], missing)


def _vanished_claims(stream: Stream, several: Iterable[Series]) -> Iterator[Vanished]:
    for series in several:
        if series.whole:
            runs = [at for at, row in enumerate(stream.rows) if series.key.case in row.cases]
            if missing := _missing(series.told, runs):
                yield Vanished(series.key.case, series.key.name, series.told[-1], missing)


def _missing(seen: Sequence[int], runs: Sequence[int]) -> int:
    """How many of the newest runs lack what was seen; 0 if it was seen once only, or was ever missing for as long."""
    having = set(seen)
    places = [place for place, at in enumerate(runs) if at in having]
    longest = max((after - before - 1 for before, after in pairwise(places)), default=0)
    missing = len(runs) - 1 - places[-1]
    return missing if len(places) > 1 and missing > longest else 0
