"""memscore: which representations in a network predict memorability, and are they the brain's?

Plain functions on arrays and tables, one room per purpose. Nothing in here knows Snakemake.
"""

__version__ = "0.1.0"
