"""Several workers of pytest-xdist take part in one run, which their controller opens, publishes and closes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fixtures.workers import concerns

PROJECT = Path(__file__).parents[3]

PLUGIN = '''
"""Instead of a cluster: a session whose controller opens a run in a directory."""
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from drainproof.allowed import Allowed
from drainproof.api import Cluster
from drainproof.errors import CannotRunError
from drainproof.journal import Journal
from drainproof.record import Run
from drainproof.target import Target
from fixtures import conclusion, opening, options
from fixtures.session_record import SESSION
from reports.verdict import Verdict

HERE = Path(__file__).parent


@contextmanager
def target(config, profile, progress):
    (HERE / "opened").open("a").write("target\\n")
    if (HERE / "refuse").exists():
        raise CannotRunError("There is no cluster; make one.")
    yield Target(name="fake", address_pool=("10.0.0.1",))
    if (HERE / "break").exists():
        raise RuntimeError("The cluster does not answer.")
    (HERE / "opened").open("a").write("closed\\n")


@contextmanager
def run(config, cluster, target, profile):
    directory = HERE / "runs" / "one"
    directory.mkdir(parents=True)
    config.stash[SESSION].directory = directory
    yield Run(directory)
    Journal.of(directory).closed()


opening.target_of, opening.run_on = target, run
opening.connect = lambda target: SimpleNamespace(keep_to=lambda bounds: (HERE / "kept").open("a").write(
    ",".join(bounds.allowed.nodes) + "\\n"
))
opening.allowed_nodes = lambda cluster, named: Allowed(tuple(named) or ("node-a",))
options.SUITES = HERE / "suites"


def preflight(cluster, target, profile, cases, **_options):
    (HERE / "portal").write_text(str(any(case.portal for case in cases)))


opening.preflight = preflight


def publish(directory, stream):
    (HERE / "published").open("a").write(f"{directory.name}\\n")


conclusion.publish = publish
conclusion.judged = lambda directory: [(directory, SimpleNamespace(verdict=Verdict.PASS))]
conclusion.seal_run = lambda directory: None
'''

TEST = '''
import pytest

from drainproof.errors import CannotRunError
from fixtures.session_record import SESSION


@pytest.mark.parametrize("number", range(4))
def test_share(number, pytestconfig, target, run, cluster):
    share = pytestconfig.stash[SESSION].share
    assert share.target == target
    assert (target.name, run.directory.name) == ("fake", "one")
    (run.directory / f"{share.worker}-{number}").write_text(str(share.number))


def test_refused(run):
    raise CannotRunError("This cannot be done; do that.")


@pytest.mark.parametrize("what", ["the power/of a node"])
def test_lacking(run, what):
    pytest.skip(f"the target lacks {what}")


def test_interrupted(run):
    raise KeyboardInterrupt
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with suites of its own, and this project's plugin."""
    (tmp_path / "suites").mkdir()
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "suites" / "test_share.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run_pytest(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "fixtures.session", "-p", "plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments], cwd=project, env={"PYTHONPATH": f"{PROJECT}:{project}", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120, check=False,
    )


def test_one_target_and_one_run_for_all_workers(project: Path) -> None:
    """Target and run are opened once, all workers write into the run, and the controller publishes it once.

    What one worker could not run reaches the controller: it is told, and the run is no pass.
    """
    told = ("--verdict-exit-code", "-k", "not interrupted", "--nodes", "node-b,node-c")
    done = run_pytest(project, "-n", "2", *told, "suites")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "could not run: This cannot be done; do that." in done.stderr
    assert (project / "opened").read_text().split() == ["target", "closed"]
    assert (project / "published").read_text().split() == ["one"]
    assert set((project / "kept").read_text().split()) == {"node-b,node-c"}
    written = {path.name.partition("-")[2]: path for path in (project / "runs" / "one").glob("gw*")}
    assert sorted(written) == ["0", "1", "2", "3"]
    assert all(path.read_text() == path.name[2] for path in written.values())
    entries = (project / "runs" / "one" / "journal.jsonl").read_text().splitlines()
    assert [json.loads(entry)["do"] for entry in entries] == ["close"]


DISK_TEST = '''
import pytest


@pytest.fixture
def storage(run):
    return run


def test_disk(storage):
    pass
'''


@pytest.mark.parametrize(
    ("arguments", "portals"),
    [
        (("suites/storage",), "False"), (("-k", "disk", "suites"), "False"), (("suites",), "True"),
        (("-n", "2", "suites/storage"), "False"), (("-n", "2", "-k", "disk", "suites"), "False"),
    ],
)
def test_a_cluster_has_to_offer_what_the_chosen_cases_use(
    project: Path, arguments: tuple[str, ...], portals: str
) -> None:
    """Cases of the storage suite certify no portal; a controller of workers has the cases collected beside it."""
    (project / "suites" / "storage").mkdir()
    (project / "suites" / "storage" / "test_disk.py").write_text(DISK_TEST)
    done = run_pytest(project, *arguments)
    assert (project / "portal").read_text() == portals, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_what_was_skipped_is_recorded(project: Path, workers: tuple[str, ...]) -> None:
    """Beside what was refused, with the reason: a case that did not begin was not certified."""
    done = run_pytest(project, *workers, "--verdict-exit-code", "-k", "lacking", "suites")
    assert done.returncode == 0, done.stdout + done.stderr
    (case,) = json.loads((project / "runs" / "one" / "skipped.json").read_text())["cases"]
    assert (case["case"], case["reason"]) == ("lacking-the-power-of-a-node", "the target lacks the power/of a node")
    assert not (project / "runs" / "one" / "refused.json").exists()


def test_an_interrupted_session_says_so(project: Path) -> None:
    """By an exit code of its own, and in the record: not all that was asked for was done."""
    done = run_pytest(project, "--verdict-exit-code", "-k", "interrupted", "suites")
    assert done.returncode == 130, done.stdout + done.stderr
    (reason,) = json.loads((project / "runs" / "one" / "refused.json").read_text())["reasons"]
    assert reason.startswith("The session was interrupted")


HARM_TEST = """
from fixtures.bystanders import BystanderHarmedError


def test_harming(run):
    raise BystanderHarmedError("Machine theirs/db of somebody else's has failed; the run is stopped.")


def test_later(run):
    (run.directory / "later").touch()
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_harm_to_a_bystander_stops_the_session_as_one_that_could_not_run(
    project: Path, workers: tuple[str, ...]
) -> None:
    """No other case disturbs it again; nobody has interrupted anything."""
    (project / "suites" / "test_harm.py").write_text(HARM_TEST)
    done = run_pytest(project, *workers, "--verdict-exit-code", "suites/test_harm.py")
    assert done.returncode == 3, done.stdout + done.stderr
    (reason,) = json.loads((project / "runs" / "one" / "refused.json").read_text())["reasons"]
    assert reason.startswith("Machine theirs/db")
    assert not (project / "runs" / "one" / "later").exists()


def test_what_cannot_be_closed_is_no_refuted_claim(project: Path) -> None:
    """pytest itself would end with 1; the run is published all the same, and nothing passes."""
    (project / "break").touch()
    done = run_pytest(project, "-n", "2", "--verdict-exit-code", "suites/test_share.py::test_share")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "could not be closed: RuntimeError: The cluster does not answer." in done.stderr
    assert (project / "published").exists()


def test_a_target_that_cannot_be_had_starts_no_worker(project: Path) -> None:
    """The refusal is one sentence with exit code 3, and nothing is published."""
    (project / "refuse").touch()
    done = run_pytest(project, "-n", "2", "--verdict-exit-code", "suites")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "There is no cluster; make one." in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (project / "published").exists()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("suites",), True), (("suites/galera",), True), (("suites/galera/test_members.py::test_a_full_disk",), True),
        (("tests/lab", "suites/galera"), True), (("tests/unit",), False), ((".",), False), (("suites2",), False),
    ],
)
def test_only_the_suites_need_a_cluster(asked: tuple[str, ...], expected: bool) -> None:
    """Unit tests may run in parallel too: for them no controller opens anything."""
    config = cast(pytest.Config, SimpleNamespace(args=[str(PROJECT / one) for one in asked]))
    assert concerns(config, PROJECT / "suites") is expected
