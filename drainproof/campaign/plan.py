"""The plan of a campaign: what is certified how often on which storage classes, and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from drainproof.errors import CannotRunError

SUFFIX: Final = ".toml"
"""Of a profile that is a file, and not one of those that are shipped."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One run of the plan; numbers and repetitions count from 1."""

    number: int
    repetition: int
    storage_class: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a campaign does; the same plan goes on where an interrupted one has stopped."""

    storage_classes: tuple[str, ...]
    repeat: int
    balanced: bool = False
    """Whether every second repetition goes through the classes backwards, so that a steady drift cancels out."""
    tests: tuple[str, ...] = ()
    keyword: str = ""
    workers: int | None = None
    target: str = "lab"
    target_facts: str = ""
    nodes: str = ""
    allow_bystanders: bool = False
    clients: str | None = None
    client_workers: int | None = None
    profile: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files that it names: changed facts, or a changed profile, are another plan."""

    @classmethod
    def of(cls, **options: Any) -> Plan:
        """A plan with its files, by absolute paths, and their digests: it may be gone on with from anywhere.

        Raises CannotRunError when it makes no sense or a file is missing.
        """
        plan = cls(**options)
        plan = replace(plan, target_facts=plan.target_facts and _absolute(plan.target_facts))
        plan = replace(plan, profile=_absolute(plan.profile) if plan.profile.endswith(SUFFIX) else plan.profile)
        doubled = sorted({name for name in plan.storage_classes if plan.storage_classes.count(name) > 1})
        if doubled or not all(plan.storage_classes):
            raise CannotRunError(f"Storage classes need names of their own, not {doubled or ['']}; correct them.")
        return replace(plan, digests=plan.digests_now())

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Plan:
        """Raises TypeError when the content is not a plan."""
        lists = {name: tuple(content.get(name, ())) for name in ("storage_classes", "tests")}
        return cls(**{**content, **lists})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def digests_now(self) -> dict[str, str]:
        """Of its files as they are; raises CannotRunError when one cannot be read."""
        files = [self.target_facts] if self.target_facts else []
        files += [self.profile] if self.profile.endswith(SUFFIX) else []
        try:
            return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files}
        except OSError as error:
            raise CannotRunError(f"{error.filename} cannot be read: {error.strerror}; name another file.") from error

    def check(self) -> None:
        """Raises CannotRunError when a file has changed since: what follows would not be the same certification."""
        changed = [name for name, digest in self.digests_now().items() if digest != self.digests.get(name)]
        if changed:
            remedy = "restore it, or begin another campaign in another directory."
            raise CannotRunError(*(f"{name} has changed since the campaign began; {remedy}" for name in changed))

    def slots(self) -> list[Slot]:
        """All runs in their order: A B A B, or balanced A B B A."""
        rounds = (
            self.storage_classes[::-1] if self.balanced and repetition % 2 == 0 else self.storage_classes
            for repetition in range(1, self.repeat + 1)
        )
        pairs = [(repetition, name) for repetition, names in enumerate(rounds, 1) for name in names]
        return [Slot(number, *pair) for number, pair in enumerate(pairs, 1)]

    def arguments(self, slot: Slot, runs: Path) -> list[str]:
        """What `drainproof certify` is told for one run."""
        told = [f"--target={self.target}", f"--runs={runs}", f"--storage-class={slot.storage_class}"]
        told += [f"--target-facts={self.target_facts}"] if self.target_facts else []
        told += [f"--profile={self.profile}"] if self.profile else []
        told += [f"--nodes={self.nodes}"] if self.nodes else []
        told += ["--allow-bystanders"] if self.allow_bystanders else []
        told += [f"--clients={self.clients}"] if self.clients else []
        told += [f"--client-workers={self.client_workers}"] if self.client_workers else []
        told += ["-k", self.keyword] if self.keyword else []
        told += ["-n", str(self.workers)] if self.workers else []
        return [*told, "--", *self.tests]

    def differences(self, other: Plan) -> Iterator[str]:
        """What another plan has otherwise, in words."""
        for one in fields(self):
            mine, others = getattr(self, one.name), getattr(other, one.name)
            if mine != others:
                yield f"{one.name.replace('_', ' ')} {_shown(mine)}, not {_shown(others)}"


def _absolute(file: str) -> str:
    return str(Path(file).resolve())


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "(none)"
    return str(value) if value not in ("", None) else "(none)"
