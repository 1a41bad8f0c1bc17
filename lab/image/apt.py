"""The host's own Debian sources and transport settings, handed on to the image build."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.image.errors import ImageError

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITES = frozenset({SUITE, f"{SUITE}-updates", f"{SUITE}-security"})
_TRANSPORT = re.compile(r"^Acquire::(https?::|Check-|Retries |ForceIPv[46] |Queue-Mode )")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True)
class Source:
    """One Debian source of the host."""

    uris: str
    """Addresses as the host wrote them, separated by blanks."""
    suites: tuple[str, ...]

    def deb822(self) -> str:
        """Return it as a stanza that trusts Debian's own keys only."""
        return (f"Types: deb\nURIs: {self.uris}\nSuites: {' '.join(self.suites)}\nComponents: main\n"
                f"Signed-By: {KEYRING}\n")


def debian_sources(etc: Path = Path("/etc/apt")) -> tuple[Source, ...]:
    """Return the host's sources that are Debian's; ImageError when none of them holds the suite.

    A third party's source is left out: it has another suite, lacks `main`, or is signed with a key of its own.
    """
    found: list[Source] = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            found += _one_line_sources(path.read_text())
        elif path.suffix == ".sources":
            found += _deb822_sources(path.read_text())
    if not any(SUITE in source.suites for source in found):
        raise ImageError(f"{etc} names no Debian source for {SUITE} with component main; "
                         "the guest image is built from Debian 12 packages: add that source and run apt-get update")
    return tuple(dict.fromkeys(found))


def transport_options() -> str:
    """Return how the host's apt reaches its mirrors (proxies, retries, date checks), as apt.conf text."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return "".join(f"{line}\n" for line in dump.splitlines() if _TRANSPORT.match(line))


def _one_line_sources(text: str) -> list[Source]:
    matches = (_ONE_LINE.match(line.split("#")[0].strip()) for line in text.splitlines())
    return [source for m in matches if m
            if (source := _source(m["uri"], m["suite"], m["components"], _signed_by(m["options"] or "")))]


def _signed_by(options: str) -> str:
    return next((o.partition("=")[2] for o in options.split() if o.lower().startswith("signed-by=")), "")


def _deb822_sources(text: str) -> list[Source]:
    sources = []
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        fields = {name.strip().lower(): value.strip()
                  for name, separator, value in (line.partition(":") for line in unfolded.splitlines()) if separator}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        source = _source(fields.get("uris", ""), fields.get("suites", ""), fields.get("components", ""),
                         fields.get("signed-by", ""))
        if source:
            sources.append(source)
    return sources


def _source(uris: str, suites: str, components: str, signed_by: str) -> Source | None:
    wanted = tuple(suite for suite in suites.split() if suite in _SUITES)
    debian_key = not signed_by or "debian-archive" in signed_by
    return Source(uris, wanted) if wanted and uris and "main" in components.split() and debian_key else None
