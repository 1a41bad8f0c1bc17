"""The guest's file tree: Debian packages unpacked, our files on top, the database template made, the rest pruned."""

import os
import shutil
from pathlib import Path

from lab.image import apt
from lab.image.recipe import GUEST, PACKAGES, PRUNED, USERS
from lab.image.run import run, run_isolated

_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_LIST_PACKAGES = 'for package in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb -W "$package"; done'
_EXECUTABLE_FOLDERS = ("usr/bin", "usr/lib/drainproof", "etc/acpi", "etc/sv")


def unpack(tree: Path, work: Path) -> None:
    """Unpack the packages into `tree` without running their installation scripts.

    Services are started by our own init, so nothing that those scripts would set up is missed; accounts are ours too.
    """
    sources = work / "debian.sources"
    sources.write_text("\n".join(source.deb822() for source in apt.debian_sources()))
    options = work / "apt.conf"
    options.write_text(apt.transport_options())
    run_isolated(
        ["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory", f"--hook-dir={_HOOKS}",
         f"--aptopt={options}", f"--extract-hook={_LIST_PACKAGES} > '{work}/packages.txt'",
         f"--include={','.join(PACKAGES)}", apt.SUITE, tree, sources],
        network=True,
    )  # fmt: skip


def installed(work: Path) -> dict[str, str]:
    """Return the version of each package that `unpack` put into the tree."""
    return dict(line.split("\t", 1) for line in sorted((work / "packages.txt").read_text().splitlines()))


def furnish(tree: Path) -> None:
    """Put accounts, our files, the missing commands and the database template into the tree."""
    _write_accounts(tree)
    shutil.rmtree(tree / "etc/sv", ignore_errors=True)  # services of the packages, which ours replace
    _copy_guest_files(tree)
    _link_commands(tree)
    run(["chroot", tree, "ldconfig"])
    _in_tree(tree, GUEST / "build" / "database-template.sh")
    # Byte code of what the portal imports, and of nothing else.
    run(["chroot", tree, "env", "PYTHONPATH=/usr/share/portal", "python3", "-c", "import portal"])


def prune(tree: Path) -> None:
    """Remove what a running guest never reads."""
    for folder in PRUNED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    for folder in ("boot", "data", "var/cache", "var/log", "var/lib/nginx"):
        (tree / folder).mkdir(parents=True, exist_ok=True)


def pack(tree: Path, image: Path) -> None:
    """Write the tree as an ext4 file system without journal, to be attached read-only."""
    used = int(run(["du", "-s", "--block-size=1M", tree]).split()[0])
    features = ["-O", "^has_journal,^metadata_csum", "-E", "lazy_itable_init=1"]
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, "-L", "root", "-b", "4096", "-m", "0", *features,
         image, f"{used + used // 8 + 16}M"])  # fmt: skip


def _copy_guest_files(tree: Path) -> None:
    """Copy our files with the modes they need in the guest, whatever the clone's own modes are."""
    source = GUEST / "root"
    for path in sorted(source.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        inside = path.relative_to(source)
        if path.is_dir():
            (tree / inside).mkdir(exist_ok=True)
            (tree / inside).chmod(0o755)
        else:
            shutil.copyfile(path, tree / inside)
            (tree / inside).chmod(0o755 if str(inside).startswith(_EXECUTABLE_FOLDERS) else 0o644)


def _write_accounts(tree: Path) -> None:
    masters = tree / "usr/share/base-passwd"
    passwd, group = (masters / "passwd.master").read_text(), (masters / "group.master").read_text()
    passwd += "".join(f"{name}:*:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n" for name, uid in USERS)
    group += "".join(f"{name}:*:{uid}:\n" for name, uid in USERS)
    (tree / "etc/passwd").write_text(passwd)
    (tree / "etc/group").write_text(group)


def _link_commands(tree: Path) -> None:
    """Let busybox stand in for the commands that no package brought, and be init and sh."""
    present = {path.name for folder in ("usr/bin", "usr/sbin") for path in (tree / folder).iterdir()}
    for name in run([tree / "usr/bin/busybox", "--list"]).split():
        if name not in present:
            (tree / "usr/bin" / name).symlink_to("busybox")
    links = {"usr/bin/sh": "busybox", "usr/sbin/init": "../bin/busybox", "usr/bin/awk": "busybox",
             "usr/sbin/shutdown": "../lib/drainproof/shutdown"}
    for link, destination in links.items():
        (tree / link).unlink(missing_ok=True)
        (tree / link).symlink_to(destination)


def _in_tree(tree: Path, script: Path) -> None:
    """Run a script inside the tree with the kernel's file systems, cut off from every network."""
    inside = tree / "run" / script.name
    shutil.copy(script, inside)
    os.chmod(inside, 0o755)  # noqa: PTH101
    mounts = f'mount --rbind /dev "{tree}/dev" && mount -t proc proc "{tree}/proc"'
    run_isolated(["sh", "-c", f'{mounts} && exec chroot "{tree}" /run/{script.name}'], network=False)
    inside.unlink()
