"""A fence agent's view of the service: what power a node has, and switching it."""

from __future__ import annotations

import ssl
from types import TracebackType

import aiohttp

from lab.config import REDFISH_USER, LabConfig
from lab.redfish import documents

TIMEOUT_SECONDS = 20.0


class FenceAgent:
    """Switches nodes of one lab; raises aiohttp.ClientError when the service refuses or does not answer."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> FenceAgent:
        context = ssl.create_default_context(cafile=str(self._config.ca_file))
        self._session = aiohttp.ClientSession(
            self._config.redfish_url, connector=aiohttp.TCPConnector(ssl=context), raise_for_status=True,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def is_off(self, node: str) -> bool:
        """Whether the node has no power."""
        async with self._open.get(f"{documents.SYSTEMS}/{node}", auth=self._credentials()) as answer:
            return bool((await answer.json())["PowerState"] == "Off")

    async def off(self, node: str) -> None:
        await self._reset(node, "ForceOff")

    async def on(self, node: str) -> None:
        await self._reset(node, "On")

    async def _reset(self, node: str, kind: str) -> None:
        where = f"{documents.SYSTEMS}/{node}/{documents.RESET}"
        async with self._open.post(where, json={"ResetType": kind}, auth=self._credentials()):
            return

    def _credentials(self) -> aiohttp.BasicAuth:
        password = self._config.redfish_password_file.read_text(encoding="ascii").strip()
        return aiohttp.BasicAuth(REDFISH_USER, password)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the fence agent is used outside of its 'async with' block")
        return self._session
