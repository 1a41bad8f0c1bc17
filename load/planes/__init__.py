"""The planes of the stopwatch: each probes in one way, all share one loop, and none keeps a sample as an object."""
