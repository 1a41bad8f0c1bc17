"""The sentences of the trend; they still hold the cluster's words and are made harmless where they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from reports.text import SYMBOLS, number
from reports.trend.analysis import Line, Step
from reports.trend.differences import Difference
from reports.trend.entries import FIGURE, Key
from reports.trend.episodes import Episode, Share
from reports.trend.history import Damage, Row, Stream
from reports.trend.vanished import Vanished
from reports.verdict import Verdict

NAMED_CAUSES = 6
MEBI = 1024.0 * 1024.0
DECISION = {Verdict.PASS: "NOTHING WORSE", Verdict.FAIL: "WORSE", Verdict.UNKNOWN: "UNDECIDED"}
FIGURE_SYMBOLS = (*SYMBOLS, "bytes", "bytes/s", "1/s")


def label(key: Key) -> str:
    """`continuity.requests: sql`, `downtime of udp/portal-0`."""
    if not key.object:
        return key.name
    return f"{key.name} of {key.object}" if key.kind == FIGURE else f"{key.name}: {key.object}"


def amount(value: float | None, unit: str) -> str:
    """A value with its symbol: `0.651 s`, `12.4 MiB`."""
    if value is None:
        return "–"
    symbol = unit.partition(", ")[0]
    if symbol in ("bytes", "bytes/s") and abs(value) >= MEBI:
        return f"{number(value / MEBI)} MiB{symbol.removeprefix('bytes')}"
    return f"{number(value)} {symbol if symbol in FIGURE_SYMBOLS else ''}".strip()


def moment(row: Row) -> str:
    """`2026-11-20 01:02 UTC`."""
    return f"{row.started:%Y-%m-%d %H:%M} UTC"


def run(row: Row) -> str:
    """`20261120-010229-7c1c of 2026-11-20 01:02 UTC`."""
    return f"{row.id} of {moment(row)}"


def period(stream: Stream) -> str:
    """`40 runs from 2026-10-01 to 2026-11-20`."""
    first, last = stream.rows[0].started, stream.rows[-1].started
    told = f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}" if first.date() != last.date() else f"of {first:%Y-%m-%d}"
    return f"{len(stream.rows)} {'run' if len(stream.rows) == 1 else 'runs'} {told}"


def share(one: Share) -> str:
    """`3 of 8 runs failed (with 95 % confidence 9 % to 76 % of such runs do)`."""
    low, high = one.interval
    return (
        f"{one.bad} of {one.decided} {'run' if one.decided == 1 else 'runs'} failed "
        f"(with 95 % confidence {low:.0%} to {high:.0%} of such runs do)"
    )


def causes(found: Sequence[Difference], since: Row | None) -> str:
    """What changed, in a sentence: the probable cause, or that the description of the runs shows none."""
    if since is None:
        return "no good run before it to compare with"
    if not found:
        told = "nothing changed in versions, environment, target or settings"
        return f"{told} since {since.id}: the cause lies elsewhere"
    more = f"; and {len(found) - NAMED_CAUSES} more" if len(found) > NAMED_CAUSES else ""
    return f"changed since {since.id}: {'; '.join(str(one) for one in found[:NAMED_CAUSES])}{more}"


def episode(stream: Stream, line: Line, one: Episode) -> tuple[str, ...]:
    """What the first bad run measured, and how often it is bad since."""
    told, rows = line.series.told, stream.rows
    first = line.series.entry(told[one.first_bad])
    good = f"the last good run before it: {run(rows[told[one.last_good]])}" if one.last_good is not None else (
        "it never held before"
    )
    measured = f"measured {amount(first.value, first.unit)}" if first.value is not None else "nothing measured"
    allowed = f", limit {amount(first.limit, first.unit)}" if first.limit is not None else ""
    return (f"{_how(one)}: {share(one.share)}; {good}", f"first bad run: {measured}{allowed}: {first.reason}")


def _how(one: Episode) -> str:
    if one.share.bad == one.share.decided:
        return "bad since then"
    return f"flaky, the newest {one.in_a_row} bad" if one.in_a_row else "flaky, good in the newest run"


def undecided(count: int, reason: str) -> str:
    """For how many runs a claim is unknown, and what the first of them said."""
    return f"undecided in the newest {f'{count} runs' if count > 1 else 'run'}: {reason}"


def step(line: Line, one: Step, of_failures: bool) -> str:
    """`median 0.412 s → 0.623 s (+51 %), p = 0.0003`."""
    change, unit = one.change, line.series.newest.unit
    small = "; smaller than what counts" if not one.large else ""
    if of_failures:
        return f"{change.before:.0%} → {change.after:.0%} of the runs fail, {chance(change.p)}{small}"
    grown = f" ({change.relative:+.0%})" if change.relative is not None else ""
    before, after = amount(change.before, unit), amount(change.after, unit)
    return f"{'worse' if one.worse else 'better'}: median {before} → {after}{grown}, {chance(change.p)}{small}"


def place(stream: Stream, one: Step) -> tuple[str, ...]:
    """Between which runs the change lies, where that is not certain."""
    first, last = one.last_before, one.first_after
    if last - first <= 1:
        return ()
    between = f"anywhere from run {stream.rows[first + 1].id} to {stream.rows[last].id} (95 % confidence)"
    return (f"by the values alone it may have begun {between}",)


def chance(p: float) -> str:
    """`p = 0.003`, `p < 0.0001`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def outlier(line: Line, at: int) -> str:
    """The newest value lies apart."""
    entry = line.series.entry(at)
    return f"the newest value, {amount(entry.value, entry.unit)}, is an outlier: one run makes no change"


def vanished(stream: Stream, gone: Vanished) -> str:
    """A case or claim that is no longer there."""
    what = f"claim {gone.claim} of case {gone.case}" if gone.claim else f"case {gone.case}"
    runs = f"the newest {gone.missing} runs" if gone.missing > 1 else "the newest run"
    return f"{what} is missing in {runs}; last seen in {run(stream.rows[gone.last_seen])}"


def damage(one: Damage, hides: bool) -> str:
    """What cannot be read."""
    weighs = " It may be newer than every run that can be read: repeat it, or remove it." if hides else ""
    return f"{one.directory.name} cannot be read and is left out: {one.reason}.{weighs}"
