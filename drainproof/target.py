"""A target: a kubeconfig plus the facts that no API tells, such as where clients are and which addresses are free."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from drainproof.entry import BALANCED, POD_NETWORK, EntryFacts, NetworkFacts
from drainproof.errors import CannotRunError
from drainproof.streams import OUTSIDE

HOST, CLUSTER = "host", "cluster"
"""Where clients may be."""


def without_credentials(url: str, instead: str) -> str:
    """The URL itself; raises ValueError when it holds a user or password."""
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise ValueError(f"must not hold a user or password, because the record keeps it; {instead}")
    return url


def a_pattern(text: str) -> str:
    """The text itself; raises ValueError when it is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


class PrometheusFacts(BaseModel):
    """Where Prometheus answers: behind a Service, through the API server, or at a URL of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "monitoring"
    service: str = "prometheus:9090"
    url: str = ""
    """Set: used instead of the Service, with the kubeconfig's bearer token where it begins with https."""
    ca_file: str = ""
    """With a URL: the certificate authority that vouches for it; empty: those that this host trusts."""

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        return without_credentials(url, "use a kubeconfig's token")


class StorageFacts(BaseModel):
    """The storage classes by what they can do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shared: str = ""
    """ReadWriteMany: a disk that every node can open."""
    local: str = ""


class Vantage(BaseModel):
    """A further place from which clients may look at the service: a node, another network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    """Ends the names of the streams that are watched from there."""
    exec: tuple[str, ...] = Field(min_length=1)
    """Prefix of every command that has to run there; used where the clients are, on the same file system."""


class PowerFacts(BaseModel):
    """How a node's power is switched. `{node}` in any text is the node's name; no secret is ever written here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Literal["redfish", "command", "ssh"]
    url: str = ""
    """Redfish: the service, one for all nodes or, with `{node}`, one for each."""
    system: str = "{node}"
    """Redfish: the name of a node's system, as in /redfish/v1/Systems/<name>."""
    systems: Mapping[str, str] = Field(default_factory=dict)
    """Redfish: the systems' names by node, where `system` does not fit."""
    user: str = ""
    password_file: str = ""
    """The file that holds the password; or else `password_env`."""
    password_env: str = ""
    """The environment variable that holds the password."""
    ca_file: str = ""
    """The certificate authority of the service; empty: those that this host trusts."""
    off: tuple[str, ...] = ()
    """Command: cuts a node's power, such as ["ipmitool", "-H", "{node}-bmc", ..., "chassis", "power", "off"]."""
    on: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    on_pattern: str = r"\b[Oo]n\b"
    """Command: the regular expression that finds, in what `status` prints, that the node has power."""
    off_pattern: str = r"\b[Oo]ff\b"
    ssh_destination: str = "{node}"
    ssh_options: tuple[str, ...] = ()

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        return without_credentials(url, "use user and password_file")

    @field_validator("on_pattern", "off_pattern")
    @classmethod
    def _a_pattern(cls, text: str) -> str:
        return a_pattern(text)

    @model_validator(mode="after")
    def _complete(self) -> PowerFacts:
        needed: dict[str, dict[str, object]] = {
            "redfish": {"url": self.url, "user": self.user, "password_file": self.password_file or self.password_env},
            "command": {"off": self.off, "on": self.on, "status": self.status},
            "ssh": {"ssh_destination": self.ssh_destination},
        }
        missing = [key for key, value in needed[self.driver].items() if not value]
        if missing:
            raise ValueError(f"the driver {self.driver} needs {', '.join(missing)}")
        if self.driver == "redfish" and self.password_file and self.password_env:
            raise ValueError("password_file and password_env exclude each other")
        return self

    def system_of(self, node: str) -> str:
        """The name of a node's Redfish system."""
        return self.systems.get(node, self.system.replace("{node}", node))


class StorageServerFacts(BaseModel):
    """How the server behind a storage class is disturbed. `{class}` in any word is the class; no shell, no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pause: tuple[str, ...] = Field(min_length=1)
    """Has the server stand still: it answers nobody, and forgets nothing."""
    resume: tuple[str, ...] = Field(min_length=1)
    """Has it go on; does no harm to a server that was never paused."""
    status: tuple[str, ...] = Field(min_length=1)
    """Prints how the server stands."""
    failover: tuple[str, ...] = ()
    """Kills what serves, and ends once another server, or the same, serves in its place; empty: cannot be done."""
    running_pattern: str = r"(?<!\bnot )\brunning\b"
    """The regular expression that finds, in what `status` prints, that the server serves."""
    paused_pattern: str = r"(?<!\bnot )\bpaused\b"
    generation_pattern: str = ""
    """Finds what tells one server from the next that takes over, such as a process id; empty: nothing does."""

    @field_validator("running_pattern", "paused_pattern", "generation_pattern")
    @classmethod
    def _a_pattern(cls, text: str) -> str:
        return a_pattern(text)


class TimerFacts(BaseModel):
    """The timers that decide when a lost node is noticed, in seconds, where they are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_grace_seconds: float = 50.0
    """node-monitor-grace-period of the controller manager (50 s since Kubernetes 1.32, 40 s before)."""
    toleration_seconds: float = 300.0
    """How long pods tolerate an unreachable node."""
    unhealthy_seconds: float = 300.0
    """How long the NodeHealthCheck sees a node unready before it remediates."""


class ApiChaosFacts(BaseModel):
    """Leave to disturb the Kubernetes API of the whole cluster with Chaos Mesh, and what that takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tls: Mapping[str, str] = Field(default_factory=dict)
    """HTTPChaos' `spec.tls`: where the API server's certificate is; empty: it needs none."""


class Target(BaseModel):
    """What a run has to know about a cluster; the embedded lab prints it, for a real cluster a TOML file holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kubeconfig: str = ""
    context: str = ""
    client_exec: tuple[str, ...] = ()
    """Prefix of every command that has to run where the clients are; empty: on this host."""
    clients: Literal["host", "cluster"] = "host"
    """Where clients are: on this host, where `client_exec` leads, or in pods of the cluster."""
    client_image: str = ""
    """The image of pods of clients: this project, its Python and its libraries."""
    client_workers: int = Field(1, ge=1, le=256)
    """Over how many of Locust's workers clinic staff are spread: processes on this host, or pods."""
    client_address: str = ""
    """The clients' address as Prometheus reaches it; empty: the load cannot be scraped."""
    vantages: tuple[Vantage, ...] = ()
    """Where else the stopwatch looks from; the clients' own place is always one."""
    prometheus: PrometheusFacts | None = None
    address_pool: tuple[str, ...] = ()
    """Free addresses on the pod network for guests that must know each other before they start."""
    network: NetworkFacts = POD_NETWORK
    """How machines are connected."""
    entry: EntryFacts = BALANCED
    """Where users' traffic enters."""
    control_namespace: str = "default"
    """Where runs keep claims, heartbeats and journals; whoever shares the cluster has to name the same."""
    guest_image: str = ""
    guest_kind: Literal["image", "cloud-image"] = "image"
    """What `guest_image` is: that of `make image`, or Debian 12 with cloud-init, which then installs packages."""
    guest_files: str = "image/guest-files.tar.gz"
    """Of a cloud image: our files in the guest, on this host, as `make image` writes them."""
    guest_bundle: str = ""
    """Of a cloud image: the URL at which guests find offline.tar of `make image`; empty: they reach a mirror."""
    storage_classes: StorageFacts = StorageFacts()
    emulated: bool = False
    """Whether guests run under software emulation; timings then say nothing about real hardware."""
    power: PowerFacts | None = None
    """How nodes are powered off and on; None: they cannot be."""
    storage_servers: Mapping[str, StorageServerFacts] = Field(default_factory=dict)
    """By storage class, how its server is paused and failed over; a class that is missing here cannot be disturbed."""
    timers: TimerFacts = TimerFacts()
    api_chaos: ApiChaosFacts | None = None
    """How the Kubernetes API itself may be disturbed; None: it may not. Chaos Mesh recovers through that API, so on a
    cluster that somebody needs, leave it out."""
    is_lab: bool = False
    throwaway: bool = False
    """Whether the cluster was made for this run and is removed with all that is in it."""

    @field_validator("vantages")
    @classmethod
    def _told_apart(cls, vantages: tuple[Vantage, ...]) -> tuple[Vantage, ...]:
        names = [OUTSIDE, *(vantage.name for vantage in vantages)]
        if len(set(names)) < len(names):
            raise ValueError(f"must differ by name, and {OUTSIDE!r} is the clients' own; rename one")
        return vantages

    def facts(self) -> dict[str, Any]:
        """What the record keeps of it: of power and storage servers no command, no user and no file."""
        kept = self.model_dump(mode="json", exclude={"kubeconfig", "power", "storage_servers"})
        power = self.power and self.power.model_dump(mode="json", include={"driver", "url"})
        return {**kept, "power": power, "storage_servers": sorted(self.storage_servers)}


def target_from(data: dict[str, Any], where: str) -> Target:
    """A target from plain data; raises CannotRunError that names every unknown or wrong key."""
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        reasons = (f"{where}: {'.'.join(map(str, item['loc']))}: {item['msg']}; correct it." for item in error.errors())
        raise CannotRunError(*reasons) from None


def read_target(path: Path) -> Target:
    """A target from a TOML file; raises CannotRunError when it cannot be used."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotRunError(f"The target file {path} cannot be read: {error}; correct it or name another.") from error
    return target_from({"name": path.stem, **data}, f"The target file {path}")


LAB_STORAGE: Mapping[str, str] = {"lab-shared": "", "lab-nfs": "nfs", "lab-iscsi": "iscsi", "lab-ceph": "ceph"}
"""The lab's storage classes that every node can open, and the server that the lab has to start for each."""


def lab_server(storage_class: str) -> str:
    """The storage server that the lab needs for a class, empty for none; raises CannotRunError for an unknown class."""
    if storage_class not in LAB_STORAGE:
        known = ", ".join(LAB_STORAGE)
        raise CannotRunError(f"The lab has no shared storage class {storage_class!r}; choose one of {known}.")
    return LAB_STORAGE[storage_class]


def default_profile(wanted: str) -> str:
    """The profile for what `--target` asks for: guests of lab and kind may be emulated, a cluster's run on hardware."""
    return "quick" if target_kind(wanted)[0] in ("lab", "kind") else "standard"


def target_kind(wanted: str) -> tuple[str, str]:
    """What `--target` asks for: (`lab`, its name), (`kubeconfig`, the context) or (`kind`, the cluster's own name).

    Raises CannotRunError otherwise.
    """
    kind, _, rest = wanted.partition(":")
    if kind == "lab":
        return kind, rest or "lab"
    if kind == "kubeconfig":
        return kind, rest
    if kind == "kind":
        if rest and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", rest):
            raise CannotRunError(f"A kind cluster cannot be named {rest!r}; use lower-case letters, digits and dashes.")
        return kind, rest
    raise CannotRunError(
        f"There is no target {wanted!r}; use lab, lab:NAME, kubeconfig, kubeconfig:CONTEXT, kind or kind:NAME."
    )
