"""What Prometheus scrapes: the endpoints of the Services that ask for it by annotation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lab.client import Object
from lab.config import LabConfig
from lab.controllers.endpoints import SERVICE_NAME
from lab.controllers.runtime import Controller
from lab.kinds import ENDPOINT_SLICE, SERVICE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, deleting, dig, labels, name, namespace
from lab.monitoring.prometheus import targets_file

SCRAPE = "prometheus.io/scrape"
PORT = "prometheus.io/port"
PATH = "prometheus.io/path"
METRICS_PORT = "metrics"
_LAUNCHER = re.compile(r"virt-launcher-(.+)-[a-z0-9]{5}")
_QUEUE = ("targets",)


def targets(services: Iterable[Object], slices: Iterable[Object]) -> list[Object]:
    """The target groups of a file_sd file: one per address and set of labels, in a fixed order.

    A slice or its Service is annotated prometheus.io/scrape "true"; of its ports those count whose name begins with
    `metrics`, and the one that prometheus.io/port numbers. Endpoints that are not ready are scraped too: a metric that
    is missing because nobody asked would say nothing.
    """
    by_name = {(namespace(service), name(service)): service for service in services if not deleting(service)}
    found: dict[str, Object] = {}
    for entry in slices:
        service = by_name.get((namespace(entry), labels(entry).get(SERVICE_NAME, "")))
        marks = {**annotations_of(entry), **(annotations_of(service) if service else {})}
        if marks.get(SCRAPE) != "true":
            continue
        for group in _groups(entry, marks):
            found[json.dumps(group, sort_keys=True)] = group
    return [found[text] for text in sorted(found)]


def _groups(entry: Object, marks: Mapping[str, str]) -> Iterator[Object]:
    ports = [
        port for port in entry.get("ports") or []
        if (port.get("name") or "").startswith(METRICS_PORT) or str(port["port"]) == marks.get(PORT)
    ]
    common = {"namespace": namespace(entry), "service": labels(entry).get(SERVICE_NAME, "")}
    if marks.get(PATH):
        common["__metrics_path__"] = marks[PATH]
    for endpoint in entry.get("endpoints") or []:
        for address in endpoint["addresses"]:
            for port in ports:
                named = {"endpoint": port.get("name") or "", **common, **_who(endpoint)}
                yield {"targets": [f"{address}:{port['port']}"], "labels": named}


def _who(endpoint: Object) -> dict[str, str]:
    """`vmi` for a guest; `pod` and `node` for any other pod.

    A guest's target names neither pod nor node: both pods of a migrating guest have its one address, so they are one
    target, which lives on through the migration without a gap and without counters that start anew.
    """
    found: dict[str, str] = {}
    if dig(endpoint, "targetRef", "kind") == "Pod":
        pod = endpoint["targetRef"]["name"]
        guest = _LAUNCHER.fullmatch(pod)
        if guest:
            return {"vmi": guest.group(1)}
        found["pod"] = pod
    if endpoint.get("nodeName"):
        found["node"] = endpoint["nodeName"]
    return found


class Discovery:
    """Keeps the targets file current; the file is replaced as a whole, and only when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""

    async def reconcile(self, cluster: Cluster, _: str) -> float | None:
        """Write the targets that follow from the Services and slices as they are now."""
        text = json.dumps(targets(cluster.list(SERVICE), cluster.list(ENDPOINT_SLICE)), indent=1)
        if text != self._written:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(text)
            temporary.replace(self._path)
            self._written = text
        return None


def _any(_: Cluster, __: Object) -> Iterable[str]:
    return _QUEUE


def controller(config: LabConfig) -> Controller:
    """The controller that keeps Prometheus's targets."""
    watches = ((SERVICE, _any), (ENDPOINT_SLICE, _any))
    return Controller("discovery", Discovery(targets_file(config)).reconcile, watches, initial_keys=_QUEUE)
