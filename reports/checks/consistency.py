"""What the history of the consistency workloads proves: a claim for each workload that can accuse.

The checkers are in `reports.consistency`; here is whether their evidence is good enough, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.consistency import append, bank, registers, sets
from reports.consistency.findings import FAILURES, Finding, Kind, Report
from reports.evidence import Evidence
from reports.streams import reported_stalls
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

HISTORIAN = "historian"
MODEL = (
    "Claimed: transactions are atomic and durable, take effect in one order on all members, and read committed writes"
    " only, from one snapshot of their member; a session reads its own writes, and never back in time, on one member;"
    " after wsrep_sync_wait a read sees all that was acknowledged before. Not claimed: snapshot isolation and"
    " serializability."
)
SETTINGS = (
    "version", "provider_version", "transaction_isolation", "tx_isolation", "innodb_snapshot_isolation",
    "innodb_flush_log_at_trx_commit", "sync_binlog", "innodb_lock_wait_timeout", "wsrep_on", "wsrep_sync_wait",
    "wsrep_slave_threads", "wsrep_retry_autocommit", "wsrep_trx_fragment_size", "wsrep_sst_method",
)
"""What decides how strong an answer of the database is."""
SNAPSHOTS = ("REPEATABLE-READ", "SERIALIZABLE")
"""The isolation levels at which a transaction reads from one snapshot."""
ENOUGH = 0.5
"""The share of the promised operations that an undisturbed phase must have."""
EVIDENCE = ("history.parquet", "events.jsonl: historian/*, audit/member")


@dataclass(frozen=True, slots=True)
class Claimed:
    """One claim about one workload: its sentence, its table, and its checker."""

    id: str
    title: str
    workload: str
    table: str
    check: Callable[[Evidence], Report]


CLAIMS = (
    Claimed(
        "consistency.append", "Transactions on lists took effect once, whole, and in one order", append.WORKLOAD,
        "lists", lambda evidence: append.check(evidence.history, _members(evidence), evidence.at),
    ),
    Claimed(
        "consistency.bank", "The total of all accounts was the same in every snapshot and at the end", bank.WORKLOAD,
        "accounts", lambda evidence: bank.check(evidence.history, _members(evidence), *_money(evidence), evidence.at),
    ),
    Claimed(
        "consistency.set", "Every acknowledged value was added once, and stayed", sets.WORKLOAD, "elements",
        lambda evidence: sets.check(evidence.history, _members(evidence), evidence.at),
    ),
    Claimed(
        "consistency.session", "Sessions read their own writes, and never back in time", registers.WORKLOAD,
        "registers", lambda evidence: registers.check(evidence.history, _members(evidence), evidence.at),
    ),
)
HELD_BEFORE = frozenset(("lists", "elements", "registers"))
"""The tables that must be empty when the history begins."""


def applies(evidence: Evidence) -> bool:
    """Whether the run was to keep a history at all."""
    return evidence.load.history_rate > 0


def check_of(claimed: Claimed) -> Callable[[Evidence], Claim]:
    """The check of one claim."""
    return lambda evidence: _claim(claimed, evidence)


def _claim(claimed: Claimed, evidence: Evidence) -> Claim:
    _refuse_a_used_table(claimed, evidence)
    report = claimed.check(evidence)
    missing = _missing(evidence)
    parts = [_kept(missing), _enough(evidence, claimed, report), _read_at_the_end(evidence, report)]
    found = report.of(accusing(evidence))
    parts += [_accusation(finding, missing) for finding in found]
    good = f"no anomaly in {report.acknowledged} acknowledged of {report.operations} transactions, {_open(report)}"
    if not found:
        parts.append(Part(object="anomalies", verdict=Verdict.PASS, measured=0, reason=good))
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=claimed.id,
        title=claimed.title,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="anomalies",
        detection_limit=1,
        detection="every transaction whose answer was kept is checked; what no transaction has read stays unseen",
        reason=summary.reason,
        evidence=EVIDENCE,
        hint=_strength(evidence),
        parts=summary.parts,
    )


def _members(evidence: Evidence) -> list[str]:
    """The members that must be read at the end: all but those that a fault was meant to keep down."""
    down = {name for fault in evidence.faults for name in fault.expects.stays_down}
    return [vm.name for vm in evidence.vms if vm.name not in down]


def _money(evidence: Evidence) -> tuple[int, int]:
    """How many accounts there are, and what they hold together."""
    data = _setup(evidence)
    try:
        return int(data["accounts"]), int(data["total"])
    except (KeyError, TypeError, ValueError) as error:
        raise MissingEvidenceError("the historian did not tell how much money there was at first") from error


def _setup(evidence: Evidence) -> Mapping[str, Any]:
    """What the historian found at first. Raises MissingEvidenceError when it never began."""
    events = evidence.of_kind(HISTORIAN, "setup")
    if not events:
        raise MissingEvidenceError("events.jsonl has no event historian/setup: no history was begun")
    return events[0].data


def _refuse_a_used_table(claimed: Claimed, evidence: Evidence) -> None:
    """Raises MissingEvidenceError when what is read may be from another history."""
    rows = _setup(evidence).get("rows")
    for member, of_tables in (rows if isinstance(rows, Mapping) else {}).items():
        held = of_tables.get(claimed.table, 0)
        if claimed.table in HELD_BEFORE and held:
            raise MissingEvidenceError(f"{claimed.table} had {held} rows on {member} before the history began")


def _missing(evidence: Evidence) -> str:
    """Why operations may be missing from the history, or empty."""
    damaged = evidence.of_kind("record", "damaged-history")
    if damaged:
        return f"operations are missing: {damaged[0].data.get('reason')}"
    ended = evidence.of_kind("observer", "ended", HISTORIAN)
    if ended and ended[0].data.get("code") != 0:
        return f"the historian ended with code {ended[0].data.get('code')}"
    tallies = evidence.of_kind(HISTORIAN, "tally")
    if not tallies:
        return "the historian never told how many operations it kept: it did not end in order"
    counted = sum(int(event.data.get("operations") or 0) for event in tallies)
    kept = int((~evidence.history.final).sum())
    return "" if kept == counted else f"the historian kept {counted} operations, the record holds {kept}"


def _kept(missing: str) -> Part:
    verdict = Verdict.UNKNOWN if missing else Verdict.PASS
    return Part(object="history", verdict=verdict, reason=missing or "every operation that was kept is in the record")


def _enough(evidence: Evidence, claimed: Claimed, report: Report) -> Part:
    """Whether so much was done that an anomaly had a chance to show."""
    history, baseline = evidence.history, evidence.window.baseline
    inside = (history.start_ns >= baseline.begin) & (history.start_ns < baseline.end)
    rate, promised = float(inside.sum()) / baseline.seconds, evidence.load.history_rate
    stalled = max((stall.seconds for stall in reported_stalls(evidence, HISTORIAN)), default=0.0)
    reason = ""
    if not report.writes:
        reason = f"no transaction of the workload {claimed.workload} that writes was acknowledged"
    elif not report.reads:
        reason = f"no transaction of the workload {claimed.workload} has read anything"
    elif rate < ENOUGH * promised:
        reason = f"{rate:.1f} transactions a second undisturbed, of {promised:g} promised"
    elif stalled > evidence.limits.observer_stall_seconds:
        reason = f"the historian stalled for {stalled:.3f} s"
    reason = reason or _unanswered(evidence)
    facts: Facts = {
        "operations": report.operations, "acknowledged": report.acknowledged, "writes": report.writes,
        "reads": report.reads, "open_writes_present": report.open_present, "open_writes_absent": report.open_absent,
    }
    verdict = Verdict.UNKNOWN if reason else Verdict.PASS
    told = reason or f"{report.acknowledged} of {report.operations} acknowledged, {rate:.1f} of {promised:g} a second"
    return Part(object="transactions", verdict=verdict, reason=told, facts=facts)


def _unanswered(evidence: Evidence) -> str:
    """After which disturbance, or on which members, nothing shows that operations were answered again, or empty.

    One is enough: an emulated machine is slow.
    """
    history = evidence.history
    answered = history.acknowledged & ~history.final
    for name, span in evidence.phases.items():
        inside = (history.end_ns >= span.begin) & (history.end_ns <= span.end)
        if name.startswith("settle/") and not (answered & inside).any():
            return f"no transaction was acknowledged in {name}"
    since = max((fault.span.end for fault in evidence.faults), default=evidence.window.baseline.end)
    alive = {history.members[place] for place in np.unique(history.member[answered & (history.end_ns >= since)])}
    silent = [member for member in _members(evidence) if member not in alive]
    return f"no transaction was acknowledged on {', '.join(silent)} after {evidence.at(since)}" if silent else ""


def _read_at_the_end(evidence: Evidence, report: Report) -> Part:
    name = "reads at the end"
    if report.unread:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="; ".join(report.unread))
    return Part(object=name, verdict=Verdict.PASS, reason=f"on {', '.join(_members(evidence))}")


def _accusation(finding: Finding, missing: str) -> Part:
    """A finding that fails the claim; a value that nobody wrote may be one whose write is missing from the record."""
    unsure = finding.kind is Kind.PHANTOM and missing
    reason = f"{finding.count} found: {finding.witness}"
    if unsure:
        return Part(object=finding.kind, verdict=Verdict.UNKNOWN, reason=f"{reason}; but {missing}")
    return Part(object=finding.kind, verdict=Verdict.FAIL, measured=finding.count, reason=reason)


def accusing(evidence: Evidence) -> frozenset[Kind]:
    """What fails a claim: a wrong total does only if the isolation level promised one snapshot a transaction."""
    isolation = str(_setup(evidence).get("isolation") or "").upper()
    return FAILURES if isolation in SNAPSHOTS else FAILURES - {Kind.WRONG_TOTAL}


def _open(report: Report) -> str:
    return f"{report.open_present + report.open_absent} writes left open, of which {report.open_present} took effect"


def settings_of(evidence: Evidence) -> dict[str, float | str | None]:
    """The settings that matter, as the members told them; where these differ, each value."""
    found: dict[str, set[str]] = {}
    told = _setup(evidence).get("settings")
    every = [*(told.values() if isinstance(told, Mapping) else ())]
    for event in evidence.of_kind("audit", "member"):
        every += [event.data.get("settings") or {}, {"provider_version": event.data.get("provider_version")}]
    for settings in every:
        for name in SETTINGS:
            if settings.get(name) not in (None, ""):
                found.setdefault(name, set()).add(str(settings[name]))
    return {name: " / ".join(sorted(found[name])) for name in SETTINGS if name in found}


def _strength(evidence: Evidence) -> str:
    told = ", ".join(f"{name} {value}" for name, value in settings_of(evidence).items())
    return f"{MODEL} Settings: {told or 'not known'}."
