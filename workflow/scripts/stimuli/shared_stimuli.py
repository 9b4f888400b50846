from memscore.files import write_frame
from memscore.job import job
from memscore.stimuli import inspection, selection, splits

with job(snakemake) as say:
    given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    n_fewest = splits.fewest_training(params.n_components, params.choose)
    both = selection.shared(*map(inspection.read, (given.fitted, given.tested)), n_fewest)
    say(f"{len(both)} images of {wildcards.fitted} are in {wildcards.tested} too: a regression is fitted without them")
    write_frame(snakemake.output[0], both)
