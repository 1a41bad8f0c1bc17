"""Whether this machine can take a guest over in post-copy: QEMU there waits for memory with userfaultfd."""

from __future__ import annotations

import ctypes
import os

ANNOTATION = "drainproof.dev/post-copy-unavailable"
"""On a node that cannot, with the reason."""
USERFAULTFD = 323
"""The system call's number on x86-64."""


def trouble() -> str:
    """Why not, with a remedy; empty when it can."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
    if descriptor >= 0:
        os.close(descriptor)
        return ""
    reason = os.strerror(ctypes.get_errno())
    return f"userfaultfd: {reason}; the kernel lacks CONFIG_USERFAULTFD, or vm.unprivileged_userfaultfd is 0"
