"""What the tests of this folder have sent, the last of them to look: a real cluster would know every field of it."""

from __future__ import annotations

import pytest

from drainproof.target import Target
from lab.lifecycle.leftovers import DEFAULT_STATE
from tests.contract import sent
from tests.lab.conftest import LAB
from tests.recordings import recordings

ENOUGH = 50
"""Fewer are those of a start alone."""


def test_a_real_cluster_would_know_every_field(target: Target) -> None:
    """All bodies in the audit log of the lab that the certifications before this one used."""
    recordings()
    right, wrong, _ = sent.faults(DEFAULT_STATE / LAB / "logs" / "audit.log")
    if sum(right.values()) + len(wrong) < ENOUGH:
        pytest.skip("no certification ran on this lab before; run the whole folder")
    assert wrong == {}
    assert right["VirtualMachine"] > 0
