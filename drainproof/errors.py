"""The errors of drainproof: each names the object, what was expected of it, what was seen last, and the remedy."""

from __future__ import annotations


class DrainproofError(Exception):
    """The base of every error that drainproof raises on purpose."""


class CannotRunError(DrainproofError):
    """The run is impossible as asked: wrong setting, missing tool, unsuitable cluster. Nothing has been changed.

    `reasons` holds every obstacle found, each a sentence with its remedy.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class WaitTimeoutError(DrainproofError):
    """Something expected did not happen in time; carries the last state seen."""

    def __init__(self, what: str, seconds: float, last: object) -> None:
        super().__init__(f"{what}: not within {seconds:.0f} s; last seen: {last}")
        self.what = what
        self.last = last


class UnexpectedStateError(DrainproofError):
    """Something reached a state from which the expected one cannot follow."""

    def __init__(self, what: str, state: object) -> None:
        super().__init__(f"{what}: cannot happen any more; seen: {state}")
        self.what = what
        self.state = state


class ApiError(DrainproofError):
    """The Kubernetes API refused a request; `code` is the HTTP status, 0 without an answer, `message` its own words.

    `tries` is how often it was asked, `remedy` what to do. `may_be_done`: the request may have been carried out all the
    same, by this try or an earlier one; who wants to ask again has to look first.
    """

    def __init__(self, request: str, code: int, reason: str, message: str) -> None:
        super().__init__(f"{request}: {code} {reason}: {message[:500]}")
        self.request = request
        self.code = code
        self.reason = reason
        self.message = message
        self.tries = 1
        self.may_be_done = False
        self.trouble = ""

    def after(self, tries: int, trouble: str, *, may_be_done: bool) -> ApiError:
        """The same error, told how often it was tried and what `trouble` there was: for how long, what was left."""
        self.tries, self.trouble, self.may_be_done = tries, trouble, may_be_done
        return self

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.trouble})" if self.trouble else super().__str__()


class NotFoundError(ApiError):
    """The object does not exist (404)."""


class ConflictError(ApiError):
    """The object exists already or has changed meanwhile (409)."""


class EvictionRefusedError(ApiError):
    """An eviction was answered with 429: try again later."""


class RecordError(DrainproofError):
    """A record on disk is missing, damaged or of another format; names the file and what is wrong with it."""
