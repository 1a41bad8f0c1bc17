"""A plan is read as a whole or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drainproof.errors import CannotRunError
from load.plan import PASSWORD_VARIABLE, Plan, sql_password


def test_a_plan_survives_being_written_and_read(plan: Plan, plan_file: Path) -> None:
    assert Plan.read(plan_file) == plan


def test_an_unknown_key_is_refused_by_name(plan: Plan, plan_file: Path) -> None:
    data = plan.model_dump(mode="json")
    data["portal"]["virtual_pi"] = "10.0.0.1"
    plan_file.write_text(json.dumps(data))
    with pytest.raises(CannotRunError, match=r"portal\.virtual_pi"):
        Plan.read(plan_file)


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match=r"none\.json cannot be read"):
        Plan.read(tmp_path / "none.json")


def test_targets_are_the_machines_and_the_virtual_address(plan: Plan) -> None:
    assert [target.name for target in plan.portal.targets] == ["a", "vip"]


def test_an_unknown_machine_is_refused_with_the_known_ones(plan: Plan) -> None:
    with pytest.raises(CannotRunError, match="choose one of a"):
        plan.portal.machine("b")


def test_without_a_password_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(CannotRunError, match=PASSWORD_VARIABLE):
        sql_password()
