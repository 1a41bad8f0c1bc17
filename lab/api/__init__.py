"""The lab's Kubernetes API server: an in-memory store behind the API that kubectl and client libraries expect."""
