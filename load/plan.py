"""What an observer is told: one frozen plan, read from JSON, in which an unknown key is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drainproof.errors import CannotRunError
from drainproof.settings import Load
from drainproof.streams import VIRTUAL_IP

PASSWORD_VARIABLE = "DRAINPROOF_SQL_PASSWORD"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Machine(_Part):
    """One virtual machine of the portal, by the address that clients use."""

    name: str
    address: str


class Portal(_Part):
    """Where the service under test answers."""

    vms: tuple[Machine, ...] = Field(min_length=1)
    virtual_ip: str
    """Empty when the service has none."""
    virtual_port: int = Field(0, ge=0, le=65535)
    """Where the service answers at its virtual address; 0: where the machines do."""
    virtual_host: str = ""
    """The host that requests there name, where a router tells services apart by it; empty: the address."""
    http_port: int = Field(80, ge=1, le=65535)
    """Where each machine's own web server answers."""
    sql_port: int = Field(3306, ge=1, le=65535)
    sql_user: str = "drainproof"
    database: str = "portal"
    agent_port: int = Field(7007, ge=1, le=65535)
    """Where each guest's own agent echoes, over UDP and TCP, and takes subscriptions to its heartbeat."""

    @property
    def targets(self) -> tuple[Machine, ...]:
        """Every machine, then the virtual address if there is one."""
        return (*self.vms, *([Machine(name=VIRTUAL_IP, address=self.virtual_ip)] if self.virtual_ip else []))

    def web_port(self, target: Machine) -> int:
        """Where a target answers HTTP."""
        return (self.virtual_port if target.name == VIRTUAL_IP else 0) or self.http_port

    def web_host(self, target: Machine) -> str:
        """The host that requests to a target name."""
        return self.virtual_host if target.name == VIRTUAL_IP and self.virtual_host else target.address

    @property
    def front(self) -> str:
        """The URL of the service, by its virtual address."""
        return f"http://{self.virtual_ip}:{self.virtual_port or self.http_port}"

    def machine(self, name: str) -> Machine:
        """Raises CannotRunError when there is no machine of that name."""
        for machine in self.vms:
            if machine.name == name:
                return machine
        known = ", ".join(machine.name for machine in self.vms)
        raise CannotRunError(f"The plan has no virtual machine {name!r}; choose one of {known}.")


class Vantage(_Part):
    """A further place from which the stopwatch looks: commands that start with `exec` run there."""

    name: str
    exec: tuple[str, ...]


class Plan(_Part):
    """One case's load: where to write, what to talk to, how much, and where Prometheus scrapes the observers."""

    case_dir: Path
    run_id: str
    portal: Portal
    load: Load = Load()
    vantages: tuple[Vantage, ...] = ()
    """Where else than at the clients the stopwatch looks from."""
    seed: int = 1
    metrics_address: str = "127.0.0.1"
    metrics_ports: dict[str, int] = Field(default_factory=dict)
    """By observer; an observer that is not named exports nothing."""
    clinic_workers: int = Field(1, ge=1)
    """Over how many of Locust's workers clinic staff are spread; 1: they work in the observer itself."""
    clinic_port: int = Field(0, ge=0, le=65535)
    """Where Locust's master listens for workers in other pods; 0: it starts them itself, on this host."""

    @property
    def timeout_ns(self) -> int:
        """How long an operation may take, in nanoseconds."""
        return round(self.load.timeout_seconds * 1e9)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Raises CannotRunError that names every wrong key."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise CannotRunError(f"The plan {path} cannot be read: {error.strerror}; name an existing file.") from error
        except ValidationError as error:
            sentences = [_sentence(path, problem["loc"], problem["msg"]) for problem in error.errors()]
            raise CannotRunError(*sentences) from None


def sql_password() -> str:
    """The password of the portal's database, from the environment; raises CannotRunError without one."""
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise CannotRunError(f"The database password is missing; set the environment variable {PASSWORD_VARIABLE}.")
    return password


def _sentence(path: Path, where: tuple[int | str, ...], message: str) -> str:
    return f"The plan {path}: {'.'.join(str(part) for part in where) or 'the file'}: {message}; correct it."
