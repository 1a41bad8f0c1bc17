"""Which of the host's package sources the guest image is built from."""

from pathlib import Path

import pytest

from lab.image.apt import KEYRING, Source, debian_sources
from lab.image.errors import ImageError


def etc(folder: Path, **files: str) -> Path:
    """Make an apt configuration directory; the name's last underscore stands for the dot."""
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / "sources.list.d" / f"{stem}.{suffix}").write_text(text)
    return folder


def test_deb822_source_is_taken_with_its_address_unchanged(tmp_path: Path) -> None:
    """A Debian stanza keeps its URI, and comments in it do not matter."""
    text = ("Types: deb\n# http://snapshot.example/1\nURIs: http://mirror.example/debian/20250520T000000Z/\n"
            "Suites: bookworm bookworm-updates bookworm-backports\nComponents: main contrib\n"
            f"Signed-By: {KEYRING}\n")
    sources = debian_sources(etc(tmp_path, debian_sources=text))
    assert sources == (Source("http://mirror.example/debian/20250520T000000Z/", ("bookworm", "bookworm-updates")),)
    assert f"Signed-By: {KEYRING}" in sources[0].deb822()


def test_one_line_source_is_taken(tmp_path: Path) -> None:
    """The older format counts as well, with and without options."""
    text = ("deb http://mirror.example/debian bookworm main\n"
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://s.example/ bookworm-security main\n"
            "deb-src http://mirror.example/debian bookworm main\n")
    assert debian_sources(etc(tmp_path, debian_list=text)) == (
        Source("http://mirror.example/debian", ("bookworm",)), Source("http://s.example/", ("bookworm-security",)))


@pytest.mark.parametrize("line", [
    "deb https://third.example/apt cloud-sdk-bookworm main",
    "deb https://third.example/apt bookworm stable",
    "deb [signed-by=/etc/apt/keyrings/third.gpg] https://third.example/debian bookworm main",
    "# deb http://mirror.example/debian bookworm main",
])  # fmt: skip
def test_third_party_source_is_never_used(tmp_path: Path, line: str) -> None:
    """Only Debian's own suites, component and key make a source of the image."""
    with pytest.raises(ImageError, match="names no Debian source for bookworm"):
        debian_sources(etc(tmp_path, third_list=line + "\n"))


def test_disabled_source_is_never_used(tmp_path: Path) -> None:
    """`Enabled: no` is honoured."""
    text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n"
    with pytest.raises(ImageError):
        debian_sources(etc(tmp_path, debian_sources=text))
