"""What a run may be told: one frozen profile, read from TOML, in which an unknown key is refused by name."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drainproof.errors import CannotRunError
from drainproof.streams import CONTROL, HEARTBEAT, HTTP_NEW, HTTP_REUSED, OUTSIDE, TCP_KEPT, TCP_NEW, UDP, Stream

CONTROL_PERIODS = 5
"""A known blackout of fewer periods of the control stream could be found by luck alone."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Portal(_Part):
    """The service under test: a replicated database and a web server in each of its virtual machines."""

    vms: int = Field(3, ge=3, le=9)
    """How many; a Galera cluster needs an odd number, three at least, to outlive the silence of one."""
    memory: str = "512Mi"
    data_disk: str = "1Gi"
    storage_class: str = ""
    """Empty: the shared class that the target names."""
    volume_mode: Literal["", "Filesystem", "Block"] = ""
    """Of the claims on that class; empty: what its StorageProfile says goes with ReadWriteMany, else Filesystem."""
    image: str = ""
    """The containerDisk of the guests; empty: the image that the target offers."""
    addresses: tuple[str, ...] = ()
    """Addresses for the guests on the pod network; empty: from the pool that the target offers."""


class Load(_Part):
    """What clients do meanwhile; rates are per second and per virtual machine unless said otherwise."""

    clinic_users: int = Field(3, ge=1)
    """Locust users through the virtual IP, each busy about once a second."""
    new_connection_rate: float = Field(5.0, gt=0, le=1000)
    reused_connection_rate: float = Field(10.0, gt=0, le=1000)
    sql_rate: float = Field(4.0, gt=0, le=1000)
    """Ledger writes: each is a transaction on every member."""
    history_rate: float = Field(0.0, ge=0, le=1000)
    """Transactions of the consistency workloads, all of them together; 0: no history is kept."""
    membership_rate: float = Field(1.0, gt=0, le=10)
    """How often each member is asked how it stands in its cluster."""
    timeout_seconds: float = Field(5.0, gt=0)
    """After this long without an answer an HTTP request or a write has failed."""
    udp_rate: float = Field(1000.0, gt=0, le=5000)
    """Echo requests of the stopwatch, on a strict schedule; they say how long an outage lasted."""
    heartbeat_rate: float = Field(100.0, gt=0, le=1000)
    """Ticks that each guest sends by itself, with its own clocks."""
    tcp_kept_rate: float = Field(100.0, gt=0, le=1000)
    """Echo requests on one kept TCP connection."""
    tcp_new_rate: float = Field(200.0, gt=0, le=1000)
    """New TCP connections, one at a random moment of each slot, to each machine and to the virtual address."""
    control_rate: float = Field(1000.0, gt=0, le=5000)
    """Echo requests that never leave the client: what they miss, the client has missed. Not per machine."""
    probe_timeout_seconds: float = Field(1.0, gt=0, le=10)
    """After this long an answer to the stopwatch is late, whatever the baseline says."""
    vantages: int = Field(64, ge=0)
    """From how many of the target's other vantage points the stopwatch looks at most."""
    vantage_share: float = Field(0.1, gt=0, le=1)
    """The rates at other vantage points: of UDP echo (agentless: of connections) and of the control stream."""
    agentless: bool = False
    """Guests may not be touched: no echo and no heartbeat, the stopwatch only opens TCP connections."""
    new_connections_only: bool = False
    """Where the network ends established connections by design, clients keep none, and nothing is claimed of any."""
    control_blackout_ms: float = Field(20.0, ge=2, le=500)
    """How long the known blackouts of the control stream are at least; the instrument has to find them in every run."""
    control_every_seconds: float = Field(5.0, ge=1)

    @property
    def only_opens(self) -> bool:
        """Whether the stopwatch opens connections and does nothing else: no agent may answer, or no flow may live."""
        return self.agentless or self.new_connections_only

    @property
    def http_kinds(self) -> tuple[str, ...]:
        """The kinds of HTTP streams: over new connections and, where they may live, over kept ones."""
        return (HTTP_NEW,) if self.new_connections_only else (HTTP_NEW, HTTP_REUSED)

    def stopwatch_rate(self, stream: Stream) -> float:
        """How often per second the stopwatch asks on one of its own streams; raises KeyError for any other stream."""
        rates = {
            UDP: self.udp_rate, HEARTBEAT: self.heartbeat_rate, TCP_KEPT: self.tcp_kept_rate,
            TCP_NEW: self.tcp_new_rate, CONTROL: self.control_rate,
        }
        return rates[stream.kind] * (1.0 if stream.vantage == OUTSIDE else self.vantage_share)

    def control_blackout_seconds(self, control: Stream) -> float:
        """How long the known blackouts of a control stream are: five of its periods at least."""
        return max(self.control_blackout_ms / 1000, CONTROL_PERIODS / self.stopwatch_rate(control))


MOST_RECORDS = 1 << 20
"""So many writes the ledger of a guest has room for, whatever the profile says; the guest refuses more."""


class Storage(_Part):
    """What the storage suite does on machines of its own; rates are per second."""

    memory: str = "512Mi"
    data_disk: str = "4Gi"
    """Holds the ledger of writes, 4 KiB each, and the file that fio works on."""
    write_rate: float = Field(200.0, gt=0, le=5000)
    """Writes of the ledger; one period of it is the shortest pause that it is sure to see."""
    ledger_seconds: float = Field(900.0, gt=0)
    """For how long there is room in the ledger: no write ever covers another."""
    fio_mib: int = Field(1024, ge=16)
    fio_seconds: int = Field(30, ge=2, le=3600)
    """How long each job of fio runs undisturbed; while something is done to the machine it runs until that is over."""
    storm_machines: int = Field(10, ge=2)
    """How many machines are started at once."""
    server_pause_seconds: float = Field(10.0, gt=0)
    """How long the storage server stands still."""

    @model_validator(mode="after")
    def _has_room(self) -> Storage:
        records = round(self.write_rate * self.ledger_seconds)
        if not 1 <= records <= MOST_RECORDS:
            raise ValueError(
                f"write_rate times ledger_seconds makes {records} writes; the guest's ledger has room for 1 to "
                f"{MOST_RECORDS} of them"
            )
        return self


class Limits(_Part):
    """What the certificate allows; a measured value above its limit fails the claim."""

    http_new_gap_seconds: float = Field(2.0, gt=0)
    http_reused_gap_seconds: float = Field(2.0, gt=0)
    sql_gap_seconds: float = Field(2.0, gt=0)
    outage_seconds: float = Field(2.0, gt=0)
    """The longest outage that the stopwatch may measure on any of its own streams."""
    void_share: float = Field(0.15, ge=0, le=1)
    """With more of the window void, because the stopwatch itself was away, an outage claim is unknown."""
    observer_stall_seconds: float = Field(1.0, gt=0)
    """An observer that was itself late by more than this proves nothing for that time."""
    flow_control_paused: float = Field(0.25, ge=0, le=1)
    """Share of a drain's window in which Galera's flow control may hold replication."""
    failover_gap_seconds: float = Field(5.0, gt=0)
    """The longest gap of the virtual address and of the survivors while a machine is lost, not only moved."""
    failover_sql_gap_seconds: float = Field(15.0, gt=0)
    """The longest gap of a survivor's writes then: Galera waits 5 s for a silent member before it goes on without."""
    error_budget: float = Field(0.02, ge=0, le=1)
    """The share of requests to the virtual address that may fail in a run with faults that take machines away."""
    rto_seconds: float = Field(300.0, gt=0)
    """Recovery time objective: from the loss of a machine until it serves again."""
    bystander_seconds: float = Field(30.0, gt=0)
    """How long a machine that is no part of the run, on a node that is disturbed, may be not Ready; then all stops."""
    gap_agreement_seconds: float = Field(0.25, gt=0)
    """How far the longest gap that Prometheus scraped may lie from the one in the samples."""
    io_pause_seconds: float = Field(2.0, gt=0)
    """How long a guest's writes may stand still when nothing is done to the storage itself."""
    io_recovery_seconds: float = Field(30.0, gt=0)
    """How long they may still stand still once a storage server that was away serves again."""
    snapshot_seconds: float = Field(60.0, gt=0)
    restore_seconds: float = Field(300.0, gt=0)
    """From the request until the machine, which was stopped for it, answers again."""
    clone_seconds: float = Field(300.0, gt=0)
    """From the request until the clone answers."""
    boot_storm_seconds: float = Field(300.0, gt=0)
    """From the request until the last of the machines that start at once answers."""


class Budgets(_Part):
    """How long each step may take, in seconds; a step that takes longer ends the run."""

    deploy: float = 240
    baseline: float = 10
    """Length of the undisturbed observation before the first drain; not a limit."""
    steady: float = 60
    """How long observers may take to become steady, before and after each drain."""
    settle: float = 4
    """Length of the undisturbed observation after each drain."""
    drain: float = 150
    teardown: float = 60
    fault: float = 120
    """How long a fault may take to be injected and proved, and again to be healed and proved."""
    recover: float = 300
    """How long a lost machine may take to serve again."""
    claim: float = 3600
    """How long to wait for nodes that another run, or another worker of this one, disturbs."""
    lease: float = Field(60, ge=4)
    """After so long without a sign of life a run counts as dead, and what it claims is free; longer than any fault of
    the API."""


class LabTimers(_Part):
    """The lab's timers, where they differ from a real cluster's; a real cluster is never touched by them."""

    node_grace_seconds: float = Field(50.0, gt=0)
    """node-monitor-grace-period: how long a node may be silent (Kubernetes 1.32 and later)."""
    toleration_seconds: float = Field(300.0, gt=0)
    """How long pods that say nothing tolerate an unreachable node (DefaultTolerationSeconds)."""
    unhealthy_seconds: float = Field(300.0, gt=0)
    """How long the lab's NodeHealthCheck sees a node unready before it remediates."""


class Profile(_Part):
    """One named way to run the suites."""

    name: str
    description: str = ""
    seed: int = 1
    nodes: int = Field(4, ge=2)
    """Schedulable nodes that the scenario needs."""
    drains: int = Field(0, ge=0)
    """How many drains; 0: until every virtual machine has moved once."""
    portal: Portal = Portal()
    load: Load = Load()
    storage: Storage = Storage()
    limits: Limits = Limits()
    budgets: Budgets = Budgets()
    lab_timers: LabTimers = LabTimers()


def load_profile(name: str, directory: Path) -> Profile:
    """The profile `<directory>/<name>.toml`, or the file itself if `name` is a path to one.

    Raises CannotRunError that names every unknown or wrong key, with the nearest known one.
    """
    path = Path(name) if name.endswith(".toml") else directory / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(file.stem for file in directory.glob("*.toml"))
        raise CannotRunError(f"There is no profile {name!r}; choose one of {', '.join(known)}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotRunError(f"The profile {path} cannot be read: {error}; correct the file.") from error
    try:
        return Profile.model_validate_json(json.dumps({"name": path.stem, **data}, default=str))
    except ValidationError as error:
        raise CannotRunError(*(_sentence(path, problem) for problem in error.errors())) from None


def _sentence(path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _known_keys(problem["loc"][:-1]), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "remove it."
        return f"The profile {path} has the unknown key {key!r}; {hint}"
    return f"The profile {path}: {key}: {problem['msg']}, not {problem['input']!r}; correct it."


def _known_keys(parents: tuple[Any, ...]) -> list[str]:
    model: Any = Profile
    for parent in parents:
        model = model.model_fields[parent].annotation
    return list(model.model_fields)
