"""The node health check that a lab has from its start, paused until a test lets it act."""

from __future__ import annotations

from lab.client import Object
from lab.config import REDFISH_USER, LabConfig
from lab.kinds import FENCE_AGENTS_REMEDIATION_TEMPLATE, NAMESPACE, NODE_HEALTH_CHECK, Kind

NAME = "nhc-worker"
TEMPLATE = "fence-redfish"
OPERATORS = "openshift-workload-availability"
"""The namespace in which the node health check and fence agents operators live, with their templates."""
PAUSE = "drainproof-lab"
"""The pause request of a lab at rest: most scenarios power nodes off to see what happens when nobody fences them."""


def objects(config: LabConfig) -> list[tuple[Kind, Object]]:
    """The operators' namespace, the template of the remediation, and the check itself."""
    template = {"agent": "fence_redfish", "remediationStrategy": "OutOfServiceTaint", "sharedparameters": {
        "--ip": "127.0.0.1", "--ipport": str(config.redfish_port), "--username": REDFISH_USER,
        "--password-file": str(config.redfish_password_file), "--action": "reboot",
    }, "nodeparameters": {"--systems-uri": {node: f"/redfish/v1/Systems/{node}" for node in config.nodes}}}
    duration = f"{config.unhealthy_seconds:g}s"
    check = {
        "selector": {"matchExpressions": [{"key": "node-role.kubernetes.io/worker", "operator": "Exists"}]},
        "minHealthy": "51%", "pauseRequests": [PAUSE],
        "unhealthyConditions": [
            {"type": "Ready", "status": status, "duration": duration} for status in ("False", "Unknown")
        ],
        "remediationTemplate": {
            "apiVersion": FENCE_AGENTS_REMEDIATION_TEMPLATE.api_version,
            "kind": FENCE_AGENTS_REMEDIATION_TEMPLATE.name, "name": TEMPLATE, "namespace": OPERATORS,
        },
    }
    return [
        (NAMESPACE, {"metadata": {"name": OPERATORS}}),
        (FENCE_AGENTS_REMEDIATION_TEMPLATE,
         {"metadata": {"name": TEMPLATE, "namespace": OPERATORS}, "spec": {"template": {"spec": template}}}),
        (NODE_HEALTH_CHECK, {"metadata": {"name": NAME}, "spec": check}),
    ]
