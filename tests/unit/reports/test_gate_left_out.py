"""What a gate does not overlook: cases that were skipped, and what runs have shown that their campaign made again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drainproof.campaign.journal import CAMPAIGN, DISCARDED, Attempt, CampaignJournal, State
from drainproof.campaign.plan import Plan
from drainproof.record.case import write_json
from drainproof.record.manifest import MANIFEST
from drainproof.record.run_manifest import RUN_MANIFEST, SKIPPED, seal_run
from tests.unit.reports.gate_runs import CASE, CLASS, POLICY, TEST, ask, edit, reasons, write_run
from tests.unit.reports.records import Record

PROJECT = Path(__file__).resolve().parents[3]
LOSS = "test_loss.py::test_node_loss"
WITH_LOSS = POLICY.replace(f'["{TEST}"]', f'["{TEST}", "test_loss.py::*"]')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good runs, and one that fails, made once."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("run-a", "run-b"):
        write_run(folder / "good" / name)
    write_run(folder / "run-c", _silent)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the two good runs, to be spoiled."""
    shutil.copytree(made / "good", tmp_path / "runs")
    return tmp_path


@pytest.fixture
def discarded(made: Path, folder: Path) -> Path:
    """The failing run as a campaign has put it aside after it was killed, never sealed; the second try has passed."""
    run = shutil.copytree(made / "run-c", folder / "runs" / DISCARDED / "run-c")
    (run / RUN_MANIFEST).unlink()
    attempts = tuple(
        Attempt(number=number, started="", before=(), run=f"run-{name}", state=state)
        for number, name, state in ((1, "a", State.DONE), (2, "c", State.KILLED), (2, "b", State.DONE))
    )
    CampaignJournal(folder / "runs", Plan.of(storage_classes=(CLASS,), repeat=2), attempts).write()
    return run


def _silent(record: Record) -> None:
    record.silence("http-new/portal-a", 7, 12)


def _skip(run: Path, *tests: str, reason: str = "the target tells no power") -> None:
    cases = [{"case": one.partition("::test_")[2], "test": f"suites/{one}", "reason": reason} for one in tests]
    write_json(run / SKIPPED, {"cases": cases})
    seal_run(run)


def test_a_test_that_was_skipped_was_not_shown(folder: Path) -> None:
    """A test that the policy wants by a pattern, and that the target could not do: UNKNOWN, with the reason."""
    _skip(folder / "runs" / "run-a", LOSS)
    assert ask(folder)[0] == 0  # nobody asks for it
    code, answer = ask(folder, policy=WITH_LOSS)
    assert (code, answer["answer"]) == (2, "UNKNOWN")
    told = "run run-a, case node_loss: a case that was run: skipped, it never ran: the target tells no power"
    assert told in reasons(answer)
    (tally,) = (tally for tally in answer["tallies"] if tally["test"] == LOSS)
    assert (tally["passed"], tally["undecided"], tally["storage_class"]) == (0, 1, CLASS)


def test_a_run_that_could_do_nothing_is_asked_for(folder: Path) -> None:
    """Its only case was skipped: it is no run that nobody asked for."""
    shutil.rmtree(folder / "runs" / "run-b" / CASE)
    _skip(folder / "runs" / "run-b", TEST, reason="")
    code, answer = ask(folder)
    assert (code, answer["notes"]) == (2, [])
    assert any("skipped, it never ran: not told why" in reason for reason in reasons(answer))
    assert any("1 passed, 0 failed, 1 undecided" in reason for reason in reasons(answer))


def test_the_list_of_what_was_skipped_cannot_be_taken_away(folder: Path) -> None:
    """It is sealed with the run; one that cannot be read leaves the run out."""
    run = folder / "runs" / "run-a"
    _skip(run, LOSS)
    (run / SKIPPED).unlink()
    code, answer = ask(folder)
    assert code == 1
    assert any("skipped.json is missing" in reason for reason in reasons(answer, "NO-GO"))
    (run / SKIPPED).write_text("[]")
    seal_run(run)
    code, answer = ask(folder)
    assert code == 2
    assert any("skipped.json: is not a list of cases" in reason for reason in reasons(answer))


def test_a_failure_does_not_vanish_with_another_attempt(folder: Path, discarded: Path) -> None:
    """The failing run was killed after that and made again: it is evidence against all the same."""
    code, answer = ask(folder)
    assert (code, answer["answer"]) == (1, "NO-GO")
    assert any("run run-c" in reason and "continuity.requests" in reason for reason in reasons(answer, "NO-GO"))
    assert [(one["passed"], one["failed"]) for one in answer["tallies"]] == [(2, 1)]
    assert [one["run"] for one in answer["runs"] if one["set_aside"]] == ["run-c"]
    assert ask(folder, policy=POLICY + "failures_allowed = 1\n")[0] == 0
    picked = [str(folder / "runs" / name) for name in ("run-a", "run-b")]
    assert ask(folder, *picked)[0] == 1


def test_a_run_that_was_put_aside_counts_for_nothing_else(folder: Path, discarded: Path) -> None:
    """Neither does it pass, wherever it lies, nor is it missed that nobody sealed it."""
    for place in (discarded, folder / "runs" / "run-c"):
        shutil.rmtree(discarded, ignore_errors=True)
        write_run(place)
        wanted = POLICY.replace("repetitions = 2", "repetitions = 3")
        code, answer = ask(folder, f"{folder}/runs/../runs", str(place / ".." / place.name), policy=wanted)
        assert code == 2
        assert [(one["passed"], one["failed"]) for one in answer["tallies"]] == [(2, 0)]
        (place / RUN_MANIFEST).unlink()
        assert ask(folder)[0] == 0
        assert ask(folder, str(folder / "runs"), str(place))[0] == 0


def test_a_case_that_was_cut_off_refutes_nothing(folder: Path, discarded: Path) -> None:
    """What was about to come when it was killed is not what never came."""
    (discarded / CASE / MANIFEST).unlink()
    code, answer = ask(folder)
    assert (code, answer["reasons"]) == (0, [])


def test_a_run_that_was_put_aside_is_missed(folder: Path, discarded: Path) -> None:
    """Nobody can tell what it had shown."""
    shutil.rmtree(discarded)
    code, answer = ask(folder)
    assert code == 2
    assert any("the run run-c, of which only failures count" in reason for reason in reasons(answer))


def test_a_run_that_was_put_aside_and_altered_speaks_against(folder: Path, discarded: Path) -> None:
    """Somebody may have mended the failure away."""
    (discarded / CASE / "metrics.json").write_text("[]")
    code, answer = ask(folder)
    assert code == 1
    assert any("metrics.json was changed" in reason for reason in reasons(answer, "NO-GO"))


@pytest.mark.parametrize("run", ["..", "../elsewhere", 5, None])
def test_a_journal_that_names_no_runs_is_damaged(folder: Path, discarded: Path, run: object) -> None:
    """A reason, and no broken gate."""
    edit(folder / "runs" / CAMPAIGN, lambda journal: journal["attempts"][1].update(run=run))
    code, answer = ask(folder)
    assert code == 2
    assert any("is no name of a run" in reason for reason in reasons(answer))
    (folder / "runs" / CAMPAIGN).write_text("[" * 100_000)
    assert ask(folder)[0] == 2


def test_who_reads_a_journal_loads_no_cluster() -> None:
    """A gate runs where there is none, and starts quickly."""
    program = "import sys, json; import reports.gate.command; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert {"kubernetes", "drainproof.api", "drainproof.campaign.conductor"} & set(json.loads(done.stdout)) == set()
