"""The `drainproof` command: thin, it starts pytest, the lab or the judge and passes their exit code on.

Exit codes: 0 pass, 1 fail, 2 unknown, 3 could not run, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

import click
from click.core import ParameterSource

from drainproof.campaign.conductor import conduct
from drainproof.campaign.plan import Plan
from drainproof.cleanup import undo_dead_runs
from drainproof.cleanup_command import clean_up
from drainproof.errors import CannotRunError, DrainproofError
from drainproof.record.signature import sign as sign_run
from drainproof.settings import load_profile
from drainproof.target import default_profile, lab_server, target_kind

PROJECT = Path(__file__).resolve().parent.parent
PROFILES = PROJECT / "suites" / "profiles"
DEFAULT_TEST = "high_availability/test_drain.py::test_drain_of_every_node"
COULD_NOT_RUN = 3
INTERRUPTED = 130
PYTHON = (3, 11)
PASSED_ON: Final[dict[str, Any]] = {"context_settings": {"ignore_unknown_options": True, "help_option_names": []}}
"""A command whose arguments, `--help` included, belong to the program behind it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Prove that virtual machines on KubeVirt survive node drains without downtime.

    Exit codes: 0 pass, 1 fail, 2 unknown, 3 could not run, 130 interrupted.
    """


@cli.command()
@click.argument("tests", nargs=-1)
@click.option("--target", default="lab", show_default=True, help="lab[:NAME], kubeconfig[:CONTEXT] or kind[:NAME]")
@click.option("--target-facts", type=click.Path(exists=True, dir_okay=False), help="TOML file about a real cluster")
@click.option("--profile", default="", help="of suites/profiles, or a TOML file  [lab: quick, else: standard]")
@click.option("--storage-class", default="", help="of the disks  [lab: lab-shared, else: as the target's facts say]")
@click.option("--clients", type=click.Choice(["host", "cluster"]), help="where clients are  [host, or as facts say]")
@click.option("--client-workers", type=click.IntRange(1, 256), help="over how many of Locust's workers they are spread")
@click.option("--runs", default="runs", show_default=True, help="directory of the records")
@click.option("-k", "keyword", default="", help="only the tests whose name matches, as pytest takes it")
@click.option("-n", "workers", type=click.IntRange(1), help="so many tests at a time; each claims its nodes")
@click.option("--nodes", default="", help="A,B,C: the nodes that may be disturbed  [those that are labelled so]")
@click.option("--allow-bystanders", is_flag=True, help="even with machines of others on them, which are watched over")
@click.option("--dry-run", is_flag=True, help="of kind: print what makes and removes it")
@click.option("--tests-from", type=click.File(), help="a file with tests, one a line, in place of TESTS")
def certify(
    tests: Sequence[str], target: str, target_facts: str | None, profile: str, storage_class: str, runs: str,
    keyword: str, workers: int | None, clients: str | None, client_workers: int | None, dry_run: bool, nodes: str,
    allow_bystanders: bool, tests_from: TextIO | None,
) -> None:
    """Run the suites against a target and print the verdict.

    TESTS are folders, files or tests (FILE::NAME) of the suites, `.` is all; by default the drain of every node.
    """
    if tests_from and not (tests := tests_from.read().splitlines()):
        raise CannotRunError(f"There is no test in {tests_from.name}; none of those that were asked for can run.")
    chosen = [str(PROJECT / "suites" / name) for name in tests or (("." if keyword else DEFAULT_TEST),)]
    if unknown := [name for name in chosen if not Path(name.partition("::")[0]).exists()]:
        raise CannotRunError(*(f"There is no {name}; name a folder, file or test of the suites." for name in unknown))
    profile = profile or default_profile(target)
    load_profile(profile, PROFILES)
    if target_kind(target)[0] == "lab" and os.geteuid() != 0:
        raise CannotRunError("The lab makes network namespaces and needs root; run as root, or name a real cluster.")
    if storage_class and target_kind(target)[0] == "lab":
        lab_server(storage_class)
    if dry_run:
        _show_kind(target, target_facts)
    _clean_runs(Path(runs))
    arguments = ["--target", target, "--profile", profile, "--runs", runs, "--verdict-exit-code"]
    arguments += ["--storage-class", storage_class] if storage_class else []
    arguments += ["--target-facts", target_facts] if target_facts else []
    arguments += ["--clients", clients] if clients else []
    arguments += ["--client-workers", str(client_workers)] if client_workers else []
    arguments += ["--nodes", nodes] if nodes else []
    arguments += ["--allow-bystanders"] if allow_bystanders else []
    arguments += ["-k", keyword] if keyword else []
    # A test takes minutes: a worker is given the next one when it is done with the last.
    arguments += ["-n", str(workers), "--maxschedchunk", "1"] if workers else []
    sys.exit(_run([sys.executable, "-m", "pytest", *chosen, "-q", "-s", "--no-header", *arguments]))


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: Sequence[str]) -> None:
    """The embedded lab: up, down, status, kubeconfig (see `drainproof lab --help`)."""
    _pass_on("lab", arguments or ("--help",))


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kind(arguments: Sequence[str]) -> None:
    """A kind cluster with KubeVirt: up, down (see `drainproof kind --help`)."""
    _pass_on("fixtures.kind", arguments or ("--help",))


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def preflight(arguments: Sequence[str]) -> None:
    """What a cluster offers, which suites can run on it, which cannot, and why; changes nothing."""
    _pass_on("fixtures.preflight", arguments)


@cli.command()
@click.option("--runs", default="runs", show_default=True, help="directory of the records")
@click.option("--lab", "name", default="", help="only this lab; by default every lab on this machine")
@click.option("--target", default="", help="kubeconfig[:CONTEXT]: also by what this cluster holds, from any machine")
@click.option("--target-facts", default="", help="TOML file: how nodes are powered on, where journals are kept")
@click.option("--dry-run", is_flag=True, help="only say what would be done")
@click.option("--yes", is_flag=True, help="do not ask on a terminal")
def cleanup(runs: str, name: str, target: str, target_facts: str, dry_run: bool, yes: bool) -> None:
    """Undo what killed runs have left: on clusters by their journals, and labs with all their processes.

    With --target labs are left alone. Exit codes: 0 nothing is left, 3 something is, and it is named.
    """
    clean = clean_up(
        Path(runs), target, target_facts, dry_run=dry_run, say=_say, trouble=_complain,
        confirm=lambda: yes or not sys.stdin.isatty() or click.confirm("Do this?"),
    )
    if dry_run and not target:
        _say("labs and kind clusters of this machine that nobody uses would be taken down")
    if target or dry_run:
        sys.exit(0 if clean else COULD_NOT_RUN)
    code = _run([sys.executable, "-m", "lab", "cleanup", *(("--name", name) if name else ())])
    code = code or (0 if name else _run([sys.executable, "-m", "fixtures.kind", "cleanup"]))
    sys.exit(COULD_NOT_RUN if code or not clean else 0)


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def rejudge(arguments: Sequence[str]) -> None:
    """Judge a stored record (a run or one of its cases) again, with the checks of this version."""
    _pass_on("reports.rejudge", arguments)


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def show(arguments: Sequence[str]) -> None:
    """Show the verdict and the timeline of a run on the terminal."""
    _pass_on("reports.show", arguments)


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def gate(arguments: Sequence[str]) -> None:
    """Hold runs against a policy: GO (exit 0), NO-GO (1) or UNKNOWN (2), with every reason."""
    _pass_on("reports.gate", arguments)


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="SSH key, or the public half of an agent's")
def sign(runs: Sequence[Path], key: Path) -> None:
    """Vouch for runs with an SSH key, so that a gate can tell that nobody has changed them since."""
    for run in runs:
        click.echo(f"signed: {sign_run(run, key)}")


@cli.command()
@click.argument("tests", nargs=-1)
@click.option("--storage-class", "storage_classes", multiple=True, help="compared with the others; name each")
@click.option("--repeat", type=click.IntRange(1), default=10, show_default=True, help="runs on each storage class")
@click.option("--balanced", is_flag=True, help="A B B A instead of A B A B: a steady drift cancels out")
@click.option("--target", default="lab", show_default=True, help="as certify takes it")
@click.option("--target-facts", default="", help="as certify takes it")
@click.option("--profile", default="", help="as certify takes it")
@click.option("--runs", default="campaign", show_default=True, help="directory of this campaign alone")
@click.option("-k", "keyword", default="", help="as certify takes it")
@click.option("-n", "workers", type=click.IntRange(1), help="as certify takes it")
@click.option("--nodes", default="", help="as certify takes it")
@click.option("--allow-bystanders", is_flag=True, help="as certify takes it")
@click.option("--clients", type=click.Choice(["host", "cluster"]), help="as certify takes it")
@click.option("--client-workers", type=click.IntRange(1, 256), help="as certify takes it")
@click.option("--resume", type=click.Path(exists=True, file_okay=False), help="go on with the campaign in a directory")
@click.pass_context
def campaign(context: click.Context, /, runs: str, resume: str | None, **options: Any) -> None:
    """Certify again and again on several storage classes, interleaved in time.

    The same command, or --resume, goes on where a campaign was stopped.
    """
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if (given != {"resume"}) if resume else not options["storage_classes"]:
        raise click.UsageError("Name each storage class with --storage-class, or a campaign with --resume alone.")
    plan = None if resume else Plan.of(**options)
    sys.exit(conduct(Path(resume or runs), plan, _tell))


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def compare(arguments: Sequence[str]) -> None:
    """Compare storage classes by runs of the same work on each."""
    _pass_on("reports.compare", arguments)


@cli.command(**PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def trend(arguments: Sequence[str]) -> None:
    """Many runs over time: where something changed, the first bad run, limits that history proposes."""
    _pass_on("reports.trend", arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; what cannot be done is told in a sentence each, with exit code 3."""
    if sys.version_info[:2] != PYTHON:
        _refuse(f"Python {'.'.join(map(str, PYTHON))} is needed, this is {sys.version.split()[0]}; use `make certify`.")
    try:
        cli.main(args=arguments, prog_name="drainproof", standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "drainproof"
        _refuse(f"{error.format_message()} See `{where} --help`.")
    except CannotRunError as error:
        _refuse(*error.reasons)
    except DrainproofError as error:
        _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - Python would end with 1, which here means a refuted claim
        _refuse(f"drainproof itself broke: {type(error).__name__}: {error}")


def _refuse(*reasons: str) -> None:
    with suppress(OSError):  # who does not hear it reads the exit code
        for reason in reasons:
            print(f"could not run: {_printable(reason)}", file=sys.stderr)
    sys.exit(COULD_NOT_RUN)


def _printable(text: str) -> str:
    """A cluster's words, or a file's, without what steers a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _tell(sentence: str) -> None:
    try:
        print(sentence, flush=True)
    except OSError:
        # The terminal or the pipe has gone. What is left of the line would fail again at the exit, and be its code.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _show_kind(target: str, target_facts: str | None) -> None:
    kind, name = target_kind(target)
    if kind != "kind":
        raise CannotRunError("Only --target kind has a --dry-run: other clusters are not made for the run.")
    facts = ("--target-facts", target_facts) if target_facts else ()
    _pass_on("fixtures.kind", ("up", "--dry-run", "--name", name, *facts))


def _pass_on(module: str, arguments: Sequence[str]) -> None:
    """Without arguments a program says what it needs, and that is no success: a script's variable may be empty."""
    sys.exit(_run([sys.executable, "-m", module, *arguments]))


def _run(command: Sequence[str]) -> int:
    """Run a command in the project and return its exit code; signals to this process are passed on to it."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, env=environment) as process:

        def pass_on(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def _say(sentence: str) -> None:
    _tell(_printable(sentence))


def _complain(sentence: str) -> None:
    print(_printable(sentence), file=sys.stderr)


def _clean_runs(runs: Path) -> None:
    for sentence in undo_dead_runs(runs):
        print(sentence, file=sys.stderr)
