"""The clients' way in: how machines are connected, where users' traffic enters, and which continuity that can prove."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NetworkFacts(BaseModel):
    """How a machine is connected, which decides what of its connections can outlive a migration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bridge", "masquerade", "l2bridge", "multus"] = "bridge"
    """On the pod network by a bridge that keeps its address (as OVN-Kubernetes does), by masquerade, by the binding
    l2bridge of a user-defined primary network, or on a network of Multus alone, such as a localnet."""
    name: str = ""
    """Multus: the NetworkAttachmentDefinition, as `name` or `namespace/name`."""
    prefix: int = Field(default=24, ge=1, le=32)
    """Multus: the length of the network's prefix; nobody there hands addresses out, so guests are told theirs."""
    gateway: str = ""

    @model_validator(mode="after")
    def _complete(self) -> NetworkFacts:
        if (self.kind == "multus") != bool(self.name):
            raise ValueError("a network of kind multus, and no other, has the name of its NetworkAttachmentDefinition")
        return self

    @property
    def keeps_addresses(self) -> bool:
        """Whether a machine is reached under the same address before and after it has moved."""
        return self.kind != "masquerade"


POD_NETWORK: Final = NetworkFacts()
"""A network that keeps addresses, on which machines get them by asking."""


class EntryFacts(BaseModel):
    """Where the traffic of users enters who know the service, and not its machines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["load-balancer", "node-port", "route", "address"] = "load-balancer"
    address: str = ""
    """node-port: a node's address, of none that is disturbed; route: the router's; address: what users' own balancer
    in front of the machines answers at."""
    host: str = ""
    """route: the host name, where the cluster shall not choose one."""
    port: int = Field(default=80, ge=1, le=65535)
    """address: the port there."""

    @model_validator(mode="after")
    def _complete(self) -> EntryFacts:
        if self.kind in ("node-port", "address") and not self.address:
            raise ValueError(f"an entry of kind {self.kind} needs an address")
        if self.host and self.kind != "route":
            raise ValueError("only an entry of kind route has a host")
        return self


BALANCED: Final = EntryFacts()
"""A Service of type LoadBalancer."""

_ENTRIES = {
    "load-balancer": "a Service of type LoadBalancer",
    "node-port": "a NodePort of one node; what becomes of that node is part of what is measured",
    "route": "a Route; the router answers clients and opens connections of its own to the machines",
    "address": "a balancer that is not the cluster's own",
}
_NETWORKS = {
    "bridge": "the pod network by a bridge that keeps addresses",
    "masquerade": "the pod network by masquerade",
    "l2bridge": "a user-defined primary network",
    "multus": "a network beside the pod network",
}


def told(network: NetworkFacts, entry: EntryFacts) -> dict[str, str]:
    """What the record keeps: the way in, and what it can prove of continuity, in words."""
    where = f"{_NETWORKS[network.kind]}{f' ({network.name})' if network.name else ''}"
    return {
        "entry": _ENTRIES[entry.kind], "network": where, "continuity": " ".join(continuity(network, entry)),
    }


def continuity(network: NetworkFacts, entry: EntryFacts) -> Iterator[str]:
    """What can be proved of connections on this way in, a sentence each.

    KubeVirt gives a machine behind masquerade another pod address when it moves, so that connections to it end by
    design (kubevirt issue 5396); on a layer 2 network, or one that keeps addresses, they can live on.
    """
    if network.keeps_addresses:
        yield "Established connections to a machine can outlive its migration, so that a lost one counts as an outage."
    else:
        yield (
            "Masquerade ends established connections to a machine when it moves, by design: "
            "only that new connections succeed can be proved."
        )
    if entry.kind == "route":
        yield "Through the router only requests are seen, and none of the connections behind it."
