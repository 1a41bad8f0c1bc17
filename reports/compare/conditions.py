"""What may not differ between runs that are compared: versions, load, limits, host, test; every difference is named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reports.compare.runs import STORAGE_CLASS, GroupedRun
from reports.description import INCIDENTAL, leaves, text, within

DESCRIBED: Final = "environment.storage_class"
"""What the cluster says of the class of a run: its provisioner, policies and parameters."""
OF_THE_CLASS: Final = ("target.storage_classes", "settings.portal.storage_class", DESCRIBED)
"""What belongs to the storage class itself."""
SEED: Final = "seed"
JUDGED: Final = "judged_by"
NOT_RECORDED: Final = "not recorded"
NAMED_RUNS: Final = 3
SHOWN_CHARACTERS: Final = 120


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition that is not the same in all runs."""

    key: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    """Each value with the runs that have it."""

    def __str__(self) -> str:
        told = (f"{_short(value)} in {_named(runs)}" for value, runs in self.values)
        return f"{self.key} differs: {'; '.join(told)}"


def differences(runs: Sequence[GroupedRun], by: str) -> list[Difference]:
    """Every condition that differs between the runs, but for what they are grouped by.

    Seeds may differ if each group has the same ones: then each was given the same work. What belongs to a storage class
    may differ between groups, and not within one: a class made anew under its old name is another class.
    """
    expected = OF_THE_CLASS if by == STORAGE_CLASS else (by,)
    told = {run.id: dict(_conditions(run)) for run in runs}
    found = []
    for key in sorted({key for conditions in told.values() for key in conditions}):
        if key == SEED and _balanced(runs):
            continue
        apart = by == STORAGE_CLASS and within(key, (DESCRIBED,))
        if within(key, expected) and not apart:
            continue
        for group in sorted({run.group for run in runs}) if apart else [""]:
            of_group = [run for run in runs if not apart or run.group == group]
            if difference := _difference(key, of_group, told):
                found.append(difference)
    return found


def _difference(key: str, runs: Sequence[GroupedRun], told: Mapping[str, Mapping[str, str]]) -> Difference | None:
    values: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        if _applies(key, run):
            values[told[run.id].get(key, NOT_RECORDED)].append(run.id)
    if len(values) <= 1:
        return None
    named = tuple((value, tuple(ids)) for value, ids in sorted(values.items()))
    return Difference(key.replace("\0", ""), named)


def allowed(found: Sequence[Difference], allow: Sequence[str]) -> tuple[list[Difference], list[Difference]]:
    """The differences that were allowed, by their key or a beginning of it, and those that were not."""
    yes = [difference for difference in found if within(difference.key, allow)]
    return yes, [difference for difference in found if difference not in yes]


def unrecorded(runs: Sequence[GroupedRun]) -> list[str]:
    """What of the conditions no run tells, in sentences: that it was the same is then nobody's finding."""
    if any(run.stored.info.environment for run in runs):
        return []
    return ["The runs do not tell on which host, nodes and migration limits they were made; see to it that they agree."]


def _applies(key: str, run: GroupedRun) -> bool:
    """Whether a run has a say in a condition: of a case, or of its judge, only runs with a verdict tell."""
    if key.startswith("cases."):
        return run.case(key.split("\0")[1]) is not None
    return key != JUDGED or bool(run.stored.cases)


def _conditions(run: GroupedRun) -> Iterator[tuple[str, str]]:
    info = run.stored.info
    yield SEED, str(info.seed)
    for name in ("target", "settings", "versions", "environment"):
        for key, value in leaves(name, getattr(info, name)):
            if not within(key, INCIDENTAL):
                yield key, value
    yield "target.vantages", text(sorted(str(one.get("name")) for one in info.target.get("vantages") or ()))
    judged = sorted({f"{what} {version}" for case in run.stored.cases for what, version in case.judged_by.items()})
    if judged:
        yield JUDGED, ", ".join(judged)
    for case in run.stored.cases:
        # The name of a case may hold dots: it is kept apart by a character that none can have.
        yield f"cases.\0{case.case}\0.title", case.title
        own = dict(leaves("", info.settings.get("limits") or {}))
        for key, value in leaves("", case.limits):
            if own.get(key) != value:  # it was judged by other limits than the run's, which are told already
                yield f"cases.\0{case.case}\0.limits.{key}", value


def _balanced(runs: Sequence[GroupedRun]) -> bool:
    seeds: dict[str, Counter[int]] = defaultdict(Counter)
    for run in runs:
        seeds[run.group][run.stored.info.seed] += 1
    return len({tuple(sorted(of_group.items())) for of_group in seeds.values()}) <= 1


def _short(value: str) -> str:
    shown = value if value else "nothing"
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - NAMED_RUNS} more" if len(runs) > NAMED_RUNS else ""
    return f"{', '.join(runs[:NAMED_RUNS])}{more}"
