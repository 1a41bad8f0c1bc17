"""`python -m lab.image.publish`: the guest image in the forms that clusters take, without a registry or an engine.

The output directory holds

    guest.tar           OCI archive of the containerDisk, which `docker load` also takes
    disk.img            the disk in it (qcow2); vmlinuz, initrd.img; the Containerfile that builds the same of them
    guest-files.tar.gz  our own files in the guest, for a cloud image with the distribution's packages
    offline.tar         (--offline) those packages as a repository, for guests that reach no mirror
    image.json          names, digests and sizes of all that
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import file_digest
from pathlib import Path

import click

from lab.image import GuestImage, ImageError, ensure
from lab.image.bundle import guest_files, offline_packages
from lab.image.oci import ImageFile, containerfile, write_archive
from lab.image.run import run

EXIT_COULD_NOT_RUN = 3
CACHE = Path("/var/cache/drainproof")
NAME = "localhost/drainproof/guest"
"""A name that no engine looks for elsewhere; give your registry's with --name."""
QEMU_USER = 107
"""User and group of QEMU in virt-launcher, who has to be able to read a containerDisk's disk."""
NEEDED_BYTES = 2 * 1024**3
Log = Callable[[str], None]


@click.command(help="Write the guest image as containerDisk archive, disk and Containerfile.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=CACHE, help="directory of images")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("image"), show_default=True)
@click.option("--name", default=NAME, show_default=True, help="registry and repository; the tag is the recipe's hash")
@click.option("--offline", is_flag=True, help="also the Debian packages for a cloud image without a mirror")
def main(cache: Path, output: Path, name: str, offline: bool) -> None:
    """Publish the image and print the name under which it is known."""
    try:
        told = publish(ensure(cache, log=_tell), output, name, _tell, offline=offline)
    except (ImageError, OSError) as error:
        click.echo(f"could not run: {error}", err=True)
        sys.exit(EXIT_COULD_NOT_RUN)
    click.echo(told)


def publish(image: GuestImage, output: Path, name: str, log: Log, *, offline: bool = False) -> str:
    """Write everything into the directory; the image's full name. Raises ImageError and OSError."""
    output.mkdir(parents=True, exist_ok=True)
    _require_room(output)
    full = f"{name}:{image.tag}"
    log("guest image: converting the disk")
    disk = output / "disk.img"
    # Not -W: clusters are written in order, and the same disk gives the same bytes.
    run(["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", image.root, disk])
    shutil.copyfile(image.kernel, output / "vmlinuz")
    shutil.copyfile(image.initrd, output / "initrd.img")
    files = contents(output)
    log("guest image: writing the archive")
    with tempfile.TemporaryDirectory(prefix=".publish-", dir=output) as work:
        digest = write_archive(output / "guest.tar", full, files, Path(work))
    (output / "Containerfile").write_text(containerfile(files))
    guest_files(output / "guest-files.tar.gz")
    if offline:
        log("guest image: collecting the packages for a cloud image")
        offline_packages(output / "offline.tar")
    _describe(output, full, digest, image.cmdline)
    return full


def contents(folder: Path) -> Sequence[ImageFile]:
    """What the containerDisk holds, of the files in a folder.

    /disk with one file is KubeVirt's contract for a containerDisk; kernel and initial RAM disk are there for
    `firmware.kernelBoot`, which takes them out of the same image.
    """
    return (
        ImageFile(folder / "disk.img", "disk/disk.img", QEMU_USER, 0o440),
        ImageFile(folder / "vmlinuz", "boot/vmlinuz", QEMU_USER),
        ImageFile(folder / "initrd.img", "boot/initrd.img", QEMU_USER),
    )


def _describe(output: Path, name: str, digest: str, cmdline: str) -> None:
    files = {}
    for path in sorted(output.iterdir()):
        if path.is_file() and path.name != "image.json":
            with path.open("rb") as stream:
                files[path.name] = {"sha256": file_digest(stream, "sha256").hexdigest(), "bytes": path.stat().st_size}
    told = {"name": name, "manifest": digest, "kernel_arguments": cmdline, "files": files}
    (output / "image.json").write_text(json.dumps(told, indent=1) + "\n")


def _require_room(output: Path) -> None:
    free = shutil.disk_usage(output).free
    if free < NEEDED_BYTES:
        raise ImageError(f"the image needs {NEEDED_BYTES >> 20} MiB in {output}, which has {free >> 20} MiB free: "
                         "free some space or name another directory with --output")


def _tell(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
