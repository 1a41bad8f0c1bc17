"""User data for a cloud image: YAML that cloud-init takes, scripts that a shell takes, packages that the bundle has."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from drainproof.errors import CannotRunError
from drainproof.settings import Profile, load_profile
from drainproof.target import StorageFacts, Target
from fixtures.cloud_image import PACKAGES, CloudGuest
from fixtures.portal import PortalPlan, machine_spec
from lab.image.bundle import CLOUD_PACKAGES, guest_files

PROFILES = Path(__file__).parents[3] / "suites" / "profiles"
SCHEMA = Path("/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json")
MEMBER = "#!/bin/sh\nprintf %s 'a \"secret\" $word' >/run/portal.password\n"
GUESTS = {"mirror": CloudGuest(b"files", MEMBER), "bundle": CloudGuest(b"files", MEMBER, "http://192.0.2.1/offline.tar")}


@pytest.fixture(params=GUESTS)
def guest(request: pytest.FixtureRequest) -> CloudGuest:
    return GUESTS[request.param]


def config(guest: CloudGuest) -> dict[str, Any]:
    text = guest.user_data()
    assert text.startswith("#cloud-config\n")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def files(guest: CloudGuest) -> dict[str, dict[str, Any]]:
    return {one["path"]: one for one in config(guest)["write_files"]}


def test_it_follows_cloud_init_s_own_schema(guest: CloudGuest) -> None:
    """That of the installed cloud-init, or of DRAINPROOF_CLOUD_INIT_SCHEMA."""
    path = Path(os.environ.get("DRAINPROOF_CLOUD_INIT_SCHEMA", SCHEMA))
    if not path.exists():
        pytest.skip(f"cloud-init's schema is not at hand: {path}; DRAINPROOF_CLOUD_INIT_SCHEMA can name it")
    schema = json.loads(path.read_text())
    jsonschema.Draft4Validator(schema).validate(config(guest))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schema).validate({**config(guest), "write_files": [{"path": 1}]})


def test_scripts_are_a_shell_s(guest: CloudGuest) -> None:
    """Each file that begins as a script, and what keeps services stopped."""
    scripts = [one["content"] for one in files(guest).values() if one["content"].startswith("#!/bin/sh")]
    assert len(scripts) == (4 if guest.bundle_url else 3)
    for script in [*scripts, config(guest)["bootcmd"][0][2]]:
        assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_member_s_script_comes_through_unchanged_and_for_root_alone(guest: CloudGuest) -> None:
    """Quotes, dollars and line ends survive YAML; nobody else reads the password."""
    member = files(guest)["/usr/lib/drainproof/cloud-member"]
    assert member["content"] == MEMBER
    assert member["permissions"] == "0700"
    assert "secret" not in repr(guest)


def test_our_files_come_through_unchanged(guest: CloudGuest) -> None:
    assert base64.b64decode(files(guest)["/usr/lib/drainproof/guest-files.tar.gz"]["content"]) == b"files"


def test_what_is_run_is_written(guest: CloudGuest) -> None:
    """Every command of ours is one of the files, executable, and packages come before what needs them."""
    commands = [command[0] for command in config(guest)["runcmd"]]
    assert commands[-1].endswith("cloud-install")
    for command in commands:
        assert files(guest)[command]["permissions"] == "0755"
    unit = files(guest)["/etc/systemd/system/drainproof-guest.service"]["content"]
    for line in unit.splitlines():
        if line.startswith("ExecStart"):
            assert line.partition("=")[2] in files(guest)


def test_packages_come_from_mirrors_or_from_the_bundle_alone() -> None:
    """Where there is no mirror cloud-init must not try one: each attempt takes minutes."""
    mirror, bundle = config(GUESTS["mirror"]), config(GUESTS["bundle"])
    assert mirror["packages"] == list(PACKAGES)
    assert mirror["package_upgrade"] is False
    assert not {"packages", "package_update", "package_upgrade"} & set(bundle)
    script = files(GUESTS["bundle"])["/usr/lib/drainproof/cloud-packages"]["content"]
    assert "'http://192.0.2.1/offline.tar'" in script
    assert all(f" {name}" in script for name in PACKAGES)


def test_the_bundle_has_every_package() -> None:
    """`make image --offline` collects what the user data asks for."""
    assert set(PACKAGES) <= {*CLOUD_PACKAGES, "runit", "util-linux", "e2fsprogs"}


def test_real_files_fit_into_a_secret(tmp_path: Path) -> None:
    """With all of our files; what is far too large is refused before it is sent."""
    guest_files(tmp_path / "files.tar.gz")
    assert len(CloudGuest((tmp_path / "files.tar.gz").read_bytes(), MEMBER).user_data()) < 100_000
    with pytest.raises(CannotRunError, match="a Secret takes"):
        CloudGuest(os.urandom(1 << 20), MEMBER).user_data()


@pytest.fixture
def profile() -> Profile:
    return load_profile("quick", PROFILES)


def target(**facts: Any) -> Target:
    pool = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    return Target(name="t", guest_image="i", storage_classes=StorageFacts(shared="s"), address_pool=pool, **facts)


def test_a_cloud_image_boots_by_itself(profile: Profile, tmp_path: Path) -> None:
    """Its machines have no kernel from the image; ours have."""
    (tmp_path / "files").write_bytes(b"files")
    cloud = PortalPlan.of(profile, target(guest_kind="cloud-image", guest_files=str(tmp_path / "files")), "n", ())
    domain = machine_spec(cloud, "portal-0", "").manifest()["spec"]["template"]["spec"]["domain"]
    assert "firmware" not in domain
    ours = PortalPlan.of(profile, target(), "n", ())
    domain = machine_spec(ours, "portal-0", "").manifest()["spec"]["template"]["spec"]["domain"]
    assert domain["firmware"]["kernelBoot"]["container"]["kernelPath"] == "/boot/vmlinuz"


def test_what_a_cloud_image_cannot_do_is_told(profile: Profile, tmp_path: Path) -> None:
    """Without our files there is no portal; the storage suite needs our image."""
    with pytest.raises(CannotRunError, match="make image"):
        PortalPlan.of(profile, target(guest_kind="cloud-image", guest_files=str(tmp_path / "none")), "n", ())
    with pytest.raises(CannotRunError, match="Disks are certified with the image"):
        PortalPlan.of(profile, target(guest_kind="cloud-image"), "n", (), portal=False)
