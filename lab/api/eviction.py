"""pods/eviction: KubeVirt's interceptor for virt-launcher pods, disruption budgets for the others, then deletion."""

from __future__ import annotations

from lab.api import deletion
from lab.api.caller import Caller
from lab.api.deletion import DeleteOptions
from lab.api.errors import Object, StatusError, bad_request, denied
from lab.api.label_selector import matches
from lab.api.resources import Place, Resources, now
from lab.kinds import KUBEVIRT, POD_DISRUPTION_BUDGET, VIRTUAL_MACHINE_INSTANCE

_WEBHOOK = "virt-launcher-eviction-interceptor.kubevirt.io"
_ENDED = ("Succeeded", "Failed")
SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def evict(resources: Resources, place: Place, body: Object, caller: Caller, *, dry_run: bool) -> Object:
    """Delete the pod if it may go. Raises StatusError: 404, 400 for a wrong name, 429 when refused for now."""
    pod = resources.get(place.kind, place.namespace, place.name).body
    if (body.get("metadata") or {}).get("name") != place.name:
        raise bad_request("name in URL does not match name in Eviction object")
    options = deletion.parse_options({}, body.get("deleteOptions"), dry_run)
    _intercept(resources, pod, caller, body, dry_run=options.dry_run)
    phase = (pod.get("status") or {}).get("phase")
    if "deletionTimestamp" not in pod["metadata"] and phase not in (*_ENDED, "Pending"):
        _charge_budget(resources, pod, caller, dry_run=options.dry_run)
    _delete(resources, place, options, caller)
    return SUCCESS


def _intercept(resources: Resources, pod: Object, caller: Caller, eviction: Object, *, dry_run: bool) -> None:
    """The webhook's table: (evictionStrategy, migratable) decides between allow, refuse, and mark and refuse."""
    meta = pod["metadata"]
    labels = meta.get("labels") or {}
    if labels.get("kubevirt.io") != "virt-launcher" or (pod.get("status") or {}).get("phase") in _ENDED:
        return
    name = (meta.get("annotations") or {}).get("kubevirt.io/domain", "")
    stored = resources.store.get(VIRTUAL_MACHINE_INSTANCE, meta["namespace"], name)
    if stored is None or labels.get("kubevirt.io/created-by") not in (None, stored.body["metadata"]["uid"]):
        return
    instance = stored.body
    if not _must_migrate(resources, instance):
        return
    status = instance.get("status") or {}
    node = (pod.get("spec") or {}).get("nodeName", "")
    title = f'"{meta["namespace"]}/{name}"'
    marked = status.get("evacuationNodeName", "")
    if marked == node and node:
        text = f"Evacuation in progress: Eviction triggered evacuation of VMI {title}"
        raise denied(_WEBHOOK, 429, text)
    if status.get("nodeName") and status["nodeName"] != node:
        raise denied(_WEBHOOK, 429, "Eviction request for target Pod")
    if not dry_run:
        _mark(resources, instance, node, caller, eviction)
    raise denied(_WEBHOOK, 429, f"Eviction triggered evacuation of VMI {title}")


def _must_migrate(resources: Resources, instance: Object) -> bool:
    """Whether the pod must stay until KubeVirt has moved its VMI. Raises StatusError 429 when it cannot move."""
    strategy = _strategy(resources, instance)
    if strategy == "External":
        return True
    if strategy not in ("LiveMigrate", "LiveMigrateIfPossible"):
        return False
    if _migratable(instance):
        return True
    if strategy == "LiveMigrateIfPossible":
        return False
    name = instance["metadata"]["name"]
    text = f"VMI {name} is configured with an eviction strategy but is not live-migratable"
    raise denied(_WEBHOOK, 429, text)


def _strategy(resources: Resources, instance: Object) -> str:
    own = (instance.get("spec") or {}).get("evictionStrategy")
    if own:
        return str(own)
    for kubevirt in resources.store.list(KUBEVIRT):
        configuration = (kubevirt.body.get("spec") or {}).get("configuration") or {}
        return str(configuration.get("evictionStrategy") or "None")
    return "None"


def _migratable(instance: Object) -> bool:
    conditions = (instance.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "LiveMigratable" and item.get("status") == "True" for item in conditions)


def _mark(resources: Resources, instance: Object, node: str, caller: Caller, eviction: Object) -> None:
    meta = instance["metadata"]

    def change(body: Object) -> Object:
        status = {**(body.get("status") or {}), "evacuationNodeName": node}
        new = {**body, "status": status}
        annotations = (eviction.get("metadata") or {}).get("annotations") or {}
        if annotations.get("requested-by") == "sigs.k8s.io/descheduler":
            noted = {**(body["metadata"].get("annotations") or {}), "kubevirt.io/eviction-source": "descheduler"}
            new["metadata"] = {**body["metadata"], "annotations": noted}
        return new

    resources.update(Place(VIRTUAL_MACHINE_INSTANCE, meta["namespace"], meta["name"]), change, caller)


def _charge_budget(resources: Resources, pod: Object, caller: Caller, *, dry_run: bool) -> None:
    """Take one disruption from the pod's budget. Raises StatusError 429 when none is left, 500 for two budgets."""
    namespace = pod["metadata"]["namespace"]
    labels = pod["metadata"].get("labels") or {}
    budgets = [
        stored for stored in resources.store.list(POD_DISRUPTION_BUDGET, namespace)
        if matches((stored.body.get("spec") or {}).get("selector"), labels)
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise StatusError(500, None, text)
    budget = budgets[0]
    status = budget.body.get("status") or {}
    if not _ready(pod) and _unready_may_go(budget.body):
        return
    if status.get("disruptionsAllowed", 0) <= 0:
        raise _refused(budget.name, status)
    if dry_run:
        return

    def change(body: Object) -> Object:
        old = body.get("status") or {}
        disrupted = {**(old.get("disruptedPods") or {}), pod["metadata"]["name"]: now()}
        return {**body, "status": {
            **old, "disruptionsAllowed": old["disruptionsAllowed"] - 1, "disruptedPods": disrupted,
        }}

    resources.update(Place(POD_DISRUPTION_BUDGET, namespace, budget.name, "status"), change, caller)


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _unready_may_go(budget: Object) -> bool:
    """The budget's unhealthyPodEvictionPolicy; by default an unready pod goes while enough others are healthy."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired: int = status.get("desiredHealthy", 0)
    return bool(desired) and status.get("currentHealthy", 0) >= desired


def _refused(name: str, status: Object) -> StatusError:
    desired, current = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    cause = f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    details = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    text = "Cannot evict pod as it would violate the pod's disruption budget."
    return StatusError(429, "TooManyRequests", text, details)


def _delete(resources: Resources, place: Place, options: DeleteOptions, caller: Caller) -> None:
    if not options.dry_run:
        resources.update(Place(place.kind, place.namespace, place.name, "status"), _disrupted, caller)
    deletion.delete(resources, Place(place.kind, place.namespace, place.name), options)


def _disrupted(pod: Object) -> Object:
    status = pod.get("status") or {}
    conditions = status.get("conditions") or []
    if any(item.get("type") == "DisruptionTarget" for item in conditions) or status.get("phase") in _ENDED:
        return pod
    added = {
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": None, "lastTransitionTime": now(),
    }
    return {**pod, "status": {**status, "conditions": [*conditions, added]}}
