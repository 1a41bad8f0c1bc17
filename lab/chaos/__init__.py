"""Chaos Mesh's experiments as the lab carries them out: who is hit, for how long, and by which rules."""
