"""What the request handlers share: the store, the operations on it, who may ask, and the way out to the nodes."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.api.authentication import Authenticator
from lab.api.authorization import Authorizer
from lab.api.lists import Lister
from lab.api.proxy import Dialer
from lab.api.rbac_aggregation import Aggregation
from lab.api.resources import Resources
from lab.api.service_accounts import ServiceAccounts
from lab.api.store import Store
from lab.api.tokens import Tokens


@dataclass(frozen=True)
class Context:
    """Built once per server."""

    store: Store
    resources: Resources
    lister: Lister
    dialer: Dialer
    tokens: Tokens
    authenticator: Authenticator
    authorizer: Authorizer
    address: str


def build_context(dialer: Dialer, token: str, address: str, ca: str = "") -> Context:
    """`token` is the administrator's; `ca` the certificate that each namespace's kube-root-ca.crt holds."""
    store = Store()
    resources = Resources(store)
    tokens = Tokens(store, time.time)
    authorizer = Authorizer(store)
    ServiceAccounts(resources, tokens, ca).follow()
    Aggregation(resources).follow()
    return Context(
        store, resources, Lister(store), dialer, tokens, Authenticator(token, tokens, authorizer), authorizer, address
    )
