"""fio in a guest, past its caches: what a disk does when asked for as much as it can, undisturbed and under a fault."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from drainproof.record import EventLog
from drainproof.wait import Deadline, pause
from scenarios.bench import BenchError, Guest, Line, parsed
from scenarios.fio_steps import steps_of

SOURCE = "fio"
"""The source of its events: begin, result."""
PREPARE, RANDOM, SEQUENTIAL = "prepare", "random", "sequential"
JOBS = (RANDOM, SEQUENTIAL)
BASELINE = "baseline"
HEAD_SECONDS = 4.0
"""So long after it was asked for a job is surely under way; an emulated guest takes seconds to load fio."""
END_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Fio:
    """fio on one guest's data disk; the jobs' own parameters stand in the guest, and in each result."""

    guest: Guest
    events: EventLog
    mib: int
    """The size of the file that it works on."""
    seconds: int
    """How long an undisturbed job lasts."""

    def prepare(self, deadline: Deadline) -> None:
        """Write the whole file, so that later reads find something; raises BenchError."""
        said = self.guest.told(SOURCE, PREPARE, str(self.mib), "1", deadline=deadline)
        result_of(said)

    def measure(self, job: str) -> None:
        """A job undisturbed, for its time."""
        with self._asked(job, BASELINE, self.seconds) as client:
            deadline = Deadline(self.seconds + END_SECONDS)
            while client.poll() is None and not deadline.expired:
                pause(0.2, deadline)

    @contextmanager
    def during(self, job: str, what: str, at_most_seconds: float) -> Iterator[None]:
        """A job for the length of a block, under way when the block begins and ended by its end."""
        with self._asked(job, what, round(at_most_seconds)) as client:
            head = Deadline(HEAD_SECONDS)
            while client.poll() is None and not head.expired:
                pause(0.2, head)
            yield

    @contextmanager
    def _asked(self, job: str, during: str, seconds: int) -> Iterator[subprocess.Popen[str]]:
        """The job, whose result is in the record when the block has ended; a result that cannot be had says why."""
        vm = self.guest.vm
        self.events.add(SOURCE, "begin", vm, job=job, during=during, mib=self.mib, seconds=seconds)
        client = self.guest.ask(SOURCE, job, str(self.mib), str(seconds))
        said = _Said(client)
        try:
            yield client
        finally:
            try:
                result = result_of(list(parsed(vm, said.all(END_SECONDS), client.returncode)))
            except BenchError as error:
                result = {"error": str(error)}
            finally:
                client.kill()
                client.wait()
            self.events.add(SOURCE, "result", vm, job=job, during=during, mib=self.mib, **result)


class _Said:
    """What a client says, taken in while it works: where nobody reads, fio waits to be heard, and measures that."""

    def __init__(self, client: subprocess.Popen[str]) -> None:
        self._client = client
        self._text = ""
        self._reader = threading.Thread(target=self._read, name="fio", daemon=True)
        self._reader.start()

    def all(self, seconds: float) -> str:
        """End the job, then all that was said; raises BenchError when it does not end within so many seconds."""
        if self._client.stdin:
            with suppress(BrokenPipeError):
                self._client.stdin.close()
        self._reader.join(seconds)
        if self._reader.is_alive():
            raise BenchError(f"fio was told to end, and did not within {seconds:g} s")
        self._client.wait()
        return self._text

    def _read(self) -> None:
        if self._client.stdout:
            with self._client.stdout as stream:
                self._text = stream.read()


def result_of(said: list[Line]) -> dict[str, Any]:
    """What the record keeps of fio's JSON: version, options of the job, how long it ran, figures of each direction.

    fio tells again and again what it has done: its last word is the result, and what was between them are the `steps`.
    `ended_ns` is when its answer arrived. Raises BenchError when there is no such JSON, or fio reports an error.
    """
    begins = [number for number, line in enumerate(said) if line.text.startswith("{")]
    if not begins:
        raise BenchError(f"fio told no result: {said[-1].text[:300] if said else 'it said nothing'}")
    told = [(said[begin], _content(said[begin:end])) for begin, end in zip(begins, [*begins[1:], None], strict=True)]
    line, content = told[-1]
    try:
        job = content["jobs"][0]
        if job["error"]:
            raise BenchError(f"fio ended with error {job['error']}: {said[0].text[:300]}")
        return {
            "version": content["fio version"],
            "options": {**content.get("global options", {}), **job["job options"]},
            "ended_ns": line.arrived_ns,
            "runtime_s": max(job["read"]["runtime"], job["write"]["runtime"]) / 1000,
            **{way: _figures(job[way]) for way in ("read", "write")},
            "steps": steps_of(told),
        }
    except (KeyError, TypeError, IndexError) as error:
        raise BenchError(f"fio told no result that can be read: {type(error).__name__}: {error}") from error


def _content(said: Sequence[Line]) -> dict[str, Any]:
    """The JSON that some lines begin with; empty if it broke off."""
    try:
        content, _ = json.JSONDecoder().raw_decode("\n".join(line.text for line in said))
    except ValueError:
        return {}
    assert isinstance(content, dict)  # it begins with a brace
    return content


def _figures(told: Mapping[str, Any]) -> dict[str, float] | None:
    """IOPS, bytes per second, and completion latencies in seconds; None of a direction in which nothing was done."""
    if not told["total_ios"]:
        return None
    latency = told["clat_ns"]
    percentiles = latency["percentile"]
    return {
        "ios": told["total_ios"], "iops": told["iops"], "bytes_per_s": told["bw_bytes"],
        "p50_s": percentiles["50.000000"] / 1e9, "p99_s": percentiles["99.000000"] / 1e9, "max_s": latency["max"] / 1e9,
    }
