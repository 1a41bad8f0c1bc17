"""The run's manifest and its signature: what was changed is named, and a signature fits one manifest only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drainproof.clock import Anchor
from drainproof.errors import CannotRunError, RecordError
from drainproof.record import Run, RunInfo
from drainproof.record.manifest import seal
from drainproof.record.run_manifest import (
    RUN_MANIFEST,
    Verification,
    own_differences,
    renewable,
    seal_run,
    verification,
    verify_run,
)
from drainproof.record.signature import SIGNATURE, Signed, renew, sign, verify_signature

WHO = "release@example.org"
CASES = ("drain", "loss")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A sealed run of two cases."""
    return _make(tmp_path / "runs", "r1")


def _make(folder: Path, name: str) -> Path:
    run = folder / name
    Run(run).describe(RunInfo(name, "2026-01-01T00:00:00Z", Anchor(5, 7), "drainproof certify", 1, {}, {}, {}))
    for case in CASES:
        (run / case).mkdir()
        (run / case / "events.jsonl").write_text(f'{{"{name}": "{case}"}}\n')
        (run / case / "verdict.json").write_text('{"verdict": "pass"}')
        seal(run / case)
    (run / "report.html").write_text("<html>")
    (run / "journal.jsonl").write_text("{}\n")
    seal_run(run)
    return run


def _key(folder: Path, name: str = "key") -> Path:
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", str(path)], check=True, capture_output=True
    )
    return path


def _allow(folder: Path, key: Path, options: str = "") -> Path:
    path = folder / "allowed signers"
    path.write_text(f"{WHO} {options}{key.with_suffix('.pub').read_text()}")
    return path


def test_it_covers_what_the_run_consists_of(run: Path) -> None:
    """The description, each case's manifest and verdict; the same bytes whenever the same run is sealed."""
    content = (run / RUN_MANIFEST).read_bytes()
    assert [entry["file"] for entry in json.loads(content)["files"]] == [
        "run.json", "drain/manifest.json", "drain/verdict.json", "loss/manifest.json", "loss/verdict.json",
    ]
    seal_run(run)
    assert (run / RUN_MANIFEST).read_bytes() == content


def test_an_untouched_run_is_intact_wherever_it_lies(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy elsewhere, through a link, by a relative path; reports and journal may change."""
    copy = shutil.copytree(run, tmp_path / "far" / "away")
    (tmp_path / "link").symlink_to(copy)
    (copy / "report.html").unlink()
    (copy / "journal.jsonl").write_text("")
    (copy / "junit.xml").write_text("<xml/>")
    monkeypatch.chdir(copy)
    assert verify_run(run) == verify_run(copy) == verify_run(tmp_path / "link") == verify_run(Path()) == []


def _swap(run: Path) -> None:
    (run / "drain").rename(run / "x")
    (run / "loss").rename(run / "drain")
    (run / "x").rename(run / "loss")


def _link_verdict(run: Path) -> None:
    (run / "drain" / "verdict.json").rename(run / "v")
    (run / "drain" / "verdict.json").symlink_to("../v")


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda run: (run / "drain/verdict.json").write_text('{"verdict": "fail"}'), "drain/verdict.json was changed"),
    (lambda run: (run / "drain/verdict.json").unlink(), "drain/verdict.json is missing"),
    (lambda run: (run / "drain/manifest.json").unlink(), "drain/manifest.json is missing"),
    (lambda run: (run / "drain/events.jsonl").write_text(""), "drain/events.jsonl was changed after the record"),
    (lambda run: (run / "refused.json").write_text("{}"), "refused.json was added"),
    (lambda run: (run / "run.json").unlink(), "run.json is missing"),
    (lambda run: shutil.rmtree(run / "loss"), "loss/manifest.json is missing"),
    (lambda run: shutil.copytree(run / "loss", run / "more"), "more/verdict.json was added"),
    (_swap, "drain/manifest.json was changed"),
    (lambda run: (run / RUN_MANIFEST).unlink(), "the run was never sealed"),
    (lambda run: (run / RUN_MANIFEST).write_text("{"), "run-manifest.json is not a manifest of a run"),
    (lambda run: (run / RUN_MANIFEST).write_text("[" * 100_000), "run-manifest.json"),
    (lambda run: (run / RUN_MANIFEST).write_text('{"version": 2}'), "version 2 is not the version 1"),
    (lambda run: os.mkfifo(run / "drain" / "pipe"), "drain/pipe is no plain file"),
    (_link_verdict, "drain/verdict.json is no plain file"),
    (lambda run: (run / "more").symlink_to("/etc"), "more is no plain file"),
]


@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_a_change_is_named(run: Path, change: Callable[[Path], object], told: str) -> None:
    """Each file that differs, in a sentence without this machine's paths."""
    change(run)
    found = verify_run(run)
    assert any(told in sentence for sentence in found), found
    assert str(run.parent) not in "".join(found)


def test_the_manifest_of_another_run_does_not_fit(run: Path) -> None:
    """Neither by its id nor by its files; names in it are compared, never opened."""
    other = _make(run.parent, "r2")
    shutil.copy(other / RUN_MANIFEST, run)
    found = verify_run(run)
    assert "run-manifest.json belongs to the run 'r2', not to 'r1'" in found
    assert any(one.startswith("run.json was changed") for one in found)
    content = json.loads((run / RUN_MANIFEST).read_text())
    content["files"].append({"file": "../../../etc/passwd", "bytes": 1, "sha256": ""})
    (run / RUN_MANIFEST).write_text(json.dumps(content))
    assert "../../../etc/passwd is missing" in verify_run(run)


def test_new_verdicts_may_be_sealed_but_cover_nothing_up(run: Path, tmp_path: Path) -> None:
    """Only what was judged again may differ; a signature of the former verdicts goes."""
    sign(run, _key(tmp_path))
    assert renewable(run, [run / "drain"]) == []
    assert renew(run) is False
    (run / "drain" / "verdict.json").write_text('{"verdict": "fail"}')
    assert renewable(run, [run / "drain"]) == []
    assert [one.partition(" ")[0] for one in renewable(run, [run / "loss"])] == ["drain/verdict.json"]
    assert renew(run) is True
    assert (verify_run(run), (run / SIGNATURE).exists()) == ([], False)
    (run / "drain" / "events.jsonl").write_text("")
    assert renewable(run, [run / "drain"]) != []
    (run / RUN_MANIFEST).unlink()
    assert "never sealed" in "".join(renewable(run, [run / "drain"]))


def test_who_signed_is_known(run: Path, tmp_path: Path) -> None:
    """Good by the wanted signer; missing, a stranger's, and one of another manifest are told apart."""
    key, other = _key(tmp_path), _key(tmp_path, "other")
    allowed = _allow(tmp_path, key)
    assert verify_signature(run, allowed, [WHO]).state is Signed.MISSING
    sign(run, key)
    good = verify_signature(run, allowed, ["somebody@else", WHO])
    assert (good.state, good.signer) == (Signed.GOOD, WHO)
    assert verify_signature(run, allowed, ["somebody@else"]).state is Signed.STRANGER
    sign(run, other)
    assert verify_signature(run, allowed, [WHO]).state is Signed.STRANGER
    second = _make(run.parent, "r2")
    sign(second, key)
    shutil.copy(second / SIGNATURE, run)
    assert verify_signature(run, allowed, [WHO]).state is Signed.MISFIT
    (run / SIGNATURE).write_text("rubbish")
    assert verify_signature(run, allowed, [WHO]).state is Signed.MISFIT


def test_a_signature_for_another_purpose_does_not_fit(run: Path, tmp_path: Path) -> None:
    """A signature that the same key made over the same bytes for something else vouches for no run."""
    key = _key(tmp_path)
    with (run / RUN_MANIFEST).open("rb") as content:
        command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", "file"]
        done = subprocess.run(command, stdin=content, capture_output=True, check=True)
    (run / SIGNATURE).write_bytes(done.stdout)
    assert verify_signature(run, _allow(tmp_path, key), [WHO]).state is Signed.MISFIT


def test_a_key_counts_while_it_is_valid(run: Path, tmp_path: Path) -> None:
    """What the allowed signers say about a key's time is held against the moment that is asked for, in UTC."""
    key = _key(tmp_path)
    allowed = _allow(tmp_path, key, 'valid-before="20260601Z" ')
    sign(run, key)
    for moment, state in (("2026-05-31T23:30Z", Signed.GOOD), ("2026-06-01T00:30Z", Signed.STRANGER)):
        assert verify_signature(run, allowed, [WHO], datetime.fromisoformat(moment)).state is state


def test_an_altered_run_is_not_signed(run: Path, tmp_path: Path) -> None:
    """Nobody vouches for what was changed."""
    (run / "drain" / "verdict.json").write_text("{}")
    with pytest.raises(RecordError, match="drain/verdict.json was changed"):
        sign(run, _key(tmp_path))
    assert not (run / SIGNATURE).exists()


def test_odd_names_are_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, runs and lists of signers may be called what they like."""
    folder = tmp_path / "-O new\nline"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run = _make(Path("-Y"), "-n")
    _key(folder.resolve(), "-f")
    sign(run, Path("-f"))
    allowed = _allow(folder, Path("-f")).rename("-I")
    assert verify_signature(run, allowed, [WHO]).state is Signed.GOOD


def test_what_cannot_be_signed_is_told(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, a file that is none, no ssh-keygen: a sentence with the remedy, and no signature."""
    key = _key(tmp_path)
    with pytest.raises(CannotRunError, match="There is no key"):
        sign(run, tmp_path / "nowhere")
    (tmp_path / "none").write_text("rubbish")
    (tmp_path / "none").chmod(0o600)
    with pytest.raises(CannotRunError, match="could not be signed"):
        sign(run, tmp_path / "none")
    sign(run, key)
    with pytest.raises(CannotRunError, match="allowed signers"):
        verify_signature(run, tmp_path / "nowhere", [WHO])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRunError, match="install openssh-client"):
        sign(run, key)


def test_the_agent_signs_with_the_public_key(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that only the agent holds is named by its public half."""
    key = _key(tmp_path)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
        key.unlink()
        sign(run, key.with_suffix(".pub"))
        assert verify_signature(run, _allow(tmp_path, key), [WHO]).state is Signed.GOOD
    finally:
        agent.terminate()
        agent.communicate()


def test_its_own_differences_leave_the_evidence_alone(run: Path) -> None:
    """Description, verdicts and what was added are held against the manifest; samples are not read."""
    assert own_differences(run) == []
    (run / "drain" / "events.jsonl").write_text("")
    assert own_differences(run) == []
    shutil.copytree(run / "loss", run / "more")
    (run / "refused.json").write_text("{}")
    told = "".join(own_differences(run))
    assert "more/verdict.json was added" in told
    assert "refused.json was added" in told
    (run / RUN_MANIFEST).unlink()
    assert own_differences(run) == ["run-manifest.json is missing: the run was never sealed"]


def test_what_cannot_be_read_is_no_difference(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart, and keeps the run from being signed and sealed anew all the same."""
    opened = Path.open

    def refused(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "events.jsonl":
            raise OSError(5, "Input/output error", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    found = verification(run)
    assert found.differences == ()
    assert found.unreadable == tuple(f"{case}/events.jsonl: cannot be read: Input/output error" for case in CASES)
    assert renewable(run, [run / "drain"]) == verify_run(run) == list(found.unreadable)
    with pytest.raises(RecordError, match="is not signed"):
        sign(run, run / "key")


def test_the_bytes_that_were_verified_are_signed(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that is exchanged once the run was verified is not vouched for."""
    key, good = _key(tmp_path), (run / RUN_MANIFEST).read_bytes()

    def exchanged(run: Path) -> Verification:
        found = verification(run)
        (run / RUN_MANIFEST).write_text("{}")
        return found

    monkeypatch.setattr("drainproof.record.signature.verification", exchanged)
    sign(run, key)
    allowed = _allow(tmp_path, key)
    assert verify_signature(run, allowed, [WHO]).state is Signed.MISFIT
    assert verify_signature(run, allowed, [WHO], manifest=good).state is Signed.GOOD
