"""The bench that proves the stopwatch: known blackouts on a wire of its own, and what the instrument makes of them."""
