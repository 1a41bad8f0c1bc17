"""Evictions: the pods of a node asked to leave, each when asking can change something, until none is left.

A virtual machine's launcher is refused at first (429): KubeVirt marks the instance, migrates it, and the launcher ends
by itself; until then every other eviction of it would only be refused again. What else is refused, by a disruption
budget, is asked again after 5 s as by kubectl, but ever less often, so that a long drain does not ask without end. So
is a launcher whose instance has lost its mark without having moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drainproof.allowed import NotAllowedError
from drainproof.api import Cluster, Object, Objects
from drainproof.errors import ApiError, EvictionRefusedError, NotFoundError
from drainproof.followed import Followed
from drainproof.following import Following
from drainproof.node import has_to_go, refuse_losses
from drainproof.record import EventLog
from drainproof.vm import NAME_LABEL, VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.launcher_log import keep_downtime

FIRST_RETRY_SECONDS = 5.0
"""As kubectl's, which stays at it."""
LONGEST_RETRY_SECONDS = 60.0
LOOK_SECONDS = 0.5
"""How often to see whether it is time to ask again, where nothing changes; looking asks nothing."""
TROUBLE = (0, 500, 502, 503, 504)
"""An API that could not answer just now; 500 also where KubeVirt's webhook did not."""


@dataclass
class _Asked:
    """How often one pod was asked to leave in one phase of its life, and when it is worth asking again."""

    times: int = 0
    again_ns: int = 0

    def is_due(self, now_ns: int) -> bool:
        return now_ns >= self.again_ns

    def ask(self, now_ns: int) -> None:
        seconds = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**self.times)
        self.times, self.again_ns = min(self.times + 1, 10), now_ns + int(seconds * 1e9)


@dataclass
class Evictions:
    """The pods of one node, as `pods` tells of them, and the machines among them that are watched."""

    cluster: Cluster
    node: str
    machines: Sequence[VirtualMachine]
    events: EventLog
    pods: Following
    instances: Followed
    asked: set[str] = field(default_factory=set)
    """The watched machines that were asked to leave, or were leaving already."""
    local_data: bool = False
    """Whether pods of others may lose their emptyDirs."""
    _read: set[str] = field(default_factory=set)
    _asked: dict[tuple[str, str], _Asked] = field(default_factory=dict)
    """By the pod's uid and phase: in another phase it is asked anew."""
    _by_name: Mapping[tuple[str, str], VirtualMachine] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {(one.namespace, one.name): one for one in self.machines}

    def until_empty(self, deadline: Deadline) -> None:
        """Evict until no pod is left that has to go; raises WaitTimeoutError with those that are.

        Raises CannotRunError when one has come meanwhile, in spite of the cordon, that would be lost.
        """
        wait(
            f"node {self.node} is drained",
            lambda: self._look_after_all(deadline.clock.monotonic_ns()),
            until=lambda left: left is not None and not left,
            deadline=deadline, every=LOOK_SECONDS, describe=_left, wakened_by=self.pods.changes,
        )

    def _look_after_all(self, now_ns: int) -> Objects | None:
        """The pods that are still there, or None while nobody knows."""
        if not self.pods.current:
            return None
        left = [pod for pod in self.pods.objects() if has_to_go(pod)]
        refuse_losses(self.node, left, {machine.namespace for machine in self.machines}, local_data=self.local_data)
        for pod in left:
            self._look_after(pod, now_ns)
        return left

    def _look_after(self, pod: Object, now_ns: int) -> None:
        self._keep_launcher_log(pod)
        asked = self._asked.setdefault((pod["metadata"]["uid"], _phase(pod)), _Asked())
        if asked.is_due(now_ns) and not self._is_leaving(pod):
            asked.ask(now_ns)
            self._evict(pod)
        if machine := self._machine_of(pod):
            self.asked.add(machine.name)

    def _is_leaving(self, pod: Object) -> bool:
        """Whether a pod is being deleted, or is the running launcher of a machine that leaves or has just moved.

        An eviction at the very end of a migration would remove the finished launcher, and its log, before it was read.
        """
        if pod["metadata"].get("deletionTimestamp"):
            return True
        machine = self._machine_of(pod)
        if machine is None or _phase(pod) != "Running":
            return False
        instance = machine.followed_in(self.instances)
        return instance is not None and (instance.node != self.node or instance.evacuation_node == self.node)

    def _machine_of(self, pod: Object) -> VirtualMachine | None:
        """The watched machine whose launcher the pod is."""
        return self._by_name.get((pod["metadata"]["namespace"], _vm(pod)))

    def _evict(self, pod: Object) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        code, message = 201, "evicted"
        try:
            self.cluster.evict(name, namespace)
        except EvictionRefusedError as error:
            code, message = error.code, error.message
        except NotAllowedError as error:
            # Another of its name by now, elsewhere; if it is not, the drain does not end, and says what is left.
            code, message = 404, str(error)
        except NotFoundError as error:
            code, message = error.code, "gone already"
        except ApiError as error:
            if error.code not in TROUBLE:
                raise
            code, message = error.code, error.message
        self.events.add("drain", "evict", name, code=code, message=message, vm=_vm(pod))

    def _keep_launcher_log(self, pod: Object) -> None:
        """Read a finished launcher's log once: the next eviction removes it."""
        uid = pod["metadata"]["uid"]
        if _vm(pod) and uid not in self._read and _phase(pod) == "Succeeded":
            self._read.add(uid)
            keep_downtime(self.cluster, self.events, pod)


def _vm(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(NAME_LABEL, ""))


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _left(pods: Objects | None) -> str:
    if pods is None:
        return "the API does not tell which pods it has"
    names = [pod["metadata"]["name"] + f" ({_phase(pod)})" for pod in pods]
    return f"still there: {names}"
