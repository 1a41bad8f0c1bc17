"""Claim 2: each migration succeeded in pre-copy mode; same VMI, same boot, another node."""

from __future__ import annotations

import re
from itertools import pairwise

from drainproof.record import Event
from reports.evidence import Drain, Evidence, Vm
from reports.migrations import Migration, migrations
from reports.spans import Span
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "migration.live"
TITLE = "Each migration succeeded in pre-copy mode: same VMI, same boot of the guest, another node"
PRE_COPY = "PreCopy"
BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""How Linux writes /proc/sys/kernel/random/boot_id."""


def check(evidence: Evidence) -> Claim:
    """Judge each VM's identity, each migration and each drain's own proof."""
    moved = migrations(evidence)
    parts = [_identity(evidence, vm, moved) for vm in evidence.vms]
    parts += [_migration(evidence, one) for one in moved if not _of_fault(evidence, one)]
    parts += [proof(evidence, drain) for drain in evidence.drains]
    live = [migration for migration in moved if migration.phase == "Succeeded"]
    expected = _expected(evidence)
    faults = f" and {len(evidence.faults)} faults" if evidence.faults else ""
    good = f"{len(live)} live migrations over {len(evidence.drains)} drains{faults}; no virtual machine restarted"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=len(live),
        limit=len(expected),
        bound="at least",
        unit="live migrations",
        detection="a restart between two readings changes the VMI's uid, the guest's boot id or lowers its uptime",
        reason=summary.reason,
        evidence=("events.jsonl: watch/vmim, watch/vmi, drain/migrated, drain/proof, witness/identity",),
        hint="See the VMI's conditions and evictionStrategy." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _expected(evidence: Evidence) -> list[str]:
    """The VMs that had to move: those on drained nodes, or every one when the profile drains under each."""
    drained = {name for drain in evidence.drains for name in drain.vms}
    for fault in evidence.faults:
        drained |= {vm for vm, phase in fault.expects.moved.items() if phase == "Succeeded"}
    everyone = not evidence.run.settings.get("drains") and not evidence.faults
    return [vm.name for vm in evidence.vms if everyone or vm.name in drained]


def _of_fault(evidence: Evidence, migration: Migration) -> bool:
    """Whether a fault made the migration and said how it has to end: that is judged by what it said."""
    return any(
        migration.vm in fault.expects.moved
        and Span(fault.span.begin, evidence.settled(fault)).overlaps(migration.span.widened(0.001))
        for fault in evidence.faults
    )


def _identity(evidence: Evidence, vm: Vm, moved: tuple[Migration, ...]) -> Part:
    """Whether a VM is still the one that was deployed, and whether it moved."""
    restarted = _restarted(evidence, vm)
    if restarted:
        return restarted
    missing = _identity_missing(evidence, vm) or _identity_doubtful(evidence, vm)
    if missing:
        return Part(object=vm.name, verdict=Verdict.UNKNOWN, reason=missing)
    live = [migration for migration in moved if migration.vm == vm.name and migration.phase == "Succeeded"]
    if not live and vm.name in _expected(evidence):
        drained = bool(evidence.faults) or any(vm.name in drain.vms for drain in evidence.drains)
        reason = "no migration of it succeeded" if drained else "the node under it was never drained"
        return Part(object=vm.name, verdict=Verdict.UNKNOWN, measured=0, reason=reason)
    readings = len(_readings(evidence, vm))
    reason = f"same VMI and same boot through {len(live)} migrations" if live else "stayed where it was, not drained"
    return Part(
        object=vm.name, verdict=Verdict.PASS, measured=len(live), reason=reason, facts={"identity_readings": readings}
    )


def _readings(evidence: Evidence, vm: Vm) -> list[Event]:
    window = evidence.window.span
    return [event for event in evidence.of_kind("witness", "identity", vm.name) if event.t_ns in window]


def _boots(evidence: Evidence, vm: Vm) -> list[tuple[int, str]]:
    """The boot ids that can be told apart from another boot's, by time."""
    found = [(event.t_ns, str(event.data["boot_id"])) for event in _readings(evidence, vm)]
    return [(time, boot) for time, boot in found if BOOT_ID.fullmatch(boot)]


def _restarted(evidence: Evidence, vm: Vm) -> Part | None:
    boots = _boots(evidence, vm)
    for time, boot in boots:
        if boot != boots[0][1]:
            reason = f"the guest restarted: boot id {boot} at {evidence.at(time)}, {boots[0][1]} before"
            return Part(object=vm.name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(time))
    uptimes = [(event.t_ns, float(event.data["uptime_s"])) for event in _readings(evidence, vm)]
    for (_, before), (time, after) in pairwise(uptimes):
        if after < before:
            reason = f"the guest restarted: its uptime fell from {before:g} s to {after:g} s at {evidence.at(time)}"
            return Part(object=vm.name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(time))
    for event in evidence.of_kind("watch", "vmi", f"{evidence.namespace}/{vm.name}"):
        uid = event.data.get("uid")
        if event.t_ns in evidence.window.span and uid and uid != vm.uid:
            reason = f"restarted: another VMI {uid} seen at {evidence.at(event.t_ns)}, {vm.uid} was deployed"
            return Part(object=vm.name, verdict=Verdict.FAIL, reason=reason, at=evidence.at(event.t_ns))
    return None


def _identity_missing(evidence: Evidence, vm: Vm) -> str:
    drains = [(one.span, one.phase) for one in evidence.drains]
    faults = [(one.span, one.phase) for one in evidence.faults]
    done = sorted(drains + faults)
    if not done:
        return "no node was drained"
    word = "fault" if faults else "drain"
    times = [time for time, _ in _boots(evidence, vm)]
    if not any(time < done[0][0].begin for time in times):
        return f"the guest's boot id was not read before the first {word}"
    if not any(time > max(span.end for span, _ in done) for time in times):
        return f"the guest's boot id was not read after the last {word}"
    for (span, phase), (following, its_phase) in pairwise(done):
        if span.end < following.begin and not any(span.end < time < following.begin for time in times):
            return f"the guest's boot id was not read between {phase} and {its_phase}"
    if not any(
        event.data.get("uid") == vm.uid and event.t_ns <= evidence.window.span.end
        for event in evidence.of_kind("watch", "vmi", f"{evidence.namespace}/{vm.name}")
    ):
        return f"the watch never saw the VMI {vm.uid} that was deployed"
    return ""


def _identity_doubtful(evidence: Evidence, vm: Vm) -> str:
    """Why what was read may not identify this VM's boot, or empty."""
    for event in _readings(evidence, vm):
        boot, hostname = str(event.data["boot_id"]), str(event.data.get("hostname") or vm.name)
        if not BOOT_ID.fullmatch(boot):
            return f"{boot!r}, read at {evidence.at(event.t_ns)}, is no boot id"
        if hostname != vm.name and not hostname.startswith(f"{vm.name}."):
            return f"the guest that answered at {evidence.at(event.t_ns)} calls itself {hostname!r}"
    own = {boot for _, boot in _boots(evidence, vm)}
    for other in evidence.vms:
        if other.name != vm.name and own & {boot for _, boot in _boots(evidence, other)}:
            return f"its guest and that of {other.name} have the same boot id: they are not told apart"
    return ""


def _migration(evidence: Evidence, migration: Migration) -> Part:
    name = f"{migration.vm} / {migration.vmim}"
    moment = evidence.at(migration.span.end)
    way = f"{migration.source or '?'} to {migration.target or '?'}"
    facts: Facts = {
        "from": migration.source, "to": migration.target, "mode": migration.mode, "duration_s": migration.span.seconds
    }
    verdict, reason = _outcome(migration, way)
    return Part(object=name, verdict=verdict, reason=reason, at=moment, measured=None, facts=facts)


def _outcome(migration: Migration, way: str) -> tuple[Verdict, str]:
    if migration.phase == "Failed":
        return Verdict.FAIL, f"the migration {way} failed: {migration.failure or 'no reason given'}"
    if not migration.phase:
        return Verdict.UNKNOWN, f"the watch never saw this migration ({way})"
    if migration.phase != "Succeeded":
        return Verdict.UNKNOWN, f"the migration {way} was last seen in phase {migration.phase}"
    if migration.mode and migration.mode != PRE_COPY:
        return Verdict.FAIL, f"migrated {way} in mode {migration.mode}, not {PRE_COPY}"
    if not migration.mode:
        return Verdict.UNKNOWN, f"migrated {way}, but in which mode is not recorded"
    if not migration.source or not migration.target:
        return Verdict.UNKNOWN, f"migrated {way}, but between which nodes is not recorded"
    if migration.source == migration.target:
        return Verdict.FAIL, f"the migration ended on the node where it began, {migration.source}"
    return Verdict.PASS, f"{way} in {migration.span.seconds:.1f} s, pre-copy"


def proof(evidence: Evidence, drain: Drain) -> Part:
    """A drain counts only when it proved that it happened and that it healed."""
    name = f"{drain.phase} of {drain.node or 'an unnamed node'}"
    span = Span(drain.span.begin, _proof_until(evidence, drain))
    proofs = [event for event in evidence.of_kind("drain", "proof") if event.t_ns in span]
    if not proofs:
        reason = f"the drain ended without proof{': ' + drain.error if drain.error else ''}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason)
    seen = proofs[-1].data
    lacking = [fact for fact in ("happened", "healed") if seen.get(fact) is not True]
    if lacking or drain.error:
        why = "; ".join(dict.fromkeys(str(told) for told in [*(seen.get("reasons") or ()), drain.error] if told))
        told = f"not proved that the drain {' and '.join(lacking)}" if lacking else "the drain reported an error"
        reason = f"{told}: {why or 'no reason given'}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(proofs[-1].t_ns))
    return Part(object=name, verdict=Verdict.PASS, reason="happened and healed", at=evidence.at(proofs[-1].t_ns))


def _proof_until(evidence: Evidence, drain: Drain) -> int:
    """Until when a proof belongs to a drain: the begin of the next, or any later time for the last."""
    later = [other.span.begin for other in evidence.drains if other.span.begin > drain.span.begin]
    return min(later, default=evidence.events[-1].t_ns)
