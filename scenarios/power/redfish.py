"""Power through Redfish, by the DMTF's own client library (`redfish`).

That one and not `sushy`: it is kept by those who write the standard, it needs little beside `requests`, and this driver
reads two documents and posts one action. Sushy models the whole tree and brings OpenStack's libraries for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redfish
import requests
from redfish.rest import v1

from drainproof.target import PowerFacts
from scenarios.power.driver import PowerError, PowerState

TIMEOUT_SECONDS = 15
ACCEPTED = (200, 202, 204)
_ERRORS = (
    requests.RequestException, v1.RetriesExhaustedError, v1.InvalidCredentialsError, v1.SessionCreationError,
    v1.ServerDownOrUnreachableError, v1.JsonDecodingError, v1.BadRequestError, ValueError,
)


class RedfishPower:
    """One Redfish service for all nodes, or one for each: `{node}` in the URL and in the system's name is the node."""

    name = "redfish"
    proves_off = True
    powers_on = True

    def __init__(self, facts: PowerFacts) -> None:
        self._facts = facts

    def state(self, node: str) -> PowerState:
        with self._session(node) as client:
            state = self._system(client, node).get("PowerState")
        if state not in ("On", "Off", "PoweringOn", "PoweringOff", "Paused"):
            raise PowerError(f"{node}: its Redfish system tells the power state {state!r}.")
        return "Off" if state in ("Off", "PoweringOn") else "On"

    def off(self, node: str) -> None:
        self._reset(node, "ForceOff")

    def on(self, node: str) -> None:
        self._reset(node, "On")

    def _reset(self, node: str, kind: str) -> None:
        with self._session(node) as client:
            action = self._system(client, node).get("Actions", {}).get("#ComputerSystem.Reset", {})
            allowed = action.get("ResetType@Redfish.AllowableValues")
            if allowed is not None and kind not in allowed:
                raise PowerError(f"{node}: its Redfish system cannot do {kind}, only {', '.join(allowed)}.")
            target = action.get("target") or f"{self._path(node)}/Actions/ComputerSystem.Reset"
            answer = client.post(target, body={"ResetType": kind})
            if answer.status not in ACCEPTED:
                raise PowerError(f"{node}: {kind} was refused: {_reason(answer)}.")

    def _system(self, client: Any, node: str) -> dict[str, Any]:
        answer = client.get(self._path(node))
        if answer.status != 200:
            raise PowerError(f"{node}: its Redfish system {self._path(node)} cannot be read: {_reason(answer)}.")
        content: dict[str, Any] = answer.dict
        return content

    def _path(self, node: str) -> str:
        return f"/redfish/v1/Systems/{self._facts.system_of(node)}"

    @contextmanager
    def _session(self, node: str) -> Iterator[Any]:
        """A client that is logged in; whatever goes wrong becomes a PowerError."""
        url = self._facts.url.replace("{node}", node)
        client = None
        try:
            client = redfish.redfish_client(
                url, self._facts.user, _password(self._facts), timeout=TIMEOUT_SECONDS, max_retry=1,
                cafile=self._facts.ca_file or requests.utils.DEFAULT_CA_BUNDLE_PATH,
            )
            client.login(auth=redfish.AuthMethod.SESSION)
            yield client
        except _ERRORS as error:
            raise PowerError(f"{node}: the Redfish service at {url} does not serve: {_words(error)}.") from error
        finally:
            if client is not None:
                _close(client)


def _close(client: Any) -> None:
    try:
        client.logout()
    except _ERRORS:
        return  # The service ends an idle session by itself; what was asked of it has its answer.


def _password(facts: PowerFacts) -> str:
    if facts.password_env:
        found = os.environ.get(facts.password_env)
        if found is None:
            raise PowerError(f"The environment variable {facts.password_env} with the Redfish password is not set.")
        return found
    try:
        return Path(facts.password_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PowerError(f"The Redfish password cannot be read: {error}.") from error


def _reason(answer: Any) -> str:
    try:
        words = answer.dict["error"]
        extended = words.get("@Message.ExtendedInfo") or [{}]
        return f"{answer.status} {extended[0].get('Message') or words.get('message')}"
    except (*_ERRORS, KeyError, TypeError, AttributeError):
        return str(answer.status)


def _words(error: Exception) -> str:
    causes = [error]
    while causes[-1].__cause__ is not None and isinstance(causes[-1].__cause__, Exception):
        causes.append(causes[-1].__cause__)
    return "; ".join(f"{type(cause).__name__} {cause}".strip() for cause in causes)
