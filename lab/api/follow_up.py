"""What the server itself does because an object has changed, put off until everybody has been told of that change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab.api.errors import StatusError


def later(act: Callable[[], None]) -> None:
    """In the event loop's next turn; at once where none runs. A watch so sees changes of one kind in their order."""
    def guarded() -> None:
        try:
            act()
        except StatusError:
            # The namespace or the object has gone in the meantime.
            return

    try:
        asyncio.get_running_loop().call_soon(guarded)
    except RuntimeError:
        guarded()
