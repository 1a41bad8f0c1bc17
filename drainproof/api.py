"""The one place that speaks to Kubernetes: plain JSON in and out, errors of our own, nothing retried silently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import requests
from urllib3.exceptions import HTTPError

from drainproof.errors import ApiError, CannotRunError, ConflictError, EvictionRefusedError, NotFoundError

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""
Objects = list[Object]

REQUEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as URLs name it."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


NODES = Resource("v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("v1", "namespaces", "Namespace", namespaced=False)
PODS = Resource("v1", "pods", "Pod")
SECRETS = Resource("v1", "secrets", "Secret")
SERVICES = Resource("v1", "services", "Service")
CLAIMS = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES = Resource("v1", "persistentvolumes", "PersistentVolume", namespaced=False)
STORAGE_CLASSES = Resource("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False)
STORAGE_PROFILES = Resource("cdi.kubevirt.io/v1beta1", "storageprofiles", "StorageProfile", namespaced=False)
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
MACHINES = Resource("kubevirt.io/v1", "virtualmachines", "VirtualMachine")
INSTANCES = Resource("kubevirt.io/v1", "virtualmachineinstances", "VirtualMachineInstance")
MIGRATIONS = Resource("kubevirt.io/v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration")
KUBEVIRTS = Resource("kubevirt.io/v1", "kubevirts", "KubeVirt")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
MIGRATION_POLICIES = Resource(
    "migrations.kubevirt.io/v1alpha1", "migrationpolicies", "MigrationPolicy", namespaced=False
)
NODE_HEALTH_CHECKS = Resource(
    "remediation.medik8s.io/v1alpha1", "nodehealthchecks", "NodeHealthCheck", namespaced=False
)
NETWORK_CHAOS = Resource("chaos-mesh.org/v1alpha1", "networkchaos", "NetworkChaos")
HTTP_CHAOS = Resource("chaos-mesh.org/v1alpha1", "httpchaos", "HTTPChaos")
VOLUME_SNAPSHOT_CLASSES = Resource(
    "snapshot.storage.k8s.io/v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False
)
VOLUME_SNAPSHOT_CONTENTS = Resource(
    "snapshot.storage.k8s.io/v1", "volumesnapshotcontents", "VolumeSnapshotContent", namespaced=False
)
MACHINE_SNAPSHOTS = Resource("snapshot.kubevirt.io/v1beta1", "virtualmachinesnapshots", "VirtualMachineSnapshot")
MACHINE_RESTORES = Resource("snapshot.kubevirt.io/v1beta1", "virtualmachinerestores", "VirtualMachineRestore")
MACHINE_CLONES = Resource("clone.kubevirt.io/v1beta1", "virtualmachineclones", "VirtualMachineClone")
SUBRESOURCES = "subresources.kubevirt.io/v1"


class Cluster:
    """One Kubernetes API server.

    Every call raises ApiError (NotFoundError, ConflictError, EvictionRefusedError) when the server refuses, with the
    server's own words, and ApiError with code 0 when the server cannot be reached.
    """

    def __init__(self, client: kubernetes.client.ApiClient) -> None:
        self._client = client

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
        """A cluster from a kubeconfig, by default from the usual places; raises CannotRunError if that is unusable."""
        try:
            configuration = kubernetes.client.Configuration()
            kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
                str(kubeconfig) if kubeconfig else None, context, client_configuration=configuration
            )
        except (kubernetes.config.ConfigException, OSError) as error:
            where = kubeconfig or "the default kubeconfig"
            raise CannotRunError(f"{where} cannot be used: {error}; name another with --target kubeconfig.") from error
        configuration.retries = False
        configuration.connection_pool_maxsize = 16
        return cls(kubernetes.client.ApiClient(configuration))

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._client.configuration.host)

    def version(self) -> str:
        return str(self._json("GET", "/version")["gitVersion"])

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return self._json("GET", resource.path(namespace, name))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none of that name."""
        try:
            return self.get(resource, name, namespace)
        except NotFoundError:
            return None

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        """The list object: `items` and the resourceVersion in `metadata`."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        return self._json("GET", resource.path(namespace), {key: value for key, value in query.items() if value})

    def items(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        found: Objects = self.list(resource, namespace, labels=labels, fields=fields)["items"]
        return found

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body}
        return self._json("POST", resource.path(namespace), body=body)

    def patch(
        self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """A JSON merge patch."""
        path = resource.path(namespace, name)
        return self._json("PATCH", path, body=patch, content_type="application/merge-patch+json")

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> None:
        """Delete; an object that is gone already is not an error. A pod with a grace of 0 is removed by force."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace_seconds}
        try:
            self._json("DELETE", resource.path(namespace, name), body=options if grace_seconds is not None else None)
        except NotFoundError:
            return

    def at(self, path: str) -> Object | None:
        """The object at a URL path, as a journal names it, or None when there is none."""
        try:
            return self._json("GET", path)
        except NotFoundError:
            return None

    def remove(self, path: str) -> None:
        """Delete the object at a URL path, as a journal names it; one that is gone already is not an error."""
        try:
            self._json("DELETE", path)
        except NotFoundError:
            return

    def update(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Replace an object as it was read; raises ConflictError when somebody has changed it since."""
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body}
        return self._json("PUT", resource.path(namespace, body["metadata"]["name"]), body=body)

    def act(
        self, resource: Resource, name: str, namespace: str, action: str, body: Mapping[str, Any] | None = None
    ) -> None:
        """Ask KubeVirt for an action on a machine or instance: pause, unpause, restart, migrate ..."""
        path = Resource(SUBRESOURCES, resource.plural, resource.kind).path(namespace, name, action)
        self._text("PUT", path, body=dict(body or {}))

    def evict(self, pod: str, namespace: str) -> None:
        """Ask for a pod's eviction, as a drain does; EvictionRefusedError means: try again later."""
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace},
        }
        self._json("POST", PODS.path(namespace, pod, "eviction"), body=body)

    def log(self, pod: str, namespace: str, container: str) -> str:
        """The log of a container, whole."""
        return self._text("GET", PODS.path(namespace, pod, "log"), {"container": container})

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, seconds: int = 60
    ) -> Iterator[tuple[str, Object]]:
        """Yield (type, object) of each change since a resourceVersion; ends after `seconds` or when the server ends it.

        Raises ApiError with code 410 when the history no longer reaches back that far.
        """
        query = {
            "watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        answer = self._send("GET", resource.path(namespace), query, timeout=seconds + 15)
        try:
            yield from _watch_events(answer)
        except (HTTPError, OSError) as error:
            raise ApiError(f"watch of {resource.plural}", 0, type(error).__name__, str(error)) from error
        finally:
            answer.close()

    def session(self) -> requests.Session:
        """An HTTP session with this cluster's credentials and certificate authority, for proxied services."""
        configuration = self._client.configuration
        session = requests.Session()
        session.verify = configuration.ssl_ca_cert if configuration.verify_ssl else False
        if configuration.cert_file:
            session.cert = (configuration.cert_file, configuration.key_file)
        for setting in configuration.auth_settings().values():
            session.headers["Authorization"] = setting["value"]
        return session

    def service_proxy(self, namespace: str, service: str) -> str:
        """The URL under which the API server forwards to a service, named `name:port`."""
        return f"{self.server}/api/v1/namespaces/{namespace}/services/{service}/proxy"

    def _json(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        text = self._text(method, path, query, body, content_type)
        content: Object = json.loads(text) if text else {}
        return content

    def _text(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> str:
        answer = self._send(method, path, query, body, content_type)
        try:
            return str(answer.data.decode())
        except (HTTPError, OSError) as error:
            raise ApiError(f"{method} {path}", 0, type(error).__name__, str(error)) from error
        finally:
            answer.release_conn()

    def _send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        content_type: str = "application/json", timeout: float = REQUEST_SECONDS,
    ) -> Any:
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        request = self._client.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=timeout).response
        except (HTTPError, OSError, kubernetes.client.ApiException) as error:
            raise ApiError(f"{method} {path}", 0, "Unreachable", f"{self.server} does not answer: {error}") from error
        if answer.status >= 400:
            raise _refusal(f"{method} {path}", answer)
        return answer


def _watch_events(answer: Any) -> Iterator[tuple[str, Object]]:
    pending = b""
    for chunk in answer.stream(decode_content=False):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError("watch", int(status["code"]), status.get("reason", ""), status.get("message", ""))
            yield event["type"], event["object"]


def _refusal(request: str, answer: Any) -> ApiError:
    text = answer.data.decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = str(answer.reason), text
    kinds = {404: NotFoundError, 409: ConflictError, 429: EvictionRefusedError}
    return kinds.get(answer.status, ApiError)(request, answer.status, reason, message)
