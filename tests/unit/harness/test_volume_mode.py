"""In which volume mode disks are asked for: by the profile, by the class's StorageProfile, else a file system."""

from __future__ import annotations

from typing import Any, cast

import pytest

from drainproof.api import STORAGE_PROFILES, Cluster, Object, Resource
from drainproof.errors import ApiError
from drainproof.spec import claim
from fixtures import volume_mode
from fixtures.volume_mode import choose, recorded


class Profiles:
    """A cluster with StorageProfiles by class, or one that refuses a number of times."""

    def __init__(self, profiles: dict[str, Object], *refusals: ApiError) -> None:
        self.profiles, self.refusals = profiles, list(refusals)

    def find(self, resource: Resource, name: str) -> Object | None:
        assert resource == STORAGE_PROFILES
        if self.refusals:
            raise self.refusals.pop(0)
        return self.profiles.get(name)


def profile(*sets: tuple[list[str], str]) -> Object:
    told = [{"accessModes": access, **({"volumeMode": mode} if mode else {})} for access, mode in sets]
    return {"metadata": {"name": "class"}, "status": {"claimPropertySets": told}}


def chosen(found: Object | None, wanted: str = "", *refusals: ApiError) -> volume_mode.Chosen:
    return choose(cast(Cluster, Profiles({"class": found} if found else {}, *refusals)), "class", wanted)


@pytest.mark.parametrize(
    ("found", "mode", "reason"),
    [
        (profile((["ReadWriteMany"], "Block"), (["ReadWriteOnce"], "Filesystem")), "Block", "StorageProfile"),
        (profile((["ReadWriteOnce"], "Block"), (["ReadWriteMany"], "Filesystem")), "Filesystem", "StorageProfile"),
        (profile((["ReadWriteOnce", "ReadWriteMany"], "Block")), "Block", "StorageProfile"),
        (profile((["ReadWriteMany"], "")), "Filesystem", "StorageProfile"),
        (profile((["ReadWriteOnce"], "Block")), "Filesystem", "no set with ReadWriteMany"),
        ({"metadata": {"name": "class"}, "spec": {}}, "Filesystem", "no set with ReadWriteMany"),
        (None, "Filesystem", "no StorageProfile"),
    ],
)
def test_the_first_set_with_read_write_many_decides(found: Object | None, mode: str, reason: str) -> None:
    """Block storage shares raw devices alone: a file system would stay Pending for ever."""
    told = chosen(found)
    assert told.mode == mode
    assert reason in told.reason


def test_the_profile_of_the_run_goes_first() -> None:
    told = chosen(profile((["ReadWriteMany"], "Block")), "Filesystem")
    assert (told.mode, told.reason) == ("Filesystem", "portal.volume_mode of the profile")


def test_an_api_in_trouble_is_asked_again_and_one_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    block = profile((["ReadWriteMany"], "Block"))
    assert chosen(block, "", ApiError("GET", 503, "Unavailable", "a moment")).mode == "Block"
    refused = chosen(block, "", ApiError("GET", 403, "Forbidden", "no"))
    assert (refused.mode, "may not read" in refused.reason) == ("Filesystem", True)
    monkeypatch.setattr(volume_mode, "ANSWER_SECONDS", 0.1)
    lasting = chosen(block, "", *[ApiError("GET", 503, "Unavailable", "for long")] * 9)
    assert (lasting.mode, "did not tell" in lasting.reason) == ("Filesystem", True)


def test_the_cases_of_a_run_go_by_its_record() -> None:
    """It is decided once, whatever becomes of the StorageProfile meanwhile; an older record tells none."""
    facts = chosen(profile((["ReadWriteMany"], "Block"))).facts()
    assert recorded({"storage_class": {"name": "class", **facts}}) == "Block"
    older: list[dict[str, Any]] = [{}, {"storage_class": {"name": "class"}}, {"storage_class": "unknown"}]
    assert [recorded(one) for one in older] == ["Filesystem"] * 3


def test_a_claim_says_its_mode() -> None:
    assert claim("d", "class", "1Gi", volume_mode="Block")["spec"]["volumeMode"] == "Block"
    assert claim("d", "class", "1Gi")["spec"]["volumeMode"] == "Filesystem"
