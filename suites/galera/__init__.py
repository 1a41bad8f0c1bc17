"""A replicated database in virtual machines stays whole, and loses no acknowledged write, whatever befalls it."""
