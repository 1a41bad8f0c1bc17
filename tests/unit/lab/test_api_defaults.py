"""What the API server fills in by itself."""

from __future__ import annotations

from lab.api import defaults
from lab.api.store import Store
from lab.kinds import SECRET


def test_plain_strings_of_a_secret_become_data() -> None:
    """stringData is write-only: it is stored encoded, beside what was there."""
    body = {"metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"userdata": "#!/bin/sh"}}
    made = defaults.apply(Store(), SECRET, body)
    assert made["data"] == {"a": "eA==", "userdata": "IyEvYmluL3No"}
    assert "stringData" not in made
    changed = defaults.on_update(SECRET, {**made, "stringData": {"a": "y"}})
    assert changed["data"]["a"] == "eQ=="
