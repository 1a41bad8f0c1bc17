"""A request tried until it is answered: with growing pauses, as long as patience lasts, and never unheard of.

The rules are in docs/decisions/0013-trouble-of-the-api.md. urllib3 gives the pauses and reads Retry-After; the loop is
here because urllib3 bounds the number of tries, not their time, and does not repeat an answer that broke off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from urllib3 import BaseHTTPResponse
from urllib3.util import Retry

from drainproof.clock import Clock, SystemClock
from drainproof.connection import Connection
from drainproof.errors import ApiError
from drainproof.request import UNAUTHORIZED, Answer, Request, is_trouble, may_be_done, may_be_repeated, refusal
from drainproof.wait import Deadline, pause

log = logging.getLogger(__name__)

REQUEST_SECONDS = 30.0
"""How long one try may take."""
PATIENCE_SECONDS = 45.0
"""How long trouble is met with other tries: longer than an API server takes to restart, shorter than a node's claim."""
STRANGER_SECONDS = 5.0
"""The same for a server that has never answered: it may not be there at all."""
LAST_TRY_SECONDS = 1.0
"""A try is given at least so long, however little is left."""
BACK_OFF = Retry(total=None, allowed_methods=None, backoff_factor=0.2, backoff_jitter=0.3, backoff_max=5.0)
"""At once, then after 0.4, 0.8, 1.6, 3.2 and 5 s, and up to 0.3 s more so that clients do not come back together."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a request met before it was answered, or given up."""

    request: str
    codes: tuple[int, ...]
    """Of each try that met trouble; 0: there was no answer."""
    tries: int
    seconds: float
    answered: bool
    words: str
    """Of the last trouble."""


Tell = Callable[[Trouble], None]


def log_trouble(trouble: Trouble) -> None:
    """Tell of trouble where nobody else listens."""
    end = "answered" if trouble.answered else "given up"
    log.info("%s: %s after %d tries in %.1f s: %s", trouble.request, end, trouble.tries, trouble.seconds, trouble.words)


@dataclass(frozen=True)
class Patience:
    """How long to try, and who is told of it."""

    seconds: float = PATIENCE_SECONDS
    deadline: Deadline | None = None
    """When all of it has to end, if that is sooner: then no try outlasts it by more than LAST_TRY_SECONDS."""
    tell: Tell = log_trouble
    clock: Clock = field(default_factory=SystemClock)

    def begin(self, *, stranger: bool) -> Deadline:
        seconds = min(self.seconds, STRANGER_SECONDS) if stranger else self.seconds
        return self.deadline.at_most(seconds) if self.deadline else Deadline(seconds, self.clock)

    def try_seconds(self, left: Deadline, *, first: bool) -> float:
        """How long a try may take: the first has its time whatever the patience, unless there is a deadline."""
        if first and self.deadline is None:
            return REQUEST_SECONDS
        ends = self.deadline if first and self.deadline else left
        return min(REQUEST_SECONDS, max(ends.remaining, LAST_TRY_SECONDS))


@dataclass
class Tries:
    """The tries of one request."""

    connection: Connection
    request: Request
    patience: Patience
    codes: list[int] = field(default_factory=list)
    """Of the tries that met trouble."""
    words: str = ""
    count: int = 0
    may_be_done: bool = False
    """Whether a try that met trouble may have been carried out."""

    def answer(self) -> Answer:
        """The answer; raises ApiError when it is a no, or when there is none in time."""
        left, back_off = self.patience.begin(stranger=not self.connection.answered), BACK_OFF
        while True:
            answer = self._try(left)
            if not is_trouble(self.request, answer) and answer.error is None:
                self._tell(left, answered=True)
                return self._accepted(answer, left)
            self.codes.append(answer.code)
            self.words = str(refusal(self.request, answer))
            back_off = back_off.increment(self.request.method, self.request.path, error=answer.error)
            seconds = back_off.get_backoff_time() if answer.retry_after is None else answer.retry_after
            self.may_be_done = self.may_be_done or may_be_done(answer)
            if not may_be_repeated(self.request, answer) or seconds >= left.remaining:
                self._tell(left, answered=False)
                raise self._error(answer, left)
            pause(seconds, left)

    def _try(self, left: Deadline) -> Answer:
        """One try, or two when the credentials had to be loaded anew between them."""
        self.count += 1
        client, first = self.connection.client, self.count == 1
        seconds = self.patience.try_seconds(left, first=first)
        answer = self.connection.fetch(self.request, seconds, repeated=not first)
        if answer.code == UNAUTHORIZED and self.connection.renew(client):
            answer = self.connection.fetch(self.request, seconds, repeated=True)
        return answer

    def _accepted(self, answer: Answer, left: Deadline) -> Answer:
        if answer.code >= 300:
            raise self._error(answer, left)
        return answer

    def _error(self, answer: Answer, left: Deadline) -> ApiError:
        """With what an error has to say: how often it was tried, for how long, and what was left."""
        error = refusal(self.request, answer)
        trouble = ""
        if self.codes:
            tried = "tried once" if self.count == 1 else f"tried {self.count} times"
            trouble = f"{tried} in {_spent(left):.1f} s, {left.remaining:.0f} s of patience were left"
            if self.may_be_done and self.request.method != "GET":
                trouble += "; it may have been carried out all the same"
        return error.after(self.count, trouble, may_be_done=self.may_be_done)

    def _tell(self, left: Deadline, *, answered: bool) -> None:
        if self.count > 1:
            codes, seconds = tuple(self.codes), round(_spent(left), 3)
            self.patience.tell(Trouble(str(self.request), codes, self.count, seconds, answered, self.words[:300]))


def stream(connection: Connection, request: Request, seconds: float) -> BaseHTTPResponse:
    """Open a watch, tried once: a break in it has to be seen. Raises ApiError."""
    client = connection.client
    answer, events = connection.stream(request, seconds)
    if answer.code == UNAUTHORIZED and connection.renew(client):
        answer, events = connection.stream(request, seconds)
    if events is None:
        raise refusal(request, answer)
    return events


def _spent(left: Deadline) -> float:
    return (left.clock.monotonic_ns() - left.started_ns) / 1e9
