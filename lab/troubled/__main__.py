"""`python -m lab.troubled`: an HTTPS proxy before an API server that makes trouble by a seed."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lab.troubled.plan import KINDS, Plan
from lab.troubled.proxy import Proxy

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="The API server, as https://HOST:PORT.")
@click.option("--ca", required=True, type=FILE, help="The certificate authority that the API server is verified with.")
@click.option("--listen", required=True, type=click.IntRange(1, 65535), metavar="PORT", help="On 127.0.0.1.")
@click.option("--cert", required=True, type=FILE, help="The proxy's certificate; the lab's own is valid for 127.0.0.1.")
@click.option("--key", required=True, type=FILE, help="The certificate's key.")
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same trouble, request by request.")
@click.option("--rate", type=click.FloatRange(0, 1), default=0.05, show_default=True,
              help="The share of requests that meet trouble.")
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Which trouble, by commas.")
def main(upstream: str, ca: Path, listen: int, cert: Path, key: Path, seed: int, rate: float, kinds: str) -> None:
    """Print a JSON line when ready, and one for each request that met trouble, until the process is ended."""
    wanted = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; choose of {', '.join(KINDS)}", param_hint="--kinds")
    identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    identity.load_cert_chain(cert, key)
    trusted = ssl.create_default_context(cafile=str(ca))
    asyncio.run(_serve(upstream.rstrip("/"), listen, trusted, identity, Plan(seed, rate, wanted)))


async def _serve(
    upstream: str, port: int, trusted: ssl.SSLContext, identity: ssl.SSLContext, plan: Plan
) -> None:
    proxy = Proxy(upstream, port, trusted, identity, plan, _print)
    await proxy.run(lambda: _print({"ready": f"https://127.0.0.1:{port}", "seed": plan.seed, "rate": plan.rate}))


def _print(facts: Mapping[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
