"""The project's figures, measured on this machine and printed; nothing here asserts a speed."""
