"""Outages as the stopwatch saw them: each an interval that holds its true length, and what no probe could have seen."""
