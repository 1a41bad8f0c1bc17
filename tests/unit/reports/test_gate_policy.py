"""The policy of a gate: strictly read, and what decides nothing is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drainproof.errors import CannotRunError
from reports.gate.policy import Evidence, Requirement, Signature, load_policy, matches
from tests.unit.reports.gate_runs import POLICY, write_policy

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLE = DOCS / "examples" / "gate-policy.toml"


def test_the_example_is_a_policy() -> None:
    """The policy that the documentation shows can be used as it stands."""
    policy = load_policy(EXAMPLE).policy
    assert [wanted.repetitions for wanted in policy.require] == [10, 5]
    assert policy.signature is not None
    assert policy.evidence.versions == {"kubevirt": "v1.9.*"}


def test_the_short_example_is_a_policy(tmp_path: Path) -> None:
    """What docs/gate.md shows inline can be used as well, and its table names every key."""
    text = (DOCS / "gate.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert load_policy(write_policy(tmp_path, block)).policy.require[0].repetitions == 10
    for prefix, model in (("evidence", Evidence), ("require", Requirement), ("signature", Signature)):
        for key in model.model_fields:
            assert f"`{prefix}.{key}`" in text or f"`{key}`" in text, key


def test_the_defaults_are_strict(tmp_path: Path) -> None:
    """What a policy does not say lets in no emulated, quick or mixed runs, and allows no failure."""
    policy = load_policy(write_policy(tmp_path, 'name = "p"\n[[require]]\ntests = ["x"]\n')).policy
    (wanted,), evidence = policy.require, policy.evidence
    assert (evidence.emulated, evidence.profiles, evidence.same) == (False, ("standard",), ("kubernetes", "kubevirt"))
    assert (wanted.claims, wanted.repetitions, wanted.failures_allowed) == (("*",), 1, 0)


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        (POLICY, "", "lacks 'name'"),
        (POLICY, 'name = "p"', "lacks 'require': nothing would be decided"),
        (POLICY, 'name = "p"\nrequire = []', "lacks 'require': nothing would be decided"),
        ("repetitions", "repetition", "unknown key 'require.0.repetition'; did you mean 'repetitions'?"),
        ("emulated", "emulate", "unknown key 'evidence.emulate'; did you mean 'emulated'?"),
        ("[evidence]", "[evidences]", "unknown key 'evidences'; did you mean 'evidence'?"),
        ("repetitions = 2", "repetitions = 0", "require.0.repetitions: Input should be greater than or equal to 1"),
        ("repetitions = 2", 'repetitions = "2"', "require.0.repetitions: Input should be a valid integer"),
        ("repetitions = 2", "claims = []", "lacks 'require.0.claims'"),
        ("repetitions = 2", 'claims = ["outage.upd"]', "no claim is called 'outage.upd'; did you mean 'outage.udp'?"),
        ("repetitions = 2", 'limits = { "ledger" = 1 }', "no claim is called 'ledger'"),
        ("repetitions = 2", 'limits = { "outage.udp" = { at_mots = 1 } }', "did you mean 'at_most'?"),
        ("repetitions = 2", 'figures = [{ axis = "downtime" }]', "says neither at_most nor at_least"),
        ("repetitions = 2", 'figures = [{ axis = "downtime", at_mst = 1 }]', "did you mean 'at_most'?"),
        ("[[require]]", '[signature]\nallowed_signers = "x"\nidentities = []\n[[require]]', "signature.identities"),
        ("[[require]]", '[signature]\nallowed_signers = "x"\nidentities = ["-O"]\n[[require]]', "other characters"),
        ("repetitions = 2", 'limits = { "outage.udp" = inf }', "require.0.limits.outage.udp: Input should be a finite"),
        ("repetitions = 2", 'limits = { "outage.udp" = { at_most = nan } }', "at_most: Input should be a finite"),
        ("repetitions = 2", 'limits = { "outage.udp" = -1 }', "greater than or equal to 0"),
        ("repetitions = 2", 'figures = [{ axis = "downtime", at_most = -1 }]', "greater than or equal to 0"),
        ("repetitions = 2", 'figures = [{ axis = "x", at_most = 1, at_least = 2 }]', "wants at_least more than"),
        ("max_age_days = 7", "max_age_days = inf", "evidence.max_age_days: Input should be a finite number"),
        ("max_age_days = 7", "max_age_days = 1e12", "evidence.max_age_days: Input should be less than or equal"),
        (POLICY, "name = ", "cannot be read"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path: Path, good: str, bad: str, sentence: str) -> None:
    """A typing error is named with what was probably meant, and never makes the policy more lenient."""
    with pytest.raises(CannotRunError) as refused:
        load_policy(write_policy(tmp_path, POLICY.replace(good, bad)))
    assert sentence in str(refused.value)


def test_every_mistake_is_named(tmp_path: Path) -> None:
    """All that is wrong in one go."""
    text = POLICY.replace("repetitions", "repetition").replace("max_age_days", "max_age")
    with pytest.raises(CannotRunError) as refused:
        load_policy(write_policy(tmp_path, text))
    assert len(refused.value.reasons) == 2


def test_a_name_matches_itself(tmp_path: Path) -> None:
    """A parametrised test is written out as pytest names it; patterns still work."""
    assert matches("a.py::test_x[1-s]", ("a.py::test_x[1-s]",))
    assert matches("a.py::test_x[1-s]", ("*::test_x*",))
    assert not matches("a.py::test_x", ("a.py::test_X", "b*"))
