"""Campaigns: the same certification again and again on several storage classes, interleaved in time, resumable."""

from drainproof.campaign.conductor import conduct
from drainproof.campaign.plan import Plan

__all__ = ["Plan", "conduct"]
