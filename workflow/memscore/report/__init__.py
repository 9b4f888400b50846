"""What a reader sees: figures, the front page in words, a page for each stimulus set.

Everything here is drawn or written from tables; nothing is computed that they do not hold.
"""

__all__ = ["after_training", "answer", "contact_sheet", "figures", "markup", "provenance", "stimulus_page", "summary"]
