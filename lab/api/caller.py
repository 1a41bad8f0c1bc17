"""Who asks, and what the server says to those who may not."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.api.errors import Object, StatusError

ANONYMOUS = "system:anonymous"
MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class Caller:
    """`allowed` is all-powerful, as members of system:masters are.

    `component` marks the lab's own controllers and agents: one token serves all, so the user agent tells them.
    """

    user: str
    allowed: bool
    component: bool = False
    manager: str = ""
    """The field manager of what the caller writes."""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Object = field(default_factory=dict)


def account_user(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"{_ACCOUNT_PREFIX}{namespace}:{name}"


def account_groups(user: str) -> tuple[str, ...]:
    """The groups that a service account is in by its user name; none for other users."""
    if not user.startswith(_ACCOUNT_PREFIX) or user.count(":") != 3:
        return ()
    return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{user.split(':')[2]}"


@dataclass(frozen=True)
class Attributes:
    """What a request wants to do: `path` for what is no resource, else the other fields ("" where not said)."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """As rules name it: `pods/eviction`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def forbidden(caller: Caller, wanted: Attributes, reason: str = "") -> StatusError:
    """403; `reason` is what else the authorizer has to say, such as a role that is missing."""
    suffix = f": {reason}" if reason else ""
    if wanted.path:
        message = f'forbidden: User "{caller.user}" cannot {wanted.verb} path "{wanted.path}"{suffix}'
        return StatusError(403, "Forbidden", message, {})
    noun = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    subject = f'{noun} "{wanted.name}"' if wanted.name else noun
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{caller.user}" cannot {wanted.verb} resource "{wanted.full_resource}" in API '
        f'group "{wanted.group}" {where}{suffix}'
    )
    details = {"name": wanted.name} if wanted.name else {}
    if wanted.group:
        details["group"] = wanted.group
    return StatusError(403, "Forbidden", message, {**details, "kind": wanted.resource})
