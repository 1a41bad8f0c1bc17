"""Whether runs of one profile were made with the same settings: a name says neither what was asked nor allowed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drainproof.errors import CannotRunError
from drainproof.settings import load_profile
from reports.gate.answer import Reason, lacking
from reports.gate.examined import ExaminedRun

SHIPPED: Final = Path(__file__).resolve().parents[2] / "suites" / "profiles"
INCIDENTAL: Final = ("description", "seed", "portal.storage_class", "portal.addresses")
"""What may differ: it changes neither what is asked of a service nor what is allowed to it."""
AGAIN: Final = "Certify again with the profile as it is shipped, or give the changed profile a name of its own."


def shipped(run: ExaminedRun) -> Iterator[Reason]:
    """Where a run's settings are not those of the shipped profile whose name they bear."""
    if run.info is None:
        return
    name = run.info.settings.get("name")
    expected = _shipped(name) if isinstance(name, str) else {}
    for key, value in sorted(_flat(run.info.settings)):
        if key in expected and expected[key] != value:
            what = f"{key} = {expected[key]}, as in the shipped profile {name!r}"
            yield lacking(f"run {run.id}", what, f"{key} = {value}", AGAIN)


def common(runs: Sequence[ExaminedRun]) -> Iterator[Reason]:
    """Where runs of one profile were made with different settings; what only some tell was not there for the others."""
    by_name: dict[str, list[ExaminedRun]] = defaultdict(list)
    for run in runs:
        if run.info is not None:
            by_name[str(run.info.settings.get("name"))].append(run)
    for name, alike in sorted(by_name.items()):
        values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for run in alike:
            for key, value in _flat(run.info.settings if run.info else {}):
                values[key][value].append(run.id)
        for key, told in sorted(values.items()):
            if len(told) > 1:
                seen = "; ".join(f"{value}: {', '.join(sorted(ids))}" for value, ids in sorted(told.items()))
                yield lacking("the runs", f"the same {key} in all of the profile {name!r}", seen, AGAIN)


def _shipped(name: str) -> Mapping[str, str]:
    """The settings of a shipped profile by dotted key; nothing when none has the name."""
    if not (SHIPPED / f"{Path(name).name}.toml").is_file() or Path(name).name != name:
        return {}
    try:
        return dict(_flat(load_profile(name, SHIPPED).model_dump(mode="json")))
    except CannotRunError:
        return {}


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if key in INCIDENTAL:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            # Numbers are compared as such: a record may hold 2 where the profile says 2.0.
            number = isinstance(value, int | float) and not isinstance(value, bool)
            yield key, repr(float(value)) if number else str(value)
