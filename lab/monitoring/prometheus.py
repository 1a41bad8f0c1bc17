"""The lab's Prometheus: its configuration, its command line, and the objects through which it is reached."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab.client import Object
from lab.config import (
    AGENT_PORT,
    CONTROLLER_METRICS_PORT,
    FABRIC_ADDRESS,
    MONITOR_ADDRESS,
    PROMETHEUS_PORT,
    LabConfig,
)
from lab.kinds import ENDPOINT_SLICE, SERVICE, Kind

NAMESPACE = "monitoring"
SERVICE_NAME = "prometheus"
INTERVAL = "1s"
RETENTION = "2d"
BINARY = "prometheus"


def folder(config: LabConfig) -> Path:
    return config.state / "prometheus"


def config_file(config: LabConfig) -> Path:
    return folder(config) / "prometheus.yml"


def targets_file(config: LabConfig) -> Path:
    """The file of discovered targets; the controllers keep it current."""
    return folder(config) / "targets.json"


def write(config: LabConfig) -> Path:
    """Write prometheus.yml, and an empty list of targets if there is none; returns the former's path."""
    path = config_file(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(config))
    if not targets_file(config).exists():
        targets_file(config).write_text("[]")
    return path


def argv(config: LabConfig) -> list[str]:
    """The command that runs Prometheus in the monitor namespace.

    Prometheus passes new targets on every 5 s (fixed in version 2.42) and its scraper takes them up every second; a
    migration changes no target, see lab.monitoring.discovery.
    """
    return [
        BINARY, f"--config.file={config_file(config)}", f"--storage.tsdb.path={folder(config) / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}", f"--web.listen-address={MONITOR_ADDRESS}:{PROMETHEUS_PORT}",
        "--scrape.discovery-reload-interval=1s", "--log.level=warn",
    ]


def render(config: LabConfig) -> str:
    """prometheus.yml: the lab's own two jobs, and whatever Services ask to be scraped."""
    handlers = [f"{config.node_address(node)}:{AGENT_PORT}" for node in config.nodes]
    settings = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
        "scrape_configs": [
            _static("virt-controller", [f"{FABRIC_ADDRESS}:{CONTROLLER_METRICS_PORT}"]),
            _static("virt-handler", handlers),
            _discovered(config),
        ],
    }
    return yaml.safe_dump(settings, sort_keys=False)


def _static(job: str, targets: list[str]) -> Object:
    """The component's own labels win: namespace and node are the virtual machine's."""
    return {"job_name": job, "honor_labels": True, "static_configs": [{"targets": targets}]}


def _discovered(config: LabConfig) -> Object:
    """The targets that lab.monitoring.discovery writes: the distribution's Prometheus cannot ask Kubernetes itself."""
    return {"job_name": "services", "file_sd_configs": [{"files": [str(targets_file(config))]}]}


def monitoring_objects(config: LabConfig) -> list[tuple[Kind, Object]]:
    """The Service and EndpointSlice by which the API server's proxy reaches Prometheus."""
    del config
    port = {"name": "web", "protocol": "TCP", "port": PROMETHEUS_PORT}
    service = {
        "metadata": {"name": SERVICE_NAME, "namespace": NAMESPACE},
        "spec": {"ports": [{**port, "targetPort": PROMETHEUS_PORT}]},
    }
    endpoints = {
        "metadata": {
            "name": f"{SERVICE_NAME}-lab", "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": SERVICE_NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [MONITOR_ADDRESS], "conditions": {"ready": True}}],
        "ports": [port],
    }
    return [(SERVICE, service), (ENDPOINT_SLICE, endpoints)]
