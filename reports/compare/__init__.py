"""The comparison: groups of runs of the same work, axis by axis, with what repetition alone explains taken off."""
