"""How the cluster is disturbed: each fault proves that it happened and that it healed."""
