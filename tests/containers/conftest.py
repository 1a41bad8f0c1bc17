"""Fixtures of the container tests: an engine, and servers in containers that are removed with the test session."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pymysql
import pytest
from prometheus_api_client import PrometheusConnect

from drainproof.prometheus import Prometheus
from drainproof.settings import Load
from drainproof.wait import Deadline, wait
from load.plan import Machine, Plan, Portal
from load.sql import connect
from tests.containers import images

# Testcontainers' own sidecar, which removes what is left, is an image of a registry: here containers are removed by
# their context managers, and by their label below. It reads this when it is imported.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
from testcontainers.core.container import DockerContainer

LABEL = "drainproof.io/test"
START_SECONDS = 60
SQL_PORT, PROMETHEUS_PORT = 3306, 9090
SETTINGS = "/etc/prometheus/prometheus.yml"
PASSWORD = "canary-of-a-test"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The container engine; every test that asks for it is skipped where there is none."""
    if why := _no_engine():
        pytest.skip(f"there is no container engine: {why}")
    client = docker.from_env()
    yield client
    client.close()


def _no_engine() -> str:
    """Why no engine answers, empty when one may; docker's own client leaves a socket open when it is refused."""
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not where.startswith("unix://"):
        return ""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(where.removeprefix("unix://"))
        except OSError as error:
            return f"{where}: {error.strerror}"
    return ""


@pytest.fixture(scope="session")
def session_label(engine: docker.DockerClient) -> Iterator[dict[str, str]]:
    """Marks what this session makes; in the end nothing that bears it is left."""
    mark = {LABEL: secrets.token_hex(4)}
    yield mark
    chosen = {"label": f"{LABEL}={mark[LABEL]}"}
    left = [one.name for one in engine.containers.list(all=True, filters=chosen)]
    for name in left:
        engine.containers.get(name).remove(force=True, v=True)
    assert not left, f"containers were left: {left}"


@pytest.fixture(scope="session")
def image_of(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, Callable[[Path], None]], str]]:
    """Imports a file system that a function writes, under a name; the images are removed in the end."""
    made: list[str] = []

    def make(name: str, write: Callable[[Path], None]) -> str:
        archive = tmp_path_factory.mktemp(name) / "tree.tar"
        write(archive)
        full = f"localhost/drainproof-test/{name}"
        engine.api.import_image_from_file(str(archive), repository=full, tag="made")
        archive.unlink()
        made.append(f"{full}:made")
        return made[-1]

    yield make
    for name in made:
        engine.images.remove(name, force=True)


@dataclass(frozen=True)
class Server:
    """A server in a container, and where it answers on this host."""

    container: Any
    host: str
    port: int

    def pause(self) -> None:
        self.container.get_wrapped_container().pause()

    def resume(self) -> None:
        self.container.get_wrapped_container().unpause()


@pytest.fixture(scope="session")
def prometheus_server(
    image_of: Callable[[str, Callable[[Path], None]], str], session_label: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A Prometheus that scrapes itself every half second."""
    settings = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
    settings.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        "scrape_configs: [{job_name: itself, static_configs: [{targets: ['127.0.0.1:9090']}]}]\n"
    )
    settings.chmod(0o644)
    container = (
        DockerContainer(image_of("prometheus", images.prometheus))
        .with_command(["/bin/prometheus", f"--config.file={SETTINGS}", "--storage.tsdb.path=/tmp/data"])
        .with_volume_mapping(str(settings), SETTINGS, "ro")
        .with_exposed_ports(PROMETHEUS_PORT).with_kwargs(labels=session_label)
    )
    with container as started:
        yield _server(started, PROMETHEUS_PORT)


@pytest.fixture(scope="session")
def prometheus(prometheus_server: Server) -> Prometheus:
    """The harness's own client of it, once it has scraped something."""
    url = f"http://{prometheus_server.host}:{prometheus_server.port}"
    client = Prometheus(PrometheusConnect(url=url, retry=0, timeout=5))

    def scraped() -> int:
        try:
            return len(client.now("up == 1"))
        except Exception:  # noqa: BLE001 - it is not up yet, in whatever words
            return 0

    wait("Prometheus has scraped itself", scraped, until=bool, deadline=Deadline(START_SECONDS))
    return client


SERVE = f"""
mkdir -p /data /run/mysqld && chown -R mysql /data /run/mysqld
mariadb-install-db --no-defaults --datadir=/data/mysql --user=mysql --skip-test-db >/tmp/install.log 2>&1 ||
    cat /tmp/install.log
cat >/tmp/init.sql <<'SQL'
CREATE DATABASE portal;
CREATE USER 'drainproof'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO 'drainproof'@'%';
SQL
chmod 644 /tmp/init.sql
exec mariadbd --no-defaults --datadir=/data/mysql --user=mysql --socket=/run/mysqld/mysqld.sock \\
    --bind-address=0.0.0.0 --init-file=/tmp/init.sql --skip-name-resolve --innodb-lock-wait-timeout=1
"""


@pytest.fixture(scope="session")
def database(
    image_of: Callable[[str, Callable[[Path], None]], str], session_label: dict[str, str]
) -> Iterator[Server]:
    """The guest's MariaDB, with the portal's database and account."""
    container = (
        DockerContainer(image_of("guest", images.guest))
        .with_command(["/bin/sh", "-c", SERVE])
        .with_exposed_ports(SQL_PORT).with_kwargs(labels=session_label)
    )
    with container as started:
        server = _server(started, SQL_PORT)
        wait(
            "the database answers", lambda: _answers(server), until=bool, deadline=Deadline(START_SECONDS),
            describe=lambda _answer: started.get_logs()[1][-500:],
        )
        yield server


def _answers(server: Server) -> bool:
    try:
        connect(plan_for(server, Path()), server.host, PASSWORD).close()
    except (pymysql.MySQLError, OSError):
        return False
    return True


def plan_for(server: Server, directory: Path) -> Plan:
    """The plan of a load with this server as its only machine."""
    portal = Portal(
        vms=(Machine(name="portal-0", address=server.host),), virtual_ip=server.host, sql_port=server.port
    )
    return Plan(case_dir=directory, run_id="run", portal=portal, load=Load(timeout_seconds=2.0))


@pytest.fixture
def plan(database: Server, tmp_path: Path) -> Plan:
    return plan_for(database, tmp_path)


def _server(started: Any, port: int) -> Server:
    host = started.get_container_host_ip().replace("localhost", "127.0.0.1")
    return Server(started, host, int(started.get_exposed_port(port)))
