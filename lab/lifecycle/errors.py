"""What can keep a lab from starting or stopping."""

from __future__ import annotations

from collections.abc import Sequence


class LifecycleError(Exception):
    """The lab could not be started, stopped or found; the text says why and what to do."""


class RequirementsError(LifecycleError):
    """This machine lacks something; all that is missing is named at once, a sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
