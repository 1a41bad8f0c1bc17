"""As fast as it goes: every request is counted, answered or not."""

from __future__ import annotations

import socket

from load.saturation import saturate
from tests.unit.load.echo_agent import guest


def test_all_are_sent_and_answered_and_their_cost_is_known() -> None:
    with guest() as agent:
        found = saturate("127.0.0.1", agent.port, 500)
    assert (found.probes, found.answered) == (500, 500)
    assert 0 < found.cpu_us_per_probe < 1e6


def test_without_answers_it_goes_on_and_counts_none() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        found = saturate("127.0.0.1", silent.getsockname()[1], 20, window=10)
    assert (found.probes, found.answered) == (20, 0)
