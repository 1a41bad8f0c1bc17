"""Campaigns: the order, the journal, and that a campaign goes on where it was stopped, however that was."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from drainproof.campaign.child import goes_on
from drainproof.campaign.conductor import conduct
from drainproof.campaign.journal import CAMPAIGN, DISCARDED, CampaignJournal, State
from drainproof.campaign.plan import Plan
from drainproof.errors import CannotRunError, RecordError

PROJECT = Path(__file__).resolve().parents[3]
CERTIFY = '''
import json, os, pathlib, signal, sys
options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
here = pathlib.Path(__file__).parent
acts = (here / "acts").read_text().split()
(here / "acts").write_text(" ".join(acts[1:]))
act = acts[0] if acts else "0"
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if act == "refuse":
    print("could not run: There is no cluster.")
    sys.exit(3)
run = pathlib.Path(options["runs"]) / f"run-{len((here / 'calls').read_text().splitlines()):02}"
run.mkdir(parents=True)
(run / "run.json").write_text(json.dumps({"class": options["storage-class"]}))
if act == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if act.startswith("hang"):
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("hanging", flush=True)
    (here / "hangs").write_text(str(os.getpid()))
    while not stopped and not (here / "go on").exists():
        signal.sigtimedwait([], 0.02)
    (run / "undone").write_text("")
    for verdict in (here / "sealed").read_text().split() if (here / "sealed").exists() else ():
        if verdict == "refused":
            (run / "refused.json").write_text("{}")
            continue
        (run / verdict).mkdir()
        (run / verdict / "verdict.json").write_text(json.dumps({"verdict": verdict}))
        (run / "run-manifest.json").write_text("{}")
    sys.exit(int(act[4:] or 2) if stopped else 0)
sys.exit(int(act))
'''
CAMPAIGN_PROGRAM = '''
import sys
from pathlib import Path
from drainproof.campaign.conductor import conduct
from drainproof.campaign.plan import Plan
from drainproof.cli import _tell
sys.exit(conduct(Path("campaign"), Plan.of(storage_classes=("a", "b"), repeat=2), _tell,
                 (sys.executable, "certify.py")))
'''


def hear_signals() -> None:
    """Whoever runs these tests may ignore signals, as background jobs of a shell do: then a campaign would as well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Stage:
    """A directory with a stand-in for certify that does what it is told, one act per call; then it passes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.directory, self.said = folder, folder / "campaign", list[str]()
        (folder / "certify.py").write_text(CERTIFY)
        (folder / "program.py").write_text(CAMPAIGN_PROGRAM)
        self.acts("")

    def acts(self, acts: str) -> None:
        (self.folder / "acts").write_text(acts)

    def conduct(self, plan: Plan | None = None, **options: Any) -> int:
        options = {"storage_classes": ("a", "b"), "repeat": 2, **options}
        certify = (sys.executable, str(self.folder / "certify.py"))
        self.said.clear()
        return conduct(self.directory, plan or Plan.of(**options), self.said.append, certify)

    def start(self, terminal: int | None = None, *, waits: bool = True) -> subprocess.Popen[bytes]:
        """The campaign as a process of its own, once its certification hangs."""
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        with (self.folder / "output").open("w") as output:
            told = output if terminal is None else terminal
            program = subprocess.Popen(
                [sys.executable, "program.py"], cwd=self.folder, env=environment, stdout=told, stderr=told,
                preexec_fn=hear_signals,
            )
        while waits and not ((self.folder / "hangs").exists() and self.journal.attempts[-1].pid):
            assert program.poll() is None, (self.folder / "output").read_text()
        return program

    @property
    def journal(self) -> CampaignJournal:
        return CampaignJournal.read(self.directory)

    @property
    def classes(self) -> list[str]:
        """The storage classes of the runs that lie in the directory, in the order of their names."""
        return [json.loads(path.read_text())["class"] for path in sorted(self.directory.glob("*/run.json"))]

    @property
    def states(self) -> list[tuple[int, str]]:
        return [(one.number, str(one.state)) for one in self.journal.attempts]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_order_is_interleaved() -> None:
    """A B A B; balanced, every second repetition goes backwards."""
    names = ("a", "b", "c")
    plain, balanced = (Plan.of(storage_classes=names, repeat=3, balanced=one).slots() for one in (False, True))
    assert "".join(slot.storage_class for slot in plain) == "abcabcabc"
    assert "".join(slot.storage_class for slot in balanced) == "abccbaabc"
    assert [(slot.number, slot.repetition) for slot in balanced][3:5] == [(4, 2), (5, 2)]


def test_a_balance_that_is_none_is_told(stage: Stage) -> None:
    """An odd repetition has no counterpart."""
    stage.conduct(balanced=True, repeat=1)
    assert any("an odd number of repetitions is not balanced" in line for line in stage.said)
    stage.said.clear()
    stage.directory = stage.folder / "other"
    stage.conduct(balanced=True, repeat=2)
    assert not any("not balanced" in line for line in stage.said)


def test_every_run_is_made_once(stage: Stage) -> None:
    """Each in a directory of its own below the campaign's, by certify with the options that were given."""
    wanted = Plan.of(
        storage_classes=("a", "b"), repeat=2, tests=("galera",), profile="quick", keyword="paused", workers=2,
        clients="cluster", client_workers=3,
    )
    assert stage.conduct(wanted) == 0
    assert stage.classes == ["a", "b", "a", "b"]
    calls = [json.loads(line) for line in (stage.folder / "calls").read_text().splitlines()]
    runs = f"--runs={stage.directory}"
    assert calls[1] == [
        "--target=lab", runs, "--storage-class=b", "--profile=quick", "--clients=cluster", "--client-workers=3",
        "-k", "paused", "-n", "2", "--", "galera",
    ]
    assert stage.said[-1] == f"4 of 4 runs done: 4 pass; compare: drainproof compare {stage.directory}"
    assert any("run 2 of 4, storage class b, repetition 1: about" in line for line in stage.said)
    assert [one.run for one in stage.journal.attempts] == ["run-01", "run-02", "run-03", "run-04"]


@pytest.mark.parametrize(("acts", "code"), [("0 2 0 0", 2), ("0 2 1 0", 1), ("2 2 2 2", 2)])
def test_the_worst_verdict_decides(stage: Stage, acts: str, code: int) -> None:
    """A run that fails is a run; asking again makes no run again, and answers the same."""
    stage.acts(acts)
    assert stage.conduct() == stage.conduct() == code
    assert len(stage.classes) == 4


def test_what_could_not_run_is_tried_again_then_told(stage: Stage) -> None:
    """Once more at once, so that no hole is left; then the campaign stops with the reason, and can go on later."""
    stage.acts("0 refuse 0 refuse refuse")
    assert stage.conduct() == 3
    assert stage.states == [
        (1, "done"), (2, "could not run"), (2, "done"), (3, "could not run"), (3, "could not run"),
    ]
    assert "  could not run: There is no cluster." in stage.said
    assert stage.said[-1].endswith(f"go on: drainproof campaign --resume {stage.directory}")
    assert stage.conduct() == 0
    assert stage.classes == ["a", "b", "a", "b"]


def test_a_killed_certification_is_kept_and_repeated(stage: Stage) -> None:
    """What was killed half-way does not count, and does not lie where a comparison looks."""
    stage.acts("0 crash")
    assert stage.conduct() == 0
    assert stage.states[1:3] == [(2, "killed"), (2, "done")]
    assert stage.classes == ["a", "b", "a", "b"]
    assert (stage.directory / DISCARDED / "run-02" / "run.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_reaches_the_certification_once(stage: Stage, number: signal.Signals) -> None:
    """It is asked to end, waited for, and not counted; the same command goes on."""
    stage.acts("0 hang")
    program = stage.start()
    program.send_signal(number)
    program.send_signal(number)
    assert program.wait(timeout=30) == 130
    assert stage.states == [(1, "done"), (2, "interrupted")]
    assert (stage.directory / DISCARDED / "run-02" / "undone").exists()
    assert stage.conduct() == 0
    assert stage.classes == ["a", "b", "a", "b"]


def test_a_failure_that_was_proved_stays_when_the_campaign_is_stopped(stage: Stage) -> None:
    """Who sees a run fail and stops the campaign does not get another try: the run counts as it is."""
    stage.acts("0 hang1")
    program = stage.start()
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=30) == 130
    assert stage.states == [(1, "done"), (2, "done")]
    assert (stage.directory / "run-02" / "undone").exists()
    assert stage.conduct() == 1
    assert [one.exit_code for one in stage.journal.attempts] == [0, 1, 0, 0]


def test_a_certification_that_was_interrupted_alone_is_made_again(stage: Stage) -> None:
    """Half of a run is none, whoever broke it off: the campaign ends as interrupted, and goes on later."""
    stage.acts("0 130")
    assert stage.conduct() == 130
    assert stage.states == [(1, "done"), (2, "interrupted")]
    assert stage.conduct() == 0
    assert (stage.directory / DISCARDED / "run-02").is_dir()


def test_a_terminal_that_goes_away_leaves_the_campaign_in_order(stage: Stage) -> None:
    """Its last words cannot be written any more: the certification is stopped all the same, and waited for."""
    stage.acts("0 hang")
    controller, terminal = os.openpty()
    program = stage.start(terminal)
    os.close(terminal)
    os.close(controller)
    program.send_signal(signal.SIGHUP)
    assert program.wait(timeout=30) == 130
    assert stage.states == [(1, "done"), (2, "interrupted")]
    assert (stage.directory / DISCARDED / "run-02" / "undone").exists()


def test_an_error_leaves_no_certification_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the process is to be written down: it is ended and waited for before the error is told."""
    stage.acts("hang")
    update = CampaignJournal.update

    def full(journal: CampaignJournal, **facts: Any) -> Any:
        if "pid" in facts:
            while not (stage.folder / "hangs").exists():
                pass
            raise OSError(errno.ENOSPC, "No space left on device")
        return update(journal, **facts)

    monkeypatch.setattr(CampaignJournal, "update", full)
    with pytest.raises(OSError, match="No space left"):
        stage.conduct()
    assert not psutil.pid_exists(int((stage.folder / "hangs").read_text()))
    monkeypatch.undo()
    assert stage.conduct() == 0
    assert stage.classes == ["a", "b", "a", "b"]


def test_a_damaged_journal_of_a_run_is_no_failed_run(stage: Stage) -> None:
    """What a campaign does not expect is could-not-run with a sentence: 1 would say that a run has failed."""
    stage.acts("refuse refuse")
    assert stage.conduct() == 3
    (stage.directory / "run-00").mkdir()
    (stage.directory / "run-00" / "journal.jsonl").write_text('{"do": "open"}\n')
    command = [sys.executable, "-m", "drainproof", "campaign", "--resume", str(stage.directory)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "could not run: drainproof itself broke: KeyError" in done.stderr


@pytest.mark.parametrize(
    ("sealed", "state", "code"),
    [
        ("pass fail", "done", 1), ("pass unknown", "done", 2), ("pass", "done", 0), ("pass fail refused", "done", 1),
        ("pass refused", "could not run", 0),
    ],
)
def test_a_run_that_was_finished_without_its_campaign_counts(stage: Stage, sealed: str, state: str, code: int) -> None:
    """Whatever it found; only one that says itself that not all of it was done is made again."""
    stage.acts("0 hang")
    (stage.folder / "sealed").write_text(sealed)
    program = stage.start()
    program.kill()
    program.wait()
    (stage.folder / "go on").touch()
    assert stage.conduct() == code
    assert stage.states[:2] == [(1, "done"), (2, state)]
    assert (stage.directory / "run-02").is_dir() == (state == "done")


def test_a_certification_whose_number_was_never_written_down_is_waited_for(stage: Stage) -> None:
    """The campaign was killed right after it began one: no second goes on beside it."""
    stage.acts("0 hang")
    program = stage.start()
    program.kill()
    program.wait()
    content = json.loads((stage.directory / CAMPAIGN).read_text())
    content["attempts"][-1]["pid"] = 0
    (stage.directory / CAMPAIGN).write_text(json.dumps(content))
    orphan = (stage.folder / "hangs").read_text()
    program = stage.start(waits=False)
    while f"still runs as process {orphan}" not in (stage.folder / "output").read_text():
        assert program.poll() is None, (stage.folder / "output").read_text()
    assert len((stage.folder / "calls").read_text().splitlines()) == 2
    program.terminate()
    assert program.wait(timeout=30) == 130
    assert not goes_on(stage.directory)
    assert (stage.directory / DISCARDED / "run-02" / "undone").exists()
    assert stage.states == [(1, "done"), (2, "interrupted")]


def test_a_killed_campaign_goes_on(stage: Stage) -> None:
    """Whoever resumes waits for the certification that outlived the campaign, puts its run aside and makes it again."""
    stage.acts("0 hang")
    program = stage.start()
    orphan = psutil.Process(int((stage.folder / "hangs").read_text()))
    program.kill()
    program.wait()
    assert stage.states == [(1, "done"), (2, "running")]
    assert orphan.is_running()
    (stage.folder / "go on").touch()
    assert stage.conduct() == 0
    assert stage.states == [(1, "done"), (2, "killed"), (2, "done"), (3, "done"), (4, "done")]
    assert stage.classes == ["a", "b", "a", "b"]
    assert (stage.directory / DISCARDED / "run-02").is_dir()


def test_a_campaign_killed_before_it_began_a_run_goes_on(stage: Stage) -> None:
    """The journal says that a run was about to begin; nothing of it is there."""
    stage.acts("0 refuse refuse")
    assert stage.conduct() == 3
    content = json.loads((stage.directory / CAMPAIGN).read_text())
    content["attempts"][-1] |= {"state": "running", "ended": "", "exit_code": None, "pid": 0}
    (stage.directory / CAMPAIGN).write_text(json.dumps(content))
    assert stage.conduct() == 0
    assert stage.classes == ["a", "b", "a", "b"]


def test_it_is_resumed_by_its_directory(stage: Stage) -> None:
    """The plan is in the journal."""
    stage.acts("0 refuse refuse")
    assert stage.conduct() == 3
    certify = (sys.executable, str(stage.folder / "certify.py"))
    assert conduct(stage.directory, None, stage.said.append, certify) == 0
    assert stage.classes == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"repeat": 3}, "repeat 2, not 3"),
        ({"storage_classes": ("a", "c")}, "storage classes a b, not a c"),
        ({"profile": "standard"}, "profile (none), not standard"),
        ({"balanced": True}, "balanced False, not True"),
    ],
)
def test_another_plan_is_refused(stage: Stage, changed: dict[str, Any], told: str) -> None:
    """One directory, one plan; what differs is named."""
    stage.conduct()
    with pytest.raises(CannotRunError) as refused:
        stage.conduct(**changed)
    assert told in str(refused.value)


def test_changed_facts_are_another_plan(stage: Stage) -> None:
    """The same name, but other content."""
    facts = stage.folder / "facts.toml"
    facts.write_text("a = 1")
    stage.conduct(target_facts=str(facts))
    facts.write_text("a = 2")
    with pytest.raises(CannotRunError, match="was begun with digests"):
        stage.conduct(target_facts=str(facts))


def test_changed_files_are_noticed_by_who_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with --resume, which names no file, from another directory, and in the middle of the campaign."""
    monkeypatch.chdir(stage.folder)
    (stage.folder / "mine.toml").write_text("a = 1")
    (stage.folder / "facts").write_text("b = 1")
    certify = (sys.executable, str(stage.folder / "certify.py"))
    stage.acts("0 refuse refuse refuse refuse")
    assert stage.conduct(profile="mine.toml", target_facts="facts") == 3
    monkeypatch.chdir("/")
    assert conduct(stage.directory, None, stage.said.append, certify) == 3
    assert f"--profile={stage.folder / 'mine.toml'}" in (stage.folder / "calls").read_text()
    for name in ("mine.toml", "facts"):
        before = (stage.folder / name).read_text()
        (stage.folder / name).write_text("changed = 2")
        with pytest.raises(CannotRunError, match=f"{name} has changed since the campaign began"):
            conduct(stage.directory, None, stage.said.append, certify)
        (stage.folder / name).write_text(before)
    assert conduct(stage.directory, None, stage.said.append, certify) == 0


def test_what_is_no_place_for_a_campaign_is_refused(stage: Stage) -> None:
    """Other runs, a damaged journal, no campaign to resume, classes named twice, files that are missing."""
    (stage.directory / "old").mkdir(parents=True)
    (stage.directory / "old" / "run.json").write_text("{}")
    with pytest.raises(CannotRunError, match="holds runs already, such as old"):
        stage.conduct()
    with pytest.raises(CannotRunError, match="There is no campaign"):
        conduct(stage.directory, None, stage.said.append)
    (stage.directory / CAMPAIGN).write_text("{}")
    with pytest.raises(RecordError, match="is not the journal of a campaign"):
        stage.conduct()
    with pytest.raises(CannotRunError, match="names of their own"):
        Plan.of(storage_classes=("a", "a"), repeat=1)
    with pytest.raises(CannotRunError, match=r"nowhere\.toml cannot be read"):
        Plan.of(storage_classes=("a",), repeat=1, profile="nowhere.toml")


def test_one_campaign_at_a_time(stage: Stage) -> None:
    """A second one in the same directory is refused while the first goes on."""
    stage.acts("hang")
    program = stage.start()
    with pytest.raises(CannotRunError, match="A campaign is going on"):
        stage.conduct()
    program.terminate()
    assert program.wait(timeout=30) == 130


def test_the_journal_is_written_before_a_run_begins(stage: Stage) -> None:
    """While certify runs, the journal names the attempt and its process."""
    stage.acts("hang")
    program = stage.start()
    (attempt,) = stage.journal.attempts
    assert (attempt.number, attempt.state, attempt.ended) == (1, State.RUNNING, "")
    assert psutil.pid_exists(attempt.pid)
    (stage.folder / "go on").touch()
    assert program.wait(timeout=30) == 0
    assert "4 of 4 runs done" in (stage.folder / "output").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("campaign",), "Name each storage class with --storage-class"),
        (("campaign", "--resume", ".", "galera"), "or a campaign with --resume alone"),
        (("campaign", "--resume", ".", "--repeat", "20"), "or a campaign with --resume alone"),
        (("campaign", "--resume", ".", "--profile", "quick"), "or a campaign with --resume alone"),
        (("campaign", "--resume", "."), "There is no campaign in /"),
        (("campaign", "--resume", "nowhere"), "'nowhere' does not exist"),
        (("campaign", "--storage-class", "a", "--storage-class", "a"), "names of their own, not ['a']"),
        (("sign", "nowhere", "--key", "key"), "cannot be read as the description of a run"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """Exit code 3, no traceback."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "drainproof", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert sentence in done.stderr
