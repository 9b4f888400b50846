"""Networks: what layers they have, their weights, and what those layers make of images.

Runs on anything that gives pixels; knows nothing of stimulus sets or scores.
"""

__all__ = ["architectures", "export", "extraction", "finetuning", "lean", "reduction", "room", "streaming", "weights"]
