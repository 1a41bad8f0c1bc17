"""The clocks of the monitor, the guest agent's channel, and the words to the DHCP server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lab.agent import network
from lab.agent.guest_agent import GuestAgent, GuestAgentError
from lab.agent.qmp import to_monotonic
from lab.config import LabConfig


def test_wall_clock_stamp_becomes_monotonic() -> None:
    """An event 2.5 ms before its receipt is 2.5 ms before the monotonic reading of the receipt."""
    wall = 1_700_000_000_500_000_000
    assert to_monotonic(1_700_000_000, 497_500, wall, 9_000_000_000) == 9_000_000_000 - 2_500_000


def test_tap_names_fit_the_kernel_and_differ() -> None:
    """15 characters at most, stable, and one per VMI."""
    names = {network.tap_name(f"namespace-{number}/{'v' * 63}") for number in range(50)}
    assert len(names) == 50
    assert max(map(len, names)) <= 15


def test_release_message_is_a_dhcp_release() -> None:
    """Fixed part of 236 bytes, the cookie, message type 7, the guest's address and MAC in their places."""
    message = network.release_message("02:00:00:00:00:0a", "10.77.1.10")
    assert message[:4] == bytes([1, 1, 6, 0])
    assert message[12:16] == bytes([10, 77, 1, 10])
    assert message[28:34] == bytes([2, 0, 0, 0, 0, 10])
    assert message[236:240] == network.DHCP_MAGIC
    assert message[240:243] == bytes([53, 1, 7])


def test_address_is_offered_in_one_file(tmp_path: Path) -> None:
    """The file holds MAC, address and name, and nothing else is left in the server's directory."""
    config = LabConfig(name="t", state_dir=str(tmp_path), run_dir=str(tmp_path))
    network.offer_address(config, "02:00:00:00:00:0a", "10.77.1.10", "vm")
    assert [path.read_text() for path in (tmp_path / "dhcp").iterdir()] == ["02:00:00:00:00:0a,10.77.1.10,vm\n"]


class FakeGuest:
    """A guest agent that answers from a table; what it was not told about is an error."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers = answers
        self.seen: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"return": "left over"}\n')
        while line := await reader.readline():
            request = json.loads(line.lstrip(b"\xff"))
            self.seen.append(request["execute"])
            if request["execute"] == "guest-sync-delimited":
                writer.write(b"\xff" + json.dumps({"return": request["arguments"]["id"]}).encode() + b"\n")
                continue
            reply = self.answers[request["execute"]].pop(0)
            if reply is not None:
                writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()


def ask(tmp_path: Path, guest: FakeGuest, *calls: Any) -> list[Any]:
    async def talk() -> list[Any]:
        server = await asyncio.start_unix_server(guest.serve, str(tmp_path / "qga"))
        agent = GuestAgent(tmp_path / "qga")
        try:
            return [await call(agent) for call in calls]
        finally:
            await agent.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(talk())


def test_channel_is_synchronised_once(tmp_path: Path) -> None:
    """What an earlier user left in the channel is skipped, and later calls go straight through."""
    guest = FakeGuest({"guest-ping": [{"return": {}}, {"return": {}}]})
    pings = [lambda agent: agent.call("guest-ping")] * 2
    assert ask(tmp_path, guest, *pings) == [{}, {}]
    assert guest.seen == ["guest-sync-delimited", "guest-ping", "guest-ping"]


def test_program_output_is_decoded(tmp_path: Path) -> None:
    """exec waits for the end and gives exit code and text."""
    out = base64.b64encode(b"hello\n").decode()
    guest = FakeGuest({
        "guest-exec": [{"return": {"pid": 5}}],
        "guest-exec-status": [{"return": {"exited": False}},
                              {"return": {"exited": True, "exitcode": 3, "out-data": out}}],
    })
    (result,) = ask(tmp_path, guest, lambda agent: agent.execute(["/bin/echo", "hello"]))
    assert (result.exitcode, result.stdout, result.stderr) == (3, "hello\n", "")


def test_refusal_and_silence_are_errors(tmp_path: Path) -> None:
    """Both name the command; silence names the time that was waited."""
    guest = FakeGuest({"guest-x": [{"error": {"class": "C", "desc": "not allowed"}}], "guest-y": [None]})
    with pytest.raises(GuestAgentError, match="guest-x: not allowed"):
        ask(tmp_path, guest, lambda agent: agent.call("guest-x"))
    with pytest.raises(GuestAgentError, match="guest-y: no answer within 0 s"):
        ask(tmp_path, guest, lambda agent: agent.call("guest-y", timeout=0.1))
