"""Memorability of single images: by the study's own predictor, for anyone's photographs, and by predictors of others.

Images in, numbers out; knows the rooms of stimuli, networks and scores, and none of them knows it.
"""

__all__ = ["peers", "predictor"]
