from memscore.files import write_frame
from memscore.job import job
from memscore.stimuli import inspection, selection

with job(snakemake) as say:
    given, wildcards = snakemake.input, snakemake.wildcards
    both = selection.shared(*map(inspection.read, (given.fitted, given.tested)), snakemake.params.n_fewest)
    say(f"{len(both)} images of {wildcards.fitted} are in {wildcards.tested} too: a regression is fitted without them")
    write_frame(snakemake.output[0], both)
