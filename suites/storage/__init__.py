"""Disks of a storage class keep what they acknowledged and can be written to, while machines move and are copied."""
