"""Who asks: the administrator by bearer token, or nobody."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from lab.api.errors import StatusError, resource_name
from lab.kinds import Kind

OPEN_PATHS = ("/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True)
class Caller:
    """`component` marks the lab's own controllers and agents: one token serves all, so the user agent tells them."""

    user: str
    allowed: bool
    component: bool = False


def authenticate(headers: Mapping[str, str], token: str) -> Caller:
    """Raises StatusError 401 for a wrong token; no token at all is the anonymous user."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if not given:
        return Caller("system:anonymous", allowed=False)
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise StatusError(401, "Unauthorized", "Unauthorized")
    component = headers.get("User-Agent", "").startswith("lab")
    return Caller("kubernetes-admin", allowed=True, component=component)


def forbid_path(caller: Caller, verb: str, path: str) -> StatusError:
    message = f'forbidden: User "{caller.user}" cannot {verb} path "{path}"'
    return StatusError(403, "Forbidden", message, {})


def forbid(caller: Caller, verb: str, kind: Kind, namespace: str, name: str, subresource: str = "") -> StatusError:
    noun = resource_name(kind)
    subject = f'{noun} "{name}"' if name else noun
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{caller.user}" cannot {verb} resource "{resource}" in API group "{kind.group}" '
        f"{where}"
    )
    details = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    return StatusError(403, "Forbidden", message, {**details, "kind": kind.plural})
