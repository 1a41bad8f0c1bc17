"""The timelines of a certificate as inline SVG: how long each stream went without an answer, beside what was done."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drainproof.gaps import gaps
from drainproof.record import Outcome, Samples
from reports.evidence import Evidence
from reports.migrations import migrations
from reports.spans import Span
from reports.streams import CLINIC, HTTP_NEW, HTTP_REUSED, SQL, VIRTUAL_IP, gap_limit, kind_of, started_in, target_of
from reports.text import clean
from reports.verdict import MissingEvidenceError

COLUMNS = 720
"""How finely time is drawn; each column shows the worst that fell into it."""
INK, MUTED, GRID, DRAINED, FAILED = "#1f2933", "#66727f", "#e4e8ec", "#f3ead7", "#b3261e"
COLOURS = ("#0b6e99", "#c2571a", "#2e7d4f", "#7a4fa3", "#8a6d00", "#a3345f", "#3f51b5", "#00796b", "#5d4037")
"""Of the virtual machines, told apart by most colour-blind readers too."""
TITLES = {
    HTTP_NEW: "HTTP, a new connection for each request",
    HTTP_REUSED: "HTTP, kept connections",
    SQL: "SQL, acknowledged writes",
    CLINIC: "Clinic staff through the virtual IP",
}
STYLE: Any = {
    "svg.hashsalt": "drainproof", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9,
    "font.family": "sans-serif", "text.color": INK, "axes.labelcolor": MUTED, "xtick.color": MUTED,
    "ytick.color": MUTED, "axes.edgecolor": "#b8c1ca", "axes.linewidth": 0.8,
}


def timelines(evidence: Evidence) -> list[tuple[str, str]]:
    """A title and an SVG for each kind of stream that the record has; none when it has no samples or no window."""
    try:
        samples, _ = evidence.samples, evidence.window
    except MissingEvidenceError:
        return []
    found = []
    for kind, title in TITLES.items():
        streams = [samples[name] for name in sorted(samples) if kind_of(name) == kind]
        if any(len(started_in(one, evidence.window.span)) for one in streams):
            found.append((title, _drawn(evidence, kind, streams)))
    return found


def _drawn(evidence: Evidence, kind: str, streams: Sequence[Samples]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.2, 2.35))
        axes = figure.add_axes((0.062, 0.17, 0.922, 0.71))
        _frame(axes, evidence)
        _doings(axes, evidence)
        if kind == CLINIC:
            _waits(axes, evidence, streams)
        else:
            _silences(axes, evidence, streams)
        _failures(axes, evidence, streams)
        return _svg(figure)


def _frame(axes: Axes, evidence: Evidence) -> None:
    axes.set_xlim(0, evidence.window.span.seconds)
    axes.set_yscale("log")
    axes.grid(True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms")
    axes.yaxis.set_minor_formatter(lambda _, __: "")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} s")
    axes.tick_params(length=3)


def _doings(axes: Axes, evidence: Evidence) -> None:
    """Drains and faults as shaded time, migrations as the line where the VM had arrived."""
    top = axes.get_xaxis_transform()
    done = [(drain.span, f"drain of {drain.node}") for drain in evidence.drains]
    done += [(fault.span, f"{fault.kind} of {fault.target}") for fault in evidence.faults]
    for span, doing in done:
        begin, end = (_second(evidence, moment) for moment in (span.begin, span.end))
        axes.axvspan(begin, end, color=DRAINED, linewidth=0, zorder=0)
        label = clean(doing)
        axes.text(begin, 1.03, f" {label}", transform=top, color=MUTED, fontsize=8.5, ha="left", va="bottom")
    for migration in migrations(evidence):
        axes.axvspan(
            _second(evidence, migration.span.begin), _second(evidence, migration.span.end), ymax=0.035,
            color=_colour(evidence, migration.vm), linewidth=0, zorder=3,
        )


def _silences(axes: Axes, evidence: Evidence, streams: Sequence[Samples]) -> None:
    """For each moment, how long the stream was without an answer around it."""
    limit = gap_limit(evidence, streams[0].stream)
    lowest, highest = limit / 10, limit
    for samples in sorted(streams, key=lambda one: target_of(one.stream) == VIRTUAL_IP, reverse=True):
        times, worst = _worst_gaps(samples, evidence.window.span)
        target = target_of(samples.stream)
        axes.plot(times, worst, color=_colour(evidence, target), linewidth=1.4, drawstyle="steps-mid")
        lowest, highest = min(lowest, float(worst.min())), max(highest, float(worst.max()))
    axes.axhline(limit, color=FAILED, linewidth=1, linestyle=(0, (5, 3)))
    axes.text(
        evidence.window.span.seconds, limit * 1.08, f"limit {limit:g} s", color=FAILED, fontsize=8.5, ha="right",
        va="bottom",
    )
    axes.set_ylim(lowest / 1.6, highest * 2.2)


def _worst_gaps(samples: Samples, span: Span) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    width = max(1, (span.end - span.begin) // COLUMNS)
    worst = np.full(COLUMNS, np.nan)
    for gap in gaps(samples, (span.begin, span.end)):
        first = min(COLUMNS - 1, (gap.start_ns - span.begin) // width)
        last = min(COLUMNS - 1, (gap.end_ns - span.begin) // width)
        worst[first : last + 1] = np.fmax(worst[first : last + 1], max(gap.length_ns, 1_000_000) / 1e9)
    middles = np.array([(column + 0.5) * width / 1e9 for column in range(COLUMNS)], np.float64)
    return middles, worst


def _waits(axes: Axes, evidence: Evidence, streams: Sequence[Samples]) -> None:
    """How long each request of the clinic staff took."""
    lowest, highest = 0.01, 1.0
    for samples in streams:
        sent = started_in(samples, evidence.window.span)
        good = sent.outcome == Outcome.OK
        times = (sent.start_ns[good] - evidence.window.span.begin) / 1e9
        waits = np.maximum((sent.end_ns - sent.start_ns)[good], 1_000_000) / 1e9
        axes.plot(times, waits, linestyle="none", marker="o", markersize=2.6, markeredgewidth=0, alpha=0.6, color=INK)
        lowest, highest = min(lowest, waits.min(initial=lowest)), max(highest, waits.max(initial=highest))
    axes.set_ylim(lowest / 1.3, highest * 1.8)


def _failures(axes: Axes, evidence: Evidence, streams: Sequence[Samples]) -> None:
    """A cross at the top for each failed operation."""
    for samples in streams:
        sent = started_in(samples, evidence.window.span)
        failed = sent.start_ns[sent.outcome != Outcome.OK]
        seconds = np.unique(np.round((failed - evidence.window.span.begin) / 1e9, 1))
        axes.plot(
            seconds, np.full(len(seconds), 0.93), linestyle="none", marker="x", color=FAILED, markersize=5,
            transform=axes.get_xaxis_transform(),
        )


def legend(evidence: Evidence) -> list[tuple[str, str]]:
    """The colour of each target, for the page's own legend."""
    names = [vm.name for vm in evidence.vms]
    return [(name, _colour(evidence, name)) for name in [*names, VIRTUAL_IP]]


def _colour(evidence: Evidence, target: str) -> str:
    names = [vm.name for vm in evidence.vms]
    return COLOURS[names.index(target) % len(COLOURS)] if target in names else MUTED


def _second(evidence: Evidence, moment: int) -> float:
    return (moment - evidence.window.span.begin) / 1e9


def _svg(figure: Figure) -> str:
    """The drawing without XML prologue, scaled to the page, the same bytes for the same record."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = target.getvalue()
    return text[text.index("<svg") :]
