"""From a request's headers to who asks: the administrator, a service account, nobody, or whom they act as."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from multidict import CIMultiDictProxy

from lab.api.authorization import Authorizer
from lab.api.caller import (
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    UNAUTHENTICATED,
    Attributes,
    Caller,
    account_groups,
)
from lab.api.errors import StatusError
from lab.api.tokens import Tokens

ADMINISTRATOR = "kubernetes-admin"
_AS_USER, _AS_GROUP, _AS_UID, _AS_EXTRA = (
    "Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "impersonate-extra-",
)
_MANAGER_LENGTH = 128


def field_manager(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """As the request says, else the program's name in its user agent."""
    return query.get("fieldManager") or headers.get("User-Agent", "").partition("/")[0][:_MANAGER_LENGTH]


class Authenticator:
    """Knows the administrator's token, and asks `tokens` about the others."""

    def __init__(self, token: str, tokens: Tokens, authorizer: Authorizer) -> None:
        self._token = token.encode()
        self._tokens = tokens
        self._authorizer = authorizer

    def authenticate(self, headers: CIMultiDictProxy[str], query: Mapping[str, str]) -> Caller:
        """Raises StatusError: 401 for a wrong token, 403 for who may not act as somebody else.

        No token at all is the anonymous user.
        """
        caller = self._bearer(headers, field_manager(headers, query))
        if any(name.lower().startswith("impersonate-") for name in headers):
            return self._impersonated(caller, headers)
        return caller

    def _bearer(self, headers: Mapping[str, str], manager: str) -> Caller:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        given = given.strip()
        if not given:
            return Caller(ANONYMOUS, allowed=False, manager=manager, groups=(UNAUTHENTICATED,))
        component = headers.get("User-Agent", "").startswith("lab")
        caller = self.by_token(given, component=component, manager=manager) if scheme.lower() == "bearer" else None
        if caller is None:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return caller

    def by_token(self, token: str, *, component: bool = False, manager: str = "") -> Caller | None:
        """Whose token it is; None for one that is not good."""
        if hmac.compare_digest(token.encode(), self._token):
            return Caller(ADMINISTRATOR, True, component, manager, (MASTERS, AUTHENTICATED))
        known = self._tokens.read(token)
        if known is None:
            return None
        groups = (*account_groups(known.user), AUTHENTICATED)
        return Caller(known.user, False, False, manager, groups, known.uid, known.extra)

    def _impersonated(self, caller: Caller, headers: CIMultiDictProxy[str]) -> Caller:
        """Whom the headers name, if the caller has the verb `impersonate` for each part of that."""
        user, groups, uid = headers.get(_AS_USER, ""), tuple(headers.getall(_AS_GROUP, [])), headers.get(_AS_UID, "")
        extra = {
            name[len(_AS_EXTRA):].lower(): headers.getall(name) for name in headers
            if name.lower().startswith(_AS_EXTRA)
        }
        if not user:
            raise StatusError(500, "InternalError", "Internal error occurred: requested [{ impersonate}] without "
                              "impersonating a user")
        for wanted in _impersonations(user, groups, uid):
            self._authorizer.require(caller, wanted)
        if not groups:
            groups = account_groups(user)
        own = UNAUTHENTICATED if user == ANONYMOUS else AUTHENTICATED
        if own not in groups:
            groups = (*groups, own)
        return Caller(user, MASTERS in groups, False, caller.manager, groups, uid, extra)


def _impersonations(user: str, groups: tuple[str, ...], uid: str) -> list[Attributes]:
    if account_groups(user):
        _, _, namespace, name = user.split(":")
        wanted = [Attributes("impersonate", "", "serviceaccounts", namespace=namespace, name=name)]
    else:
        wanted = [Attributes("impersonate", "", "users", name=user)]
    wanted += [Attributes("impersonate", "", "groups", name=group) for group in groups]
    if uid:
        wanted.append(Attributes("impersonate", "authentication.k8s.io", "uids", name=uid))
    return wanted
