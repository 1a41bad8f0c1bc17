"""The lab's controllers: each brings one part of the cluster to its desired state, through the API alone."""
