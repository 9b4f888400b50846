# The workflow is workflow/Snakefile. Snakemake finds it there too; this is for those who look here.
include: "workflow/Snakefile"


# An included file has no say in what is made when nothing is asked for.
workflow.default_target = "all"
