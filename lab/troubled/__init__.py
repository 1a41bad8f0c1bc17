"""A proxy that makes trouble before an API server: seeded, so that the same requests meet the same trouble again."""
