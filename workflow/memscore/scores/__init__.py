"""Scores of a layer: how well it predicts memorability, and how much it looks like an area of the brain.

Arrays in, numbers out; the audit has Brain-Score's own code score the same arrays.
"""

__all__ = ["audit", "brain", "memorability", "pls", "recognition"]
