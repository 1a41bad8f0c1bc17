"""The control plane's metrics have their true names and labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from lab.kinds import MIGRATION, NODE, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.monitoring.server import ClusterCollector
from lab.monitoring.transitions import Transitions
from lab.monitoring.virt_controller import status_group
from tests.unit.lab.controllers_fake import FakeApi, cluster_of, node, running_pod, vmi

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T12:00:04Z"


def scrape(api: FakeApi) -> str:
    registry = CollectorRegistry()
    registry.register(ClusterCollector(cluster_of(api)))
    return generate_latest(registry).decode()


def migrated() -> FakeApi:
    """One instance that has moved from node-a to node-b, with its machine, pod and migration."""
    api = FakeApi()
    machine = {"metadata": {"name": "vm"}, "spec": {"template": {"spec": {"domain": {"machine": {"type": "q35"}}}}},
               "status": {"printableStatus": "Migrating"}}
    api.given(VIRTUAL_MACHINE, machine)
    state = {"migrationUid": "uid-VirtualMachineInstanceMigration-mig", "startTimestamp": NOON, "endTimestamp": LATER,
             "completed": True}
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(
        phase="Running", nodeName="node-b", migrationState=state,
        conditions=[{"type": "LiveMigratable", "status": "True"}],
        interfaces=[{"name": "default", "ipAddress": "10.77.1.10", "interfaceName": "eth0"}],
    ))
    api.given(POD, running_pod("launcher", owner, "node-b"))
    api.given(MIGRATION, {"metadata": {"name": "mig"}, "spec": {"vmiName": "vm"}, "status": {"phase": "Succeeded"}})
    api.given(MIGRATION, {"metadata": {"name": "next"}, "spec": {"vmiName": "vm"}, "status": {"phase": "TargetReady"}})
    api.given(NODE, node("node-b", unschedulable=True))
    return api


def test_every_metric_that_the_checks_query_is_there() -> None:
    text = scrape(migrated())
    for line in (
        'kubevirt_vmi_migration_succeeded{namespace="demo",vmi="vm",vmim="mig"} 1.0',
        'kubevirt_vmi_migration_start_time_seconds{migration_name="mig",name="vm",namespace="demo",node="node-b"}'
        " 1.7672688e+09",
        'kubevirt_vmi_migration_end_time_seconds{migration_name="mig",name="vm",namespace="demo",node="node-b",'
        'status="succeeded"} 1.767268804e+09',
        "kubevirt_vmi_migrations_in_running_phase 1.0",
        "kubevirt_vmi_migrations_in_pending_phase 0.0",
        'kubevirt_vmi_non_evictable{name="vm",namespace="demo",node="node-b"} 0.0',
        'kubevirt_vmi_status_addresses{address="10.77.1.10",interface_name="eth0",name="vm",namespace="demo",'
        'node="node-b",type="ExternalInterface",vnic_name="default"} 1.0',
        "kubevirt_configuration_emulation_enabled 1.0",
        'kube_node_spec_unschedulable{node="node-b"} 1.0',
        'kube_node_status_condition{condition="Ready",node="node-b",status="true"} 1.0',
        'kube_pod_status_ready{condition="true",namespace="demo",pod="launcher",uid="uid-Pod-launcher"} 1.0',
    ):
        assert line in text
    assert 'status="migrating",status_group="migrating"' in text
    assert 'phase="running"' in text
    assert 'evictable="true"' in text


def test_an_instance_that_must_migrate_and_cannot_is_not_evictable() -> None:
    api = migrated()
    api.there(VIRTUAL_MACHINE_INSTANCE, "demo/vm")["status"]["conditions"] = []
    text = scrape(api)
    assert 'kubevirt_vmi_non_evictable{name="vm",namespace="demo",node="node-b"} 1.0' in text
    assert 'evictable="false"' in text


def test_phases_are_counted_once_per_object() -> None:
    registry = CollectorRegistry()
    transitions = Transitions(registry)
    stamps = [{"phase": "Pending", "phaseTransitionTimestamp": NOON},
              {"phase": "Running", "phaseTransitionTimestamp": LATER}]
    item = {"metadata": {"uid": "u", "creationTimestamp": NOON}, "status": {"phaseTransitionTimestamps": stamps}}
    for _ in range(2):
        transitions.observe(VIRTUAL_MACHINE_INSTANCE, item)
    text = generate_latest(registry).decode()
    assert 'kubevirt_vmi_phase_transition_time_from_creation_seconds_sum{phase="Running"} 4.0' in text
    assert 'kubevirt_vmi_phase_transition_time_seconds_count{last_phase="Pending",phase="Running"} 1.0' in text


def test_every_other_status_is_an_error() -> None:
    assert [status_group(status) for status in ("Running", "Stopping", "CrashLoopBackOff", "ErrImagePull")] == [
        "running", "non_running", "error", "error",
    ]
