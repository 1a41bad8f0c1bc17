"""Runs the command: `python -m drainproof`."""

from drainproof.cli import main

main()
