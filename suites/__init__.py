"""What is certified: tests only, one folder per claim family."""
