"""The gate: GO only with everything right, and each thing that is wrong is a reason beside all others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drainproof.campaign.journal import CAMPAIGN, Attempt, CampaignJournal, State
from drainproof.campaign.plan import Plan
from drainproof.record.manifest import verify
from drainproof.record.run_manifest import RUN_MANIFEST, seal_run, verify_run
from drainproof.record.signature import sign
from fixtures.conclusion import concluded
from reports.gate.__main__ import main
from reports.gate.decision import weigh
from reports.gate.examined import ExaminedRun, examine
from reports.gate.holding import reasons_of
from reports.gate.policy import FigureLimit, Requirement, load_policy
from reports.gate.rate import runs_needed, upper_bound
from reports.judge import conclude, judge
from reports.rejudge import main as rejudge
from reports.verdict import CaseVerdict, Figure
from tests.unit.reports.gate_runs import (
    CASE,
    CLASS,
    NOW,
    POLICY,
    TEST,
    allow,
    ask,
    edit,
    make_key,
    reasons,
    reseal_case,
    write_policy,
    write_run,
)
from tests.unit.reports.records import Record


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good runs, made once."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("run-a", "run-b"):
        write_run(folder / name)
    return folder


@pytest.fixture(autouse=True)
def judged_once(monkeypatch: pytest.MonkeyPatch, verdicts: dict[str, CaseVerdict]) -> None:
    """The same record is judged once for all tests, which takes a third of a second; another record, anew."""

    def judged(case: Path) -> CaseVerdict:
        sealed = [path.read_text() for path in (case / "manifest.json", case / "../run.json") if path.exists()]
        key = repr((case.name, sealed, verify(case)))
        if key not in verdicts:
            verdicts[key] = conclude(case)
        return verdicts[key]

    monkeypatch.setattr("reports.gate.examined.conclude", judged)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, CaseVerdict]:
    return {}


@pytest.fixture(scope="module")
def examined(made: Path) -> list[ExaminedRun]:
    """The two good runs, examined once, to be held against many policies."""
    return [examine(run) for run in sorted(made.iterdir())]


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the two good runs, to be spoiled."""
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path


def _weighed(examined: list[ExaminedRun], folder: Path, policy: str) -> dict[str, Any]:
    return weigh(examined, load_policy(write_policy(folder, policy)), datetime.fromisoformat(NOW)).as_json()


def test_everything_right_is_go(folder: Path) -> None:
    """Two passing runs where two are wanted: GO, with what they show about the share of failing runs."""
    code, answer = ask(folder)
    assert (code, answer["answer"], answer["reasons"]) == (0, "GO", [])
    (tally,) = answer["tallies"]
    assert (tally["passed"], tally["failed"], tally["test"], tally["storage_class"]) == (2, 0, TEST, CLASS)
    assert tally["fault_rate"] == pytest.approx(1 - 0.05**0.5)


def _verdict(run: Path) -> None:
    edit(run / CASE / "verdict.json", lambda verdict: verdict.update(verdict="fail"))


def _evidence_and_case_manifest(run: Path) -> None:
    (run / CASE / "metrics.json").write_text("[]")
    reseal_case(run / CASE)


def _run_file(run: Path) -> None:
    edit(run / "run.json", lambda info: info["versions"].update(kubevirt="v9"))


def _unreadable(run: Path) -> None:
    (run / "run.json").write_text("{}")


def _another_case(run: Path) -> None:
    shutil.copytree(run / CASE, run / "another")


def _link(run: Path) -> None:
    shutil.move(run / CASE, run.parent.parent / "elsewhere")
    (run / CASE).symlink_to(run.parent.parent / "elsewhere")


def _exchanged(run: Path) -> None:
    shutil.rmtree(run / CASE)
    shutil.copytree(run.with_name("run-b") / CASE, run / CASE)


ALTERATIONS: list[tuple[Callable[[Path], object], str]] = [
    (_verdict, "verdict.json was changed since the run was sealed"),
    (_evidence_and_case_manifest, f"{CASE}/manifest.json was changed since the run was sealed"),
    (_run_file, "run.json was changed since the run was sealed"),
    (_unreadable, "run.json was changed since the run was sealed"),
    (lambda run: shutil.rmtree(run / CASE), f"{CASE}/verdict.json is missing"),
    (_another_case, "another/verdict.json was added since the run was sealed"),
    (_link, f"{CASE} is no plain file"),
    (_exchanged, f"{CASE}/manifest.json was changed since the run was sealed"),
    (lambda run: shutil.copy(run.with_name("run-b") / RUN_MANIFEST, run), "belongs to the run 'run-b'"),
    (lambda run: (run / CASE / "metrics.json").write_text("[]"), "metrics.json was changed after the record was"),
    (lambda run: (run / RUN_MANIFEST).write_text("[]"), "is not a manifest of a run"),
]


@pytest.mark.parametrize(("alter", "told"), ALTERATIONS)
def test_an_altered_record_is_no_go(folder: Path, alter: Callable[[Path], object], told: str) -> None:
    """Whatever was changed is named, decides the answer, and the run is not counted."""
    alter(folder / "runs" / "run-a")
    code, answer = ask(folder)
    assert (code, answer["answer"]) == (1, "NO-GO")
    assert any(told in reason for reason in reasons(answer, "NO-GO"))
    assert any("1 passed, 0 failed" in reason for reason in reasons(answer, "UNKNOWN"))
    assert [(run["altered"], run["cases"]) for run in answer["runs"] if run["run"] == "run-a"] == [(True, [])]


def test_a_run_that_was_never_sealed_does_not_count(folder: Path) -> None:
    """Nobody can say whether it was changed, so it is no evidence, and no accusation either."""
    (folder / "runs" / "run-a" / RUN_MANIFEST).unlink()
    code, answer = ask(folder)
    assert code == 2
    assert any("the run was never sealed" in reason for reason in reasons(answer))
    assert any("1 do not count" in reason for reason in reasons(answer))


def test_a_stored_verdict_is_not_believed(folder: Path) -> None:
    """A verdict of pass, sealed with evidence that says fail: the gate judges again, and says that it differs."""
    run = write_run(folder / "runs" / "run-c", lambda record: record.silence("http-new/portal-a", 7, 12))
    path = run / CASE / "verdict.json"
    path.write_text(path.read_text().replace('"fail"', '"pass"'))
    seal_run(run)
    code, answer = ask(folder)
    assert code == 1
    assert any("claim continuity.requests" in reason for reason in reasons(answer, "NO-GO"))
    assert any("the stored verdict is pass, these checks conclude fail" in reason for reason in reasons(answer))


def test_a_run_given_twice_counts_once(folder: Path) -> None:
    """By the same path, by another, or as a copy: one run."""
    shutil.copytree(folder / "runs" / "run-a", folder / "copies" / "again")
    run = str(folder / "runs" / "run-a")
    code, answer = ask(folder, run, f"{run}/../run-a", str(folder / "copies"))
    assert code == 2
    assert answer["tallies"][0]["passed"] == 1
    assert answer["notes"] == ["The run run-a was given more than once; it counts once."]


def test_a_copy_under_another_name_is_told(folder: Path) -> None:
    """Evidence that was copied into a run of another id, sealed anew, is known by its events."""
    fake = shutil.copytree(folder / "runs" / "run-a", folder / "runs" / "run-c")
    edit(fake / "run.json", lambda info: info.update(run_id="run-c"))
    reseal_case(fake / CASE)
    seal_run(fake)
    code, answer = ask(folder)
    assert code == 1
    assert any("are those of a case of run run-a" in reason for reason in reasons(answer, "NO-GO"))


def test_two_records_of_one_run_are_told(folder: Path) -> None:
    """The same id with other evidence, both sealed: at least one of them is not what was made."""
    fake = shutil.copytree(folder / "runs" / "run-a", folder / "runs" / "run-c")
    (fake / CASE / "metrics.json").write_text("[]")
    reseal_case(fake / CASE)
    seal_run(fake)
    code, answer = ask(folder)
    assert code == 1
    assert any("one record of each run" in reason for reason in reasons(answer, "NO-GO"))


CONDITIONS: list[tuple[str, str, str]] = [
    ('profiles = ["tried"]', 'profiles = ["standard"]', "the profile 'standard': tried"),
    ("emulated = true", "emulated = false", "guests on real hardware: emulated guests"),
    ("emulated = true", 'emulated = true\ntargets = ["prod-*"]', "the target 'prod-*': lab"),
    ("emulated = true", 'emulated = true\ncontexts = ["prod"]', "the context 'prod': "),
    ("max_age_days = 7", "max_age_days = 1", "at most 1 days old: 2.0 days"),
    ("max_age_days = 7", 'versions = { kubevirt = "v1.8.*" }', "version 'v1.8.*' of kubevirt: v1.9.0"),
    ("max_age_days = 7", 'versions = { qemu = "*" }', "version '*' of qemu: the record does not tell"),
    ("repetitions = 2", "repetitions = 3", "3 runs that pass: 2 passed, 0 failed, 0 undecided, 0 do not count"),
    ("repetitions = 2", "fault_rate = 0.3", "at most 0.776"),
    (f'["{CLASS}"]', f'["{CLASS}", "other"]', "on storage class other: 2 runs that pass: 0 passed"),
    (f'["{CLASS}"]', '["other"]', f"test '{TEST}': 2 runs that pass on storage class 'other'"),
    (f'["{TEST}"]', f'["{TEST}", "galera/*"]', "test 'galera/*': 2 runs that pass"),
    ("repetitions = 2", 'claims = ["service.survives"]', "the claim 'service.survives': the case makes no such claim"),
    ("repetitions = 2", 'limits = { "service.survives" = 1 }', "the case makes no such claim"),
    ("max_age_days = 7", 'same = ["kubevrit"]', "a known version of kubevrit in all: the record does not tell"),
    (f'["{CLASS}"]', f'["{CLASS}", "netapp-*"]', f"{TEST} on storage classes 'netapp-*': 2 runs that pass on each"),
    ("repetitions = 2", 'limits = { "service.*" = 1 }', "claim service.*: a claim with a measured value"),
    ("repetitions = 2", 'figures = [{ axis = "colour", at_most = 1 }]', "the case has no such figure"),
]


@pytest.mark.parametrize(("good", "other", "told"), CONDITIONS)
def test_what_is_lacking_is_unknown(
    examined: list[ExaminedRun], tmp_path: Path, good: str, other: str, told: str
) -> None:
    """Evidence that is not what the policy wants is a reason, and refutes nothing."""
    answer = _weighed(examined, tmp_path, POLICY.replace(good, other))
    assert answer["answer"] == "UNKNOWN"
    assert any(told in reason for reason in reasons(answer)), reasons(answer)


LIMITS: list[tuple[str, str, str]] = [
    ('limits = { "outage.udp" = 1.5 }', "GO", ""),
    ('limits = { "outage.udp" = 0.01 }', "NO-GO", "at most 0.01 s: 0.2"),
    ('limits = { "ledger.complete" = 0 }', "GO", ""),
    ('limits = { "prometheus.load" = 0.5 }', "UNKNOWN", "but up to 1 s may hide"),
    ('limits = { "placement.separate-nodes" = { at_least = 1 } }', "NO-GO", "at least 1: 0"),
    ('figures = [{ axis = "migration time", object = "portal-*", at_most = 60 }]', "GO", ""),
    ('figures = [{ axis = "migration time", object = "portal-b", at_most = 0.1 }]', "NO-GO", "at most 0.1 s: 1.9"),
    ('figures = [{ axis = "migration time", at_least = 0.1 }]', "GO", ""),
]


@pytest.mark.parametrize(("limit", "expected", "told"), LIMITS)
def test_a_stricter_limit_is_held_against_what_was_measured(
    examined: list[ExaminedRun], tmp_path: Path, limit: str, expected: str, told: str
) -> None:
    """A value beyond the policy's limit is NO-GO; what could hide above the limit is UNKNOWN."""
    answer = _weighed(examined, tmp_path, f"{POLICY}{limit}\n")
    assert answer["answer"] == expected, reasons(answer)
    assert any(told in reason for reason in [*reasons(answer), ""]), reasons(answer)


@pytest.mark.parametrize(
    ("value", "at_least", "told"),
    [(0.5, False, []), (0.5, True, ["at least 0.5 s: it had not ended"]), (None, False, ["not measured: it had not"])],
)
def test_a_figure_that_is_not_known_whole_shows_no_upper_limit(
    made: Path, value: float | None, at_least: bool, told: list[str]
) -> None:
    """What had not ended when it was measured may be larger than any limit."""
    figure = Figure(axis="downtime", object="vip", value=value, unit="s", at_least=at_least, reason="it had not ended")
    (case,) = examine(made / "run-a").cases
    assert case.verdict is not None
    case = replace(case, verdict=replace(case.verdict, figures=(figure,)))
    wanted = Requirement(tests=("*",), figures=(FigureLimit(axis="downtime", at_most=1.0),))
    found = list(reasons_of("run-a", case, wanted))
    assert not any(reason.against for reason in found)
    assert all(one in reason.seen for one, reason in zip(told, found, strict=True))


def test_every_reason_appears(folder: Path) -> None:
    """All that is wrong with all runs, not only what was found first; what speaks against stands first."""
    _run_file(folder / "runs" / "run-a")
    write_run(folder / "runs" / "run-c", lambda record: record.silence("http-new/portal-a", 7, 12))
    policy = POLICY.replace("emulated = true", "").replace("max_age_days = 7", "max_age_days = 1").replace(
        'profiles = ["tried"]', 'versions = { kernel = "6.*" }'
    )
    code, answer = ask(folder, policy=policy)
    told = reasons(answer)
    assert code == 1
    for run in ("run-a", "run-b", "run-c"):
        for expected in ("the profile 'standard'", "guests on real hardware", "at most 1 days old", "version '6.*'"):
            assert any(reason.startswith(f"run {run}: {expected}") for reason in told), (run, expected)
    assert "the same version of kubevirt in all" in "\n".join(told)
    weights = [one["answer"] for one in answer["reasons"]]
    assert weights == sorted(weights)
    assert weights.count("NO-GO") >= 3


def test_an_allowed_failure_is_a_note(folder: Path) -> None:
    """One failing run of three, one allowed: GO, the failure told, the rate stated with it; none allowed: NO-GO."""
    write_run(folder / "runs" / "run-c", lambda record: record.silence("http-new/portal-a", 7, 12))
    code, answer = ask(folder, policy=f"{POLICY}failures_allowed = 1\n")
    assert code == 0, reasons(answer)
    assert any(note.startswith("Allowed failure") and "continuity.requests" in note for note in answer["notes"])
    assert answer["tallies"][0]["fault_rate"] == pytest.approx(upper_bound(1, 3, 0.95))
    assert ask(folder)[0] == 1


def test_an_unknown_claim_is_unknown(folder: Path) -> None:
    """A run that could not see does not count, and does not vanish behind enough others."""
    write_run(folder / "runs" / "run-c", lambda record: record.drop("cluster", "snapshot"))
    code, answer = ask(folder)
    assert code == 2
    assert any("claim cluster.restored" in reason for reason in reasons(answer, "UNKNOWN"))
    code, answer = ask(folder, policy=POLICY + 'claims = ["ledger.complete"]\n')
    assert code == 0
    assert any("Not required, but unknown in run run-c" in note for note in answer["notes"])


def test_an_intact_record_is_always_required(folder: Path) -> None:
    """Whatever claims a policy asks for: a case that was never sealed shows none of them."""
    run = folder / "runs" / "run-a"
    (run / CASE / "manifest.json").unlink()
    seal_run(run)
    code, answer = ask(folder, policy=POLICY + 'claims = ["ledger.complete"]\n')
    assert code == 2
    assert any("claim record.intact" in reason for reason in reasons(answer))


def test_a_run_of_the_future_is_a_reason(folder: Path) -> None:
    """Somebody's clock is wrong, so that no age can be told."""
    code, answer = ask(folder, now="2025-12-31T23:59:59Z")
    assert code == 2
    assert sum("a run of the past" in reason for reason in reasons(answer)) == 2


def test_other_storage_classes_are_not_asked_for(folder: Path) -> None:
    """A run that the policy does not ask for is no reason, and is told to have been left out."""

    def elsewhere(record: Record) -> None:
        for event in record.found("portal", "deployed"):
            event["data"]["storage_class"] = "other"
        record.settings["name"] = "other"

    write_run(folder / "runs" / "run-c", elsewhere)
    code, answer = ask(folder)
    assert (code, answer["notes"]) == (0, ["The run run-c has nothing that is asked for."])


def test_the_answer_is_deterministic(folder: Path) -> None:
    """The same runs, policy and moment: the same bytes, in whatever order the runs are named."""
    first, second = (str(folder / "runs" / name) for name in ("run-a", "run-b"))
    ask(folder, first, second)
    before = (folder / "answer.json").read_bytes()
    ask(folder, second, first)
    assert (folder / "answer.json").read_bytes() == before


def test_hostile_words_steer_no_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes and newlines of a record are shown, not obeyed, and a reason stays one line."""

    def hostile(record: Record) -> None:
        record.settings["name"] = "\x1b[2Jquick\nGO      all is well"

    shutil.rmtree(folder / "runs" / "run-b")
    write_run(folder / "runs" / "run-b", hostile)
    assert ask(folder)[0] == 2
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2Jquick\\nGO" in shown
    assert not [line for line in shown.splitlines() if line.startswith("GO")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--policy", "policy.toml"), "No run was named"),
        (("nowhere", "--policy", "policy.toml"), "nowhere: is neither a run"),
        (("runs", "--policy", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("runs", "--policy", "policy.toml", "--now", "soon"), "'soon' is no moment in ISO 8601"),
        (("runs",), "Missing option '--policy'"),
    ],
)
def test_what_cannot_be_answered_is_no_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
    sentence: str,
) -> None:
    """Exit code 3 and a sentence; neither GO, NO-GO nor UNKNOWN."""
    write_policy(folder)
    monkeypatch.chdir(folder)
    assert main(list(arguments)) == 3
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""


SIGNED = '[signature]\nallowed_signers = "allowed_signers"\nidentities = ["release@example.org"]\n[[require]]'


def test_signatures(folder: Path) -> None:
    """GO needs a wanted signer on every run; another's signature is UNKNOWN, one of another manifest NO-GO."""
    policy, runs = POLICY.replace("[[require]]", SIGNED), folder / "runs"
    mine, other = (make_key(folder, name) for name in ("mine", "other"))
    allow(folder, "release@example.org", mine)
    code, answer = ask(folder, policy=policy)
    assert code == 2
    assert sum("not signed" in reason for reason in reasons(answer)) == 2
    for name in ("run-a", "run-b"):
        sign(runs / name, mine)
    assert ask(folder, policy=policy)[0] == 0
    sign(runs / "run-a", other)
    code, answer = ask(folder, policy=policy)
    assert code == 2
    assert any("the signature is by nobody of them" in reason for reason in reasons(answer))
    shutil.copy(runs / "run-b" / f"{RUN_MANIFEST}.sig", runs / "run-a")
    code, answer = ask(folder, policy=policy)
    assert code == 1
    assert any("the signature does not fit the manifest" in reason for reason in reasons(answer, "NO-GO"))


def test_sealing_anew_does_not_pass_a_signature(folder: Path) -> None:
    """Who alters evidence and makes both manifests anew is stopped by the signature that does not fit any more."""
    policy, key = POLICY.replace("[[require]]", SIGNED), make_key(folder, "mine")
    allow(folder, "release@example.org", key)
    for name in ("run-a", "run-b"):
        sign(folder / "runs" / name, key)
    run = folder / "runs" / "run-a"
    (run / CASE / "metrics.json").write_text((run / CASE / "metrics.json").read_text() + " ")
    reseal_case(run / CASE)
    seal_run(run)
    assert ask(folder)[0] == 0  # why signatures are worth having
    code, answer = ask(folder, policy=policy)
    assert code == 1
    assert any("the signature does not fit" in reason for reason in reasons(answer, "NO-GO"))


def test_missing_ssh_keygen_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signatures are wanted and cannot be verified here: could not run, with the package."""
    policy = write_policy(folder, POLICY.replace("[[require]]", SIGNED))
    key = make_key(folder, "mine")
    sign(folder / "runs" / "run-a", key)
    monkeypatch.setenv("PATH", str(folder))
    assert main([str(folder / "runs"), "--policy", str(policy), "--now", NOW]) == 3
    assert "install openssh-client" in capsys.readouterr().err


def test_what_repetition_shows() -> None:
    """Clopper and Pearson's bound: 3/n after n passes, as tables have it with failures, and how many runs it takes."""
    assert upper_bound(0, 10, 0.95) == pytest.approx(0.2589, abs=1e-4)
    assert upper_bound(1, 20, 0.95) == pytest.approx(0.2161, abs=1e-4)
    assert (upper_bound(0, 0, 0.95), upper_bound(3, 3, 0.95)) == (1.0, 1.0)
    assert runs_needed(0, 0.05, 0.95) == 59
    assert upper_bound(0, 59, 0.95) <= 0.05 < upper_bound(0, 58, 0.95)
    assert runs_needed(0, 1e-9, 0.95) is None


def test_a_case_that_cannot_be_judged_is_a_reason(folder: Path) -> None:
    """A record of an odd shape ends neither the gate nor the other runs, even if both manifests fit."""
    run = folder / "runs" / "run-a"
    (run / CASE / "events.jsonl").write_text("[]\n")
    reseal_case(run / CASE)
    seal_run(run)
    code, answer = ask(folder)
    assert code == 2
    assert any(f"case {CASE}: a case that can be judged" in reason for reason in reasons(answer))
    assert [tally["passed"] for tally in answer["tallies"] if tally["test"] == TEST] == [1]


def test_a_session_seals_its_run(tmp_path: Path, made: Path) -> None:
    """What a session leaves is what a gate takes; a run whose case was never judged is judged and sealed as well."""
    run = shutil.copytree(made / "run-a", tmp_path / "runs" / "run-a")
    (run / RUN_MANIFEST).unlink()
    (run / CASE / "verdict.json").unlink()
    shutil.copytree(run / CASE, run / "other")
    (run / "other" / "manifest.json").unlink()
    judge(run / CASE)
    assert concluded(run) == "unknown"
    assert verify_run(run) == ["other/manifest.json is missing: the record was never sealed"]


def test_judging_again_seals_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdicts of older checks are replaced with the run's manifest; an altered run keeps the one that tells it."""
    run, other = folder / "runs" / "run-a", folder / "runs" / "run-b"
    edit(run / CASE / "verdict.json", lambda verdict: verdict["judged_by"].update(version="1"))
    seal_run(run)
    sign(run, make_key(folder, "key"))
    assert rejudge([str(run), "--write"]) == 0
    assert "Its signature was of other verdicts and is removed" in capsys.readouterr().out
    assert (verify_run(run), ask(folder)[0]) == ([], 0)
    (other / CASE / "metrics.json").write_text("[]")
    before = (other / RUN_MANIFEST).read_bytes()
    assert rejudge([str(other), "--write"]) == 2
    assert "The run's manifest stays as it is: " in capsys.readouterr().out
    assert (other / RUN_MANIFEST).read_bytes() == before
    assert ask(folder)[0] == 1


def test_a_case_alone_does_not_cover_up_another(folder: Path) -> None:
    """Judging one case again leaves the manifest as it is when the verdict of another was changed."""
    run = folder / "runs" / "run-a"
    shutil.copytree(run / CASE, run / "other")
    seal_run(run)
    edit(run / "other" / "verdict.json", lambda verdict: verdict.update(verdict="fail"))
    rejudge([str(run / CASE), "--write"])
    assert any(one.startswith("other/verdict.json was changed") for one in verify_run(run))


def test_a_campaign_lacks_no_run(folder: Path) -> None:
    """A run that the campaign's journal names, and that is gone, is a reason; attempts that do not count are noted."""
    plan = Plan.of(storage_classes=(CLASS,), repeat=3)
    attempts = [
        Attempt(number=number, started="", before=(), run=f"run-{run}", state=state)
        for number, run, state in ((1, "a", State.DONE), (2, "b", State.DONE))
    ]
    attempts.insert(1, Attempt(number=2, started="", before=(), state=State.KILLED))
    CampaignJournal(folder / "runs", plan, tuple(attempts)).write()
    code, answer = ask(folder)
    assert (code, len(answer["notes"])) == (0, 1)
    assert answer["notes"][0].endswith("that do not count, but for what they refute: 1 killed.")
    shutil.move(folder / "runs" / "run-b", folder / "elsewhere")
    code, answer = ask(folder)
    assert code == 2
    assert any("the run run-b: it is gone" in reason for reason in reasons(answer))
    (folder / "runs" / CAMPAIGN).write_text("{}")
    assert any("a journal of its runs" in reason for reason in reasons(ask(folder)[1]))
