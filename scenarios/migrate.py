"""Migrate virtual machines as their users do: a migration object each, followed to its end.

Nothing here says whether a migration should have ended as it did: that is told by the expectation, and judged later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drainproof.api import MIGRATIONS, NODES, Cluster, Object
from drainproof.errors import CannotRunError, UnexpectedStateError, WaitTimeoutError
from drainproof.expectation import Expectation
from drainproof.followed import Followed, Reads
from drainproof.journal import Journal
from drainproof.record import EventLog
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, pause, wait
from scenarios.fault import Proof
from scenarios.launcher_log import downtime_facts
from scenarios.migration_policy import Policy
from scenarios.migration_run import FINAL, RUNNING, MigrationRun

SOURCE = "migrate"
UNSCHEDULABLE_SECONDS = "kubevirt.io/migrationUnschedulablePodTimeoutSeconds"
"""How long a migration's target pod may wait for a node before KubeVirt gives up; 300 s without it."""
NO_POST_COPY = "drainproof.dev/post-copy-unavailable"
"""Annotation of a node that cannot take a guest over in post-copy, with the reason."""
ABORTED = "Succeeded"
"""The abortStatus of a migration that was cancelled in time."""
EVERY_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Migrate:
    """User-made migrations of one or several machines, at the same time."""

    cluster: Cluster
    machines: Sequence[VirtualMachine]
    events: EventLog
    journal: Journal
    ends: str = "Succeeded"
    """The phase in which each is expected to end."""
    policy: Policy | None = None
    """In force from before the first migration until after the last."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """addedNodeSelector: labels that the target node must have; of a node that is not there, the target refuses."""
    unschedulable_seconds: int = 0
    """When to give up a target pod without a node; 0: KubeVirt's own patience of 300 s."""
    rounds: int = 1
    """How often each machine is migrated in a row (ping-pong)."""
    mode: str = ""
    """The mode in which each has to succeed, PreCopy or PostCopy; empty: in either."""
    rest_seconds: float = 0
    """How long the machines are left alone between two rounds, so that the gaps of one do not run into the next's."""
    cancel_after_seconds: float | None = None
    """Cancel each, by deleting its object, so long after it has begun to move data; None: let them end."""
    through: bool = True
    """Whether they are seen through on injection; False: injected when the first runs, seen through when it heals."""
    unharmed: bool = True
    """Whether each machine has to be Ready afterwards, as the same instance."""
    copies: Followed | None = None
    """Of the machines' instances and migrations; None: the API is asked again and again."""
    _runs: list[MigrationRun] = field(default_factory=list, init=False, repr=False)
    _instances: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @property
    def kind(self) -> str:
        if self.cancel_after_seconds is not None:
            return "migration-cancel"
        return "migration"

    @property
    def target(self) -> str:
        return ",".join(machine.name for machine in self.machines)

    @property
    def expectation(self) -> Expectation:
        return Expectation(moved={machine.name: self.ends for machine in self.machines})

    def inject(self, deadline: Deadline) -> Proof:
        """Create the migrations and see them begin, or see all but the last round's through."""
        if self.rounds > 1 and not self.through:
            raise CannotRunError("Several rounds need to be seen through; set through, or one round.")
        if self.policy:
            if self.policy.post_copy and (reason := post_copy_trouble(self.cluster)):
                raise CannotRunError(f"Post-copy is not possible here: {reason}")
            self.policy.apply(self.cluster, self.journal)
        self._instances.update({machine.name: _uid(machine) for machine in self.machines})
        for number in range(self.rounds):
            if number:
                pause(self.rest_seconds, deadline)
            begun = [self._begin(machine) for machine in self.machines]
            self._runs.extend(begun)
            if self.through:
                self._see_through(begun, deadline)
        if not self.through:
            self._see_one_running(deadline)
        return {"migrations": {run.name: run.phase for run in self._runs}, "policy": _manifest(self.policy)}

    def heal(self, deadline: Deadline) -> Proof:
        """See the migrations through, take the policy back, see each machine unharmed, and what was asked done.

        Raises UnexpectedStateError when a migration followed another policy, took another mode, was not cancelled in
        time or found a target that was to be refused: then the fault has no proof.
        """
        try:
            self._see_through([run for run in self._runs if not run.told], deadline)
        finally:
            if self.policy:
                self.policy.withdraw(self.cluster, self.journal)
        if self.unharmed:
            for machine in self.machines:
                self._see_unharmed(machine, deadline)
        if strange := {run.name: trouble for run in self._runs if (trouble := self._trouble(run))}:
            raise UnexpectedStateError(f"each migration of {self.target} went as it was asked to", strange)
        return {"outcomes": {run.name: run.phase for run in self._runs}}

    def _trouble(self, run: MigrationRun) -> str:
        """Why a migration was not the one that was asked for, whatever its end, or empty."""
        state = run.state
        mode, policy = str(state.get("mode") or "PreCopy"), str(state.get("migrationPolicyName") or "")
        if self.policy and state and policy != self.policy.name:
            return f"it followed the policy {policy!r}, not {self.policy.name!r}"
        if self.mode and run.phase == "Succeeded" and mode != self.mode:
            return f"it succeeded in mode {mode}, not in {self.mode}"
        if self.cancel_after_seconds is not None and not (run.cancelled and state.get("abortStatus") == ABORTED):
            return f"it was not cancelled: it ended as {run.phase}, its abort as {state.get('abortStatus')!r}"
        if self.unschedulable_seconds and state.get("targetNode"):
            return f"its target was not refused: it found node {state['targetNode']}"
        return ""

    def _begin(self, machine: VirtualMachine) -> MigrationRun:
        marks = {UNSCHEDULABLE_SECONDS: str(self.unschedulable_seconds)} if self.unschedulable_seconds else {}
        wanted: Object = {"vmiName": machine.name}
        if self.node_selector:
            wanted["addedNodeSelector"] = dict(self.node_selector)
        meta = {"generateName": f"{machine.name}-", "annotations": marks}
        # Never applied: its name is the server's choice, so that each migration is one more.
        created = self.cluster.create(MIGRATIONS, {"metadata": meta, "spec": wanted}, machine.namespace)
        run = MigrationRun(machine, created)
        self.events.add(SOURCE, "created", machine.name, vmim=run.name, uid=run.uid)
        return run

    def _see_through(self, runs: Sequence[MigrationRun], deadline: Deadline) -> None:
        """Follow migrations until each has ended, and tell how; those that are to be cancelled are, meanwhile."""
        while left := [run for run in runs if not run.told]:
            for run in left:
                run.look(self._source, deadline.clock.monotonic_ns())
                self._cancel_when_due(run)
                if run.phase in FINAL:
                    self._tell(run)
            if deadline.expired and (late := {run.name: run.phase for run in left if not run.told}):
                raise WaitTimeoutError("the migrations have ended", deadline.seconds, late)
            pause(EVERY_SECONDS, deadline)

    @property
    def _source(self) -> Reads:
        return self.copies or self.cluster

    def _tell(self, run: MigrationRun) -> None:
        """Write down how a migration has ended, with the hypervisor's figures while its launcher's log is there."""
        log = run.read_log()
        run.told = True
        self.events.add(SOURCE, "outcome", run.machine.name, **run.facts(log))
        if run.phase == "Succeeded" and (downtime := downtime_facts(log)):
            self.events.add("hypervisor", "downtime", run.machine.name, pod=run.source_pod, vmim=run.name, **downtime)

    def _cancel_when_due(self, run: MigrationRun) -> None:
        if self.cancel_after_seconds is None or run.cancelled or run.running_seconds < self.cancel_after_seconds:
            return
        run.cancelled = True
        self.events.add(SOURCE, "cancelled", run.machine.name, vmim=run.name)
        self.cluster.delete(MIGRATIONS, run.name, run.machine.namespace)

    def _see_one_running(self, deadline: Deadline) -> None:
        wait(
            f"a migration of {self.target} is running",
            lambda: [run.look(self._source, deadline.clock.monotonic_ns()) for run in self._runs],
            until=lambda phases: RUNNING in phases or any(phase in FINAL for phase in phases),
            deadline=deadline, every=EVERY_SECONDS,
        )

    def _see_unharmed(self, machine: VirtualMachine, deadline: Deadline) -> None:
        was = self._instances.get(machine.name)
        wait(
            f"virtual machine {machine.name} is Ready as the instance {was} that it was",
            lambda: machine.followed_in(self._source),
            until=lambda seen: seen is not None and seen.uid == was and seen.ready,
            never=lambda seen: seen is not None and seen.uid != was,
            deadline=deadline,
        )


def post_copy_trouble(cluster: Cluster) -> str:
    """Why guests cannot arrive in post-copy on this cluster, as far as its nodes say; empty if none objects."""
    for node in cluster.items(NODES):
        if reason := (node["metadata"].get("annotations") or {}).get(NO_POST_COPY):
            return f"{node['metadata']['name']}: {reason}"
    return ""


def _uid(machine: VirtualMachine) -> str:
    instance = machine.instance
    return instance.uid if instance else ""


def _manifest(policy: Policy | None) -> Object | None:
    return policy.manifest() if policy else None
