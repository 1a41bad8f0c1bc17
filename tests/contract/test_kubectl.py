"""kubectl from the distribution works against the lab's API unchanged."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.contract.kubectl import Kubectl
from tests.contract.server import ApiServer, pause

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {tier: web}}
data: {colour: green, size: small}
"""
CHANGED = CONFIG.replace("green", "red").replace(", size: small", "")
MACHINE = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        devices: {disks: [{name: root, disk: {bus: virtio}}]}
      volumes: [{name: root, containerDisk: {image: "example/guest:1"}}]
"""


def pod(name: str, node: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "example/pause"}]},
    }


def running_pod(server: ApiServer, namespace: str, body: dict[str, Any]) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert server.call("POST", path, body).status == 201
    ready = [{"type": "Ready", "status": "True"}]
    status = {"status": {"phase": "Running", "podIP": "10.77.1.10", "conditions": ready}}
    merge = {"Content-Type": "application/merge-patch+json"}
    assert server.call("PATCH", f"{path}/{body['metadata']['name']}/status", status, headers=merge).status == 200


def test_version_and_resources(kubectl: Kubectl) -> None:
    """kubectl reads the version and finds every kind by its short name."""
    assert "v1.36.2" in kubectl("version")
    for name in ("vm", "vmi", "vmim", "kv", "po", "no", "pvc", "pdb", "svc", "cm"):
        kubectl("get", name)


def test_get_prints_the_columns_of_kubevirt(kubectl: Kubectl, api_server: ApiServer, namespace: str) -> None:
    """Tables carry KubeVirt's printer columns, the wide ones only on request."""
    kubectl("apply", "-f", "-", stdin=MACHINE)
    instance = {
        "metadata": {"name": "web"}, "spec": {"domain": {"devices": {}}}, "status": {
            "phase": "Running", "nodeName": "node-a", "interfaces": [{"ipAddress": "10.77.1.10"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "LiveMigratable", "status": "True"}],
        },
    }
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances"
    assert api_server.call("POST", path, instance).status == 201
    assert kubectl("get", "vm").splitlines()[0].split() == ["NAME", "AGE", "STATUS", "READY"]
    head, row = (line.split() for line in kubectl("get", "vmi").splitlines())
    assert head == ["NAME", "AGE", "PHASE", "IP", "NODENAME", "READY"]
    assert row[2:] == ["Running", "10.77.1.10", "node-a", "True"]
    wide = kubectl("get", "vmi", "-o", "wide").splitlines()[0].split()
    assert wide[6:] == ["LIVE-MIGRATABLE", "PAUSED"]
    assert kubectl("get", "vmi", "web", "-o", "jsonpath={.status.phase}") == "Running"


def test_apply_creates_keeps_and_changes(kubectl: Kubectl) -> None:
    """apply with default validation: created, unchanged, configured, with removed keys gone."""
    assert kubectl("apply", "-f", "-", stdin=CONFIG) == "configmap/settings created\n"
    assert kubectl("apply", "-f", "-", stdin=CONFIG) == "configmap/settings unchanged\n"
    changed = kubectl.run("apply", "-f", "-", stdin=CHANGED)
    assert changed.stdout == "configmap/settings configured\n"
    assert changed.stderr == ""
    assert json.loads(kubectl("get", "cm", "settings", "-o", "json"))["data"] == {"colour": "red"}


def test_apply_of_a_virtual_machine(kubectl: Kubectl) -> None:
    """A custom resource is applied by merge patches."""
    assert "created" in kubectl("apply", "-f", "-", stdin=MACHINE)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=MACHINE)
    assert "configured" in kubectl("apply", "-f", "-", stdin=MACHINE.replace("Halted", "Manual"))
    assert kubectl("get", "vm", "web", "-o", "jsonpath={.spec.runStrategy}") == "Manual"


def test_patch_in_three_types(kubectl: Kubectl) -> None:
    """JSON, merge and strategic patches work; a strategic one on a custom resource is refused."""
    kubectl("apply", "-f", "-", stdin=CONFIG)
    kubectl("apply", "-f", "-", stdin=MACHINE)
    kubectl("patch", "cm", "settings", "--type=strategic", "-p", '{"data":{"a":"1"}}')
    kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"data":{"size":null}}')
    kubectl("patch", "cm", "settings", "--type=json", "-p", '[{"op":"replace","path":"/data/a","value":"2"}]')
    data = json.loads(kubectl("get", "cm", "settings", "-o", "json"))["data"]
    assert data == {"a": "2", "colour": "green"}
    refused = kubectl.run("patch", "vm", "web", "--type=strategic", "-p", '{"spec":{}}', check=False)
    assert refused.returncode == 1
    assert "application/merge-patch+json" in refused.stderr


def test_label_taint_cordon_uncordon(kubectl: Kubectl, node: str) -> None:
    """The verbs on nodes: label, taint and untaint, cordon and uncordon."""
    kubectl("label", "node", node, "zone=a")
    kubectl("taint", "node", node, "role=db:NoSchedule")
    kubectl("cordon", node)
    body = json.loads(kubectl("get", "node", node, "-o", "json"))
    assert body["metadata"]["labels"] == {"zone": "a"}
    assert body["spec"]["taints"] == [{"effect": "NoSchedule", "key": "role", "value": "db"}]
    assert body["spec"]["unschedulable"] is True
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    kubectl("taint", "node", node, "role-")
    kubectl("uncordon", node)
    assert "unschedulable" not in json.loads(kubectl("get", "node", node, "-o", "json"))["spec"]


def test_describe(kubectl: Kubectl, api_server: ApiServer, namespace: str, node: str) -> None:
    """describe works for pods, nodes, Services and VMs, with the events of the object."""
    running_pod(api_server, namespace, pod("one", node))
    kubectl("apply", "-f", "-", stdin=MACHINE)
    uid = kubectl("get", "pod", "one", "-o", "jsonpath={.metadata.uid}")
    event = {
        "metadata": {"generateName": "one."}, "type": "Normal", "reason": "Started", "message": "it runs",
        "involvedObject": {"kind": "Pod", "name": "one", "namespace": namespace, "uid": uid},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "kubelet"}, "count": 1,
    }
    assert api_server.call("POST", f"/api/v1/namespaces/{namespace}/events", event).status == 201
    shown = kubectl("describe", "pod", "one")
    assert "Started" in shown
    assert "it runs" in shown
    assert "one" in kubectl("describe", "node", node)
    assert "Run Strategy:  Halted" in kubectl("describe", "vm", "web")


def test_delete_waits_for_finalizers(kubectl: Kubectl, api_server: ApiServer, namespace: str) -> None:
    """delete returns when the last finalizer has gone and the object with it."""
    kubectl("apply", "-f", "-", stdin=CONFIG)
    kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}')
    deleting = kubectl.start("delete", "cm", "settings")
    with pytest.raises(subprocess.TimeoutExpired):
        deleting.wait(timeout=1.5)
    kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    out, _ = deleting.communicate(timeout=20)
    assert deleting.returncode == 0
    assert 'configmap "settings" deleted' in out
    missing = kubectl.run("get", "cm", "settings", check=False)
    assert missing.stderr == 'Error from server (NotFound): configmaps "settings" not found\n'


def test_wait_for_condition_and_deletion(
    kubectl: Kubectl, api_server: ApiServer, namespace: str, node: str
) -> None:
    """wait sees a condition become true and an object disappear."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert api_server.call("POST", path, pod("late", node)).status == 201
    ready = kubectl.start("wait", "--for=condition=Ready", "pod/late", "--timeout=30s")
    pause(0.5)
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    api_server.call("PATCH", f"{path}/late/status", status, headers={"Content-Type": "application/merge-patch+json"})
    assert ready.communicate(timeout=20)[0] == "pod/late condition met\n"
    gone = kubectl.start("wait", "--for=delete", "pod/late", "--timeout=30s")
    pause(0.5)
    api_server.call("DELETE", f"{path}/late", {"gracePeriodSeconds": 0})
    gone.communicate(timeout=20)
    assert gone.returncode == 0


def test_get_watch_prints_changes(kubectl: Kubectl) -> None:
    """get -w prints a row per change, as a Table."""
    kubectl("apply", "-f", "-", stdin=MACHINE)
    watching = kubectl.start("get", "vm", "-w")
    pause(1.0)
    kubectl("label", "vm", "web", "a=b")
    kubectl("delete", "vm", "web")
    pause(0.5)
    watching.terminate()
    lines = watching.communicate(timeout=10)[0].splitlines()
    assert lines[0].split() == ["NAME", "AGE", "STATUS", "READY"]
    assert [line.split()[0] for line in lines[1:]] == ["web", "web", "web"]


def test_drain_retries_while_the_budget_refuses(
    kubectl: Kubectl, api_server: ApiServer, namespace: str, node: str
) -> None:
    """drain sees 429 from a budget, tries again after 5 s, and ends when the pod may go."""
    running_pod(api_server, namespace, pod("guarded", node, {"app": "x"}))
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    budget = {"metadata": {"name": "keep"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
    assert api_server.call("POST", budgets, budget).status == 201
    merge = {"Content-Type": "application/merge-patch+json"}
    refuse = {"status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}}
    api_server.call("PATCH", f"{budgets}/keep/status", refuse, headers=merge)
    draining = kubectl.start("drain", node, "--force", "--timeout=40s", "--grace-period=0")
    pause(2)
    allow = {"status": {"disruptionsAllowed": 1, "currentHealthy": 2}}
    api_server.call("PATCH", f"{budgets}/keep/status", allow, headers=merge)
    out, err = draining.communicate(timeout=40)
    assert draining.returncode == 0, err
    assert "will retry after 5s" in err
    assert "violate the pod's disruption budget" in err
    assert out.splitlines()[-2:] == ["pod/guarded evicted", f"node/{node} evicted"]
    assert kubectl.run("get", "pod", "guarded", check=False).returncode == 1
