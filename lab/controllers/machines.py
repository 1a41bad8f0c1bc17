"""Facts about a virtual machine, read from its spec."""

from __future__ import annotations

import hashlib
import json

from lab.client import Object

TEMPLATE_HASH = "lab.drainproof.dev/template-hash"


def run_strategy(machine: Object) -> str:
    """spec.runStrategy, or what the older spec.running means."""
    spec = machine["spec"]
    return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def template_hash(machine: Object) -> str:
    """A short digest of the template's spec, to tell a changed template from the one an instance was made of."""
    text = json.dumps(machine["spec"]["template"]["spec"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
