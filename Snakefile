# The workflow is workflow/Snakefile. Snakemake finds it there too; this is for those who look here.
include: "workflow/Snakefile"


# An included file has no say in what is made when nothing is asked for; a module may have renamed it.
workflow.default_target = workflow.modifier.modify_rulename("all")
