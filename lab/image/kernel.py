"""The kernel: taken out of its self-extracting wrapper, so that no guest spends time on unpacking it."""

import struct
from pathlib import Path

from lab.image.errors import ImageError
from lab.image.run import run

_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_ELF = b"\x7fELF"


def compressed_payload(image: bytes) -> bytes:
    """Return the compressed kernel inside a bzImage.

    The setup header's fields are those of the Linux x86 boot protocol: setup_sects at 0x1f1, magic "HdrS" at 0x202,
    payload_offset and payload_length at 0x248; the payload ends with its uncompressed length, which is left out.
    """
    if image[0x202:0x206] != b"HdrS":
        raise ImageError("the kernel package's vmlinuz is not a bzImage; lab/image/kernel.py cannot unpack it")
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1F1] + 1) * 512 + offset
    return image[start : start + length - 4]


def unpack(tree: Path, kernel: Path) -> None:
    """Write the uncompressed kernel of the package in `tree`, which QEMU starts through its PVH entry."""
    payload = compressed_payload(next((tree / "boot").glob("vmlinuz-*")).read_bytes())
    if not payload.startswith(_LZ4_LEGACY):
        raise ImageError("the kernel is not compressed with lz4 as Debian's cloud kernel is; "
                         "lab/image/kernel.py cannot unpack it")
    (tree / "run/kernel.lz4").write_bytes(payload)
    run(["chroot", tree, "lz4", "-d", "-q", "-f", "/run/kernel.lz4", "/run/vmlinux"])
    (tree / "run/kernel.lz4").unlink()
    (tree / "run/vmlinux").rename(kernel)
    with kernel.open("rb") as file:
        if file.read(4) != _ELF:
            raise ImageError("the unpacked kernel is not an ELF file; lab/image/kernel.py cannot unpack this kernel")
