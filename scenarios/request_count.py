"""How often the API was asked while nodes were drained, by whomever this process let ask: written into the record."""

from __future__ import annotations

from typing import Any

from drainproof.record import EventLog
from drainproof.request_counts import Requests


def tell_requests(events: EventLog, target: str, made: Requests, machines: int) -> None:
    """Keep how many requests were made for the drain of a target with so many machines on it.

    All of this process are counted, repeats included: evictions and reads, the watches of the record that were opened
    meanwhile, and the renewals of claims.
    """
    events.add("drain", "requests", target, vms=machines, **request_facts(made))


def request_facts(made: Requests) -> dict[str, Any]:
    """How many there were in all, how many of them were repeats, and how many of each verb and resource."""
    by = {f"{verb} {resource}": count for (verb, resource), count in made.by_resource().items()}
    return {"requests": made.total, "repeats": made.repeats, "by": by}
