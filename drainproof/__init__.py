"""The shared vocabulary: clusters, virtual machines, time, waiting, errors, settings and the record."""
