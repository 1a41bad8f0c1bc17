"""One request to the Kubernetes API, what came of a try of it, and whether it may be asked once more."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from urllib3.exceptions import ConnectTimeoutError, InvalidHeader, NewConnectionError
from urllib3.util import Retry

from drainproof.errors import ApiError, ConflictError, EvictionRefusedError, NotFoundError

TROUBLE = frozenset({429, 500, 502, 503, 504})
"""What a server, or a balancer before it, answers when it could not do what was asked just now."""
UNAUTHORIZED = 401
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_SERVERS_OWN = ("resourceVersion", "generation", "managedFields", "status")
_BEFORE_STORAGE = "failed calling webhook"
"""Of a 500: an admission webhook did not answer. Admission comes before an object is stored."""


class Repeat(Enum):
    """When a request that met trouble may be sent again."""

    SAFE = "twice is as good as once"
    """Reads, deletions, patches, applies, evictions, reviews; updates of one version and creations under a name,
    where a conflict of the second with the first is known for what it is."""
    UNDONE = "only when the first cannot have been carried out"
    """Creations under a name of the server's choice, and actions: a second one makes another object, or acts again."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the API server; `path` is the URL's, without host and query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    """Of a Secret, or a machine's first configuration; no traceback shows it."""
    content_type: str = "application/json"
    repeat: Repeat = Repeat.SAFE
    json: bool = True
    """Whether the answer has to be JSON, or nothing at all."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def watch(self) -> bool:
        return "watch" in self.query

    @property
    def evicts(self) -> bool:
        """Whether 429 is its answer, and no trouble: the disruption budget does not allow it yet."""
        return self.method == "POST" and self.path.endswith("/eviction")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a try brought; `code` 0 and `error` when there was no whole answer."""

    code: int = 0
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    error: Exception | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The answer as JSON; raises ValueError when it is none."""
        found: dict[str, Any] = json.loads(self.text) if self.text else {}
        return found

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to be left alone for, as a number or a date."""
        value = next((value for name, value in self.headers.items() if name.lower() == "retry-after"), None)
        if value is None:
            return None
        try:
            return Retry().parse_retry_after(value)
        except (InvalidHeader, ValueError, OverflowError):
            return None


def is_trouble(request: Request, answer: Answer) -> bool:
    """Whether the answer says nothing of what was asked, and another try may."""
    if answer.error is not None:
        return not _is_untrusted(answer.error)
    return answer.code in TROUBLE and not (answer.code == 429 and request.evicts)


def may_be_done(answer: Answer) -> bool:
    """Whether what was asked may have been carried out although the try met trouble.

    Not where no connection came to be, where the server was too busy to begin (429), or where admission failed. An
    error of a balancer may hide any answer of the server behind it.
    """
    if answer.error is not None:
        return not isinstance(answer.error, NewConnectionError | ConnectTimeoutError)
    return answer.code != 429 and not (answer.code == 500 and _BEFORE_STORAGE in answer.text)


def may_be_repeated(request: Request, answer: Answer) -> bool:
    return is_trouble(request, answer) and (request.repeat is Repeat.SAFE or not may_be_done(answer))


def refusal(request: Request, answer: Answer) -> ApiError:
    """The error for an answer that is none, or a no; the server's own words are in it."""
    if answer.error is not None:
        return ApiError(str(request), 0, "Unreachable", f"{type(answer.error).__name__}: {answer.error}")
    reason, message = _words(answer)
    kinds: dict[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError}
    kind = EvictionRefusedError if request.evicts and answer.code == 429 else kinds.get(answer.code, ApiError)
    return kind(str(request), answer.code, reason, message)


def says(found: Any, sent: Any) -> bool:
    """Whether an object holds all that was sent of it; what the server keeps for itself is not looked at."""
    if isinstance(sent, Mapping):
        held = found if isinstance(found, Mapping) else {}
        return all(says(held.get(key), value) for key, value in sent.items() if key not in _SERVERS_OWN)
    if isinstance(sent, list) and isinstance(found, list):
        return len(found) == len(sent) and all(says(*pair) for pair in zip(found, sent, strict=True))
    return bool(found == sent or (not found and not sent))


def _words(answer: Answer) -> tuple[str, str]:
    try:
        status = json.loads(answer.text)
        return str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        return answer.reason, answer.text


def _is_untrusted(error: BaseException) -> bool:
    """Whether the server's certificate was refused: no other try changes that."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else seen.__cause__
    return False
