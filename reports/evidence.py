"""The record of one case as the checks see it: read once, never changed, missing pieces reported when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from drainproof.clock import Anchor
from drainproof.errors import RecordError
from drainproof.expectation import Expectation
from drainproof.record import CaseReader, Event, History, RunInfo, SampleFile
from drainproof.record.manifest import verify
from drainproof.settings import Limits, Load
from reports.spans import Span
from reports.verdict import MissingEvidenceError

Content = TypeVar("Content")
OBSERVERS = ("probe", "ledger", "witness", "clinic", "stopwatch", "historian", "membership")
PLANNED, UNPLANNED, STORAGE = "planned", "unplanned", "storage"
"""What is certified: what clients must not notice at all, how the service outlives what takes machines away, or what
the disk of a machine without any service does."""
JUDGED_PHASES = ("baseline", "drain", "fault", "settle")
UNTITLED = "The patient portal stays available while the node under each of its virtual machines is drained"


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine of the portal, as it was deployed."""

    name: str
    uid: str
    address: str
    node: str


@dataclass(frozen=True, slots=True)
class Drain:
    """One drain of the run; the end is the window's if the record has none."""

    phase: str
    node: str
    span: Span
    vms: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the run, with what it was expected to do; its phase's end is the window's if the record has none."""

    number: int
    phase: str
    kind: str
    target: str
    span: Span
    begun_ns: int
    """When it was ordered."""
    injected_ns: int | None
    """When it was seen to have happened; None if it was not."""
    healed_ns: int | None
    over_ns: int | None
    """Until when it lasted: when its end was ordered if it tells, else when it was seen to have healed."""
    lasted: bool
    """False if it says that it had ended by itself before its end was ordered: nobody knows when."""
    expects: Expectation
    happened: bool
    healed: bool
    proven: bool
    """Whether the record has the fault's own proof at all."""
    reasons: tuple[str, ...]

    @property
    def away(self) -> frozenset[str]:
        """The machines whose own streams may be silent until they have recovered."""
        expects = self.expects
        return frozenset((*expects.lost, *expects.restarted, *expects.stays_down))

    @property
    def members(self) -> frozenset[str]:
        """The members of the database that may leave their cluster because of it."""
        return self.away | {*self.expects.expelled, *self.expects.may_be_expelled, *self.expects.refuses_writes}

    @property
    def takes_away(self) -> bool:
        """Whether the others have to take over from someone, which takes them a while."""
        return bool(self.members) or self.expects.outage

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of what it was done to."""
        return tuple(name.strip() for name in self.target.split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is judged: from the begin of the baseline to the end of the last settling."""

    span: Span
    baseline: Span
    incomplete: str
    """Why the window did not end as planned, or empty; then nothing can pass, but what failed has failed."""


@dataclass(frozen=True)
class _Piece(Generic[Content]):
    """A file of the record, or why it could not be read."""

    content: Content | None
    trouble: str = ""

    def get(self) -> Content:
        if self.content is None:
            raise MissingEvidenceError(self.trouble)
        return self.content


@dataclass(frozen=True)
class Evidence:
    """What the checks may look at. Everything is derived from the files of the record and from nothing else."""

    case: str
    run: RunInfo
    limits: Limits
    load: Load
    events: tuple[Event, ...]
    _directory: Path = field(repr=False)
    _samples: _Piece[SampleFile] = field(repr=False)
    _metrics: _Piece[list[dict[str, Any]]] = field(repr=False)
    _tables: _Piece[pa.Table] = field(repr=False)
    _history: _Piece[History] = field(repr=False)
    _derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, directory: Path, limits: Limits | None = None) -> Evidence:
        """Read a case, to be judged by the run's own limits or by others.

        Raises RecordError when its events or the description of its run cannot be read.
        """
        case = CaseReader(directory)
        run = case.run
        try:
            limits = limits or Limits.model_validate(run.settings["limits"])
            load = Load.model_validate(run.settings["load"])
        except (KeyError, TypeError, ValidationError) as error:
            path = directory.parent / "run.json"
            raise RecordError(f"{path}: its settings lack valid limits or load: {error}") from error
        return cls(
            case=directory.resolve().name,
            run=run,
            limits=limits,
            load=load,
            events=tuple(case.events()),
            _directory=directory,
            _samples=_piece(case.samples, directory),
            _metrics=_piece(case.metrics, directory),
            _tables=_piece(case.tables, directory),
            _history=_piece(case.history, directory),
        )

    @property
    def anchor(self) -> Anchor:
        return self.run.anchor

    @property
    def samples(self) -> SampleFile:
        """By stream, each read when it is asked for. Raises MissingEvidenceError when there are none."""
        return self._samples.get()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The stored queries. Raises MissingEvidenceError when there are none."""
        return self._metrics.get()

    @property
    def tables(self) -> pa.Table:
        """The audited rows. Raises MissingEvidenceError when there are none."""
        return self._tables.get()

    @property
    def history(self) -> History:
        """The operations of the consistency workloads. Raises MissingEvidenceError when there are none."""
        return self._history.get()

    def once(self, name: str, make: Callable[[], Content]) -> Content:
        """What several checks derive from the evidence, by a name of theirs, made when it is first asked for."""
        if name not in self._derived:
            self._derived[name] = make()
        found: Content = self._derived[name]
        return found

    @cached_property
    def alterations(self) -> Sequence[str]:
        """What was changed since the record was sealed, in sentences."""
        return tuple(verify(self._directory))

    def at(self, t_ns: int) -> str:
        """The moment in wall time (UTC) with milliseconds, as reasons name it."""
        return self.anchor.wall(t_ns).strftime("%H:%M:%S.%f")[:-3]

    def of_kind(self, source: str, kind: str, object: str | None = None) -> list[Event]:
        """The events of one source and kind, and of one object if it is named, by time."""
        return [
            event
            for event in self.events
            if event.source == source and event.kind == kind and object in (None, event.object)
        ]

    @cached_property
    def title(self) -> str:
        """The sentence that is certified."""
        titles = [event.data.get("title") for event in self.of_kind("run", "case")]
        return str(titles[0]) if titles and titles[0] else UNTITLED

    @cached_property
    def kind(self) -> str:
        """Planned, unplanned or storage; records that do not tell are of planned drains."""
        kinds = [event.data.get("kind") for event in self.of_kind("run", "case")]
        return str(kinds[0]) if kinds and kinds[0] in (UNPLANNED, STORAGE) else PLANNED

    @cached_property
    def _deployed(self) -> Mapping[str, Any]:
        who, what = ("storage", "machine") if self.kind == STORAGE else ("portal", "portal")
        events = self.of_kind(who, "deployed")
        if not events:
            raise MissingEvidenceError(f"events.jsonl has no event {who}/deployed: the {what} was never deployed")
        return events[-1].data

    @cached_property
    def namespace(self) -> str:
        return str(self._deployed["namespace"])

    @cached_property
    def vms(self) -> tuple[Vm, ...]:
        """The machines under test by name. Raises MissingEvidenceError when there are none, or no portal of them."""
        found = [
            Vm(str(vm["name"]), str(vm["uid"]), str(vm["address"]), str(vm["node"])) for vm in self._deployed["vms"]
        ]
        if len(found) < 2 and self.kind != STORAGE:
            raise MissingEvidenceError(f"the portal has {len(found)} virtual machines: nothing is replicated")
        return tuple(sorted(found, key=lambda vm: vm.name))

    @cached_property
    def phases(self) -> Mapping[str, Span]:
        """The finished phases by name."""
        begun: dict[str, int] = {}
        spans: dict[str, Span] = {}
        for event in self.of_kind("run", "phase"):
            name = str(event.data.get("phase"))
            if event.data.get("state") == "begin":
                begun.setdefault(name, event.t_ns)
            elif name in begun:
                spans[name] = Span(begun[name], event.t_ns)
        return spans

    def began(self, phase: str) -> int | None:
        """When a phase began, or None."""
        times = [
            event.t_ns
            for event in self.of_kind("run", "phase")
            if event.data.get("phase") == phase and event.data.get("state") == "begin"
        ]
        return times[0] if times else None

    @cached_property
    def window(self) -> Window:
        """Raises MissingEvidenceError when no baseline was begun."""
        begin = self.began("baseline")
        if begin is None:
            raise MissingEvidenceError("events.jsonl has no begin of the baseline: nothing was observed undisturbed")
        baseline = self.phases.get("baseline")
        done, settled = self._disturbances, self._numbers("settle/")
        failed = [
            f"{event.data.get('phase')}: {event.data['error']}"
            for event in self.of_kind("run", "phase")
            if event.data.get("error") and str(event.data.get("phase")).startswith(JUDGED_PHASES)
        ]
        incomplete = failed[0] if failed else ""
        if baseline is None:
            incomplete = incomplete or "the baseline never ended"
        elif not done:
            nothing = "no node was drained" if self.kind == PLANNED else "no fault was injected"
            incomplete = incomplete or nothing
        elif done[-1][0] not in settled or f"settle/{done[-1][0]}" not in self.phases:
            incomplete = incomplete or f"the run ended before all was steady again after {done[-1][1]}"
        last_settle = self.phases.get(f"settle/{done[-1][0]}") if done else None
        end = last_settle.end if last_settle else self._last_moment(begin)
        return Window(Span(begin, end), baseline or Span(begin, end), incomplete)

    @property
    def _disturbances(self) -> list[tuple[int, str]]:
        """The number and the phase of every drain and fault, in order."""
        kinds = ("drain", "fault")
        return sorted((number, f"{kind}/{number}") for kind in kinds for number in self._numbers(f"{kind}/"))

    def _numbers(self, prefix: str) -> list[int]:
        names = {str(event.data.get("phase")) for event in self.of_kind("run", "phase")}
        numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
        return sorted(int(number) for number in numbers if number.isdigit())

    def _last_moment(self, begin: int) -> int:
        """The end of the window of a run that broke off: before anything was stopped."""
        stops = [moment for phase in ("quiesce", "audit", "teardown") if (moment := self.began(phase)) is not None]
        stops += [event.t_ns for event in self.events if event.kind == "stop" and event.source in OBSERVERS]
        return min((stop for stop in stops if stop > begin), default=self.events[-1].t_ns)

    @cached_property
    def drains(self) -> tuple[Drain, ...]:
        """The drains in order, finished or not."""
        return tuple(self._drain(number) for number in self._numbers("drain/"))

    def _drain(self, number: int) -> Drain:
        phase = f"drain/{number}"
        begin = self.began(phase)
        span = self.phases.get(phase) or Span(begin or 0, self.window.span.end)
        events = [event for event in self.events if event.source == "drain" and event.t_ns in span]
        begun = [event for event in events if event.kind == "begin"]
        ended = [event for event in events if event.kind == "end"]
        names = tuple(sorted(_name(vm) for event in begun for vm in event.data.get("vms") or ()))
        errors = [str(event.data["error"]) for event in ended if event.data.get("error")]
        return Drain(phase, begun[0].object if begun else "", span, names, errors[0] if errors else "")

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """The faults in order, finished or not. Raises MissingEvidenceError when what one expects cannot be read."""
        return tuple(self._fault(number) for number in self._numbers("fault/"))

    def _fault(self, number: int) -> Fault:
        phase = f"fault/{number}"
        own = [event for event in self.events if event.source == "fault" and event.object.endswith(f"/{number}")]
        told = {event.kind: event for event in own}
        span = self.phases.get(phase) or Span(self.began(phase) or 0, self.window.span.end)
        begun, healed, proof = (told.get(kind) for kind in ("begin", "healed", "proof"))
        if begun is None or not begun.data.get("fault"):
            raise MissingEvidenceError(f"events.jsonl has no event fault/begin that says what was done in {phase}")
        proved: Mapping[str, Any] = proof.data if proof else {}
        healed_ns, ends = (healed.t_ns, _each(healed.data)) if healed else (None, [])
        return Fault(
            number=number,
            phase=phase,
            kind=str(begun.data["fault"]),
            target=str(begun.data.get("target") or ""),
            span=span,
            begun_ns=begun.t_ns,
            injected_ns=told["injected"].t_ns if "injected" in told else None,
            healed_ns=healed_ns,
            over_ns=min((int(end["ordered_ns"]) for end in ends if "ordered_ns" in end), default=healed_ns),
            lasted=all(end.get("lasted") is not False for end in ends),
            expects=_expectation(phase, begun.data.get("expects")),
            happened=proved.get("happened") is True,
            healed=proved.get("healed") is True,
            proven=proof is not None,
            reasons=tuple(str(reason) for reason in proved.get("reasons") or ()),
        )

    def settled(self, fault: Fault) -> int:
        """Until when the effect of a fault may last: the end of the settling that follows it."""
        settle = self.phases.get(f"settle/{fault.number}")
        return settle.end if settle else self.window.span.end


def _each(healed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What tells how a fault ended: the event itself, and what it holds of each of several that were done as one."""
    return [healed, *(end for one in healed.get("together") or () for end in _each(one))]


def _expectation(phase: str, told: object) -> Expectation:
    """Raises MissingEvidenceError when it is not what a fault tells: what is excused must not be guessed."""
    cannot = f"what {phase} expects cannot be read"
    if not isinstance(told, Mapping) or not told:
        raise MissingEvidenceError(f"{cannot}: it is not told")
    try:
        expects = Expectation.of_json(told)
    except TypeError as error:
        raise MissingEvidenceError(f"{cannot}: {error}") from error
    plain = Expectation()
    odd = [name for name in told if not _is_like(getattr(expects, name), getattr(plain, name))]
    if odd:
        raise MissingEvidenceError(f"{cannot}: {', '.join(odd)}")
    return expects


def _is_like(value: object, plain: object) -> bool:
    """Whether a value has the form of another: a truth, or names alone or with a word each."""
    if not isinstance(value, type(plain)):
        return False
    names = [*value, *value.values()] if isinstance(value, Mapping) else value
    return not isinstance(names, list | tuple) or all(isinstance(name, str) for name in names)


def _name(vm: object) -> str:
    name = vm.get("name") if isinstance(vm, Mapping) else vm
    return str(name).rpartition("/")[2]


def _piece(read: Callable[[], Content], directory: Path) -> _Piece[Content]:
    try:
        return _Piece(read())
    except RecordError as error:
        return _Piece(None, str(error).replace(f"{directory}/", ""))
