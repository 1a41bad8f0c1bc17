"""What was recorded from a real cluster, asked of the lab again: where answers differ, and whether that is meant."""
