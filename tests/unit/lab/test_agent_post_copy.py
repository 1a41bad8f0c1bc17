"""Post-copy: whether this machine can receive it, and when a guest has arrived in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.agent.context import Node
from lab.agent.launcher import Launcher
from lab.agent.migration_target import Arrival
from lab.agent.qmp import MonitorEvent
from lab.config import LabConfig

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_who_may_not_use_userfaultfd_says_so() -> None:
    """The kernel keeps it from plain users, where vm.unprivileged_userfaultfd is 0 as it is by default."""
    if Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() != "0":
        pytest.skip("this machine lets everybody use userfaultfd")
    program = "import os\nfrom lab.agent import post_copy\nos.setuid(65534)\nprint(post_copy.trouble())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("userfaultfd: Operation not permitted")


def _arrival(*, allowed: bool) -> Arrival:
    launcher = Launcher(
        namespace="ns", pod="pod", pod_uid="p", vmi="vm", vmi_uid="v", ip="", mac="", directory=Path(), started_at="",
        migration="m-1",
    )
    configuration = {"allowPostCopy": allowed}
    vmi: dict[str, Any] = {
        "metadata": {"name": "vm", "namespace": "ns"},
        "status": {"migrationState": {"migrationConfiguration": configuration}},
    }
    return Arrival(Node(LabConfig(), "node-b", None), vmi, launcher)  # type: ignore[arg-type]


def _seen(arrival: Arrival, *events: tuple[str, str]) -> list[tuple[bool, bool]]:
    """Whether it was over, and whether the guest had arrived, after each event."""

    async def feed() -> list[tuple[bool, bool]]:
        states = []
        for number, (name, status) in enumerate(events):
            arrival.note(MonitorEvent(name, number, {"status": status} if status else {}))
            states.append((arrival.over.is_set(), arrival.arrived))
        return states

    return asyncio.run(feed())


def test_a_resumed_guest_has_arrived_in_pre_copy() -> None:
    """All of it is there: the source has nothing more to send."""
    assert _seen(_arrival(allowed=False), ("RESUME", "")) == [(True, True)]


def test_a_resumed_guest_has_not_arrived_while_it_may_miss_memory() -> None:
    """Where post-copy is allowed only the end of the migration counts."""
    events = (("RESUME", ""), ("MIGRATION", "postcopy-active"), ("MIGRATION", "completed"))
    assert _seen(_arrival(allowed=True), *events) == [(False, False), (False, False), (True, True)]


def test_a_guest_whose_source_is_lost_in_post_copy_never_arrives() -> None:
    """It is given up: half of its memory is gone."""
    events = (("RESUME", ""), ("MIGRATION", "postcopy-paused"))
    assert _seen(_arrival(allowed=True), *events)[-1] == (True, False)
