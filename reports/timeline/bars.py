"""What every row of bars needs: bars of a span, cut to the window, and whose an event is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drainproof.record import Event
from reports.spans import Span
from reports.timeline.model import Bar


def bar(lane: int, span: Span, label: str, told: str, colour: str) -> Bar:
    return Bar(lane, span.begin, span.end, label, told, colour)


def within(bars: Sequence[Bar], window: Span) -> tuple[Bar, ...]:
    """The part of each bar that lies in the window."""
    cut = [(one, Span(one.begin, one.end).within(window)) for one in bars]
    return tuple(replace(one, begin=span.begin, end=span.end) for one, span in cut if span.end > span.begin)


def name_of(event: Event) -> str:
    """The object's name without its namespace."""
    return event.object.rpartition("/")[2]


def ours(event: Event, namespace: str) -> bool:
    """Whether an event is about an object of that namespace, or does not tell of which."""
    return "/" not in event.object or event.object.startswith(f"{namespace}/")
