"""What undoes a change that Kubernetes cannot undo: the commands and controllers that a target's facts name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from drainproof.errors import CannotRunError, DrainproofError
from drainproof.target import Target, read_target

PROJECT = Path(__file__).resolve().parent.parent
COMMAND_SECONDS = 180.0


class NotHealedError(DrainproofError):
    """Something that a run has changed could not be undone; says what is left to do."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """How nodes are powered on and storage is resumed, as a file of facts says; no file: they are not."""

    facts: Path | None = None

    @classmethod
    def of(cls, named: str, journalled: str) -> Remedies:
        """By the file that was named, or else by the one that the run went by, if it is still there."""
        if named:
            return cls(Path(named))
        return cls(Path(journalled)) if journalled and Path(journalled).is_file() else cls()

    def power_on(self, node: str) -> None:
        """Power a node on and see it on; raises NotHealedError when that cannot be done."""
        if self.facts is None or self._target().power is None:
            raise NotHealedError(
                f"node {node} was powered off and not on again: power it on, or name --target-facts with [power]"
            )
        self._run([sys.executable, "-m", "scenarios.power", str(self.facts), node], f"node {node} was not powered on")

    def resume(self, storage_class: str) -> None:
        """Have the server of a storage class go on; raises NotHealedError when that cannot be done."""
        facts = self._target().storage_servers.get(storage_class) if self.facts is not None else None
        if facts is None:
            raise NotHealedError(
                f"the server of storage class {storage_class} was paused: see that it runs, or name --target-facts "
                "with its [storage_servers]"
            )
        argv = [word.replace("{class}", storage_class) for word in facts.resume]
        self._run(argv, f"the server of storage class {storage_class} was not resumed")

    def _target(self) -> Target:
        assert self.facts is not None
        try:
            return read_target(self.facts)
        except CannotRunError as error:
            raise NotHealedError(str(error)) from error

    @staticmethod
    def _run(argv: list[str], trouble: str) -> None:
        """Names the program, never its arguments: they are not everybody's to read."""
        try:
            done = subprocess.run(
                argv, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=COMMAND_SECONDS, check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotHealedError(f"{trouble}: {argv[0]}: {type(error).__name__}") from None
        if done.returncode:
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1][:300]
            raise NotHealedError(f"{trouble}: {argv[0]} ended with exit code {done.returncode}: {said}")
