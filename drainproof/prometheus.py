"""Raw samples from Prometheus, each with the instant at which it was scraped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests import Session

from drainproof.api import Cluster
from drainproof.errors import DrainproofError
from drainproof.target import PrometheusFacts

ANSWER_SECONDS = 10


class PrometheusError(DrainproofError):
    """Prometheus could not be asked, or refused the query."""


@dataclass(frozen=True)
class Prometheus:
    """One Prometheus server, asked for raw samples only: nothing is interpolated or averaged on the way."""

    connection: PrometheusConnect

    @classmethod
    def of(cls, cluster: Cluster, facts: PrometheusFacts) -> Prometheus:
        """The server that a target's facts name; one with a URL of its own gets the token alone, and only by HTTPS."""
        url, session = facts.url or cluster.service_proxy(facts.namespace, facts.service), cluster.session()
        if facts.url:
            _keep_apart(session, facts)
        headers = {str(key): str(value) for key, value in session.headers.items()}
        # The client of prometheus-api-client repeats failed requests by default; a hole has to stay visible.
        return cls(PrometheusConnect(url=url, headers=headers, session=session, retry=0, timeout=ANSWER_SECONDS))

    def raw(self, selector: str, start: float, end: float) -> list[dict[str, Any]]:
        """Every sample of the selected series between two instants, in seconds since the epoch.

        Raises PrometheusError when the server does not answer or refuses; every error of requests is an OSError.
        """
        seconds = math.ceil(end - start)
        try:
            answer = self.connection.custom_query(f"{selector}[{seconds}s]", params={"time": f"{end:.3f}"})
        except (PrometheusApiClientException, OSError, ValueError) as error:
            raise PrometheusError(f"Prometheus query {selector}: {str(error)[:300]}") from error
        found: list[dict[str, Any]] = answer
        return found

    def now(self, query: str) -> list[dict[str, Any]]:
        """The current value of an expression, per series; raises PrometheusError."""
        try:
            answer: list[dict[str, Any]] = self.connection.custom_query(query)
        except (PrometheusApiClientException, OSError, ValueError) as error:
            raise PrometheusError(f"Prometheus query {query}: {str(error)[:300]}") from error
        return answer


def _keep_apart(session: Session, facts: PrometheusFacts) -> None:
    """Whoever answers there is another than the API server: it is known by other authorities, as a Route often is."""
    session.verify = facts.ca_file or True
    session.cert = None
    if not facts.url.startswith("https://"):
        session.auth = None
        session.headers.pop("Authorization", None)
