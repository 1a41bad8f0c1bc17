"""The rights that each suite needs on a cluster, and why: preflight asks for them, deploy/rbac is made from them.

A run's namespaces have names that nobody knows beforehand, and Kubernetes grants nothing by a prefix of a name: what a
run does in namespaces of its own takes a ClusterRole, as what it does to nodes. Only what it keeps in the control
namespace takes a Role there. KubeVirt itself lets every account read its KubeVirt object (kubevirt.io:default).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drainproof.resources import (
    CLAIMS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    HTTP_CHAOS,
    INSTANCES,
    JOBS,
    LEASES,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    MIGRATION_POLICIES,
    MIGRATIONS,
    NAMESPACES,
    NETWORK_CHAOS,
    NODE_HEALTH_CHECKS,
    NODES,
    PODS,
    ROUTES,
    SECRETS,
    SERVICES,
    STORAGE_CLASSES,
    STORAGE_PROFILES,
    SUBRESOURCES,
    VOLUME_SNAPSHOT_CLASSES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUMES,
    Resource,
)

HIGH_AVAILABILITY, LIVE_MIGRATION, GALERA, STORAGE = "high_availability", "live_migration", "galera", "storage"
SUITES: Final = (HIGH_AVAILABILITY, LIVE_MIGRATION, GALERA, STORAGE)
PORTAL: Final = (HIGH_AVAILABILITY, LIVE_MIGRATION, GALERA)
"""The suites that certify a service, and not disks alone."""
DRAINS: Final = (HIGH_AVAILABILITY, GALERA, STORAGE)

ATTACHMENTS = Resource("k8s.cni.cncf.io/v1", "network-attachment-definitions", "NetworkAttachmentDefinition")
ADDRESS_POOLS = Resource("metallb.io/v1beta1", "ipaddresspools", "IPAddressPool")
HYPERCONVERGEDS = Resource("hco.kubevirt.io/v1beta1", "hyperconvergeds", "HyperConverged")
CLUSTER_VERSIONS = Resource("config.openshift.io/v1", "clusterversions", "ClusterVersion", namespaced=False)
CONSTRAINTS = Resource(
    "security.openshift.io/v1", "securitycontextconstraints", "SecurityContextConstraints", namespaced=False
)


class Scope(StrEnum):
    """Where a right is needed."""

    CLUSTER = "at cluster scope"
    RUN = "in the run's namespaces"
    CONTROL = "in the control namespace"


@dataclass(frozen=True, slots=True)
class Rule:
    """Some verbs on a kind of object, and why they are needed."""

    resource: Resource
    verbs: tuple[str, ...]
    why: str
    suites: tuple[str, ...] = SUITES
    scope: Scope = Scope.RUN
    subresource: str = ""
    needs: str = ""
    """The API, as `plural` or the fixture that a case asks for; empty: every case of the suites needs it."""
    vital: bool = True
    """Without it cases cannot run; a rule that is not vital only lets something be told or cleaned up."""

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return group_of(self.resource)

    @property
    def name(self) -> str:
        """The resource as RBAC writes it: `pods/eviction`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural

    def __str__(self) -> str:
        of = f" of {self.group}" if self.group else ""
        return f"{','.join(self.verbs)} {self.name}{of} {self.scope}"


def group_of(resource: Resource) -> str:
    """The API group of a kind, empty for the core."""
    group, slash, _ = resource.group_version.partition("/")
    return group if slash else ""


_MAKE = ("create", "patch")
"""What server-side apply takes: a patch that may create."""

RULES: Final[tuple[Rule, ...]] = (
    # What every run does.
    Rule(NODES, ("get", "list", "watch"), "nodes are chosen, followed and compared with before", scope=Scope.CLUSTER),
    Rule(
        NAMESPACES, ("get", "list", "create", "delete"), "each case has a namespace of its own, gone afterwards",
        scope=Scope.CLUSTER,
    ),
    Rule(PODS, ("get", "list", "watch"), "who is on a node, and in which pod a machine runs", scope=Scope.CLUSTER),
    Rule(VOLUMES, ("list",), "no volume of the run is left behind", scope=Scope.CLUSTER),
    Rule(STORAGE_CLASSES, ("get", "list"), "the class under test is there", scope=Scope.CLUSTER),
    Rule(
        LEASES, ("get", "list", "create", "update", "delete"), "nodes are claimed, and a run says that it lives",
        scope=Scope.CONTROL,
    ),
    Rule(
        CONFIG_MAPS, ("get", "list", "create", "patch", "delete"), "the journal is kept in the cluster too",
        scope=Scope.CONTROL,
    ),
    Rule(MACHINES, ("get", "list", "watch", *_MAKE), "the machines under test"),
    Rule(
        INSTANCES, ("get", "list", "watch"), "where machines run, the run's own and those of bystanders",
        scope=Scope.CLUSTER,
    ),
    Rule(MIGRATIONS, ("get", "list", "watch"), "how each migration went", scope=Scope.CLUSTER),
    Rule(SECRETS, _MAKE, "the machines' first configuration"),
    Rule(CLAIMS, ("get", *_MAKE), "the machines' data disks"),
    Rule(PODS, ("get",), "the hypervisor's own downtime is in the launcher's log", subresource="log"),
    # What is certified.
    Rule(NODES, ("patch",), "nodes are cordoned and, once lost, fenced by a taint", (*PORTAL, STORAGE), Scope.CLUSTER),
    Rule(PODS, ("create",), "a drain evicts", DRAINS, Scope.CLUSTER, subresource="eviction"),
    Rule(SERVICES, ("get", *_MAKE), "the way in, and what Prometheus scrapes", PORTAL),
    Rule(ENDPOINT_SLICES, _MAKE, "Prometheus scrapes the clients", PORTAL),
    Rule(
        SERVICES, ("get",), "Prometheus is asked through the API server", PORTAL, Scope.CLUSTER, subresource="proxy",
        needs="prometheus-service",
    ),
    Rule(
        ROUTES, ("get", *_MAKE), "users enter through a Route; Thanos is found by its own", PORTAL, needs="entry-route",
    ),
    Rule(JOBS, ("create",), "clients are in the cluster", PORTAL, needs="clients-cluster"),
    Rule(
        PODS, ("get", "create"), "clients in the cluster are spoken with", PORTAL, subresource="proxy",
        needs="clients-cluster",
    ),
    Rule(MIGRATIONS, ("create", "delete"), "migrations are begun and cancelled", (LIVE_MIGRATION, GALERA, STORAGE)),
    Rule(CLAIMS, ("delete",), "disks are lost, and those of other machines removed",
         (HIGH_AVAILABILITY, GALERA, STORAGE)),
    Rule(SECRETS, ("delete",), "a machine for which there is no node is removed", (HIGH_AVAILABILITY,)),
    Rule(MACHINES, ("delete",), "a machine too many, or a clone, is removed", (HIGH_AVAILABILITY, STORAGE)),
    Rule(PODS, ("delete",), "a launcher is killed", (GALERA,)),
    Rule(
        Resource(SUBRESOURCES, INSTANCES.plural, INSTANCES.kind), ("update",), "a guest is paused", (GALERA,),
        subresource="pause",
    ),
    Rule(
        Resource(SUBRESOURCES, INSTANCES.plural, INSTANCES.kind), ("update",), "a paused guest goes on", (GALERA,),
        subresource="unpause",
    ),
    Rule(
        MIGRATION_POLICIES, ("get", "list", "create", "delete"), "migrations are slowed down and limited",
        (LIVE_MIGRATION,), Scope.CLUSTER, needs=MIGRATION_POLICIES.plural,
    ),
    Rule(
        NODE_HEALTH_CHECKS, ("get", "list"), "an operator that fences is expected, or would disturb",
        (HIGH_AVAILABILITY, LIVE_MIGRATION), Scope.CLUSTER, needs=NODE_HEALTH_CHECKS.plural,
    ),
    Rule(
        NETWORK_CHAOS, ("get", "list", "create", "delete"), "Chaos Mesh disturbs the network between machines",
        (GALERA,), needs=NETWORK_CHAOS.plural,
    ),
    Rule(
        HTTP_CHAOS, ("get", "list", "create", "delete"), "Chaos Mesh disturbs the Kubernetes API", (HIGH_AVAILABILITY,),
        needs=HTTP_CHAOS.plural,
    ),
    Rule(
        VOLUME_SNAPSHOT_CLASSES, ("list",), "which classes can be snapshotted", (STORAGE,), Scope.CLUSTER,
        needs="snapshots",
    ),
    *(
        Rule(kind, ("get", "list", "create", "delete"), why, (STORAGE,), needs="snapshots")
        for kind, why in (
            (MACHINE_SNAPSHOTS, "snapshots are certified"), (MACHINE_RESTORES, "restores are certified"),
            (MACHINE_CLONES, "clones are certified"),
        )
    ),
    # What is told, or cleaned up; nothing stops without it.
    Rule(
        VOLUME_SNAPSHOT_CONTENTS, ("list", "patch", "delete"), "what a class would retain of snapshots is removed",
        (STORAGE,), Scope.CLUSTER, vital=False,
    ),
    *(
        Rule(kind, ("get", "list"), why, scope=Scope.CLUSTER, vital=False)
        for kind, why in (
            (STORAGE_PROFILES, "the access and volume modes of classes are told"),
            (ATTACHMENTS, "networks beside the pod network are told"),
            (ADDRESS_POOLS, "what hands out addresses to Services is told"),
            (HYPERCONVERGEDS, "OpenShift Virtualization's settings are told"),
            (CLUSTER_VERSIONS, "OpenShift's version is told"),
            (CONSTRAINTS, "OpenShift's security constraints are told"),
        )
    ),
    Rule(SERVICES, ("list",), "a Prometheus and what hands out addresses are found", scope=Scope.CLUSTER, vital=False),
)


def rules_of(suites: Collection[str]) -> tuple[Rule, ...]:
    """The rules of some suites, each once, in their own order."""
    return tuple(rule for rule in RULES if any(suite in suites for suite in rule.suites))


def merged(rules: Iterable[Rule]) -> dict[tuple[str, str], list[str]]:
    """The verbs by (API group, resource as RBAC writes it)."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in rules:
        verbs = found.setdefault((rule.group, rule.name), [])
        verbs += [verb for verb in rule.verbs if verb not in verbs]
    return found
