"""Signatures of runs: somebody vouches for a run's manifest with an SSH key, by `ssh-keygen -Y`.

The key stays where it is, in its file or with the SSH agent; the record holds the signature alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from drainproof.errors import CannotRunError, RecordError
from drainproof.record.run import RunInfo
from drainproof.record.run_manifest import RUN_MANIFEST, seal_run, verification

SIGNATURE: Final = f"{RUN_MANIFEST}.sig"
NAMESPACE: Final = "drainproof-run@v1"
"""What a signature is for: one that was made for another purpose does not fit, and this one fits no other."""
IDENTITY: Final = re.compile(r"[A-Za-z0-9._+@][A-Za-z0-9._+@-]*")
"""What a signer may be called: what ssh-keygen takes neither for an option nor for a pattern."""


class Signed(StrEnum):
    """What a signature amounts to."""

    GOOD = "good"
    """One of the wanted signers has signed this very manifest."""
    MISSING = "missing"
    STRANGER = "stranger"
    """The signature fits the manifest, but none of the wanted signers made it, or not with a key that is valid."""
    MISFIT = "misfit"
    """The signature is not one of this manifest: one of the two was changed or exchanged."""


@dataclass(frozen=True, slots=True)
class SignatureFound:
    """The state of a run's signature, who made it if that is known, and ssh-keygen's own words if it is not good."""

    state: Signed
    signer: str = ""
    words: str = ""


def sign(run: Path, key: Path) -> Path:
    """Sign the manifest of an intact run with a private key, or by the agent with the public key; returns the file.

    Raises RecordError when there is no run, or it differs from its manifest, CannotRunError when it cannot be signed.
    """
    RunInfo.read(run)
    verified = verification(run)
    if verified.troubles or verified.manifest is None:
        raise RecordError(f"{run}: is not signed, because it is not what was sealed: {'; '.join(verified.troubles)}")
    if not key.is_file():
        raise CannotRunError(f"There is no key {key}; name the file of an SSH key.")
    done = _ssh_keygen(["-Y", "sign", "-f", str(key.resolve()), "-n", NAMESPACE], verified.manifest)
    if done.returncode or not done.stdout:
        raise CannotRunError(f"{run} could not be signed with {key}: {_words(done)}; give ssh-keygen a usable key.")
    path = run / SIGNATURE
    temporary = path.with_name(f"{SIGNATURE}.tmp")
    temporary.write_bytes(done.stdout)
    temporary.replace(path)
    return path


def renew(run: Path) -> bool:
    """Seal a run anew because its verdicts were replaced; returns whether a signature of the former ones was removed.

    Ask `run_manifest.renewable` before the verdicts are replaced. Raises RecordError when a file cannot be read.
    """
    before = (run / RUN_MANIFEST).read_bytes()
    seal_run(run)
    stale = (run / RUN_MANIFEST).read_bytes() != before and (run / SIGNATURE).exists()
    if stale:
        (run / SIGNATURE).unlink()
    return stale


def verify_signature(
    run: Path, allowed_signers: Path, identities: Sequence[str], moment: datetime | None = None,
    manifest: bytes | None = None,
) -> SignatureFound:
    """Whether one of the identities has signed the run's manifest, with a key that was valid at the moment.

    `manifest` is the manifest that the run was verified against, so that it cannot be exchanged in between.
    Raises CannotRunError when ssh-keygen is missing, or the file of allowed signers cannot be read.
    """
    content = (run / RUN_MANIFEST).read_bytes() if manifest is None else manifest
    signature = (run / SIGNATURE).resolve()
    if not signature.is_file():
        return SignatureFound(Signed.MISSING)
    fits = _ssh_keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)], content)
    if fits.returncode:
        return SignatureFound(Signed.MISFIT, words=_words(fits))
    if not os.access(allowed_signers, os.R_OK) or not allowed_signers.is_file():
        raise CannotRunError(f"The file of allowed signers {allowed_signers} cannot be read; correct the policy.")
    words = ""
    for identity in identities:
        when = (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%d%H%M%S")
        asked = ["-Y", "verify", "-f", str(allowed_signers.resolve()), "-I", identity, "-n", NAMESPACE]
        done = _ssh_keygen([*asked, "-s", str(signature), "-O", f"verify-time={when}"], content)
        if not done.returncode:
            return SignatureFound(Signed.GOOD, identity)
        words = _words(done)
    return SignatureFound(Signed.STRANGER, words=words)


def _ssh_keygen(arguments: Sequence[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen over the content; its times are UTC. A passphrase is asked for on the terminal."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise CannotRunError("There is no ssh-keygen, which signs and verifies; install openssh-client.")
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    return subprocess.run([program, *arguments], input=content, env=environment, capture_output=True, check=False)


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What ssh-keygen complains of, in a line."""
    text = (done.stderr or done.stdout).decode("utf-8", "replace")
    return " ".join(text.split()) or f"exit code {done.returncode}"
