"""The plan of a kind cluster: shown as it is run, its manifests as real schemas want them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from drainproof.errors import CannotRunError
from drainproof.target import default_profile, target_kind
from fixtures.kind import manifests
from fixtures.kind.facts import KindFacts, read_wish
from fixtures.kind.plan import KindPlan
from fixtures.kind.step import Step
from tests.recordings import recordings

PROJECT = Path(__file__).parents[3]
PLAN = KindPlan("drainproof", KindFacts(), Path("/state/shared-1"), Path("/state/kubeconfig"), kvm=True)


def objects(plan: KindPlan = PLAN) -> list[dict[str, Any]]:
    """Every object that the plan writes, kind's own configuration left out."""
    streams = [step.stdin for step in plan.up() if "-f" in step.command and step.stdin]
    return [one for stream in streams for one in yaml.safe_load_all(stream)]


def test_dry_run_shows_every_command_and_manifest(tmp_path: Path) -> None:
    """What is printed is what would be run, and nothing is run or written."""
    environment = {**os.environ, "PATH": str(tmp_path), "DRAINPROOF_STATE": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "drainproof", "certify", "--target", "kind:two", "--dry-run"]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
    plan = KindPlan(
        "drainproof-two", KindFacts(), tmp_path / "kind/drainproof-two/shared-MARK",
        tmp_path / "kind/drainproof-two/kubeconfig", kvm=Path("/dev/kvm").exists(),
    )
    for step in (*plan.up(), *plan.down()):
        assert step.told() in done.stdout
    shell = subprocess.run(["sh", "-n"], input=done.stdout, capture_output=True, text=True, check=False)
    assert shell.returncode == 0, f"a shell cannot read what is shown: {shell.stderr}"


def test_nodes_are_pinned_mount_one_directory_and_workers_may_be_disturbed() -> None:
    """An image by digest; the shared directory everywhere; /dev/kvm on workers; the control plane is left alone."""
    settings = yaml.safe_load(PLAN.up()[0].stdin)
    roles = [node["role"] for node in settings["nodes"]]
    assert roles == ["control-plane", *["worker"] * 4]
    for node in settings["nodes"]:
        assert "@sha256:" in node["image"]
        assert node["extraMounts"][0] == {"hostPath": "/state/shared-1", "containerPath": "/var/drainproof-shared"}
        worker = node["role"] == "worker"
        assert (node.get("labels") == {"drainproof.io/disruptable": "true"}) == worker
        assert any(mount["hostPath"] == "/dev/kvm" for mount in node["extraMounts"]) == worker


def test_without_kvm_guests_can_still_migrate() -> None:
    """No /dev/kvm is mounted, and the step is there that makes the host's CPU model known to every node."""
    plan = KindPlan("drainproof", KindFacts(), Path("/s"), Path("/k"), kvm=False)
    assert "/dev/kvm" not in plan.up()[0].stdin
    scripts = [step for step in plan.up() if step.command[0] == "sh"]
    assert len(scripts) == 1
    assert subprocess.run(["sh", "-n"], input=scripts[0].stdin, text=True, check=False).returncode == 0
    assert not [step for step in PLAN.up() if step.command[0] == "sh"]


def test_only_making_the_cluster_has_an_undo_and_it_undoes_all() -> None:
    """What comes later is inside of the cluster, and goes with it."""
    create, *others = PLAN.up()
    assert create.undo == PLAN.down()[0].command
    assert not any(step.undo for step in others)
    assert all(step.timeout_seconds > 0 for step in PLAN.up())


def test_no_command_can_reach_another_cluster() -> None:
    """Each kubectl names kubeconfig and context, each kind the cluster: the user's own are never meant."""
    for step in (*PLAN.up(), *PLAN.down()):
        line = " ".join(step.command)
        if step.command[0] == "kubectl":
            assert line.startswith("kubectl --kubeconfig /state/kubeconfig --context kind-drainproof ")
        if step.command[0] == "kind":
            assert "--name drainproof" in line
        if step.command[:2] in (("kind", "create"), ("kind", "delete")):
            assert "--kubeconfig /state/kubeconfig" in line


CORE = ("ConfigMap", "Deployment", "Namespace", "Service")


@pytest.mark.parametrize(
    "body", [body for body in objects() if body["kind"] in CORE],
    ids=lambda body: f"{body['kind']}-{body['metadata']['name']}",
)
def test_core_objects_fit_the_recorded_schemas(body: dict[str, Any]) -> None:
    """ConfigMap, Namespace, Service, and the pods of Deployments, against Kubernetes' own OpenAPI."""
    path = recordings() / "schemas" / "core-openapi-v3.json.gz"
    known = json.loads(gzip.decompress(path.read_bytes()))
    if body["kind"] == "Deployment":
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": body["spec"]["template"]["spec"]}
    name = f"io.k8s.api.core.v1.{body['kind']}"
    jsonschema.validate(body, {"$ref": f"#/components/schemas/{name}", **strict(known, name)})


def strict(known: dict[str, Any], name: str) -> dict[str, Any]:
    """The document with unknown fields refused, as the server's field validation does; Quantities may be numbers."""
    schemas = {key: dict(value) for key, value in known["components"]["schemas"].items()}
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    assert name in schemas
    return {"components": {"schemas": schemas}}


def test_the_kubevirt_object_fits_its_definition() -> None:
    """Against the schema of KubeVirt v1.9.0, unknown fields refused."""
    path = recordings() / "schemas" / "kubevirt-v1.9.0-crds.yaml.gz"
    definitions = yaml.load_all(gzip.decompress(path.read_bytes()), yaml.CSafeLoader)
    found = next(one for one in definitions if one["metadata"]["name"] == "kubevirts.kubevirt.io")
    version = next(one for one in found["spec"]["versions"] if one["name"] == "v1")
    schema = version["schema"]["openAPIV3Schema"]
    jsonschema.validate(manifests.kubevirt(), schema)
    configuration = schema["properties"]["spec"]["properties"]["configuration"]["properties"]
    asked = manifests.kubevirt()["spec"]["configuration"]
    assert set(asked) <= set(configuration)
    assert set(asked["migrations"]) <= set(configuration["migrations"]["properties"])


def test_prometheus_gets_its_configuration() -> None:
    """What the pod mounts is the ConfigMap, and its text is YAML with both jobs."""
    by_kind = {body["kind"]: body for body in objects() if body["metadata"]["name"] == "prometheus"}
    settings = yaml.safe_load(by_kind["ConfigMap"]["data"]["prometheus.yml"])
    assert [job["job_name"] for job in settings["scrape_configs"]] == ["services", "kubevirt"]
    pod = by_kind["Deployment"]["spec"]["template"]
    assert pod["spec"]["volumes"][0]["configMap"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]
    assert by_kind["Service"]["spec"]["selector"] == pod["metadata"]["labels"]


def test_a_step_is_shown_as_a_shell_takes_it() -> None:
    """Words are quoted, and the manifest is a here-document."""
    step = Step("say it", ("echo", "a b", "$HOME"), "line\n", 5, undo=("true",))
    assert step.told() == "# say it (within 5 s; undone by: true)\necho 'a b' '$HOME' <<'END'\nline\nEND"


def test_facts_are_read_and_unknown_ones_refused(tmp_path: Path) -> None:
    """The [kind] table is ours, all else the target's; a misspelt key is named."""
    (tmp_path / "image.json").write_text('{"name": "made:1"}')
    path = tmp_path / "facts.toml"
    path.write_text(f'client_address = "192.0.2.1"\n[kind]\nworkers = 3\nimage_archive = "{tmp_path}/guest.tar"\n')
    wish = read_wish(path, tmp_path / "no-kvm")
    assert (wish.facts.workers, wish.image, wish.kvm) == (3, "made:1", False)
    assert wish.target == {"client_address": "192.0.2.1"}
    path.write_text("[kind]\nwoerkers = 3\n")
    with pytest.raises(CannotRunError, match=r"kind\.woerkers"):
        read_wish(path)


@pytest.mark.parametrize(("wanted", "understood"), [("kind", ("kind", "")), ("kind:two", ("kind", "two"))])
def test_the_target_is_understood(wanted: str, understood: tuple[str, str]) -> None:
    """With and without a name; its guests may be emulated, so the profile is the lab's."""
    assert target_kind(wanted) == understood
    assert default_profile(wanted) == "quick"


@pytest.mark.parametrize("wanted", ["kind:Two", "kind:../x", "kind:-a", "kind:" + "a" * 40])
def test_a_name_that_kind_would_not_take_is_refused(wanted: str) -> None:
    """Nor does it become part of a path."""
    with pytest.raises(CannotRunError):
        target_kind(wanted)
