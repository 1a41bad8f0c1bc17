"""A target: a kubeconfig plus the facts that no API tells, such as where clients are and which addresses are free."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from drainproof.errors import CannotRunError
from drainproof.streams import OUTSIDE


class PrometheusFacts(BaseModel):
    """Where Prometheus answers: behind a Service, through the API server, or at a URL of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "monitoring"
    service: str = "prometheus:9090"
    url: str = ""
    """Set: used instead of the Service, with the kubeconfig's bearer token."""

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        if "@" in url.partition("//")[2].partition("/")[0]:
            raise ValueError("must not hold a user or password, because the record keeps it; use a kubeconfig's token")
        return url


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


class Target(BaseModel):
    """What a run has to know about a cluster; the embedded lab prints it, for a real cluster a TOML file holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kubeconfig: str = ""
    context: str = ""
    client_exec: tuple[str, ...] = ()
    """Prefix of every command that has to run where the clients are; empty: on this host."""
    client_address: str = ""
    """The clients' address as Prometheus reaches it; empty: the load cannot be scraped."""
    vantages: tuple[Vantage, ...] = ()
    """Where else the stopwatch looks from; the clients' own place is always one."""
    prometheus: PrometheusFacts | None = None
    address_pool: tuple[str, ...] = ()
    """Free addresses on the pod network for guests that must know each other before they start."""
    guest_image: str = ""
    storage_classes: StorageFacts = StorageFacts()
    emulated: bool = False
    """Whether guests run under software emulation; timings then say nothing about real hardware."""
    is_lab: bool = False

    @field_validator("vantages")
    @classmethod
    def _told_apart(cls, vantages: tuple[Vantage, ...]) -> tuple[Vantage, ...]:
        names = [OUTSIDE, *(vantage.name for vantage in vantages)]
        if len(set(names)) < len(names):
            raise ValueError(f"must differ by name, and {OUTSIDE!r} is the clients' own; rename one")
        return vantages

    def facts(self) -> dict[str, Any]:
        """What the record keeps of it."""
        return self.model_dump(mode="json", exclude={"kubeconfig"})


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


def default_profile(wanted: str) -> str:
    """The profile for what `--target` asks for: the lab's guests may be emulated, a cluster's run on hardware."""
    return "quick" if target_kind(wanted)[0] == "lab" else "standard"


def target_kind(wanted: str) -> tuple[str, str]:
    """What `--target` asks for: (`lab`, its name) or (`kubeconfig`, the context); raises CannotRunError otherwise."""
    kind, _, rest = wanted.partition(":")
    if kind == "lab":
        return kind, rest or "lab"
    if kind == "kubeconfig":
        return kind, rest
    raise CannotRunError(f"There is no target {wanted!r}; use lab, lab:NAME, kubeconfig or kubeconfig:CONTEXT.")
