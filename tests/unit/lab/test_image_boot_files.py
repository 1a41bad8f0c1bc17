"""What the guest is started from: kernel, drivers, NoCloud volume."""

import shutil
import struct
from pathlib import Path

import pytest

from lab.image import ImageError, nocloud
from lab.image.initrd import loading_order
from lab.image.kernel import compressed_payload

MODULES_DEP = """kernel/net/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/failover.ko
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/failover.ko
kernel/drivers/char/hw_random/virtio-rng.ko:
"""


def test_modules_come_after_those_they_need() -> None:
    """Each file appears once, its needs before it; a dash and an underscore are the same."""
    order = loading_order(MODULES_DEP, ("virtio_net", "net_failover", "virtio_rng"))
    assert [Path(path).stem for path in order] == ["failover", "net_failover", "virtio_net", "virtio-rng"]


def test_unknown_module_is_named() -> None:
    """A kernel without a wanted driver is refused at build time."""
    with pytest.raises(ImageError, match="no module nosuch"):
        loading_order(MODULES_DEP, ("nosuch",))


def test_kernel_payload_is_cut_out_by_the_boot_header() -> None:
    """Position and length come from the setup header; the length word at the end is left out."""
    image = bytearray(4 * 512 + 64)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 16, 12)
    image[4 * 512 + 16 : 4 * 512 + 28] = b"payload!" + struct.pack("<I", 99)
    assert compressed_payload(bytes(image)) == b"payload!"


def test_other_kernel_format_is_refused() -> None:
    """Something else than a bzImage is told, not guessed at."""
    with pytest.raises(ImageError, match="not a bzImage"):
        compressed_payload(bytes(2048))


@pytest.mark.skipif(shutil.which("genisoimage") is None, reason="genisoimage is not installed")
def test_nocloud_volume_has_label_and_files(tmp_path: Path) -> None:
    """The volume carries the label that the guest looks for, and exactly the given texts."""
    volume = tmp_path / "cidata.iso"
    nocloud.write(volume, "#!/bin/sh\necho hello\n", '{"local-hostname": "portal-1"}\n')
    content = volume.read_bytes()
    assert content[0x8028 : 0x8028 + 6] == b"cidata"
    assert b"echo hello" in content
    assert b"portal-1" in content
    assert list(tmp_path.iterdir()) == [volume]
