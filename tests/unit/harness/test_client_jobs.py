"""Pods of clients: where they may run, what they are given, and what is refused of what they send."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from drainproof.errors import CannotRunError, RecordError
from drainproof.record import Case, EventLog
from drainproof.target import Target
from fixtures.clients import fetched
from fixtures.clients.asked import ClientsAsked
from fixtures.clients.job import FILES, ClientJob
from fixtures.clients.pod import told
from load.inside import files

PROJECT = Path(__file__).resolve().parents[3]
JOB = ClientJob("ns", "registry.example/clients:1", ("node-a", "node-b"), 3, {"metrics-probe": 9301})


def test_a_pod_of_clients_is_never_on_a_node_that_is_disturbed() -> None:
    """Required, not preferred; a field takes one value, so every node is a requirement of its own."""
    for job in (JOB.job(), JOB.workers_job("10.0.0.1")):
        rules = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        (term,) = rules["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term == {"matchFields": [
            {"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in ("node-a", "node-b")
        ]}
    assert "affinity" not in ClientJob("ns", "i").job()["spec"]["template"]["spec"]


def test_a_pod_is_not_replaced_and_speaks_to_no_api() -> None:
    """What a lost pod saw is lost: another would begin anew, unasked. No right of the cluster is in it."""
    for job in (JOB.job(), JOB.workers_job("10.0.0.1")):
        spec = job["spec"]
        assert spec["backoffLimit"] == 0
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert spec["template"]["spec"]["automountServiceAccountToken"] is False
    assert (JOB.job()["spec"]["completions"], JOB.workers_job("m")["spec"]["completions"]) == (1, 3)


def test_the_password_is_in_the_secret_and_nowhere_else() -> None:
    secret = JOB.secret("{}", "pw-canary", "token-canary")
    assert set(secret["stringData"]) == {"plan.json", "password", "token"}
    said = json.dumps([JOB.job(), JOB.workers_job("10.0.0.1")])
    assert "canary" not in said
    workers = JOB.workers_job("10.0.0.1")["spec"]["template"]["spec"]["containers"][0]["command"]
    assert workers[-3:] == [f"{FILES}/plan.json", "10.0.0.1:5557", "$(JOB_COMPLETION_INDEX)"]


def test_where_clients_are_is_the_targets_word_unless_asked_otherwise() -> None:
    inside = Target(name="t", clients="cluster", client_image="registry.example/clients:1", client_workers=2)
    assert ClientsAsked().on(inside) == inside
    asked = ClientsAsked("host", 4).on(inside)
    assert (asked.clients, asked.client_workers) == ("host", 4)
    assert ClientsAsked("cluster", 4).words() == ["--clients", "cluster", "--client-workers", "4"]
    with pytest.raises(CannotRunError, match="client_image"):
        ClientsAsked("cluster").on(Target(name="t"))


def test_why_a_pod_does_not_run_is_told() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/4 nodes are available"}
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    pod = {"status": {"phase": "Pending", "conditions": [condition], "containerStatuses": [waiting]}}
    assert told(pod) == "phase Pending; 0/4 nodes are available; ErrImagePull not found"
    assert told({}) == "there is no pod"


def archive(content: Mapping[str, bytes], *, digests: Mapping[str, str] | None = None) -> io.BytesIO:
    """An archive as a pod sends it, with digests of its own or with others."""
    found = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        told_of = json.dumps(found if digests is None else digests).encode()
        for name, data in {**content, files.DIGESTS: told_of}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    out.seek(0)
    return out


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    writing = Case(tmp_path / "case")
    yield writing
    writing.close()


def test_what_was_sent_is_what_is_taken_in(case: Case, tmp_path: Path) -> None:
    source = tmp_path / "pod"
    log = EventLog(source / "events.jsonl")
    log.add_at(1000, "probe", "start", pid=1)
    log.close()
    for name in ("shards/x.other", "logs/probe.log", "tables.parquet", "plan.json"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode() * 100_000)
    out = io.BytesIO()
    files.send(source, out)
    out.seek(0)
    sizes = fetched.take_in(out, case, 500)
    assert sizes["logs/probe.log"] == 1_400_000
    there = sorted(str(path.relative_to(case.directory)) for path in case.directory.rglob("*") if path.is_file())
    assert there == ["events.jsonl", "logs/probe.log", "shards/x.other", "tables.parquet"]
    assert json.loads((case.directory / "events.jsonl").read_text())["t_ns"] == 1500


@pytest.mark.parametrize(("content", "digests", "reason"), [
    ({"logs/a": b"1"}, {"logs/a": "0" * 64}, "other than were sent: logs/a"),
    ({"logs/a": b"1"}, {"logs/a": hashlib.sha256(b"1").hexdigest(), "shards/b": "0" * 64}, "other than were sent"),
    ({"../a": b"1"}, None, "does not lie where it belongs"),
    ({"/tmp/a": b"1"}, None, "does not lie where it belongs"),
])
def test_what_is_not_what_was_sent_is_refused_whole(
    case: Case, content: Mapping[str, bytes], digests: Mapping[str, str] | None, reason: str
) -> None:
    with pytest.raises(RecordError, match=reason):
        fetched.take_in(archive(content, digests=digests), case, 0)
    assert [path.name for path in case.directory.iterdir()] == ["events.jsonl"]


@pytest.mark.parametrize("kept", [0, 20, 60])
def test_an_archive_that_breaks_off_is_refused(case: Case, kept: int) -> None:
    with pytest.raises(RecordError, match="broken off"):
        fetched.take_in(io.BytesIO(archive({"logs/a": b"1" * 100}).getvalue()[:kept]), case, 0)


def test_an_archive_that_ends_in_order_but_without_its_digests_is_refused(case: Case) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        packed.addfile(tarfile.TarInfo("logs/a"), io.BytesIO())
    out.seek(0)
    with pytest.raises(RecordError, match="without their digests"):
        fetched.take_in(out, case, 0)


def test_a_link_is_refused(case: Case) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        entry = tarfile.TarInfo("logs/a")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(entry)
    out.seek(0)
    with pytest.raises(RecordError, match="no plain file"):
        fetched.take_in(out, case, 0)


def test_the_example_in_deploy_is_what_a_run_makes() -> None:
    """Whoever grants a run its rights reads there what it will do."""
    secret, job = yaml.safe_load_all((PROJECT / "deploy" / "clients.yaml").read_text(encoding="utf-8"))
    made = ClientJob("drainproof-example", "registry.example/drainproof/harness:1", ("CLAIMED-NODE",))
    for example, body in ((secret, made.secret("PLAN", "PASSWORD", "TOKEN")), (job, made.job())):
        head = {"apiVersion": example.pop("apiVersion"), "kind": example.pop("kind")}
        assert head["kind"] in ("Secret", "Job")
        assert example.pop("metadata") == {**body.pop("metadata"), "namespace": "drainproof-example"}
        assert example == body
