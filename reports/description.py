"""What runs are told apart by: the facts of their descriptions, flat, by dotted names; and their storage class."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from drainproof.record import RunInfo

INCIDENTAL: Final = (
    "target.client_exec", "target.client_address", "target.client_image", "target.address_pool", "target.prometheus",
    "target.vantages",
    "target.power.url", "target.storage_servers", "target.control_namespace", "environment.disruption",
    "settings.budgets.lease", "settings.limits.bystander_seconds", "settings.description", "settings.seed",
    "environment.host.memory_mib", "environment.storage_class.volume_mode_reason",
)
"""Where things are and how they are called: no condition of what is measured."""
NODES: Final = "environment.nodes"
_KIBIBYTES: Final = re.compile(r"(\d+)Ki")


def leaves(name: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every fact that is no mapping, by its dotted name, as text.

    Nodes of one kind report memory that differs by some KiB from boot to boot: it counts in whole GiB.
    """
    for key, value in content.items():
        path = f"{name}.{key}" if name else str(key)
        if isinstance(value, Mapping):
            yield from leaves(path, value)
        else:
            yield path, text(_nodes(value) if path == NODES else value)


def text(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def within(key: str, names: Sequence[str]) -> bool:
    """Whether a dotted name is one of some, or lies below one."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def storage_class(info: RunInfo) -> str:
    """The class that a run's machines had their disks in, whether its profile or its target named it, or empty."""
    portal, classes = info.settings.get("portal"), info.target.get("storage_classes")
    told = (portal.get("storage_class") if isinstance(portal, Mapping) else "") or (
        classes.get("shared") if isinstance(classes, Mapping) else ""
    )
    return str(told or "")


def _nodes(value: object) -> object:
    """Kinds of nodes with how many there are of each; as it is when it has another shape."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return value
    kinds: Counter[str] = Counter()
    for one in value:
        facts = {key: _rounded(fact) if key == "memory" else fact for key, fact in one.items() if key != "count"}
        count = one.get("count", 1)
        kinds[text(facts)] += count if isinstance(count, int) else 1
    return [{**json.loads(kind), "count": count} for kind, count in sorted(kinds.items())]


def _rounded(memory: object) -> object:
    found = _KIBIBYTES.fullmatch(memory) if isinstance(memory, str) else None
    return f"{round(int(found.group(1)) / 2**20)}Gi" if found else memory
