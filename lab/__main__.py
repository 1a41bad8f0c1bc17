"""`python -m lab`: start, stop and look at the embedded lab."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click

from lab import processes
from lab.config import LabConfig
from lab.lifecycle import checks, leftovers, lock, storage_servers
from lab.lifecycle import down as stopping
from lab.lifecycle import up as starting
from lab.lifecycle.errors import LifecycleError
from lab.storage import SERVERS

EXIT_REFUSED = 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DEFAULT_PORT = 16443
DEFAULTS = LabConfig()


def check_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A lab's name becomes part of namespace, directory and socket names."""
    if value is not None and not leftovers.NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no lab name: use 1 to 12 small letters and digits, a letter first")
    return value


name_option = click.option("--name", default="lab", show_default=True, callback=check_name, help="Which lab.")
state_option = click.option(
    "--state", type=click.Path(file_okay=False, path_type=Path), default=leftovers.DEFAULT_STATE, show_default=True,
    help="Directory that holds the labs' state, each lab's in a directory of its name.",
)


@click.group()
def lab() -> None:
    """A small real cluster for KubeVirt tests: QEMU guests, live migration, a Kubernetes API."""
    os.environ["PATH"] = checks.search_path()


@lab.command()
@name_option
@click.option("--nodes", type=click.IntRange(1, 26), default=4, show_default=True, help="How many worker nodes.")
@click.option("--api-port", type=click.IntRange(1024, 65535), default=DEFAULT_PORT, show_default=True,
              help="Port of the Kubernetes API on 127.0.0.1.")
@click.option("--node-grace", type=click.FloatRange(5), default=DEFAULTS.node_grace_seconds, show_default=True,
              metavar="SECONDS", help="How long a node may be silent before it is declared lost.")
@click.option("--toleration", type=click.FloatRange(1), default=DEFAULTS.toleration_seconds, show_default=True,
              metavar="SECONDS", help="How long pods tolerate a lost node.")
@click.option("--unhealthy", type=click.FloatRange(1), default=DEFAULTS.unhealthy_seconds, show_default=True,
              metavar="SECONDS", help="How long the NodeHealthCheck watches an unready node before it remediates.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), default=Path("/var/cache/drainproof"),
              show_default=True, help="Directory of the guest image, kept between labs.")
@click.option("--owner", type=int, default=None, metavar="PID",
              help="The process for which the lab is up: once it has died, the next start replaces the lab.")
@click.option("--storage", "servers", type=click.Choice(SERVERS), multiple=True,
              help="Start this storage server too, for the class lab-<server>; may be given several times.")
@click.option("--clients", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
              help="Have a node for pods of clients, which run in this directory as this Python's processes.")
@state_option
def up(
    name: str, nodes: int, api_port: int, node_grace: float, toleration: float, unhealthy: float, cache: Path,
    owner: int | None, servers: tuple[str, ...], clients: Path | None, state: Path,
) -> None:
    """Start a lab and print the facts about it as JSON."""
    config = LabConfig(
        name=name, nodes=tuple(f"node-{letter}" for letter in LETTERS[:nodes]), api_port=api_port,
        state_dir=str(state.resolve() / name), cache_dir=str(cache.resolve()), run_dir=str(lock.DIRECTORY / name),
        node_grace_seconds=node_grace, toleration_seconds=toleration, unhealthy_seconds=unhealthy,
        owner=processes.identity(owner) if owner else "", storage=tuple(sorted(set(servers))),
        clients=str(clients.resolve()) if clients else "",
    )
    begun = time.monotonic()

    def progress(text: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.2f} s  {text}", err=True)

    click.echo(json.dumps(starting.up(config, progress)))


@lab.command()
@name_option
@state_option
@click.option("--keep-logs", is_flag=True, help="Leave the logs in the state directory.")
def down(name: str, state: Path, keep_logs: bool) -> None:
    """Stop a lab and remove everything it has on this machine."""
    found = stopping.down(name, state.resolve() / name, keep_logs=keep_logs)
    click.echo(f"lab {name}: removed {found.sentence()}")


@lab.command()
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(name: str, as_json: bool) -> None:
    """Say what of a lab runs."""
    found = stopping.status(name)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))


@lab.command()
@name_option
@click.option("--content", is_flag=True, help="Print the file's content instead of its path.")
def kubeconfig(name: str, content: bool) -> None:
    """Print where a lab's kubeconfig is."""
    click.echo(stopping.read_kubeconfig(name) if content else str(stopping.config_of(name).kubeconfig))


@lab.command()
@name_option
def facts(name: str) -> None:
    """Print the facts about a lab that is up as JSON, as its start did; nothing of it is touched."""
    click.echo(json.dumps(starting.facts_of(stopping.config_of(name))))


@lab.command()
@click.option("--name", default=None, callback=check_name, help="Only this lab; default is every lab found.")
def cleanup(name: str | None) -> None:
    """Stop and remove labs, however they were left: all of them, or one."""
    removed = {name: stopping.down(name)} if name else stopping.cleanup()
    for each, found in removed.items():
        click.echo(f"lab {each}: removed {found.sentence()}")
    if not removed:
        click.echo("no lab was found")


@lab.group()
def storage() -> None:
    """The storage servers of a lab, as faults need them: paused, resumed, replaced by a successor."""


class_option = click.option("--storage-class", required=True, help="The class whose server it is, such as lab-nfs.")


@storage.command("pause")
@name_option
@class_option
def storage_pause(name: str, storage_class: str) -> None:
    """Have a storage server stand still; its connections stay open, and nothing is answered."""
    storage_servers.pause(stopping.config_of(name), storage_class)


@storage.command("resume")
@name_option
@class_option
def storage_resume(name: str, storage_class: str) -> None:
    """Have a paused storage server go on."""
    storage_servers.resume(stopping.config_of(name), storage_class)


@storage.command("failover")
@name_option
@class_option
def storage_failover(name: str, storage_class: str) -> None:
    """Kill a storage server, and return when a successor serves at the same address (Ceph: one of its two OSDs)."""
    with lock.exclusive(name):
        storage_servers.fail_over(stopping.config_of(name), storage_class)


@storage.command("status")
@name_option
@class_option
def storage_status(name: str, storage_class: str) -> None:
    """Print `running`, `paused` or `down`, and the server's pids."""
    click.echo(storage_servers.status(stopping.config_of(name), storage_class))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the command; 0, or 3 with one sentence per problem on stderr."""
    # SIGTERM ends a start the way Ctrl-C does: with everything taken down again.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        lab.main(prog_name="python -m lab", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{error.format_message()} (see python -m lab --help)", err=True)
        return EXIT_REFUSED
    except LifecycleError as error:
        click.echo(str(error), err=True)
        return EXIT_REFUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what had been started is gone", err=True)
        return EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
