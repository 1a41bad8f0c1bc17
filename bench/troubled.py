"""`python -m bench.troubled`: certifies through a proxy that makes trouble of the API, and compares the verdicts.

For each seed a healthy case is run, and one that has to fail. Trouble may turn a verdict to unknown, or a run that
could not be made; a pass that becomes a fail, or a fail that becomes a pass, ends with exit code 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from bench.figure import PROJECT
from drainproof.record import CaseReader, Run
from drainproof.target import Target
from fixtures.target import lab_target
from fixtures.trouble import KIND, SOURCE
from lab.config import LabConfig
from lab.troubled.plan import KINDS

LAB = "troubled"
HEALTHY = "suites/high_availability/test_drain.py::test_drain_of_every_node"
FAULTY = "bench/must_fail/test_restart.py"
VERDICTS = {0: "pass", 1: "fail", 2: "unknown", 3: "could not run"}
EXPECTED = {"healthy": "pass", "faulty": "fail"}


@dataclass(frozen=True)
class Outcome:
    """What one run through the proxy came to."""

    seed: int
    case: str
    verdict: str
    seconds: float
    made: Mapping[str, int]
    """What the proxy made, by kind."""
    met: int
    """How many requests of the harness needed several tries, by its record."""

    @property
    def turned(self) -> bool:
        """Whether trouble has turned the verdict into its contrary."""
        return {self.verdict, EXPECTED[self.case]} == {"pass", "fail"}


@click.command()
@click.option("--seeds", multiple=True, type=int, default=(1,), show_default=True, help="May be given several times.")
@click.argument("more_seeds", nargs=-1, type=int)
@click.option("--rate", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Of requests in trouble.")
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Of trouble, by commas.")
@click.option("--test", default=HEALTHY, show_default=True, help="The case that has to pass.")
@click.option("--only", type=click.Choice(list(EXPECTED)), default=None, help="Run only this one of the two cases.")
@click.option("--profile", default="quick", show_default=True, help="A profile of the suites, or a TOML file.")
@click.option("--api-port", type=int, default=16960, show_default=True, help="Of the lab; the proxy takes the next.")
@click.option("--runs", type=click.Path(path_type=Path), default=None, help="Keep the records and logs there.")
def main(
    seeds: tuple[int, ...], more_seeds: tuple[int, ...], rate: float, kinds: str, test: str, only: str | None,
    profile: str, api_port: int, runs: Path | None,
) -> None:
    """Print a line for each seed and case; exit 1 when trouble has turned a verdict into its contrary."""
    cases = {"healthy": _test_path(test), "faulty": FAULTY}
    wanted = {only: cases[only]} if only else cases
    with tempfile.TemporaryDirectory(prefix="drainproof-troubled-") as folder, _lab(api_port) as target:
        bench = _Bench(target, Path(runs or folder).resolve(), rate, kinds, profile, api_port + 1)
        print(f"{'seed':>6} {'case':<10}{'verdict':<15}{'expected':<10}{'seconds':>8}  tried anew; trouble made")
        outcomes = []
        for seed in (*seeds, *more_seeds):
            for case, path in wanted.items():
                outcomes.append(bench.run(seed, case, path))
                print(_row(outcomes[-1]), flush=True)
    sys.exit(1 if any(outcome.turned for outcome in outcomes) else 0)


@dataclass(frozen=True)
class _Bench:
    target: Target
    folder: Path
    rate: float
    kinds: str
    profile: str
    port: int

    def run(self, seed: int, case: str, test: str) -> Outcome:
        """Certify once through a proxy of that seed."""
        folder = self.folder / f"{seed}-{case}"
        folder.mkdir(parents=True)
        config = LabConfig.load(Path(self.target.kubeconfig).with_name("lab.json"))
        facts = self._facts(folder, config)
        command = [
            sys.executable, "-m", "pytest", test, "-q", "-s", "--no-header", "--target", "kubeconfig",
            "--target-facts", str(facts), "--profile", self.profile, "--runs", str(folder / "runs"),
            "--verdict-exit-code",
        ]
        begun = time.monotonic()
        with self._proxy(seed, config, folder / "proxy.jsonl"), (folder / "certify.log").open("wb") as log:
            code = _patiently(command, log)
        verdict, seconds = VERDICTS.get(code, f"exit {code}"), time.monotonic() - begun
        return Outcome(seed, case, verdict, seconds, _made(folder / "proxy.jsonl"), _met(folder / "runs"))

    def _facts(self, folder: Path, config: LabConfig) -> Path:
        """The lab's facts, with a kubeconfig that leads through the proxy."""
        through = folder / "kubeconfig"
        through.touch(mode=0o600)
        text = Path(self.target.kubeconfig).read_text()
        through.write_text(text.replace(config.server_url, f"https://127.0.0.1:{self.port}"))
        found = self.target.model_dump(mode="json", exclude_none=True, exclude={"is_lab"})
        path = folder / "facts.toml"
        path.write_text("\n".join(_toml({**found, "kubeconfig": str(through)})))
        return path

    @contextmanager
    def _proxy(self, seed: int, config: LabConfig, log: Path) -> Iterator[None]:
        command = [
            sys.executable, "-m", "lab.troubled", "--upstream", config.server_url, "--ca", str(config.ca_file),
            "--listen", str(self.port), "--cert", str(config.server_cert), "--key", str(config.server_key),
            "--seed", str(seed), "--rate", str(self.rate), "--kinds", self.kinds,
        ]
        with log.open("wb") as output, subprocess.Popen(command, cwd=PROJECT, stdout=output) as process:
            try:
                while not log.stat().st_size and process.poll() is None:
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()
                process.wait()


def _patiently(command: Sequence[str], log: BinaryIO) -> int:
    """Run a certification; one that is broken off is given the time to clean up."""
    with subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _lab(api_port: int) -> Iterator[Target]:
    """A lab of its own for the length of a block."""
    asked = ("--name", LAB, "--api-port", str(api_port), "--owner", str(os.getpid()))
    command = [sys.executable, "-m", "lab", "up", *asked]
    done = subprocess.run(command, cwd=PROJECT, text=True, stdout=subprocess.PIPE, check=True)
    try:
        yield lab_target(json.loads(done.stdout))
    finally:
        subprocess.run([sys.executable, "-m", "lab", "down", "--name", LAB], cwd=PROJECT, check=True)


def _test_path(test: str) -> str:
    """As certify takes it, or from the project's root."""
    return test if (PROJECT / test.partition("::")[0]).exists() else f"suites/{test}"


def _made(log: Path) -> dict[str, int]:
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return dict(Counter(entry["kind"] for entry in entries if "kind" in entry))


def _met(runs: Path) -> int:
    cases = [case for run in runs.glob("*") if run.is_dir() for case in Run(run).cases()]
    return sum(len(CaseReader(case).events(SOURCE, KIND)) for case in cases)


def _row(outcome: Outcome) -> str:
    made = ", ".join(f"{kind} {count}" for kind, count in sorted(outcome.made.items()))
    told = f"{outcome.met}; {sum(outcome.made.values())}: {made}"
    mark = "  TURNED" if outcome.turned else ""
    return (
        f"{outcome.seed:>6} {outcome.case:<10}{outcome.verdict:<15}{EXPECTED[outcome.case]:<10}"
        f"{outcome.seconds:>8.0f}  {told}{mark}"
    )


def _toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A table of plain values as lines of TOML, whose strings and arrays are written as JSON's are."""
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _tables(value):
            yield f"{json.dumps(key)} = {json.dumps(value)}"
    for key, value in table.items():
        name = ".".join(json.dumps(part) for part in (*path, key))
        if isinstance(value, Mapping):
            yield f"[{name}]"
            yield from _toml(value, (*path, key))
        for entry in value if _tables(value) else ():
            yield f"[[{name}]]"
            yield from _toml(entry, (*path, key))


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    main()
