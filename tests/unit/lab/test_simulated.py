"""The simulated hypervisor: what happens next to instances and pods, and how long it takes."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from lab.client import Object
from lab.controllers import kubevirt
from lab.controllers.launcher import launcher_pod
from lab.controllers.vm import new_instance
from lab.machinery.objects import clone, condition_true, dig, phase, set_condition
from lab.simulated import population, steps
from lab.simulated.durations import RECORDED, Durations, Step
from lab.simulated.hypervisor import node_address
from lab.simulated.population import Seat, running_instance, running_pod
from lab.simulated.site import Plan

HOST = "127.1.2.3"


def instance(**status: Any) -> Object:
    """A simulated machine's instance on node-1."""
    seat = Seat(7, "node-1")
    vm = population.machine(seat)
    vm["metadata"] |= {"uid": "vm-uid", "generation": 1}
    body = new_instance(vm)
    shell = {**body, "metadata": {**body["metadata"], "uid": "vmi-uid"}, "status": {}}
    vmi = running_instance(body, launcher_pod(shell, seat.address, "02:00:00:00:00:01"), seat.node)
    vmi["metadata"]["uid"] = "vmi-uid"
    vmi["status"].update(status)
    return vmi


def launcher(name: str = "source", **labels: str) -> Object:
    pod = launcher_pod(instance(), "10.100.0.7", "02:00:00:00:00:01")
    pod["metadata"].update(name=name, uid=f"uid-{name}")
    pod["metadata"]["labels"].update(labels)
    pod["spec"]["nodeName"] = "node-1"
    return pod


def handed_over(**state: Any) -> Object:
    given = {"migrationUid": "m1", "sourceNode": "node-1", "sourcePod": "source", "targetNode": "node-2", **state}
    return instance(migrationState=given)


def test_a_machine_that_is_written_looks_as_one_that_was_started() -> None:
    vmi = instance()
    assert (phase(vmi), dig(vmi, "status", "nodeName"), condition_true(vmi, "LiveMigratable")) == (
        "Running", "node-1", True,
    )
    assert steps.of_instance(vmi) is None
    pod = running_pod(launcher(), HOST)
    assert condition_true(pod, "Ready")
    assert steps.of_pod(pod, vmi, HOST) is None


def test_a_migration_goes_through_its_steps_and_moves_the_machine_once() -> None:
    vmi = handed_over()
    taken: list[Step] = []
    vmi["status"]["evacuationNodeName"] = "node-1"
    while (step := steps.of_instance(vmi)) is not None and len(taken) < 10:
        taken.append(step)
        before = dig(vmi, "status", "nodeName")
        steps.apply(step, vmi, None, "127.1.2.4")
        assert (dig(vmi, "status", "nodeName") != before) is (step is Step.ARRIVE)
    assert taken == [Step.PREPARE, Step.BEGIN, Step.ARRIVE, Step.COMPLETE]
    state = vmi["status"]["migrationState"]
    assert (vmi["status"]["nodeName"], state["completed"], state["targetNodeAddress"]) == ("node-2", True, "127.1.2.4")
    assert "evacuationNodeName" not in vmi["status"]
    assert vmi["metadata"]["labels"][kubevirt.NODE_LABEL] == "node-2"


def test_a_migration_that_is_cancelled_before_it_arrives_leaves_the_machine_where_it_is() -> None:
    vmi = handed_over(abortRequested=True, targetNodeAddress="127.1.2.4", startTimestamp="2026-01-01T00:00:00Z")
    assert steps.of_instance(vmi) is Step.ABORT
    steps.apply(Step.ABORT, vmi, None, "")
    state = vmi["status"]["migrationState"]
    assert (vmi["status"]["nodeName"], state["failed"], state["abortStatus"]) == ("node-1", True, "Succeeded")
    assert steps.of_pod(running_pod(launcher(), HOST), vmi, HOST) is None


def test_the_source_ends_only_after_its_guest_has_arrived_elsewhere() -> None:
    pod = running_pod(launcher(), HOST)
    assert steps.of_pod(pod, handed_over(), HOST) is None
    assert steps.of_pod(pod, handed_over(completed=True, failed=True), HOST) is None
    assert steps.of_pod(pod, handed_over(completed=True), HOST) is Step.END_POD
    over = steps.ended(pod, HOST)
    assert phase(over) == "Succeeded"
    assert steps.of_pod(over, handed_over(completed=True), HOST) is None
    over["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert steps.of_pod(over, None, HOST) is Step.REMOVE_POD


def test_a_target_runs_and_is_ready_only_when_the_guest_is_said_to_be_there() -> None:
    pod = launcher("target", **{"kubevirt.io/migrationJobUID": "m1"})
    assert steps.of_pod(pod, instance(), HOST) is Step.RUN_TARGET
    started = steps.running(pod, HOST)
    assert not condition_true(started, "Ready")
    assert steps.of_pod(started, instance(), HOST) is None
    told = clone(started)
    set_condition(told, kubevirt.UNPAUSED, "True")
    assert steps.of_pod(told, instance(), HOST) is Step.REFRESH_POD
    assert condition_true(steps.running(told, HOST), "Ready")


def test_a_pod_whose_instance_is_gone_or_another_ends() -> None:
    pod = running_pod(launcher(), HOST)
    other = instance()
    other["metadata"]["uid"] = "another"
    assert [steps.of_pod(pod, vmi, HOST) for vmi in (None, other, instance(phase="Failed"))] == [Step.END_POD] * 3


def test_draws_repeat_with_the_seed_and_follow_what_was_recorded() -> None:
    one, same, other = Durations(1), Durations(1), Durations(2)
    drawn = [one.seconds(Step.ARRIVE, f"vm-{number}") for number in range(2000)]
    assert [same.seconds(Step.ARRIVE, f"vm-{number}") for number in reversed(range(2000))] == drawn[::-1]
    assert other.seconds(Step.ARRIVE, "vm-0") != drawn[0]
    assert one.seconds(Step.ARRIVE, "vm-0") != drawn[0]
    spread = RECORDED[Step.ARRIVE]
    assert spread.least <= min(drawn) <= max(drawn) <= spread.most
    assert abs(statistics.median(drawn) - spread.median) < 0.03
    assert Durations(1, 0.5).seconds(Step.ARRIVE, "vm-0") == drawn[0] / 2


def test_nodes_of_sites_side_by_side_listen_at_different_addresses() -> None:
    plans = [Plan(Path("/nowhere"), 250, 1, port) for port in (18600, 18601, 60513)]
    addresses = [node_address(plan.config, node) for plan in plans for node in plan.config.nodes]
    assert len(set(addresses)) == 750
    assert all(address.startswith("127.") for address in addresses)
