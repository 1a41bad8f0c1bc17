"""The harness's faults of the API, against the lab's API server and its controllers: met, healed, and survived."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from drainproof.api import HTTP_CHAOS, INSTANCES, MACHINES, NAMESPACES, PODS, Cluster
from drainproof.wait import Deadline, wait
from scenarios.control_plane import ApiAway, ApiErrors, ApiFault, ApiSlow, WatchesExpired
from tests.contract.server import ROOT, running

HOME = "faults"
SECONDS = 4.0
DISKLESS = {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with the lab's controllers, without nodes."""
    folder = tmp_path_factory.mktemp("faults")
    with running(folder) as server, (folder / "controllers.log").open("wb") as log:
        argv = [sys.executable, "-m", "lab.controllers", "--config", str(server.config.config_file)]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
        try:
            cluster = Cluster.connect(server.config.kubeconfig)
            cluster.create(NAMESPACES, {"metadata": {"name": HOME}})
            yield cluster
            assert process.poll() is None, (folder / "controllers.log").read_text()
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.mark.parametrize("make", [
    lambda cluster: ApiAway(cluster, HOME, SECONDS),
    lambda cluster: ApiSlow(cluster, HOME, SECONDS, delay_ms=500),
    lambda cluster: ApiErrors(cluster, HOME, SECONDS, code=500),
    lambda cluster: ApiErrors(cluster, HOME, SECONDS, code=429, retry_after=1),
    lambda cluster: WatchesExpired(cluster, HOME, SECONDS),
], ids=["away", "slow", "500", "429", "expired"])
def test_a_fault_is_met_and_heals_and_the_controllers_go_on(
    cluster: Cluster, make: Callable[[Cluster], ApiFault], request: pytest.FixtureRequest
) -> None:
    """Its proof is a request of the harness; afterwards nothing is left, and a new machine still gets its pod."""
    fault = make(cluster)
    assert fault.inject(Deadline(SECONDS)).items() >= {"request": "GET /version", "duration": SECONDS}.items()
    healed = fault.heal(Deadline(30))
    assert (healed["gone"], healed["code"]) == (True, 200)
    assert cluster.items(HTTP_CHAOS, HOME) == []
    name = f"after-{request.node.callspec.id}"
    cluster.create(MACHINES, {"metadata": {"name": name}, "spec": {
        "runStrategy": "Always", "template": {"spec": DISKLESS}}}, HOME)
    pods = wait(
        f"a pod for {name}", lambda: cluster.items(PODS, HOME, labels=f"vm.kubevirt.io/name={name}"),
        until=bool, deadline=Deadline(30),
    )
    assert len(pods) == 1
    assert cluster.get(INSTANCES, name, HOME)["metadata"]["name"] == name
