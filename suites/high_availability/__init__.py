"""Services stay available while the cluster is maintained under them."""
