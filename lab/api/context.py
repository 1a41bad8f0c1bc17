"""What the request handlers share: the store, the operations on it, and the way out to the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from lab.api.lists import Lister
from lab.api.proxy import Dialer
from lab.api.resources import Resources
from lab.api.store import Store


@dataclass(frozen=True)
class Context:
    """Built once per server."""

    store: Store
    resources: Resources
    lister: Lister
    dialer: Dialer
    token: str
    address: str


def build_context(dialer: Dialer, token: str, address: str) -> Context:
    store = Store()
    return Context(store, Resources(store), Lister(store), dialer, token, address)
