"""The audit log of the lab's API server: who asked for what, and never a secret."""

from __future__ import annotations

import json

from drainproof import spec
from drainproof.api import CLAIMS, NAMESPACES, SECRETS, Cluster
from tests.contract.server import ApiServer


def test_writes_are_logged_and_secrets_are_not_told(api_server: ApiServer) -> None:
    """A write with what was sent and how it was answered; of a Secret only that it was written."""
    admin = Cluster.connect(api_server.config.kubeconfig)
    admin.create(NAMESPACES, {"metadata": {"name": "audited"}})
    admin.create(SECRETS, spec.secret("hidden", {"password": "geheim"}), "audited")
    admin.apply(CLAIMS, spec.claim("disk", "fast", "1Gi"), "audited")
    text = api_server.config.logs("audit").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    mine = {(event["verb"], event["objectRef"]["resource"]): event for event in events
            if event["objectRef"].get("namespace") == "audited" and event["verb"] in ("create", "patch")}
    claim, secret = mine["patch", "persistentvolumeclaims"], mine["create", "secrets"]
    assert claim["requestObject"]["spec"]["storageClassName"] == "fast"
    assert (claim["level"], claim["responseStatus"]["code"]) == ("Request", 201)
    assert claim["userAgent"].startswith("drainproof")
    assert secret["level"] == "Metadata"
    assert "geheim" not in text
    assert not any(event["userAgent"].startswith("lab") for event in events)
