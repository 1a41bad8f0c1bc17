"""Registers the fixtures and the certificate; no logic."""

pytest_plugins = ["fixtures.session", "fixtures.case", "fixtures.storage"]
