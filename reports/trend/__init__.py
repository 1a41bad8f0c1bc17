"""The trend: many stored runs over time, what became worse and since which run, and limits that history proposes."""
