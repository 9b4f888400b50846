"""memscore: which representations in a network predict memorability, and are they the brain's?

Plain functions on arrays and tables. A folder is a stage of the study, under the same name in workflow/rules,
workflow/scripts and tests, and imports go one way: report, analysis, scores, stimuli, networks, and the modules that
lie here. Of Snakemake, only what takes a job's `snakemake` object knows.
"""

__version__ = "0.1.0"
