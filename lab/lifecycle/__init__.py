"""A lab's life: up, down, status and cleanup, and what each of them checks."""
