"""A cluster in memory for controller tests: it knows only the objects it was given and the writes made to them."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Sequence
from typing import Any, cast

from lab.client import Client, ConflictError, Informer, NotFoundError, Object
from lab.config import LabConfig
from lab.controllers.runtime import WATCHED_KINDS, Reconcile
from lab.grouping import Groups, Index
from lab.kinds import POD, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.events import Recorder
from lab.machinery.objects import finalizers, key, stamp


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = merged(result.get(field), value)
    return result


class FakeApi:
    """Stands in for Client and the informers; refuses what a real server would, and every call it does not know."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.events: list[tuple[str, str, str]] = []
        self.state_dir = "/nowhere"
        self.storage: tuple[str, ...] = ()
        self._versions = itertools.count(1)

    def given(self, kind: Kind, item: Object) -> Object:
        """Put an object there, as the server would store it."""
        meta = {"creationTimestamp": stamp(), "generation": 1, **item["metadata"]}
        if kind.namespaced:
            meta.setdefault("namespace", "demo")
        if "name" not in meta:
            meta["name"] = f"{meta['generateName']}{next(self._versions):05d}"
        meta.setdefault("uid", f"uid-{kind.name}-{meta['name']}")
        meta["resourceVersion"] = str(next(self._versions))
        stored = {"apiVersion": kind.api_version, "kind": kind.name, **copy.deepcopy(item), "metadata": meta}
        self.objects[kind.name, key(stored)] = stored
        return stored

    def there(self, kind: Kind, where: str) -> Object:
        return self.objects[kind.name, where]

    def all(self, kind: Kind) -> list[Object]:
        return [item for (of, _), item in self.objects.items() if of == kind.name]

    def reasons(self, kind: Kind) -> list[str]:
        return [reason for of, reason, _ in self.events if of == kind.name]

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._found(kind, name, namespace))

    async def list(self, kind: Kind, namespace: str | None = None) -> tuple[list[Object], str]:
        items = [item for item in self.all(kind) if namespace in (None, item["metadata"].get("namespace"))]
        return copy.deepcopy(items), "1"

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        assert namespace is None
        if "name" in body["metadata"] and (kind.name, key(body)) in self.objects:
            raise ConflictError(409, "AlreadyExists", key(body))
        self.calls.append(("create", kind.name, str(body["metadata"].get("name", ""))))
        return copy.deepcopy(self.given(kind, body))

    async def patch(
        self, kind: Kind, name: str, patch: Object | Sequence[Object], namespace: str | None = None, *,
        type: str = "merge", subresource: str = "",
    ) -> Object:
        assert type == "merge"
        assert isinstance(patch, dict)
        assert subresource in (("", "status") if kind.status else ("",))
        assert not kind.status or ("status" in patch) is (subresource == "status")
        known = self._found(kind, name, namespace)
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != known["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", f"{name} is at {known['metadata']['resourceVersion']}, not {wanted}")
        changed: Object = merged(known, patch)
        changed["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[kind.name, key(changed)] = changed
        if changed["metadata"].get("deletionTimestamp") and not finalizers(changed) and kind is not POD:
            del self.objects[kind.name, key(changed)]
        self.calls.append(("patch", kind.name, name))
        return copy.deepcopy(changed)

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        assert subresource == "finalize"
        del self.objects[kind.name, key(body)]
        return body

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        known = self.objects.get((kind.name, f"{namespace}/{name}" if namespace else name))
        if known is None:
            return
        assert uid in (None, known["metadata"]["uid"])
        self.calls.append(("delete", kind.name, name))
        graceful = kind is POD and known["spec"].get("nodeName") and grace_seconds != 0
        if finalizers(known) or graceful:
            known["metadata"]["deletionTimestamp"] = stamp()
            known["metadata"]["resourceVersion"] = str(next(self._versions))
        else:
            del self.objects[kind.name, key(known)]

    async def create_subresource(self, kind: Kind, name: str, namespace: str, subresource: str, body: Object) -> Object:
        assert (kind, subresource) == (POD, "binding")
        pod = self._found(kind, name, namespace)
        pod["spec"]["nodeName"] = body["target"]["name"]
        pod["metadata"]["resourceVersion"] = str(next(self._versions))
        return {}

    def _found(self, kind: Kind, name: str, namespace: str | None) -> Object:
        where = f"{namespace}/{name}" if namespace else name
        if (kind.name, where) not in self.objects:
            raise NotFoundError(404, "NotFound", where)
        return self.objects[kind.name, where]

    def event(self, kind: Kind, item: Object, type_: str, reason: str, message: str, component: str = "") -> None:
        assert type_ in ("Normal", "Warning")
        assert item["metadata"]["name"]
        del component
        self.events.append((kind.name, reason, message))


class FakeInformer:
    """Shows what the fake server holds, at once."""

    def __init__(self, api: FakeApi, kind: Kind) -> None:
        self._api, self._kind = api, kind

    def get(self, where: str) -> Object | None:
        return self._api.objects.get((self._kind.name, where))

    def items(self) -> list[Object]:
        return self._api.all(self._kind)

    def groups(self, index: Index) -> Groups:
        groups = Groups(index)
        for item in self.items():
            groups.put(key(item), item)
        return groups


def cluster_of(api: FakeApi, state_dir: str = "") -> Cluster:
    informers = {kind: cast(Informer, FakeInformer(api, kind)) for kind in WATCHED_KINDS}
    config = LabConfig(state_dir=state_dir or api.state_dir, storage=api.storage)
    return Cluster(cast(Client, api), config, informers, cast(Recorder, api))


def reconcile(api: FakeApi, function: Reconcile, where: str, times: int = 1) -> float | None:
    """Call a reconcile function as its worker would, each time with fresh caches; the last answer."""
    answer = None
    for _ in range(times):
        answer = asyncio.run(_call(function, cluster_of(api), where))
    return answer


async def _call(function: Reconcile, cluster: Cluster, where: str) -> float | None:
    return await function(cluster, where)


def node(name: str, **spec: Any) -> Object:
    resources = {"cpu": "4", "memory": "4Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubevirt.io/schedulable": "true"}},
        "spec": spec,
        "status": {"allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def vmi(name: str = "vm", **status: Any) -> Object:
    return {
        "metadata": {
            "name": name, "labels": {"app": "portal"}, "finalizers": ["kubevirt.io/foregroundDeleteVirtualMachine"],
        },
        "spec": {"domain": {"memory": {"guest": "512Mi"}, "devices": {}}, "evictionStrategy": "LiveMigrate"},
        "status": status,
    }


def running_pod(name: str, owner: Object, node_name: str, **labels: str) -> Object:
    """A started launcher pod of a VMI."""
    return {
        "metadata": {
            "name": name, "labels": {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": owner["metadata"]["name"],
                                     "kubevirt.io/created-by": owner["metadata"]["uid"], **labels},
            "annotations": {"lab.drainproof.dev/ip": "10.77.2.20", "lab.drainproof.dev/mac": "02:00:00:00:00:01"},
            "ownerReferences": [{"kind": "VirtualMachineInstance", "name": owner["metadata"]["name"],
                                 "uid": owner["metadata"]["uid"], "controller": True}],
        },
        "spec": {"nodeName": node_name, "containers": []},
        "status": {
            "phase": "Running", "podIP": "10.77.2.20", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "compute", "state": {"running": {}}}],
        },
    }
