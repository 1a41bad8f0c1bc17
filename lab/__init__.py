"""A small real cluster for people who have none: real guests behind a KubeVirt-compatible API."""
