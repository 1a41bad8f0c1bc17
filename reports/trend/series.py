"""One quantity over the runs of a stream: what each run says of it, and which of that can be computed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import numpy.typing as npt

from reports.trend.entries import CLAIM, Entry, Key
from reports.trend.history import Stream
from reports.verdict import Verdict


@dataclass(frozen=True)
class Series:
    """One quantity; `entries` has one item per run of the stream, None where the run says nothing of it."""

    key: Key
    entries: tuple[Entry | None, ...]

    @property
    def whole(self) -> bool:
        """Whether this is a claim as a whole, which carries the verdict; not a part of it, and not a figure."""
        return self.key.kind == CLAIM and not self.key.object

    @cached_property
    def told(self) -> tuple[int, ...]:
        """Indices of the runs that say anything."""
        return tuple(at for at, entry in enumerate(self.entries) if entry is not None)

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Indices of the runs whose value counts: those of a verdict of unknown do not, the instrument was blind."""
        return tuple(at for at in self.told if self.value(at) is not None and self.verdict(at) is not Verdict.UNKNOWN)

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """The values that count, in the order of `measured`."""
        return np.array([self.value(at) for at in self.measured], np.float64)

    @cached_property
    def decided(self) -> tuple[int, ...]:
        """Indices of the runs whose verdict is pass or fail."""
        return tuple(at for at in self.told if self.verdict(at) in (Verdict.PASS, Verdict.FAIL))

    @cached_property
    def failures(self) -> npt.NDArray[np.float64]:
        """1 for a fail and 0 for a pass, in the order of `decided`."""
        return np.array([self.verdict(at) is Verdict.FAIL for at in self.decided], np.float64)

    @property
    def newest(self) -> Entry:
        """What the newest run that says anything says."""
        return self.entry(self.told[-1])

    def entry(self, at: int) -> Entry:
        """What a run says; raises LookupError when it says nothing."""
        entry = self.entries[at]
        if entry is None:
            raise LookupError(f"{self.key}: run {at} says nothing")
        return entry

    def value(self, at: int) -> float | None:
        """The value of a run, whatever its verdict."""
        entry = self.entries[at]
        return entry.value if entry else None

    def verdict(self, at: int) -> Verdict | None:
        """The verdict of a run; None where it says nothing, or nothing is judged."""
        entry = self.entries[at]
        return entry.verdict if entry else None


def gather(stream: Stream, patterns: Sequence[str]) -> Iterator[Series]:
    """Every series of a stream whose case matches one of the patterns, sorted by case, kind, name and object."""
    keys = {key for row in stream.rows for key in row.entries}
    for key in sorted(key for key in keys if wanted(key.case, patterns)):
        yield Series(key, tuple(row.entries.get(key) for row in stream.rows))


def wanted(case: str, patterns: Sequence[str]) -> bool:
    """Whether a case was asked for; without patterns every case is."""
    return not patterns or any(fnmatchcase(case, pattern) for pattern in patterns)
