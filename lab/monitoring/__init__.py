"""Metrics of the lab's control plane under their true names, and the Prometheus that collects them."""
