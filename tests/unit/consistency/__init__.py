"""The consistency checkers find every kind of anomaly that was planted, and nothing in clean histories."""
