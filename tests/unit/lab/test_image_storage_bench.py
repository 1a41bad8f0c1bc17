"""The guest's storage bench: the program, which speaks to its client over one connection, on this host's own disk."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab.image.recipe import GUEST

PROGRAM = GUEST / "root/usr/lib/drainproof/storage-bench"
NONCE, ANOTHER = "0123456789abcdef", "fedcba9876543210"
RECORD = 4096


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on a disk: many a temporary one is memory, which knows no direct writes."""
    place = Path(__file__).parent / f".bench-{os.getpid()}"
    place.mkdir()
    yield place
    for file in place.iterdir():
        file.unlink()
    place.rmdir()


@contextmanager
def asked(folder: Path, wish: str, program_file: Path = PROGRAM) -> Iterator[socket.socket]:
    """A connection over which a wish was sent."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    argv = [sys.executable, "-IS", str(program_file), str(folder)]
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as program:
        theirs.close()
        ours.sendall(f"{wish}\n".encode())
        try:
            yield ours
        finally:
            ours.close()
            program.wait(20)


def rest(connection: socket.socket) -> list[str]:
    """All that is said until the end."""
    said = b""
    while got := connection.recv(65536):
        said += got
    return said.decode().splitlines()


def told(folder: Path, wish: str) -> list[str]:
    with asked(folder, wish) as connection:
        return rest(connection)


def written(folder: Path, count: int, first: int = 0, nonce: str = NONCE) -> list[list[int]]:
    """The acknowledged writes of a whole ledger: number, intended, submitted, completed, own."""
    lines = told(folder, f"write {nonce} {first} {count} 500")
    assert lines[0].startswith("begin ")
    assert lines[-1] == f"end {count}"
    assert all(line.startswith("a ") for line in lines[1:-1])
    return [[int(word) for word in line.split()[1:]] for line in lines[1:-1]]


def found(folder: Path, count: int, nonce: str = NONCE) -> dict[str, Any]:
    """What is read back, by state."""
    content = json.loads(told(folder, f"verify {nonce} {count}")[-1])
    assert content["count"] == count
    assert content["writable"] is True
    states: dict[str, Any] = content["states"]
    return states


def overwrite(folder: Path, at: int, content: bytes) -> None:
    with (folder / f"ledger-{NONCE}").open("r+b") as file:
        file.seek(at)
        file.write(content)
        os.fsync(file.fileno())


def test_it_tells_what_it_can_do(folder: Path) -> None:
    """Which boot it is, how much room there is, whether writes are allowed."""
    content = json.loads(told(folder, "hello")[0])
    assert content["mounted"] is True
    assert content["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert content["free_bytes"] > 0
    assert content["writable"] is True


def test_writes_follow_an_absolute_schedule_and_are_found_again(folder: Path) -> None:
    """Each is meant for its own moment, none goes out before it, and the next does not wait for the client."""
    writes = written(folder, 20)
    assert [seq for seq, *_ in writes] == list(range(20))
    assert {later[1] - earlier[1] for earlier, later in pairwise(writes)} == {2_000_000}
    assert all(intended <= submitted <= completed for _, intended, submitted, completed, _ in writes)
    assert found(folder, 24) == {"present": [[0, 19]], "missing": [[20, 23]]}


def test_a_ledger_goes_on_where_it_ended(folder: Path) -> None:
    """A second session, after a restart of the guest, adds to the first."""
    written(folder, 5)
    assert [seq for seq, *_ in written(folder, 9, first=5)] == [5, 6, 7, 8]
    assert found(folder, 9) == {"present": [[0, 8]]}


def test_it_ends_when_its_client_wants_no_more(folder: Path) -> None:
    """The half-closed connection ends the writing, and the last line says where."""
    with asked(folder, f"write {NONCE} 0 100000 50") as connection:
        said = b""
        while said.count(b"\n") < 6:
            said += connection.recv(4096)
        connection.shutdown(socket.SHUT_WR)
        lines = said.decode().splitlines() + rest(connection)
    assert lines[-1].startswith("end ")
    assert int(lines[-1].split()[1]) < 1000


@pytest.mark.parametrize(
    ("at", "content", "state"),
    [
        (3 * RECORD + 512, bytes(512), "torn"),
        (3 * RECORD + 100, b"x", "torn"),
        (3 * RECORD, bytes(RECORD), "missing"),
    ],
)
def test_what_is_damaged_is_told(folder: Path, at: int, content: bytes, state: str) -> None:
    """A lost sector, a flipped byte, a lost record: each is seen, and only it."""
    written(folder, 6)
    overwrite(folder, at, content)
    assert found(folder, 6) == {"present": [[0, 2], [4, 5]], state: [[3, 3]]}


def test_a_whole_record_in_the_wrong_place_is_stale(folder: Path) -> None:
    """It has a good checksum; its number gives it away."""
    written(folder, 6)
    overwrite(folder, 3 * RECORD, (folder / f"ledger-{NONCE}").read_bytes()[RECORD : 2 * RECORD])
    assert found(folder, 6)["stale"] == [[3, 3]]


def test_each_nonce_has_a_ledger_of_its_own(folder: Path) -> None:
    """What somebody else writes covers nothing of it; a record of theirs in its place is none of its own."""
    written(folder, 4, nonce=ANOTHER)
    written(folder, 2)
    assert found(folder, 4) == {"present": [[0, 1]], "missing": [[2, 3]]}
    assert found(folder, 4, nonce=ANOTHER) == {"present": [[0, 3]]}
    overwrite(folder, 0, (folder / f"ledger-{ANOTHER}").read_bytes()[:RECORD])
    assert found(folder, 2) == {"stale": [[0, 0]], "present": [[1, 1]]}


def test_a_ledger_is_filled_before_it_begins(folder: Path) -> None:
    """Otherwise a write changes what the file system knows of the file too, which a reading need not see."""
    with asked(folder, f"write {NONCE} 0 300 0.1") as connection:
        assert connection.recv(4096).startswith(b"begin ")
        facts = (folder / f"ledger-{NONCE}").stat()
    assert (facts.st_size, facts.st_blocks * 512 >= facts.st_size) == (300 * RECORD, True)


def test_one_client_at_a_time_writes(folder: Path) -> None:
    """Whoever else reaches the port cannot disturb what is measured; the next may once it has ended."""
    with asked(folder, f"write {NONCE} 0 300 50") as connection:
        assert connection.recv(4096).startswith(b"begin ")
        assert told(folder, f"write {ANOTHER} 0 300 50") == ["refused: write is what another client is at"]
        connection.shutdown(socket.SHUT_WR)
        rest(connection)
        assert told(folder, f"write {ANOTHER} 0 2 50")[-1] == "end 2"


def test_a_client_that_says_nothing_is_not_waited_for(folder: Path, tmp_path: Path) -> None:
    """Each takes a process of the guest."""
    program = changed(tmp_path, "WISH_SECONDS = 10.0", "WISH_SECONDS = 0.1")
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    argv = [sys.executable, "-IS", str(program), str(folder)]
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as running:
        theirs.close()
        assert rest(ours) == ["refused: no wish was told in time"]
        assert running.wait(20) == 0


def test_a_disk_that_is_not_mounted_says_so(folder: Path) -> None:
    """It holds nothing, in no file system; nothing is made of it."""
    away = folder / "away"
    content = json.loads(told(away, "hello")[0])
    assert (content["mounted"], content["writable"], content["free_bytes"]) == (False, False, 0)
    read = json.loads(told(away, f"verify {NONCE} 3")[-1])
    assert (read["states"], read["writable"]) == ({"in no file system": [[0, 2]]}, False)
    assert told(away, f"write {NONCE} 0 3 10")[-1].startswith("refused: ")
    assert not list(folder.iterdir())


def changed(folder: Path, words: str, others: str) -> Path:
    """The program with some words replaced."""
    text = PROGRAM.read_text()
    assert words in text
    path = folder / "storage-bench"
    path.write_text(text.replace(words, others))
    return path


def slow(folder: Path, seconds: float, seq: int = 1) -> Path:
    """The program on a disk that answers one write only after so long."""
    write = "posix.pwrite(file, buffer, seq * RECORD)"
    return changed(folder, write, f"(select((), (), (), {seconds} if seq == {seq} else 0), {write})[1]")


def numbers(line: str) -> list[int]:
    return [int(word) for word in line.split()[1:]]


def test_a_write_that_the_disk_does_not_answer_is_told_of(folder: Path, tmp_path: Path) -> None:
    """Each second, with the time that it is out; one that never ends has no other trace."""
    with asked(folder, f"write {NONCE} 0 3 20", slow(tmp_path, 2.5)) as connection:
        lines = rest(connection)
    waiting = [numbers(line) for line in lines if line.startswith("h ")]
    ended = next(numbers(line) for line in lines if line.startswith("a 1 "))
    assert len(waiting) == 2
    assert all(one[:3] == ended[:3] for one in waiting)
    assert 1_000_000_000 <= waiting[0][3] - ended[2] < waiting[1][3] - ended[2] < ended[3] - ended[2]


def stood_still(process: subprocess.Popen[bytes], seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    select_nothing(seconds)
    process.send_signal(signal.SIGCONT)


def test_all_of_the_time_in_which_the_guest_did_not_run_is_its_own(folder: Path, tmp_path: Path) -> None:
    """Twice within one write: both count, and no more than the write took."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    argv = [sys.executable, "-IS", str(slow(tmp_path, 3.0)), str(folder)]
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as program:
        theirs.close()
        ours.sendall(f"write {NONCE} 0 2 20\n".encode())
        said = b""
        while b"\nh " not in said:
            said += ours.recv(4096)
        for _ in range(2):
            stood_still(program, 0.4)
            select_nothing(0.2)
        lines = (said.decode() + "\n".join(rest(ours))).splitlines()
    _, _, submitted, completed, own = next(numbers(line) for line in lines if line.startswith("a 1 "))
    assert 600_000_000 <= own <= completed - submitted


def test_what_the_guest_lost_before_a_write_is_none_of_its_own(folder: Path, tmp_path: Path) -> None:
    """It was the schedule that stood still, and not the disk."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    argv = [sys.executable, "-IS", str(slow(tmp_path, 0.8, 0)), str(folder)]
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as program:
        theirs.close()
        ours.sendall(f"write {NONCE} 0 1 1\n".encode())
        assert ours.recv(4096).startswith(b"begin ")
        select_nothing(0.5)
        stood_still(program, 1.0)
        (line,) = (line for line in rest(ours) if line.startswith("a "))
    _, intended, submitted, completed, own = numbers(line)
    assert submitted - intended > 300_000_000
    assert completed - submitted >= 800_000_000
    assert own < 400_000_000


def test_a_stall_shows_in_the_times_and_not_in_the_schedule(folder: Path) -> None:
    """A guest that stood still writes at once what is late, with the time that it was meant for."""
    argv = [sys.executable, "-IS", str(PROGRAM), str(folder)]
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as program:
        theirs.close()
        ours.sendall(f"write {NONCE} 0 40 50\n".encode())
        first = ours.recv(4096)
        program.send_signal(signal.SIGSTOP)
        select_nothing(0.3)
        program.send_signal(signal.SIGCONT)
        lines = first.decode() + "\n".join(rest(ours))
    rows = [[int(word) for word in line.split()[1:]] for line in lines.splitlines() if line.startswith("a ")]
    assert {later[1] - earlier[1] for earlier, later in pairwise(rows)} == {20_000_000}
    assert max(submitted - intended for _, intended, submitted, _, _ in rows) > 200_000_000


def select_nothing(seconds: float) -> None:
    signal.sigtimedwait((), seconds)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("bogus", "not known"),
        ("write abc 0 10 10", "16 hexadecimal digits"),
        (f"write {NONCE} 0 10 1e9", "not between"),
        (f"write {NONCE} 0 99999999 10", "not between"),
        (f"verify {NONCE}", "index out of range"),
        ("fio /etc/passwd 1 1", "there is no job"),
        ("fio random 1 99999", "not between"),
        ("fio random 1;id 1", "could not convert"),
        ("", "index out of range"),
        ("x" * 200, "no wish was told in a line"),
    ],
)
def test_what_it_cannot_do_it_refuses(folder: Path, wish: str, reason: str) -> None:
    """Nothing but four wishes with bounded numbers: no command, no path."""
    said = told(folder, wish)[-1]
    assert said.startswith("refused: ")
    assert reason in said


def test_an_empty_disk_has_nothing(folder: Path) -> None:
    """A disk that lost the whole ledger, such as a clone's that was made anew, holds none of it; no file is made."""
    assert found(folder, 4) == {"missing": [[0, 3]]}
    assert not list(folder.iterdir())


IGNORING_CHILDREN = (
    "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
)
FAKE_FIO = """#!/usr/bin/python3
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
print(" ".join(sys.argv[1:]), flush=True)
signal.sigtimedwait((signal.SIGINT,), 20)
print("measured", flush=True)
"""


def test_fio_is_run_with_fixed_words_and_ended_with_its_client(folder: Path, tmp_path: Path) -> None:
    """Who takes connections in the guest ignores SIGCHLD; fio is told to end all the same, and its answer goes out."""
    fio, program = tmp_path / "fio", tmp_path / "storage-bench"
    fio.write_text(FAKE_FIO)
    fio.chmod(0o755)
    program.write_text(PROGRAM.read_text().replace('"/usr/bin/fio"', repr(str(fio))))
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    argv = [sys.executable, "-c", IGNORING_CHILDREN, sys.executable, "-IS", str(program), str(folder)]
    with ours, subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno()) as running:
        theirs.close()
        ours.sendall(b"fio random 64 30\n")
        words = ours.recv(4096).decode().split()
        ours.shutdown(socket.SHUT_WR)
        assert rest(ours)[-1] == "measured"
        assert running.wait(20) == 0
    assert f"--filename={folder}/fio" in words
    assert (folder / "fio.lock").exists()
    assert {"--rw=randrw", "--direct=1", "--size=64m", "--runtime=30", "--output-format=json+"} <= set(words)
    assert "--status-interval=500ms" in words
