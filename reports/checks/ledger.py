"""Claim 6: after writes stopped, every acknowledged write is on every member, and the members' tables are identical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from drainproof.record import Outcome
from reports.evidence import Evidence
from reports.streams import SQL, kind_of
from reports.verdict import Claim, Facts, MissingEvidenceError, Part, Verdict, sum_up

ID = "ledger.complete"
TITLE = "Every acknowledged write is on every member, and the members' tables are identical"
LEDGER = "ledger"
NAMED = 3
"""How many rows a reason names."""

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Table:
    """One table as one member had it, by key."""

    keys: Keys
    digests: Keys


@dataclass(frozen=True, slots=True)
class _Written:
    """The keys of the ledger's writes by what clients were told."""

    acknowledged: Keys
    refused: Keys
    indeterminate: Keys


def check(evidence: Evidence) -> Claim:
    """Judge the audit of each member against the writes that clients saw acknowledged, and against each other."""
    written = _written(evidence)
    if not len(written.acknowledged):
        raise MissingEvidenceError("no write was acknowledged: there is nothing to look for")
    tables = _tables(evidence)
    parts = [_audited(evidence, name, of_member) for name, of_member in tables.items()]
    parts += [_member(written, name, of_member.get(LEDGER)) for name, of_member in tables.items()]
    names = sorted({table for of_member in tables.values() for table in of_member})
    parts += [_identical(name, {member: of.get(name) for member, of in tables.items()}) for name in names]
    good = (
        f"{len(written.acknowledged)} acknowledged writes on each of {len(tables)} members; "
        f"{len(names)} tables identical; {len(written.indeterminate)} writes were left open"
    )
    summary = sum_up(parts, lambda _: good, _trouble(evidence))
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="lost or differing rows",
        detection_limit=1,
        detection="every acknowledged write and every row of each member is compared",
        reason=summary.reason,
        evidence=("tables.parquet", "samples.parquet: sql/*", "events.jsonl: audit/member, audit/done"),
        hint=_durability(evidence),
        parts=summary.parts,
    )


def _written(evidence: Evidence) -> _Written:
    ledger = [samples for stream, samples in evidence.samples.items() if kind_of(stream) == SQL]
    if not ledger:
        raise MissingEvidenceError("samples.parquet has no write of the ledger")
    keys = np.concatenate([samples.key for samples in ledger])
    outcomes = np.concatenate([samples.outcome for samples in ledger])
    real = keys >= 0
    open_ended = (outcomes == Outcome.INDETERMINATE) | (outcomes == Outcome.TIMEOUT)
    acknowledged = keys[real & (outcomes == Outcome.OK)]
    if len(np.unique(acknowledged)) != len(acknowledged):
        raise MissingEvidenceError("two acknowledged writes carry the same key: the ledger cannot be trusted")
    return _Written(acknowledged, keys[real & (outcomes == Outcome.ERROR)], keys[real & open_ended])


def _tables(evidence: Evidence) -> dict[str, dict[str, _Table]]:
    """The audited tables by member and name, for every VM of the portal, rows sorted by key."""
    content = evidence.tables
    addresses = {vm.address: vm.name for vm in evidence.vms}
    members: dict[str, dict[str, _Table]] = {vm.name: {} for vm in evidence.vms}
    for member in _distinct(content, "member"):
        of_member = content.filter(pc.field("member") == member)
        for table in _distinct(of_member, "table"):
            rows = of_member.filter(pc.field("table") == table)
            keys, digests = rows["key"].to_numpy(), rows["digest"].to_numpy()
            order = np.argsort(keys, kind="stable")
            members.setdefault(addresses.get(member, member), {})[table] = _Table(keys[order], digests[order])
    for member, of_tables in members.items():
        for table, rows_read in _rows_read(evidence, member).items():
            if rows_read == 0:
                of_tables.setdefault(table, _Table(np.zeros(0, np.int64), np.zeros(0, np.int64)))
    return members


def _rows_read(evidence: Evidence, member: str) -> Mapping[str, int]:
    """How many rows of each table the audit says it has read: a table that was read and empty has no row to show."""
    events = evidence.of_kind("audit", "member", member)
    return dict(events[-1].data.get("rows") or {}) if events else {}


def _distinct(content: pa.Table, column: str) -> list[str]:
    return sorted(str(value) for value in pc.unique(content[column]).to_pylist())


def _audited(evidence: Evidence, member: str, tables: Mapping[str, _Table]) -> Part:
    """Whether a member was read to the end, and belonged to the same cluster as the others."""
    name = f"audit of {member}"
    events = evidence.of_kind("audit", "member")
    own = [event for event in events if event.object == member]
    if not own:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="the member was not audited")
    data = own[-1].data
    moment = evidence.at(own[-1].t_ns)
    if data.get("reachable") is not True:
        reason = f"the member could not be read: {data.get('reason') or 'no reason given'}"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=moment)
    histories = sorted({str(uuid) for event in events if (uuid := event.data.get("cluster_state_uuid"))})
    if len(histories) > 1:
        reason = f"the members follow different histories: {', '.join(histories)}"
        return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=moment)
    for table, count in sorted(_rows_read(evidence, member).items()):
        stored = len(tables[table].keys) if table in tables else 0
        if stored != count:
            reason = f"{count} rows of {table} were read, but the record holds {stored}"
            return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=moment)
    facts, reason = _settings(data), "read after writes had stopped"
    return Part(object=name, verdict=Verdict.PASS, reason=reason, at=moment, facts=facts)


def _settings(data: Mapping[str, object]) -> Facts:
    settings = data.get("settings")
    told = {**(settings if isinstance(settings, Mapping) else {}), **data}
    names = ("version", "provider_version", "innodb_flush_log_at_trx_commit", "wsrep_sync_wait", "last_committed")
    return {name: str(told[name]) for name in names if told.get(name) is not None}


def _member(written: _Written, member: str, ledger: _Table | None) -> Part:
    name = f"ledger on {member}"
    if ledger is None:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="the audit holds no row of the ledger")
    missing = np.setdiff1d(written.acknowledged, ledger.keys)
    unwanted = np.intersect1d(written.refused, ledger.keys)
    reasons = []
    if len(missing):
        reasons.append(f"{len(missing)} acknowledged writes are missing: {_named(missing)}")
    if len(unwanted):
        reasons.append(f"{len(unwanted)} writes are there that clients were told had failed: {_named(unwanted)}")
    keys, counts = np.unique(ledger.keys, return_counts=True)
    if len(twice := keys[counts > 1]):
        reasons.append(f"{len(twice)} writes were applied twice: {_named(twice)}")
    present = len(np.intersect1d(written.indeterminate, ledger.keys))
    return Part(
        object=name,
        verdict=Verdict.FAIL if reasons else Verdict.PASS,
        measured=len(missing) + len(unwanted) + len(twice),
        reason="; ".join(reasons) or f"all {len(written.acknowledged)} acknowledged writes are there",
        facts={"rows": len(ledger.keys), "open_writes_present": present, "open_writes": len(written.indeterminate)},
    )


def _identical(table: str, of_members: Mapping[str, _Table | None]) -> Part:
    """Compare each member with the first; a key or a digest that not all share is a differing row."""
    name = f"table {table}"
    absent = [member for member, content in of_members.items() if content is None]
    there = {member: content for member, content in of_members.items() if content is not None}
    if absent:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=f"the audit has no row of it on {', '.join(absent)}")
    differing = _differing(there)
    if not len(differing):
        rows = len(next(iter(there.values())).keys)
        reason = f"{rows} rows, identical on all members"
        return Part(object=name, verdict=Verdict.PASS, measured=0, reason=reason, facts={"rows": rows})
    told = "; ".join(_odd_one(there, int(key)) for key in differing[:NAMED])
    reason = f"{len(differing)} rows differ: {told}"
    return Part(object=name, verdict=Verdict.FAIL, measured=len(differing), reason=reason)


def _differing(there: Mapping[str, _Table]) -> Keys:
    """The keys of rows that not all members hold alike, or that one of them holds more than once."""
    rows = np.concatenate([np.stack((one.keys, one.digests), axis=1) for one in there.values()])
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    doubled = [one.keys[1:][np.diff(one.keys) == 0] for one in there.values()]
    return np.unique(np.concatenate((distinct[counts != len(there), 0], *doubled)))


def _odd_one(there: Mapping[str, _Table], key: int) -> str:
    """Which members hold what of a row: the minority is named."""
    held: dict[tuple[int, ...], list[str]] = {}
    for member, table in there.items():
        digests = tuple(int(digest) for digest in table.digests[table.keys == key])
        held.setdefault(digests, []).append(member)
    minority, *_ = sorted(held.items(), key=lambda item: (len(item[1]), item[1]))
    state = "is missing" if not minority[0] else "differs" if len(minority[0]) == 1 else "is there twice"
    return f"key {key} {state} on {', '.join(minority[1])}"


def _named(keys: Keys) -> str:
    told = ", ".join(str(key) for key in keys[:NAMED])
    return told if len(keys) <= NAMED else f"{told} and {len(keys) - NAMED} more"


def _trouble(evidence: Evidence) -> str:
    """Why the audit as a whole proves nothing."""
    done = evidence.of_kind("audit", "done")
    if not done:
        return "the audit did not end"
    if not done[-1].data.get("settled"):
        return "the members had not come to rest when they were read"
    if odd := _unfit_members(evidence):
        return f"{odd} when its tables were read"
    damaged = evidence.of_kind("record", "damaged-shard")
    if damaged:
        return f"acknowledged writes may be missing from the record: {damaged[0].data.get('reason')}"
    return evidence.window.incomplete


def _unfit_members(evidence: Evidence) -> str:
    """Which member was not part of one synced primary component when it was read."""
    expected = {"cluster_status": "Primary", "local_state_comment": "Synced", "cluster_size": len(evidence.vms)}
    histories = set()
    for event in evidence.of_kind("audit", "member"):
        histories.add(str(event.data.get("cluster_state_uuid") or ""))
        for name, value in expected.items():
            if str(event.data.get(name)) != str(value):
                return f"{event.object} had {name} {event.data.get(name)}"
    return "" if len(histories) == 1 and "" not in histories else f"the members told {len(histories)} histories"


def _durability(evidence: Evidence) -> str:
    name = "innodb_flush_log_at_trx_commit"
    found = {_settings(event.data).get(name) for event in evidence.of_kind("audit", "member")}
    weaker = sorted(str(value) for value in found if value not in (None, "1"))
    return f"{name} was {', '.join(weaker)}: a crash may lose acknowledged writes." if weaker else ""
