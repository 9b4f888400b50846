"""From the scores of layers to the answer: the study's tables, and correlations over layers with their intervals.

Tables in, tables out.
"""

__all__ = ["best_layers", "collecting", "intervals", "statistics", "tables"]
