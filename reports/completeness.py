"""Whether all that an observer sampled is in the record."""

from __future__ import annotations

from collections.abc import Collection

from reports.evidence import Evidence
from reports.streams import kind_of
from reports.verdict import Part, Verdict


def complete(evidence: Evidence, observer: str, kinds: Collection[str]) -> Part:
    """Whether an observer ended in order and the record holds every sample of its kinds of streams that it counted."""
    reason, name = "", f"samples of the {observer}"
    rows = sum(evidence.samples.count(stream) for stream in evidence.samples if kind_of(stream) in kinds)
    stops = evidence.of_kind(observer, "stop")
    counted = stops[-1].data.get("samples") if stops else None
    ended = evidence.of_kind("observer", "ended", observer)
    if ended and ended[0].data.get("code") != 0:
        reason = f"the {observer} ended with code {ended[0].data.get('code')}"
    elif not stops:
        reason = f"the {observer} never told that it stopped: how many samples it took is not known"
    elif not isinstance(counted, int):
        reason = f"the {observer} did not tell how many samples it took"
    elif rows < counted:
        reason = f"{counted - rows} samples are missing: the {observer} took {counted}, the record holds {rows}"
    elif rows > counted:
        reason = f"the record holds {rows} samples of the {observer}, which took {counted}"
    verdict = Verdict.UNKNOWN if reason else Verdict.PASS
    return Part(object=name, verdict=verdict, reason=reason or f"all {rows} samples are in the record")
