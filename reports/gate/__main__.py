"""Hold runs against a policy: `python -m reports.gate RUN... --policy FILE [--json FILE] [--now TIME]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

COULD_NOT_RUN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; Python itself would exit with 1 for what cannot be imported, which is a NO-GO."""
    try:
        from reports.gate import command
    except Exception as error:  # noqa: BLE001 - whatever a half-installed environment raises
        told = f"the gate cannot be loaded: {type(error).__name__}: {error}; install it anew with bootstrap.sh."
        print(f"could not run: {told}", file=sys.stderr)
        return COULD_NOT_RUN
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
