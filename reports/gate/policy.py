"""The policy of a gate: what has to be proved, where, how often and by which evidence; TOML, strictly read."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from drainproof.errors import CannotRunError
from drainproof.record.signature import IDENTITY
from reports.checks import CHECKS

WILD = re.compile(r"[*?\[]")
INTACT = "record.intact"
MOST_DAYS = 36500
UNION_PARTS = ("float", "constrained-float", "Bounds", "function-after[")
"""How pydantic names which of a number or a table of bounds it has tried; no key of a policy."""
Limit = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Bounds(_Part):
    """What a measured value must be, in the unit of what is measured."""

    at_most: float | None = Field(None, ge=0)
    at_least: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _bounds_something(self) -> Bounds:
        if self.at_most is None and self.at_least is None:
            raise ValueError("says neither at_most nor at_least")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError("wants at_least more than at_most, which nothing can be")
        return self

    def words(self) -> str:
        """What is expected: `at most 2`."""
        pairs = (("at most", self.at_most), ("at least", self.at_least))
        return " and ".join(f"{bound} {value:g}" for bound, value in pairs if value is not None)


class FigureLimit(Bounds):
    """A bound for the figures of an axis; every figure that the patterns name has to keep it."""

    axis: str
    object: str = "*"


class Requirement(_Part):
    """What has to hold, in which tests, on which storage classes, how often."""

    tests: tuple[str, ...] = Field(min_length=1)
    """Tests (FILE::NAME) or cases of the record, or patterns of them."""
    storage_classes: tuple[str, ...] = Field(("*",), min_length=1)
    claims: tuple[str, ...] = Field(("*",), min_length=1)
    """Ids of claims, or patterns of them. That the record is intact is always required."""
    repetitions: int = Field(1, ge=1)
    """How many runs have to pass, of each test on each storage class."""
    failures_allowed: int = Field(0, ge=0)
    """How many further runs may fail, of each test on each storage class."""
    fault_rate: float | None = Field(None, gt=0, lt=1)
    """What the share of failing runs must be shown to be at most; None: it is stated, whatever it is."""
    confidence: float = Field(0.95, gt=0, lt=1)
    limits: Mapping[str, Limit | Bounds] = Field(default_factory=dict)
    """By claim or pattern of claims, each of which is required then: stricter limits than the run's own.

    A number is meant as the claim's own bound, at most or at least.
    """
    figures: tuple[FigureLimit, ...] = ()

    @property
    def required_claims(self) -> tuple[str, ...]:
        """Ids or patterns of the claims that have to hold: a claim that is limited has to, as the certificate says."""
        return (*self.claims, *self.limits, INTACT)

    @field_validator("claims")
    @classmethod
    def _known_claims(cls, claims: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in claims:
            _check_claim(pattern)
        return claims

    @field_validator("limits")
    @classmethod
    def _limits_of_known_claims(cls, limits: Mapping[str, float | Bounds]) -> Mapping[str, float | Bounds]:
        for claim in limits:
            _check_claim(claim)
        return limits


class Evidence(_Part):
    """What a run must be like to count."""

    profiles: tuple[str, ...] = Field(("standard",), min_length=1)
    emulated: bool = False
    """Whether runs of emulated guests count; their times say nothing about real hardware."""
    targets: tuple[str, ...] = Field(("*",), min_length=1)
    """Names of targets, as the facts or the lab tell them."""
    contexts: tuple[str, ...] = Field(("*",), min_length=1)
    """Contexts of the kubeconfig."""
    max_age_days: float | None = Field(None, gt=0, le=MOST_DAYS)
    versions: Mapping[str, str] = Field(default_factory=dict)
    """By name, as run.json has them: the version, or a pattern of it."""
    same: tuple[str, ...] = ("kubernetes", "kubevirt")
    """Versions that all runs have to have in common."""


class Signature(_Part):
    """Who has to vouch for a run."""

    required: bool = True
    allowed_signers: str = Field(min_length=1)
    """A file as ssh-keygen(1) describes it; relative to the policy."""
    identities: tuple[str, ...] = Field(min_length=1)
    """Of the file, those whose signature counts."""

    @field_validator("identities")
    @classmethod
    def _plain(cls, identities: tuple[str, ...]) -> tuple[str, ...]:
        for identity in identities:
            if not IDENTITY.fullmatch(identity):
                raise ValueError(f"{identity!r} has other characters than letters, digits and . _ + @ -")
        return identities


class Policy(_Part):
    """One named policy."""

    name: str = Field(min_length=1)
    description: str = ""
    evidence: Evidence = Evidence()
    signature: Signature | None = None
    """None: runs need not be signed, and a signature is not looked at."""
    require: tuple[Requirement, ...] = Field(min_length=1)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns is the name or fits it; `[` in a name that is written out needs no escape."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy, and the file that it was read from once."""

    policy: Policy
    path: Path
    sha256: str


def load_policy(path: Path) -> PolicyFile:
    """Read a policy; raises CannotRunError that names every unknown or wrong key, with the nearest known one."""
    try:
        content = path.read_bytes()
        data = tomllib.loads(content.decode("utf-8"))
        policy = Policy.model_validate_json(json.dumps(data, default=str))
    except OSError as error:
        raise CannotRunError(f"The policy {path} cannot be read: {error.strerror}; name another file.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CannotRunError(f"The policy {path} cannot be read: {error}; correct the file.") from error
    except ValidationError as error:
        raise CannotRunError(*_sentences(path, error.errors())) from None
    return PolicyFile(policy, path, hashlib.sha256(content).hexdigest())


def _check_claim(pattern: str) -> None:
    """Raises ValueError for a claim that no check makes: it could never hold."""
    known = [check.id for check in CHECKS]
    if any(matches(claim, (pattern,)) for claim in known):
        return
    near = difflib.get_close_matches(pattern, known, n=1)
    raise ValueError(f"no claim is called {pattern!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _sentences(path: Path, problems: Sequence[Any]) -> list[str]:
    """One for each mistake; a list whose entries are wrong is not also told to be empty."""
    inner = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    told = [problem for problem in problems if problem["type"] != "too_short" or problem["loc"] not in inner]
    return list(dict.fromkeys(_sentence(path, problem) for problem in told))


def _sentence(path: Path, problem: Any) -> str:
    loc = tuple(part for part in problem["loc"] if not str(part).startswith(UNION_PARTS))
    key = ".".join(map(str, loc))
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _known_keys(loc[:-1]), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "remove it."
        return f"The policy {path} has the unknown key {key!r}; {hint}"
    if problem["type"] in ("missing", "too_short"):
        return f"The policy {path} lacks {key!r}: nothing would be decided; add it."
    return f"The policy {path}: {key}: {problem['msg']}, not {problem['input']!r}; correct it."


def _known_keys(parents: tuple[Any, ...]) -> list[str]:
    """The keys of the table at that place of a policy."""
    model: Any = Policy
    for parent in parents:
        if isinstance(parent, str) and parent in getattr(model, "model_fields", {}):
            model = _table(model.model_fields[parent].annotation)
    return list(getattr(model, "model_fields", {}))


def _table(annotation: Any) -> Any:
    """The model within an annotation such as tuple[Model, ...] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _table(inner)) is not None), None)
