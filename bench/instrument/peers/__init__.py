"""Other tools beside the stopwatch, on the same wire at the same time: what each of them shows of a blackout."""
