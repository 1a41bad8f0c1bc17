"""The timeline of a case on one clock: what was done, where machines were, what streams saw, and how it is drawn."""
