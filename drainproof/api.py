"""The one place that speaks to Kubernetes: plain JSON in and out, errors of our own, nothing retried silently."""

from __future__ import annotations

import copy
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import kubernetes
from kubernetes.config.incluster_config import InClusterConfigLoader
from requests import Session
from urllib3.exceptions import HTTPError

from drainproof.connection import SOCKET_OPTIONS, Connection
from drainproof.errors import ApiError, CannotRunError, ConflictError, NotFoundError
from drainproof.request import APPLY, MERGE, Repeat, Request, says
from drainproof.request_counts import Requests
from drainproof.resources import *  # noqa: F403 - whoever speaks to a cluster finds what to speak of here
from drainproof.resources import PODS, SUBRESOURCES, Object, Objects, Resource
from drainproof.tries import Patience, Tell, Tries, stream
from drainproof.wait import Deadline
from drainproof.watch_events import break_off, watch_events

MANAGER = "drainproof"
"""The field manager of what is applied and patched, and the user agent: so audit logs name who asked."""
REQUEST = "drainproof.io/request"
"""Annotation of what was created: a random mark of the request that made it."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its credentials."""
GRACE_SECONDS = 15
"""A watch may be silent for so much longer than it was to last."""

Opened = Callable[[Callable[[], None]], object]


def _ignored(_: Callable[[], None]) -> None:
    """Of a watch that nobody wants to break off."""


class Cluster:
    """One Kubernetes API server, as one who asks it sees it; all views share one connection and one count.

    Trouble of the API (429, 500, 502, 503, 504, no answer) is met with other tries where those are safe, as long as the
    patience lasts, and told. Every call raises ApiError (NotFoundError, ConflictError, EvictionRefusedError) when the
    server refuses, with the server's own words, and ApiError with code 0 when the server cannot be reached.
    """

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        self._connection = connection
        self._patience = patience or Patience()

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """A cluster from a kubeconfig, by default from the usual places, in a pod without any from its service account.

        Raises CannotRunError if that is unusable.
        """
        return cls(Connection(partial(_load, kubeconfig, context)))

    @property
    def impatient(self) -> Self:
        """The same cluster, asked once: for those who want to see its trouble."""
        return self.patient(0)

    def patient(self, seconds: float) -> Self:
        """The same cluster, with another patience."""
        return self._seen_with(replace(self._patience, seconds=seconds))

    def within(self, deadline: Deadline) -> Self:
        """The same cluster, for whoever has to be done by then."""
        return self._seen_with(replace(self._patience, deadline=deadline))

    def telling(self, tell: Tell) -> Self:
        """The same cluster; `tell` hears of every request that needed more than one try."""
        return self._seen_with(replace(self._patience, tell=tell))

    def _seen_with(self, patience: Patience) -> Self:
        view = copy.copy(self)
        view._patience = patience
        return view

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._connection.client.configuration.host)

    @property
    def requests(self) -> Requests:
        """What was asked of this cluster until now; the difference of two tells what was asked in between."""
        return self._connection.counter.snapshot()

    def version(self) -> str:
        return str(self._json(Request("GET", "/version"))["gitVersion"])

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return self._json(Request("GET", resource.path(namespace, name)))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none of that name."""
        try:
            return self.get(resource, name, namespace)
        except NotFoundError:
            return None

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        """The list object: `items` and the resourceVersion in `metadata`."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in query.items() if value}
        return self._json(Request("GET", resource.path(namespace), query))

    def items(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Objects:
        found: Objects = self.list(resource, namespace, labels=labels, fields=fields)["items"]
        return found

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Create; raises ConflictError when there is one of that name that this call has not made.

        Every try carries the same mark, by which an object whose making was not answered is known again. One whose name
        the server makes up (generateName) is not asked for twice: the error's `may_be_done` says that it may be there.
        """
        mark, meta = secrets.token_hex(8), body.get("metadata") or {}
        meta = {**meta, "annotations": {**(meta.get("annotations") or {}), REQUEST: mark}}
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body, "metadata": meta}
        repeat = Repeat.SAFE if "name" in meta else Repeat.UNDONE
        try:
            return self._json(Request("POST", resource.path(namespace), body=body, repeat=repeat))
        except ConflictError as error:
            found = self.find(resource, meta["name"], namespace) if error.may_be_done else None
            if found is None or (found["metadata"].get("annotations") or {}).get(REQUEST) != mark:
                raise
            return found

    def review(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Ask a question that is put as an object: access reviews, token requests of none. Nothing comes to be."""
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body}
        return self._json(Request("POST", resource.path(namespace), body=body))

    def apply(
        self, resource: Resource, body: Object, namespace: str | None = None, *, force: bool = False
    ) -> Object:
        """Server-side apply: the object comes to be, or to have, what the body says of it; twice is as good as once.

        Raises ConflictError when another manager owns one of these fields, unless `force` takes them over.
        """
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body}
        query = {"fieldManager": MANAGER, **({"force": "true"} if force else {})}
        path = resource.path(namespace, body["metadata"]["name"])
        return self._json(Request("PATCH", path, query, body, APPLY))

    def patch(
        self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """A JSON merge patch."""
        path, manager = resource.path(namespace, name), {"fieldManager": MANAGER}
        return self._json(Request("PATCH", path, manager, body=dict(patch), content_type=MERGE))

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> None:
        """Delete; an object that is gone already is not an error. A pod with a grace of 0 is removed by force."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace_seconds}
        body = options if grace_seconds is not None else None
        try:
            self._json(Request("DELETE", resource.path(namespace, name), body=body))
        except NotFoundError:
            return

    def at(self, path: str) -> Object | None:
        """The object at a URL path, as a journal names it, or None when there is none."""
        try:
            return self._json(Request("GET", path))
        except NotFoundError:
            return None

    def remove(self, path: str) -> None:
        """Delete the object at a URL path, as a journal names it; one that is gone already is not an error."""
        try:
            self._json(Request("DELETE", path))
        except NotFoundError:
            return

    def update(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Replace an object as it was read; raises ConflictError when somebody has changed it since."""
        body = {"apiVersion": resource.group_version, "kind": resource.kind, **body}
        try:
            return self._json(Request("PUT", resource.path(namespace, body["metadata"]["name"]), body=body))
        except ConflictError as error:
            # The server's answer to the first try may have been lost: then the change that is in the way is this one.
            found = self.get(resource, body["metadata"]["name"], namespace) if error.may_be_done else None
            if found is None or not says(found, body):
                raise
            return found

    def act(
        self, resource: Resource, name: str, namespace: str, action: str, body: Mapping[str, Any] | None = None
    ) -> None:
        """Ask KubeVirt for an action on a machine or instance: pause, unpause, restart, migrate ..."""
        path = Resource(SUBRESOURCES, resource.plural, resource.kind).path(namespace, name, action)
        self._text(Request("PUT", path, body=dict(body or {}), repeat=Repeat.UNDONE, json=False))

    def evict(self, pod: str, namespace: str) -> None:
        """Ask for a pod's eviction, as a drain does; EvictionRefusedError means: try again later."""
        body = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace},
        }
        self._json(Request("POST", PODS.path(namespace, pod, "eviction"), body=body))

    def log(self, pod: str, namespace: str, container: str) -> str:
        """The log of a container, whole."""
        path = PODS.path(namespace, pod, "log")
        return self._text(Request("GET", path, {"container": container}, json=False))

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, seconds: int = 60, *,
        labels: str = "", fields: str = "", opened: Opened = _ignored,
    ) -> Iterator[tuple[str, Object]]:
        """Yield (type, object) of each change since a resourceVersion; ends after `seconds` or when the server ends it.

        `opened` is told, once the server has accepted, what any thread may call to break the watch off. Raises ApiError
        with code 410 when the history no longer reaches back that far.
        """
        query = {
            "watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds), **({"labelSelector": labels} if labels else {}),
            **({"fieldSelector": fields} if fields else {}),
        }
        request = Request("GET", resource.path(namespace), query)
        events = stream(self._connection, request, seconds + GRACE_SECONDS)
        opened(partial(break_off, events))
        try:
            yield from watch_events(events)
        except (HTTPError, OSError, ValueError) as error:
            raise ApiError(f"watch of {resource.plural}", 0, type(error).__name__, str(error)) from error
        finally:
            events.close()

    def session(self) -> Session:
        """An HTTP session with this cluster's credentials and certificate authority, for proxied services."""
        return self._connection.session()

    def service_proxy(self, namespace: str, service: str) -> str:
        """The URL under which the API server forwards to a service, named `name:port`."""
        return f"{self.server}/api/v1/namespaces/{namespace}/services/{service}/proxy"

    def _json(self, request: Request) -> Object:
        return Tries(self._connection, request, self._patience).answer().content

    def _text(self, request: Request) -> str:
        return Tries(self._connection, request, self._patience).answer().text


def _load(kubeconfig: Path | None, context: str | None) -> kubernetes.client.ApiClient:
    """A client with credentials as they are now; raises CannotRunError."""
    configuration = kubernetes.client.Configuration()
    usual = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    named = str(kubeconfig) if kubeconfig else usual
    in_pod = not (kubeconfig or context or _exists(named)) and (SERVICE_ACCOUNT / "token").exists()
    try:
        if in_pod:
            files = str(SERVICE_ACCOUNT / "token"), str(SERVICE_ACCOUNT / "ca.crt")
            InClusterConfigLoader(*files).load_and_set(configuration)  # type: ignore[no-untyped-call]
        else:
            kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
                named, context, client_configuration=configuration
            )
    except (kubernetes.config.ConfigException, OSError) as error:
        where = "the pod's service account" if in_pod else kubeconfig or "the default kubeconfig"
        raise CannotRunError(f"{where} cannot be used: {error}; name another with --target kubeconfig.") from error
    configuration.retries = False
    configuration.connection_pool_maxsize = 16
    configuration.socket_options = SOCKET_OPTIONS
    client = kubernetes.client.ApiClient(configuration)
    client.user_agent = MANAGER
    return client


def _exists(paths: str) -> bool:
    """Whether any of the files that KUBECONFIG names is there."""
    return any(Path(path).exists() for path in paths.split(os.pathsep) if path)
