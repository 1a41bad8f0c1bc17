"""NoCloud volumes: user data and meta data as the small disk that a guest reads at start."""

import tempfile
from pathlib import Path

from lab.image.run import run


def write(path: Path, user_data: str, meta_data: str, network_config: str | None = None) -> None:
    """Write an ISO 9660 volume labelled `cidata` to `path`, replacing it atomically.

    ImageError when the volume cannot be made.
    """
    files = {"user-data": user_data, "meta-data": meta_data, "network-config": network_config}
    with tempfile.TemporaryDirectory(prefix=".cidata-", dir=path.parent) as folder:
        content = Path(folder) / "content"
        content.mkdir()
        for name, text in files.items():
            if text is not None:
                (content / name).write_text(text)
        volume = Path(folder) / "volume"
        run(["genisoimage", "-quiet", "-output", volume, "-volid", "cidata", "-joliet", "-rock", content])
        volume.rename(path)
