"""What the gate takes for evidence: runs of one kind, told apart, readable, and none of a campaign left out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drainproof.campaign.journal import Attempt, CampaignJournal, State
from drainproof.campaign.plan import Plan
from drainproof.record.case import write_json
from drainproof.record.run_manifest import REFUSED, RUN_MANIFEST, seal_run
from drainproof.record.signature import SIGNATURE, sign
from reports.gate.__main__ import main
from reports.gate.decision import weigh
from reports.gate.examined import examine
from reports.gate.policy import load_policy
from reports.rejudge import main as rejudge
from tests.unit.reports.gate_runs import (
    CASE,
    CLASS,
    NOW,
    POLICY,
    allow,
    ask,
    edit,
    make_key,
    reasons,
    reseal_case,
    write_policy,
    write_run,
)

SIGNED = '[signature]\nallowed_signers = "allowed_signers"\nidentities = ["release@example.org"]\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good runs, made once."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("run-a", "run-b"):
        write_run(folder / name)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the two good runs, to be spoiled."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path


def _resealed(run: Path, change: Callable[[Any], object]) -> None:
    """Change a run's description as if it had been made so."""
    edit(run / "run.json", change)
    reseal_case(run / CASE)
    seal_run(run)


def test_settings_count_and_not_the_name_of_the_profile(folder: Path) -> None:
    """Runs of one profile that allowed different things are not the same thing made twice."""
    _resealed(folder / "runs" / "run-a", lambda info: info["settings"]["limits"].update(outage_seconds=1.5))
    code, answer = ask(folder)
    assert code == 2
    told = "the runs: the same limits.outage_seconds in all of the profile 'tried': 1.5: run-a; 2.0: run-b"
    assert told in reasons(answer)


def test_a_profile_that_bears_a_shipped_name_is_the_shipped_one(folder: Path) -> None:
    """Another file that is called standard.toml is not the profile `standard`; seed and class may be other ones."""

    def pretend(info: Any) -> None:
        info["settings"].update(name="standard", seed=7)
        info["settings"]["limits"].update(outage_seconds=3600)
        info["settings"]["portal"].update(storage_class=CLASS)

    for name in ("run-a", "run-b"):
        _resealed(folder / "runs" / name, pretend)
    code, answer = ask(folder, policy=POLICY.replace('profiles = ["tried"]', ""))
    assert code == 2
    told = "limits.outage_seconds = 2.0, as in the shipped profile 'standard': limits.outage_seconds = 3600.0"
    assert any(told in reason for reason in reasons(answer))
    assert not any("seed" in reason or "portal" in reason for reason in reasons(answer))
    assert any("2 do not count" in reason for reason in reasons(answer))


@pytest.mark.parametrize("wanted", ['same = ["kubevirt"]', 'same = []\nversions = { kubevirt = "*" }'])
def test_a_version_that_was_not_read_is_not_known(folder: Path, wanted: str) -> None:
    """What the harness was not allowed to read is neither the same in all runs nor any version."""
    for name in ("run-a", "run-b"):
        _resealed(folder / "runs" / name, lambda info: info["versions"].update(kubevirt="unknown (403)"))
    code, answer = ask(folder, policy=POLICY.replace("max_age_days = 7", wanted))
    assert code == 2
    assert any("unknown (403)" in reason and "kubevirt" in reason for reason in reasons(answer))


@pytest.mark.parametrize(
    "gone", [lambda run: (run / "run.json").unlink(), lambda run: (run / "run.json").rename(run / "x")]
)
def test_a_run_without_its_description_is_not_skipped(folder: Path, gone: Callable[[Path], object]) -> None:
    """Who takes away the description of a run that failed has not taken away the run."""
    gone(write_run(folder / "runs" / "run-c"))
    code, answer = ask(folder)
    assert code == 1
    assert any("run-c" in reason and "run.json" in reason for reason in reasons(answer, "NO-GO"))
    (folder / "runs" / "run-c" / RUN_MANIFEST).unlink()
    (folder / "runs" / "run-c" / CASE / "manifest.json").unlink()
    assert ask(folder)[0] == 2  # nobody had sealed it


def test_the_manifest_that_was_verified_is_the_one_whose_signature_counts(folder: Path) -> None:
    """A manifest that is put back between verification and signature does not lend its signature."""
    run, key = folder / "runs" / "run-a", make_key(folder, "mine")
    allow(folder, "release@example.org", key)
    sign(run, key)
    signed = (run / RUN_MANIFEST).read_bytes()
    _resealed(run, lambda info: info["versions"].update(kubevirt="v1.9.1"))
    examined = examine(run)
    (run / RUN_MANIFEST).write_bytes(signed)
    policy = load_policy(write_policy(folder, POLICY.replace("[[require]]", f"{SIGNED}[[require]]")))
    told = reasons(weigh([examined], policy, datetime.fromisoformat(NOW)).as_json(), "NO-GO")
    assert any("the signature does not fit the manifest" in reason for reason in told)


def test_a_signature_that_does_not_fit_is_told_even_if_none_is_required(folder: Path) -> None:
    """Not required: it may be missing; but one of another manifest speaks against the record."""
    policy = POLICY.replace("[[require]]", f"{SIGNED}required = false\n[[require]]")
    key = make_key(folder, "mine")
    allow(folder, "release@example.org", key)
    assert ask(folder, policy=policy)[0] == 0
    sign(folder / "runs" / "run-b", key)
    assert ask(folder, policy=policy)[0] == 0
    shutil.copy(folder / "runs" / "run-b" / SIGNATURE, folder / "runs" / "run-a")
    assert ask(folder, policy=policy)[0] == 1


def test_what_changes_while_it_is_judged_again_is_not_sealed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's manifest is renewed only if it fits yet when all is judged."""
    run = folder / "runs" / "run-a"
    before = (run / RUN_MANIFEST).read_bytes()
    edit(run / CASE / "verdict.json", lambda verdict: verdict["judged_by"].update(version="1"))
    seal_run(run)
    stale = (run / RUN_MANIFEST).read_bytes()
    monkeypatch.setattr("reports.rejudge.judged", lambda run: [(run / CASE / "metrics.json").write_text("[]")])
    rejudge([str(run), "--write"])
    assert (run / RUN_MANIFEST).read_bytes() == stale != before


def test_a_copy_with_one_more_byte_is_known_by_its_clocks(folder: Path) -> None:
    """A new id and one more event make no second run."""
    fake = shutil.copytree(folder / "runs" / "run-a", folder / "runs" / "run-c")
    with (fake / CASE / "events.jsonl").open("a") as file:
        file.write("\n")
    _resealed(fake, lambda info: info.update(run_id="run-c"))
    code, answer = ask(folder)
    assert code == 1
    assert any("very nanosecond of run run-a" in reason for reason in reasons(answer, "NO-GO"))


def test_runs_without_events_have_none_in_common(folder: Path) -> None:
    """Two empty files are alike, and nobody has copied them."""
    for name in ("run-a", "run-b"):
        (folder / "runs" / name / CASE / "events.jsonl").write_text("")
        _resealed(folder / "runs" / name, lambda info: None)
    code, answer = ask(folder)
    assert (code, reasons(answer, "NO-GO")) == (2, [])


@pytest.mark.parametrize("file", [RUN_MANIFEST, "run.json", f"{CASE}/verdict.json", f"{CASE}/metrics.json"])
def test_what_cannot_be_read_was_not_altered(folder: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """Missing rights or a broken disk accuse nobody; the run does not count."""
    bad = folder / "runs" / "run-a" / file
    opened = Path.open

    def refused(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.resolve() == bad.resolve():
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    code, answer = ask(folder)
    assert (code, reasons(answer, "NO-GO")) == (2, [])
    assert any("cannot be read: Permission denied" in reason for reason in reasons(answer))


DAMAGES: list[Callable[[Any], object]] = [
    lambda info: info.update(run_id=5),
    lambda info: info.update(run_id="\ud800"),
    lambda info: info.update(target=[]),
    lambda info: info.update(settings=None),
    lambda info: info.update(started=3),
    lambda info: info.update(command=7),
    lambda info: info["anchor"].update(wall_ns=[]),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_odd_run_leaves_an_answer_about_the_others(folder: Path, damage: Callable[[Any], object]) -> None:
    """Whatever a description holds, the gate answers."""
    run = folder / "runs" / "run-a"
    edit(run / "run.json", damage)
    with suppress(TypeError, ValueError):  # an id of another kind cannot be sealed either
        reseal_case(run / CASE)
    seal_run(run)
    code, answer = ask(folder)
    assert code in (0, 1, 2)
    assert {one["run"] for one in answer["runs"]} >= {"run-b"}


@pytest.mark.parametrize("file", ["run.json", RUN_MANIFEST])
def test_deep_json_leaves_an_answer(folder: Path, file: str) -> None:
    """A file that no parser follows to its end is a reason."""
    (folder / "runs" / "run-a" / file).write_text("[" * 100_000)
    code, answer = ask(folder)
    assert code in (1, 2)
    assert any("run-a" in reason for reason in reasons(answer))


def test_what_was_refused_is_told_of_a_run_without_cases(folder: Path) -> None:
    """A run that could not do anything says why, and the remedy for too few names how the others were made."""
    run = folder / "runs" / "run-b"
    shutil.rmtree(run / CASE)
    write_json(run / REFUSED, {"reasons": ["no node has room"]})
    seal_run(run)
    code, answer = ask(folder)
    assert code == 2
    assert "Run run-b: could not run: no node has room" in answer["notes"]
    (remedy,) = (one["remedy"] for one in answer["reasons"] if "runs that pass" in one["expected"])
    assert "--target lab --profile quick --runs DIRECTORY" in remedy


def _campaign(folder: Path, names: str) -> None:
    attempts = [
        Attempt(number=number, started="", before=(), run=f"run-{name}", state=State.DONE)
        for number, name in enumerate(names, 1)
    ]
    CampaignJournal(folder / "runs", Plan.of(storage_classes=(CLASS,), repeat=len(names)), tuple(attempts)).write()


def test_runs_of_a_campaign_are_not_picked(folder: Path) -> None:
    """Who names single runs of a campaign is told which of its runs were left out."""
    write_run(folder / "runs" / "run-c", lambda record: record.silence("http-new/portal-a", 7, 12))
    _campaign(folder, "abc")
    picked = [str(folder / "runs" / name) for name in ("run-a", "run-b", "run-c")]
    code, answer = ask(folder, *picked[:2])
    assert code == 2
    assert any("the run run-c: it was not named" in reason for reason in reasons(answer))
    assert ask(folder, *picked)[0] == 1


def test_a_run_that_the_journal_does_not_name_is_told(folder: Path) -> None:
    """It counts, and the answer says that no journal vouches for it."""
    _campaign(folder, "a")
    code, answer = ask(folder)
    assert code == 0
    assert any(note.startswith("The run run-b lies in the campaign") for note in answer["notes"])


def test_a_gate_that_cannot_be_loaded_gives_no_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python exits with 1 for a failed import, which would be read as NO-GO."""
    monkeypatch.setitem(sys.modules, "reports.gate.command", None)
    monkeypatch.delattr("reports.gate.command", raising=False)
    assert main(["runs"]) == 3
    assert "the gate cannot be loaded" in capsys.readouterr().err


def test_hostile_options_are_quoted(folder: Path) -> None:
    """The remedy is a command: words of a record stay one word in it."""

    def hostile(info: Any) -> None:
        info["command"] = "drainproof certify --target 'lab; reboot'"

    _resealed(folder / "runs" / "run-a", hostile)
    shutil.rmtree(folder / "runs" / "run-b")
    (remedy,) = (one["remedy"] for one in ask(folder)[1]["reasons"] if "runs that pass" in one["expected"])
    assert "--target 'lab; reboot' --profile PROFILE" in remedy
