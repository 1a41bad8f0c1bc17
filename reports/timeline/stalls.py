"""The row of when observers themselves were kept from looking: what happened then proves less."""

from __future__ import annotations

from collections.abc import Iterator

from drainproof.errors import RecordError
from drainproof.streams import AWAY
from reports import streams
from reports.evidence import OBSERVERS, Evidence
from reports.spans import Span, union
from reports.timeline.bars import bar, within
from reports.timeline.model import Row

TITLE = "Observers kept from looking"
STOPWATCH = "stopwatch"
LEAST_AWAY_NS = 50_000_000
KEPT_STALLS = 300
"""So many stalls of an observer are drawn, the longest of them."""
NONE = (
    f"no observer told that it was kept from looking, the stopwatch was away for {LEAST_AWAY_NS / 1e6:.0f} ms at no "
    f"time, and by the samples nothing was sent {streams.NOTICEABLE_STALL_SECONDS:g} s late or left out"
)


def stalls(evidence: Evidence) -> Row:
    """What observers reported, and what the judge reads out of their samples: sent late, or not at all."""
    window = evidence.window.span
    spans: dict[str, list[Span]] = {}
    unread: list[str] = []
    for event in evidence.events:
        if event.kind == "stall" and event.source in OBSERVERS:
            spans.setdefault(event.source, []).append(Span(int(event.data["start_ns"]), int(event.data["end_ns"])))
    for name in evidence.samples:
        try:
            for observer, span in _sampled(evidence, name):
                spans.setdefault(observer, []).append(span)
        except RecordError as error:
            unread.append(f"{name}: {error}")
    inside = {name: union(span.within(window) for span in found) for name, found in spans.items()}
    names = sorted(name for name, found in inside.items() if found)
    kept = {name: sorted(inside[name], key=lambda one: (-one.seconds, one))[:KEPT_STALLS] for name in names}
    bars = [
        bar(lane, span, "", f"{name} could not look for {span.seconds:.3f} s", "reduced")
        for lane, name in enumerate(names) for span in kept[name]
    ]
    left_out = sum(len(inside[name]) - len(kept[name]) for name in names)
    return Row(
        "stalls", TITLE, f"{left_out} shorter stalls are not drawn" if left_out else "", tuple(names),
        bars=within(bars, window), missing="" if bars else "; ".join(unread) or NONE, lacking="; ".join(unread),
    )


def _sampled(evidence: Evidence, stream: str) -> Iterator[tuple[str, Span]]:
    """Who was kept from looking, and when, by the samples of a stream."""
    kind = streams.kind_of(stream)
    if kind == AWAY:
        for chunk in evidence.samples.chunks(stream, ("start_ns", "end_ns")):
            long = chunk["end_ns"] - chunk["start_ns"] >= LEAST_AWAY_NS
            for begin, end in zip(chunk["start_ns"][long].tolist(), chunk["end_ns"][long].tolist(), strict=True):
                yield STOPWATCH, Span(begin, end)
    elif kind in streams.OBSERVERS:
        for span in streams.stalls(evidence, stream):
            yield streams.OBSERVERS[kind], span
