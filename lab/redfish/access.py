"""Who may use the service: one user with a generated password, by session token or by basic authentication."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.redfish.documents import SESSION_SECONDS

TOKEN_HEADER = "X-Auth-Token"


def make_password(path: Path) -> str:
    """The password in the file, which only its owner can read; made when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
    return path.read_text(encoding="ascii").strip()


@dataclass(slots=True)
class Access:
    """The user, and the sessions that are open: each by its name, with its token and when it was last used."""

    user: str
    password: str
    _tokens: dict[str, str] = field(default_factory=dict)
    _used: dict[str, float] = field(default_factory=dict)

    @property
    def sessions(self) -> list[str]:
        self._expire()
        return list(self._tokens)

    def log_in(self, user: str, password: str) -> tuple[str, str] | None:
        """A new session's name and token; None when the credentials are wrong."""
        if not self._right(user, password):
            return None
        name, token = secrets.token_hex(8), secrets.token_urlsafe(24)
        self._tokens[name] = token
        self._used[name] = time.monotonic()
        return name, token

    def log_out(self, name: str) -> bool:
        """Close a session; returns whether there was one."""
        self._used.pop(name, None)
        return self._tokens.pop(name, None) is not None

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers comes from the user; its session goes on."""
        if TOKEN_HEADER in headers:
            return self._continued(headers[TOKEN_HEADER])
        scheme, _, text = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self._right(user, password)

    def _continued(self, token: str) -> bool:
        self._expire()
        for name, known in self._tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                self._used[name] = time.monotonic()
                return True
        return False

    def _right(self, user: str, password: str) -> bool:
        same_user = hmac.compare_digest(user.encode(), self.user.encode())
        return hmac.compare_digest(password.encode(), self.password.encode()) and same_user

    def _expire(self) -> None:
        oldest = time.monotonic() - SESSION_SECONDS
        for name in [name for name, used in self._used.items() if used < oldest]:
            self.log_out(name)
