"""What a timeline consists of, whoever draws it: rows on one clock, each with marks of a few kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
"""Monotonic nanoseconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted, in one lane; monotonic nanoseconds."""

    lane: int
    begin: int
    end: int
    label: str
    """As short as it fits into the bar."""
    told: str
    """The whole of it, for those who point at it."""
    colour: str
    """A name of the palette."""
    thin: bool = False
    """Drawn as a mark of its own weight inside its lane."""


@dataclass(frozen=True)
class Line:
    """A quantity over time, one value for each of equally long buckets; NaN where there was nothing."""

    name: str
    colour: str
    begin: int
    width: float
    """Of a bucket, nanoseconds."""
    values: Floats
    dashed: bool = False
    dots: bool = False
    """Single operations, which no line connects."""

    @property
    def times(self) -> Floats:
        """The middle of each bucket, monotonic nanoseconds."""
        return np.asarray(self.begin + (np.arange(len(self.values)) + 0.5) * self.width, np.float64)


def alone(values: Floats) -> npt.NDArray[np.bool_]:
    """Which values have no other beside them: a line through them would show nothing there."""
    known = np.concatenate(([False], np.isfinite(values), [False]))
    found: npt.NDArray[np.bool_] = known[1:-1] & ~known[:-2] & ~known[2:]
    return found


@dataclass(frozen=True)
class Gaps:
    """The times in which a stream had no answer for longer than is normal for it; monotonic nanoseconds."""

    name: str
    colour: str
    begins: Times
    ends: Times
    normal: float
    """Longer than so many seconds is not normal: the undisturbed baseline had none. Those over a limit are here too."""
    left_out: int = 0
    """How many shorter ones are not drawn."""
    limits: Floats | None = None
    """How many seconds each of them may last by the judge's rules; None: nothing limits them."""

    @property
    def seconds(self) -> Floats:
        """How long each of them lasted."""
        return np.asarray((self.ends - self.begins) / 1e9, np.float64)

    @property
    def over(self) -> npt.NDArray[np.bool_]:
        """Which of them lasted longer than they may."""
        limits = np.inf if self.limits is None else self.limits
        return np.asarray(self.seconds > limits, np.bool_)


@dataclass(frozen=True)
class Failures:
    """When operations of a stream failed, bucket by bucket; monotonic nanoseconds."""

    name: str
    times: Times
    told: tuple[str, ...]
    colour: str = ""
    """Of whom the stream asked, so that they are hidden together; the marks themselves are red."""


@dataclass(frozen=True, slots=True)
class Level:
    """A limit, in the row's unit."""

    value: float
    label: str
    eased: bool = False
    """Whether it holds only while a fault eases the other."""


@dataclass(frozen=True)
class Heat:
    """A share over time for each lane: 1 is as usual. Rows are lanes, columns equally long buckets."""

    begin: int
    width: float
    shares: Floats
    told: Floats
    """The quantity itself."""
    unit: str


@dataclass(frozen=True)
class Row:
    """One row of the timeline; without marks it says why."""

    id: str
    title: str
    note: str = ""
    """What a mark means, in a few words."""
    lanes: tuple[str, ...] = ()
    logarithmic: bool = False
    unit: str = ""
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    gaps: tuple[Gaps, ...] = ()
    failures: tuple[Failures, ...] = ()
    levels: tuple[Level, ...] = ()
    heat: Heat | None = None
    missing: str = ""
    lacking: str = ""
    """What of a row that is drawn could not be drawn, and why."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.bars or self.lines or self.gaps or self.failures or self.heat)


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of the timeline that is worth a look."""

    label: str
    begin: int
    end: int


@dataclass(frozen=True)
class Timeline:
    """All rows of a case between two instants of one clock."""

    begin: int
    end: int
    wall_ns: int
    """Wall time (UTC, nanoseconds since the epoch) at `begin`."""
    rows: tuple[Row, ...]
    moments: tuple[Moment, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    """The colour of each target."""

    def wall_ms(self, t_ns: float | Sequence[int] | Floats | npt.NDArray[np.int64]) -> Floats:
        """Instants as milliseconds of wall time since the epoch."""
        return np.asarray(self.wall_ns / 1e6 + (np.asarray(t_ns, np.float64) - self.begin) / 1e6, np.float64)

    @property
    def drawn(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.empty)

    @property
    def missing(self) -> tuple[Row, ...]:
        """The rows that have nothing to draw, each with its reason."""
        return tuple(row for row in self.rows if row.empty)
