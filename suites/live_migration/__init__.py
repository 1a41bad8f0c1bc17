"""Virtual machines move while they work: migrations that go well, that are pressed, and that go wrong."""
