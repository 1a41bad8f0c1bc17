"""What preflight prints: for people, whatever a cluster calls its things, and for programs by a published schema."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from drainproof.errors import CannotRunError
from drainproof.rights import RULES
from drainproof.target import Target
from fixtures import target as target_module
from fixtures.preflight import __main__ as command
from fixtures.preflight import requirements
from fixtures.preflight.access import Lack, Rights
from fixtures.preflight.judgement import by_suite, judge
from fixtures.preflight.machine import document
from fixtures.preflight.reading import Unknown
from fixtures.preflight.table import show
from tests.unit.preflight.sites import Answers, Site, node, openshift, plain
from tests.unit.preflight.test_judgement import ALL, DISK, DRAIN, TARGET, context, held

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs/schemas/preflight.schema.json").read_text())
HOSTILE = "\x1b[31mred\x07\u202e<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "Prometheus", Answers)


def shown(site: Site, **more: Any) -> str:
    given = context(site, **more)
    stream = io.StringIO()
    show(given, by_suite(judge(given, (DRAIN, DISK))), stream)
    return stream.getvalue()


def test_the_table_tells_facts_and_suites() -> None:
    told = shown(Site(openshift()))
    for fact in ("4.22.3", "v1.9.0", "node-a", "6.5 of 8 cores, 12.0 of 16.0 GiB", "rbd.csi.ceph.com", "ceph-snap",
                 "HyperConverged: liveMigrationConfig", "hospital/vlan-7", "Rights", "everything"):
        assert fact in told, fact
    assert "high_availability: can run (1 case)" in told
    assert "storage: can run (1 case)" in told


def test_what_concerns_every_suite_is_told_once() -> None:
    told = shown(Site({**plain(), "nodes": [node("node-a")]}))
    assert told.count("4 schedulable nodes are needed") == 1
    assert "high_availability: cannot run" in told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_words_that_are_whole_and_a_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrapped below its mark where somebody reads it; in one line where it is searched."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    given = context(Site({**plain(), "nodes": [node("node-a")]}))
    streams = {True: Terminal(), False: io.StringIO()}
    for stream in streams.values():
        show(given, by_suite(judge(given, (DRAIN, DISK))), stream)
    [line] = [one for one in streams[False].getvalue().splitlines() if "4 schedulable nodes are needed" in one]
    assert len(line) > 60
    wrapped = streams[True].getvalue()
    assert line not in wrapped
    assert line.split() == wrapped[wrapped.index("x 4 schedulable"):].split()[: len(line.split())]


def test_what_cannot_be_read_and_what_is_lacking_is_told() -> None:
    lacks = Rights(80, tuple(Lack(rule, rule.verbs) for rule in RULES if rule.name == "pods/eviction"))
    told = shown(Site(refused={"nodes": 403, "pods": 403}), rights=lacks)
    assert "not readable: needs list nodes" in told
    assert "lacking: lacks create pods/eviction at cluster scope" in told
    assert "apply deploy/rbac/high_availability.yaml" in told
    assert "needs list pods" in shown(Site(refused={"pods": 403}))


def test_no_name_of_a_cluster_steers_a_terminal() -> None:
    """Nodes, classes, taints, versions, networks: whatever they are called."""
    objects = openshift()
    objects["nodes"].append(node(HOSTILE, taints=[{"key": HOSTILE, "effect": "NoSchedule"}]))
    for item in (objects["storageclasses"][0], objects["network-attachment-definitions"][0]):
        item["metadata"]["name"] = HOSTILE
    objects["storageclasses"][0]["provisioner"] = HOSTILE
    objects["clusterversions"][0]["status"]["history"][1]["version"] = HOSTILE
    objects["hyperconvergeds"][0]["spec"]["evictionStrategy"] = HOSTILE
    told = shown(Site(objects, server=HOSTILE))
    assert not [one for one in told if ord(one) < 32 and one != "\n"]
    assert "\u202e" not in told
    assert "\\x1b[31mred" in told


@pytest.mark.parametrize(
    ("site", "rights"),
    [
        (Site(), ALL), (Site(openshift()), Rights(80, tuple(Lack(rule, rule.verbs) for rule in RULES))),
        (Site(refused=dict.fromkeys(("nodes", "pods", "apis", "storageclasses", "kubevirts", "services"), 403)), ALL),
        (Site(), Unknown("the API answered 503 to an access review")),
    ],
    ids=["plain", "openshift", "refused", "unreviewed"],
)
def test_the_document_keeps_to_its_schema(site: Site, rights: Any) -> None:
    given = context(site, rights=rights)
    made = json.loads(json.dumps(document(given, by_suite(judge(given, (DRAIN, DISK))))))
    jsonschema.validate(made, SCHEMA)
    assert [one["suite"] for one in made["suites"]] == ["high_availability", "storage"]


def test_a_program_learns_which_rule_stops_which_cases() -> None:
    lacks = Rights(80, tuple(Lack(rule, rule.verbs) for rule in RULES if rule.name == "pods/eviction"))
    given = context(rights=lacks)
    made = document(given, by_suite(judge(given, (DRAIN, DISK))))
    (obstacle,) = made["suites"][0]["obstacles"]
    assert (obstacle["effect"], obstacle["rule"], obstacle["cases"]) == (
        "stops", "create pods/eviction at cluster scope", ["test_drain"],
    )
    (lack,) = made["rights"]["lacking"]
    assert (lack["resource"], lack["verbs"], lack["vital"]) == ("pods/eviction", ["create"], True)


def run_command(
    monkeypatch: pytest.MonkeyPatch, site: Site, target: Target, *arguments: str, **more: Any
) -> int:
    """The command on a made cluster, for two cases."""
    given = context(site, target, **more)
    monkeypatch.setattr(command, "collected", lambda paths, keyword: (DRAIN, DISK))
    monkeypatch.setattr(command, "Cluster", SimpleNamespace(connect=lambda *_: site.cluster))
    monkeypatch.setattr(command, "opened", lambda *_, **__: _Opened(target))
    monkeypatch.setattr(command, "context_of", lambda *_, **__: given)
    monkeypatch.setattr(sys, "argv", ["preflight", "--target", "kubeconfig", *arguments])
    return command.main()


class _Opened:
    def __init__(self, target: Target) -> None:
        self.target = target

    def __enter__(self) -> Target:
        return self.target

    def __exit__(self, *_: object) -> None:
        pass


def test_the_exit_code_tells_whether_all_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, Site(), TARGET) == 0
    assert "storage: can run" in capsys.readouterr().out
    assert run_command(monkeypatch, Site(), Target(name="bare"), "--json") == 3
    assert json.loads(capsys.readouterr().out)["suites"][0]["state"] == "cannot run"


def test_what_certify_would_refuse_is_not_admitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Written as certify takes tests; what only has to wait for others is admitted, and can run then."""
    file = tmp_path / "admitted"
    waiting = {"nodes": [node(f"node-{one}") for one in "abcd"]}
    assert run_command(
        monkeypatch, Site({**plain(), **waiting}), TARGET, "--admitted", str(file), held=held("node-a")
    ) == 0
    assert file.read_text() == "high_availability/test_drain.py::test_drain\nstorage/test_moved.py::test_disk\n"
    assert run_command(monkeypatch, Site({**plain(), **waiting}), TARGET, held=held("node-a")) == 3
    no_portal = TARGET.model_copy(update={"prometheus": None})
    assert run_command(monkeypatch, Site(), no_portal, "--admitted", str(file)) == 3
    assert file.read_text() == "storage/test_moved.py::test_disk\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--target", "moon"), "There is no target 'moon'"), (("--what",), "No such option"),
        (("--target", "kind"), "A kind cluster is made for a run"), (("--suite", "nothing"), "There is no "),
        (("--target", "lab:nobody"), "Lab nobody is not up; start it with"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr(command, "collected", lambda paths, keyword: (DRAIN,))
    monkeypatch.setattr(target_module, "_up", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["preflight", *arguments])
    assert command.main() == 3
    assert told in capsys.readouterr().err


def test_a_lab_is_only_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `up` would replace one that was started with other settings."""
    asked = []

    def call(tell: object, verb: str, *arguments: str) -> str:
        asked.append((verb, *arguments))
        return json.dumps({"name": "mine", "storage_classes": {"shared": "lab-shared"}, "unknown": 1})

    monkeypatch.setattr(target_module, "_up", lambda name: {"api": True})
    monkeypatch.setattr(target_module, "_lab_call", call)
    found = target_module.lab_that_is_up("mine", "lab-nfs")
    assert asked == [("facts", "--name", "mine")]
    assert (found.is_lab, found.storage_classes.shared) == (True, "lab-nfs")


def test_no_case_is_no_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "collected", lambda paths, keyword: ())
    monkeypatch.setattr(sys, "argv", ["preflight", "-k", "nothing"])
    assert command.main() == 3
    assert "No case was chosen" in capsys.readouterr().err
    assert issubclass(CannotRunError, Exception)
