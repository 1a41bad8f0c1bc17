"""Campaigns: the same certification again and again on several storage classes, interleaved in time, resumable.

Who only reads a journal imports `journal`, and neither the conductor nor the cluster's client with it.
"""
