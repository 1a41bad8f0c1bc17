"""Cases that have to fail, for whoever wants to see that they still do."""
