"""Addresses of guests: a requested IP, or a stable free one; a MAC from the spec, or one derived from the name."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Collection, Iterable

from lab.client import Object
from lab.machinery.objects import annotations_of, dig, final, name, namespace

IP_ANNOTATION = "lab.drainproof.dev/ip"
MAC_ANNOTATION = "lab.drainproof.dev/mac"
REQUEST_ANNOTATION = "network.kubevirt.io/addresses"

_FIRST = ipaddress.IPv4Address("10.77.2.10")
_LAST = ipaddress.IPv4Address("10.77.3.250")
_OVERFLOW = ipaddress.IPv4Address("10.77.1.10")
"""10.77.1.10 to 10.77.2.9 are given out last: users request addresses there."""


class AddressError(Exception):
    """The guest cannot have an address: the request is malformed or taken, or none is free."""


def requested(item: Object) -> str | None:
    """The IP that a VMI asks for by annotation; raises AddressError when the annotation cannot be read."""
    text = annotations_of(item).get(REQUEST_ANNOTATION)
    if not text:
        return None
    try:
        wanted = [str(entry) for entries in json.loads(text).values() for entry in entries]
        return str(ipaddress.IPv4Address(wanted[0].partition("/")[0])) if wanted else None
    except (ValueError, AttributeError, TypeError) as error:
        raise AddressError(
            f'annotation {REQUEST_ANNOTATION}={text!r} must look like {{"default": ["10.77.1.11"]}}'
        ) from error


def in_use(pods: Iterable[Object], vmi_uid: str, created_by: str) -> set[str]:
    """The addresses that launcher pods of other VMIs hold."""
    return {
        annotations_of(pod)[IP_ANNOTATION] for pod in pods
        if IP_ANNOTATION in annotations_of(pod) and not final(pod)
        and dig(pod, "metadata", "labels", created_by) != vmi_uid
    }


def choose(vmi: Object, taken: Collection[str], reserved: Collection[str]) -> str:
    """The VMI's address; reserved ones are those that others request. Raises AddressError."""
    wanted = requested(vmi)
    if wanted:
        if wanted in taken:
            raise AddressError(f"requested address {wanted} is in use by another virtual machine instance")
        return wanted
    main = [str(_FIRST + step) for step in range(int(_LAST) - int(_FIRST) + 1)]
    start = int(_digest(vmi)[:8], 16) % len(main)
    overflow = [str(_OVERFLOW + step) for step in range(int(_FIRST) - int(_OVERFLOW))]
    for candidate in [*main[start:], *main[:start], *overflow]:
        if candidate.rpartition(".")[2] not in ("0", "255") and candidate not in taken and candidate not in reserved:
            return candidate
    raise AddressError(f"all addresses from {_OVERFLOW} to {_LAST} are in use")


def mac(vmi: Object) -> str:
    """The first interface's macAddress, else a locally administered one derived from namespace/name."""
    own = dig(vmi, "spec", "domain", "devices", "interfaces", 0, "macAddress")
    if own:
        return str(own).lower().replace("-", ":")
    digits = _digest(vmi)
    return ":".join(["02", *(digits[at:at + 2] for at in range(0, 10, 2))])


def _digest(vmi: Object) -> str:
    return hashlib.sha256(f"{namespace(vmi)}/{name(vmi)}".encode()).hexdigest()
