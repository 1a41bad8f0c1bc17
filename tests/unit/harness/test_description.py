"""The command that a record names asks for the same again."""

from __future__ import annotations

import shlex

from drainproof.cli import certify
from drainproof.settings import load_profile
from drainproof.target import Target
from fixtures.description import Asked
from fixtures.options import PROFILES


def parameters(asked: Asked, target: Target) -> dict[str, object]:
    """What `drainproof certify` makes of the command, and whether its words survive a shell."""
    words = asked.words(target, load_profile("quick", PROFILES))
    assert shlex.split(shlex.join(words)) == words
    return certify.make_context("certify", words[2:]).params


def test_the_command_names_all_that_was_asked_for() -> None:
    """A run on another storage class, of other tests or with other workers is not the same run."""
    asked = Asked(
        tests=("storage", "galera"), profile=__file__, target_facts=__file__, storage_class="fast one",
        keyword="snapshot or clone", workers=3, nodes="node-a,node-b", allow_bystanders=True,
    )
    assert parameters(asked, Target(name="real", context="one/two")) == {
        "tests": ("storage", "galera"), "target": "kubeconfig:one/two", "target_facts": __file__, "profile": __file__,
        "storage_class": "fast one", "runs": "runs", "keyword": "snapshot or clone", "workers": 3,
        "nodes": "node-a,node-b", "allow_bystanders": True, "clients": None, "client_workers": None, "dry_run": False,
        "tests_from": None,
    }


def test_what_was_not_asked_for_is_left_to_the_command() -> None:
    """But for the profile, whose default depends on the target."""
    found = parameters(Asked(), Target(name="lab", is_lab=True))
    assert (found["target"], found["profile"], found["storage_class"], found["workers"]) == ("lab", "quick", "", None)
