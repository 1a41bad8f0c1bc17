"""Disturb the Kubernetes API itself with Chaos Mesh's HTTPChaos: away, slow, failing, forgetful of watches.

Every client is hit: controllers, node agents and the harness. A fault happened when a request of the harness met it:
one that is sent once, whatever patience the harness has otherwise.
In the lab it ends by itself after its duration; while it lasts it may keep the harness from ending it sooner, so give
`heal` a deadline that lies behind that end. Chaos Mesh itself recovers through the very API that it disturbs: on a real
cluster nothing may end it, and so it is done only where the target's facts allow it. Chaos Mesh looks into the API
server's TLS only with the certificate that `tls` names; in the lab the API server disturbs itself and needs none.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drainproof.api import HTTP_CHAOS, Cluster
from drainproof.errors import ApiError, UnexpectedStateError
from drainproof.wait import Deadline, wait
from scenarios.chaos import Experiment
from scenarios.fault import Proof

PORT = 6443
API_SERVER = {"namespaces": ["kube-system"], "labelSelectors": {"component": "kube-apiserver"}}
"""As kubeadm labels the API server's static pod."""
LOOK_SECONDS = 0.2
_REASONS = {
    410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How a small request of the harness went: HTTP code (0 when there was no answer at all) and seconds."""

    code: int
    seconds: float
    words: str = ""


@dataclass
class ApiFault(ABC):
    """What all disturbances of the API have in common."""

    cluster: Cluster
    namespace: str
    """Where the experiment's object is kept."""
    seconds: float
    """How long it lasts, counted from the object's creation in whole seconds: up to a second less."""
    tls: Mapping[str, str] | None = field(default=None, kw_only=True)
    """Chaos Mesh's `spec.tls`: where the API server's certificate is; the lab needs none."""
    _met_ns: int | None = field(default=None, init=False)

    @property
    @abstractmethod
    def kind(self) -> str: ...

    @abstractmethod
    def action(self) -> Mapping[str, Any]:
        """The part of the experiment's spec that says what happens to requests."""

    @abstractmethod
    def is_met(self, answer: Answer) -> bool:
        """Whether this answer shows the fault."""

    @property
    def target(self) -> str:
        return "kube-apiserver"

    @cached_property
    def experiment(self) -> Experiment:
        spec = {
            "mode": "all", "selector": API_SERVER, "port": PORT, "duration": f"{self.seconds:g}s", **self.action(),
            **({"tls": dict(self.tls)} if self.tls else {}),
        }
        return Experiment(self.cluster, HTTP_CHAOS, self.namespace, spec)

    def inject(self, deadline: Deadline) -> Proof:
        """Order the experiment and see a request meet it; raises WaitTimeoutError when none does.

        Raises UnexpectedStateError when requests look so without it: then nothing would show that it happened.
        """
        before = self._ask(deadline)
        if self.is_met(before):
            raise UnexpectedStateError(f"a request is answered without {self.kind} before it is injected", before)
        self.experiment.create()
        met = wait(
            f"a request meets {self.kind}", lambda: self._ask(deadline), until=self.is_met,
            deadline=deadline.at_most(self.seconds), every=LOOK_SECONDS,
        )
        self._met_ns = deadline.clock.monotonic_ns()
        return {
            "experiment": self.experiment.name, "request": "GET /version", "code": met.code, "words": met.words,
            "seconds": round(met.seconds, 3), "spec": dict(self.action()), "duration": self.seconds,
        }

    def heal(self, deadline: Deadline) -> Proof:
        """Delete the experiment as soon as the API lets it, see it gone and a request answered as ever."""
        wait(
            f"{self.kind} is over and its experiment gone", self._try_to_end, until=lambda trouble: trouble is None,
            deadline=deadline, every=LOOK_SECONDS,
        )
        last = wait(
            f"a request is answered without {self.kind}", lambda: self._ask(deadline),
            until=lambda answer: answer.code == 200 and not self.is_met(answer), deadline=deadline, every=LOOK_SECONDS,
        )
        lasted = None if self._met_ns is None else round((deadline.clock.monotonic_ns() - self._met_ns) / 1e9, 3)
        return {
            "experiment": self.experiment.name, "gone": True, "request": "GET /version", "code": last.code,
            "seconds": round(last.seconds, 3), "lasted_seconds": lasted,
        }

    def _ask(self, deadline: Deadline) -> Answer:
        begun = deadline.clock.monotonic_ns()
        code, words = 200, ""
        try:
            self.cluster.impatient.version()
        except ApiError as error:
            code, words = error.code, error.message[:200]
        return Answer(code, (deadline.clock.monotonic_ns() - begun) / 1e9, words)

    def _try_to_end(self) -> str | None:
        """Why the experiment is not gone yet."""
        try:
            self.cluster.impatient.delete(self.experiment.resource, self.experiment.name, self.namespace)
            found = self.cluster.impatient.find(self.experiment.resource, self.experiment.name, self.namespace)
        except ApiError as error:
            return str(error)
        return "it has not recovered yet" if found else None


@dataclass
class ApiAway(ApiFault):
    """No request gets an answer, and watches under way break."""

    @property
    def kind(self) -> str:
        return "api-away"

    def action(self) -> Mapping[str, Any]:
        return {"target": "Request", "abort": True}

    def is_met(self, answer: Answer) -> bool:
        return answer.code == 0


@dataclass
class ApiSlow(ApiFault):
    """Every request takes longer."""

    delay_ms: int = 1000

    @property
    def kind(self) -> str:
        return "api-slow"

    def action(self) -> Mapping[str, Any]:
        return {"target": "Request", "delay": f"{self.delay_ms}ms"}

    def is_met(self, answer: Answer) -> bool:
        return answer.code == 200 and answer.seconds >= self.delay_ms / 1000


@dataclass
class ApiErrors(ApiFault):
    """Every request is answered with an HTTP error."""

    code: int = 500
    retry_after: int | None = None
    """Seconds in a Retry-After header, as an overloaded server sends with 429."""
    method: str = ""
    """Only requests of this method, which has to be GET or empty for the harness to meet it."""

    def __post_init__(self) -> None:
        if self.method not in ("", "GET"):
            raise ValueError(f"method {self.method} of {self.kind} cannot be seen by the harness; use GET, or none")

    @property
    def kind(self) -> str:
        return f"api-errors-{self.code}"

    def action(self) -> Mapping[str, Any]:
        status = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.code,
            "reason": _REASONS.get(self.code, ""), "message": "ordered by drainproof",
        }
        headers = {} if self.retry_after is None else {"headers": {"Retry-After": str(self.retry_after)}}
        body = base64.b64encode(json.dumps(status).encode()).decode()
        only = {"method": self.method} if self.method else {}
        return {"target": "Response", **only, "replace": {"code": self.code, "body": body, **headers}}

    def is_met(self, answer: Answer) -> bool:
        return answer.code == self.code


class WatchesExpired(ApiErrors):
    """Reads and watches are answered with 410 Expired, and watches under way break: everybody has to list anew."""

    def __init__(
        self, cluster: Cluster, namespace: str, seconds: float, *, tls: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(cluster, namespace, seconds, code=410, method="GET", tls=tls)

    @property
    def kind(self) -> str:
        return "watches-expired"
