"""What an administrator applies: it parses, its commands are our own CLI's, and its metrics are really exported."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from drainproof.cli import cli
from drainproof.record import RunInfo
from drainproof.record.spool import Spool
from drainproof.rights import SUITES
from drainproof.target import target_from
from fixtures.metrics import QUERIES
from fixtures.portal import GUEST_EXPORTERS, LOAD_PORTS
from fixtures.preflight.__main__ import preflight
from load.exporter import FiguresCollector
from load.recorder import Recorder
from reports import textfile
from reports.gate.command import gate
from reports.gate.policy import Policy
from reports.judge import judge
from tests.recordings import recordings
from tests.unit.deploy.pipelines import DEPLOY, PIPELINES, commands, manifests, objects, pod_spec
from tests.unit.reports.records import good_record

KUBEVIRT = {f"kubevirt_vmi_migrations_in_{phase}_phase" for phase in ("pending", "scheduling", "running")}
"""Gauges of virt-controller v1.9, as they stand in the recordings of a real cluster (checked below)."""
PODS = ("base/job.yaml", "base/cronjob.yaml")
HARNESS = "registry.example/drainproof/harness"
PASSED_ON: dict[str, Any] = {"preflight": preflight, "gate": gate}


@pytest.mark.parametrize("path", [*manifests()], ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_file_parses(path: Path) -> None:
    """As YAML, without a key twice, and with something in it."""
    assert list(yaml.load_all(path.read_text(encoding="utf-8"), _NoTwins))


class _NoTwins(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice in {keys}"
        return super().construct_mapping(node, deep)


def test_scripts_are_a_shell_s() -> None:
    """The night's script, and each in a pipeline's step."""
    scripts = [(DEPLOY / "nightly.sh").read_text(encoding="utf-8")]
    for _, body in objects():
        scripts += [step["script"] for step in (body.get("spec") or {}).get("steps", ())]
    workflow = yaml.safe_load((DEPLOY / "github/workflow.yaml").read_text(encoding="utf-8"))
    scripts += [step["run"] for step in workflow["jobs"]["certify"]["steps"] if "run" in step]
    assert len(scripts) == 5 + 6
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PIPELINES)
def test_every_command_is_understood(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own parser takes every word: no option is misspelt, nothing is asked for that is not there."""
    monkeypatch.chdir(tmp_path)
    for file in ("target.toml", "settings/target.toml", "settings/policy.toml", "policy.toml"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = commands(DEPLOY / name)
    order = [words[1] for words in found]
    assert [one for one in order if one != "cleanup"] == ["preflight", "certify", "gate"]
    assert "cleanup" in order
    for _, command, *arguments in found:
        parser: click.Command = PASSED_ON.get(command) or cli.commands[command]
        parser.make_context(command, arguments)
    facts = [words[words.index("--target") + 1] for words in found if "--target" in words]
    assert set(facts) == {"kubeconfig"}


def test_a_misspelt_option_would_be_seen() -> None:
    """What the test above believes in: the parsers refuse what they do not know."""
    for parser in (preflight, gate, cli.commands["certify"], cli.commands["cleanup"]):
        with pytest.raises(click.UsageError):
            parser.make_context("any", ["--tarteg", "kubeconfig"])


def test_the_suites_that_are_asked_for_have_rights() -> None:
    """Each suite that a pipeline runs has its file of rights, which the kustomization applies."""
    listed = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    for suite in SUITES:
        assert f"rbac/{suite}.yaml" in listed
    for resource in listed:
        assert (DEPLOY / resource).is_file(), resource


def test_settings_are_read_by_the_harness() -> None:
    """The facts and the policy in the ConfigMap are such as target and gate take, without an unknown key."""
    (settings,) = (body for path, body in objects() if path == DEPLOY / "base" / "settings.yaml")
    target = target_from(tomllib.loads(settings["data"]["target.toml"]), "target.toml")
    assert target.control_namespace == "drainproof"
    assert target.clients == "cluster"
    assert target.client_image.startswith(HARNESS)
    Policy.model_validate_json(json.dumps(tomllib.loads(settings["data"]["policy.toml"])))


@pytest.mark.parametrize("name", PODS)
def test_nights_are_done_once_apart_and_unprivileged(name: str) -> None:
    """Not repeated by itself, not on a node that it drains, not as root, with time to undo."""
    (body,) = yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))
    job = body["spec"].get("jobTemplate", body)["spec"]
    spec = pod_spec(body)
    assert spec is not None
    assert job["backoffLimit"] == 0
    assert spec["restartPolicy"] == "Never"
    assert spec["serviceAccountName"] == "drainproof"
    assert spec["terminationGracePeriodSeconds"] >= 600
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "drainproof.io/disruptable", "operator": "NotIn", "values": ["true"]}]
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["command"] == ["/opt/drainproof/nightly.sh"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_job_and_cronjob_run_the_same_pod() -> None:
    """What was tried by hand is what runs at night."""
    job, cronjob = (yaml.safe_load((DEPLOY / f"base/{name}.yaml").read_text()) for name in ("job", "cronjob"))
    assert pod_spec(job) == pod_spec(cronjob)


def test_images_are_of_the_placeholder_registry() -> None:
    """No registry is named that is somebody's; the pods and pipelines have one version of the harness."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file())
    hosts = set(re.findall(r"\b((?:[a-z0-9-]+\.)+(?:io|com|org|net|example))/[a-z0-9./-]+:[\w.-]+", text))
    assert hosts <= {"registry.example"}
    assert not re.search(r"quay|ghcr|docker\.io|gcr\.io", text)
    ours = "\n".join((DEPLOY / name).read_text(encoding="utf-8") for name in (*PODS, *PIPELINES, "base/settings.yaml"))
    assert len(set(re.findall(rf"{HARNESS}:([\w.]+)", ours))) == 1


def test_the_image_holds_what_the_harness_consists_of() -> None:
    """Every folder that the harness imports is copied; the lab is not; it runs as somebody other than root."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    copied = {line.split()[-2] for line in text.splitlines() if line.startswith("COPY")}
    assert {"drainproof", "scenarios", "load", "reports", "fixtures", "suites"} <= copied
    assert "docs/schemas" in copied
    assert not [name for name in copied if name.startswith(("lab", "tests"))]
    for name in copied - {"pyproject.toml"}:
        assert (DEPLOY.parent / name).exists(), name
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert "--require-hashes" in text


def test_the_image_s_files_are_enough(tmp_path: Path) -> None:
    """Where only they are, the command starts and the suites are found: nothing needs the lab to be imported."""
    for line in (DEPLOY / "Containerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY"):
            *sources, place = [word for word in line.split()[1:] if not word.startswith("--")]
            for source in sources:
                into = tmp_path / (place if place != "./" else source)
                into.parent.mkdir(parents=True, exist_ok=True)
                _copied(DEPLOY.parent / source, into)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for arguments in (["-m", "drainproof", "certify", "--help"], ["-m", "pytest", "--collect-only", "-q", "suites"]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _copied(source: Path, into: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, into)


def test_monitors_name_the_ports_and_services_of_a_run() -> None:
    """Each port that a portal's Services have, and no other."""
    monitors = {body["metadata"]["name"]: body["spec"] for _, body in objects() if body["kind"] == "ServiceMonitor"}
    ports = {name: {one["port"] for one in spec["endpoints"]} for name, spec in monitors.items()}
    assert ports["drainproof-load"] == {f"metrics-{name}" for name in LOAD_PORTS}
    assert ports["drainproof-guests"] == set(GUEST_EXPORTERS)
    assert monitors["drainproof-load"]["selector"]["matchLabels"] == {"app": "load-metrics"}
    assert monitors["drainproof-guests"]["selector"]["matchLabels"] == {"app": "portal-metrics"}


def test_every_metric_of_the_dashboard_is_exported(exported: set[str]) -> None:
    """And every one of the alerts: a panel that asks for another name would stay empty for ever."""
    board = json.loads((DEPLOY / "grafana/dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    rules = yaml.safe_load((DEPLOY / "monitoring/rules.yaml").read_text(encoding="utf-8"))
    asked += [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    names = {name for one in asked for name in re.findall(r"\b(?:drainproof|kubevirt|mysql|node)_[a-z_]+", one)}
    assert len(names) >= 15
    assert names <= exported, f"not exported: {sorted(names - exported)}"


@pytest.fixture
def exported(tmp_path: Path) -> set[str]:
    """What an observer and a run's textfile really export, what the harness asks of others, what KubeVirt has."""
    recorder = Recorder([Spool.create(["http-new/a", "away/client"])], 0)
    names = {sample.name for family in FiguresCollector("probe", recorder).collect() for sample in family.samples}
    case = good_record().write(tmp_path / "run")
    textfile.write(RunInfo.read(case.parent), [judge(case)], tmp_path / "told.prom")
    told = text_string_to_metric_families((tmp_path / "told.prom").read_text(encoding="utf-8"))
    names |= {sample.name for family in told for sample in family.samples}
    return names | set(QUERIES.values()) | KUBEVIRT


def test_kubevirt_has_these_metrics() -> None:
    """The names that no code of ours knows are in what virt-controller exported."""
    text = gzip.decompress((recordings() / "metrics" / "virt-controller.during.txt.gz").read_bytes()).decode()
    assert set(re.findall(r"^kubevirt_[a-z_]+", text, re.MULTILINE)) >= KUBEVIRT


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    """Panels that do not overlap, each with a datasource by variable and an id of its own."""
    board = json.loads((DEPLOY / "grafana/dashboard.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert {panel["datasource"]["uid"] for panel in board["panels"] if panel["type"] != "row"} == {"${datasource}"}
    jsonschema.validate(board, {"required": ["title", "uid", "schemaVersion", "panels", "templating"]})
