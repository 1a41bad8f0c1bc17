"""The Locust user class and what becomes of its requests; importing this puts gevent in place of blocking calls."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, task

from drainproof.record import Outcome
from load.plan import Plan
from load.recorder import Recorder

NAME = "clinic"
DOCTORS, PATIENTS, PATIENT, BILL, PAY = "GET doctors", "GET patients", "GET patient", "POST bills", "POST pay"
STREAMS = tuple(f"{NAME}/{operation}" for operation in (DOCTORS, PATIENTS, PATIENT, BILL, PAY))
TASKS_PER_SECOND = 1.0
PAGES = 2
TIMED_OUT = ("timed out", "timeout")


class ClinicStaff(FastHttpUser):
    """Somebody at the clinic: looks up doctors and patients, opens bills and sees them paid."""

    wait_time = constant_throughput(TASKS_PER_SECOND)
    chance = random.Random()
    run_id = ""
    cut_off: Callable[[str, int], None]
    """Told of a request that is under way when its user is stopped: the operation, and when it was begun."""

    @task(2)
    def browse_doctors(self) -> None:
        self._get(f"/doctors?page={self.chance.randrange(PAGES)}", DOCTORS)

    @task(3)
    def look_up_patient(self) -> None:
        listed = self._get(f"/patients?page={self.chance.randrange(PAGES)}", PATIENTS)
        if found := listed.get("patients"):
            self._get(f"/patients/{self.chance.choice(found)['id']}", PATIENT)

    @task(2)
    def bill(self) -> None:
        """Open a bill and pay it, each with a key of its own."""
        patients = self._get("/patients?page=0", PATIENTS).get("patients")
        doctors = self._get("/doctors?page=0", DOCTORS).get("doctors")
        if not patients or not doctors:
            return
        order = {
            "patient_id": self.chance.choice(patients)["id"], "doctor_id": self.chance.choice(doctors)["id"],
            "amount_cents": self.chance.randrange(100, 100_000), "key": self._key(),
        }
        if opened := self._post("/bills", order, BILL).get("id"):
            self._post(f"/bills/{opened}/pay", {"key": self._key()}, PAY)

    def _key(self) -> str:
        return f"{self.run_id[:28]}-{uuid.uuid4().hex}"  # never repeated, although the choices are

    def _get(self, path: str, operation: str) -> dict[str, Any]:
        return self._ask("GET", path, operation)

    def _post(self, path: str, body: Mapping[str, Any], operation: str) -> dict[str, Any]:
        return self._ask("POST", path, operation, body)

    def _ask(
        self, method: str, path: str, operation: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        begun = time.monotonic_ns()
        try:
            with self.client.request(method, path, name=operation, json=body, catch_response=True) as response:
                return _content(response)
        except gevent.GreenletExit:
            self.cut_off(operation, begun)
            raise


def _content(response: Any) -> dict[str, Any]:
    """The JSON object of an answer, empty when it failed; a success that is no JSON object becomes a failure."""
    status = response.status_code or 0
    if not 200 <= status < 300:
        if status:
            response.failure(f"status {status}: {(response.text or '')[:200]}")
        return {}
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        response.failure("the answer is not a JSON object")
        return {}
    return content


def hook(recorder: Recorder) -> Callable[..., None]:
    """A listener that puts every request of the users on the record, with monotonic instants of our own.

    Locust's start time is the wall clock's and cannot be placed on the record's axis; its duration can.
    """
    numbers = _numbers(recorder)
    append, clock, good = recorder.spools[0].append, time.monotonic_ns, int(Outcome.OK)

    # Locust's arguments are all named because collecting them unnamed makes the call a third dearer.
    def on_request(
        name: str, response_time: float, exception: BaseException | None, request_type: str, response_length: int,  # noqa: ARG001
        context: object, response: object, start_time: float, url: str, **_: object,  # noqa: ARG001
    ) -> None:
        end = clock()
        start = end - int(response_time * 1e6)
        if exception is None:
            append(numbers[name], start, start, end, good)
        else:
            reason = f"{type(exception).__name__}: {exception}"[:300]
            recorder.done(numbers[name], start, start, end, _outcome(exception), reason=reason)

    return on_request


def cut_off(recorder: Recorder) -> Callable[[str, int], None]:
    """Puts a request on the record that nobody will wait for any more."""
    numbers = _numbers(recorder)

    def stopped(operation: str, begun_ns: int) -> None:
        reason = "the clinic was stopped while the request was under way"
        now = time.monotonic_ns()
        recorder.done(numbers[operation], begun_ns, begun_ns, now, Outcome.INDETERMINATE, reason=reason)

    return stopped


def _numbers(recorder: Recorder) -> dict[str, int]:
    return {name.removeprefix(f"{NAME}/"): number for number, name in enumerate(recorder.spools[0].streams)}


def _outcome(exception: BaseException) -> Outcome:
    late = isinstance(exception, TimeoutError) or any(word in str(exception).lower() for word in TIMED_OUT)
    return Outcome.TIMEOUT if late else Outcome.ERROR


def staff(plan: Plan, recorder: Recorder) -> type[ClinicStaff]:
    """The user class with this plan's limits, seed and names."""
    seconds = plan.load.timeout_seconds
    return type(
        "ClinicStaff", (ClinicStaff,),
        {
            "connection_timeout": seconds, "network_timeout": seconds, "chance": random.Random(plan.seed),
            "run_id": plan.run_id, "cut_off": staticmethod(cut_off(recorder)),
            "default_headers": {"Host": plan.portal.virtual_host} if plan.portal.virtual_host else {},
        },
    )
