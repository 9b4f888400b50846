"""The study's figures, one a module.

Tables in, a file out: .svg, .png or .pdf by its suffix, the same bytes from the same tables.
"""

from memscore.report.figures.across_against_within import across_against_within
from memscore.report.figures.along_depth import along_depth
from memscore.report.figures.before_and_after import before_and_after
from memscore.report.figures.beside_published import beside_published
from memscore.report.figures.correlation_by_region import correlation_by_region
from memscore.report.figures.generalisation_by_region import generalisation_by_region
from memscore.report.figures.memorability_against_brain import memorability_against_brain
from memscore.report.figures.score_histogram import score_histogram
from memscore.report.figures.training_curves import training_curves

__all__ = [
    "across_against_within",
    "along_depth",
    "before_and_after",
    "beside_published",
    "correlation_by_region",
    "generalisation_by_region",
    "memorability_against_brain",
    "score_histogram",
    "training_curves",
]
