from collections import defaultdict
from pathlib import Path

from memscore import study
from memscore.analysis import best_layers, collecting
from memscore.errors import InputError
from memscore.files import read_frame, write_frame
from memscore.job import job
from memscore.scores.memorability import read_best
from memscore.stimuli.splits import memorability_scores
from memscore.stimuli.tables import read_table

with job(snakemake) as say:
    given, trained, predicted = snakemake.input, snakemake.params.trained, {}
    stimuli = read_table(given.stimuli[0])
    best, files = best_layers.choose(read_frame(given.memorability[0])), defaultdict(list)
    for file in map(Path, given.best):
        files[file.parent.name].append(file)
    for model, output in zip(trained, snakemake.output.predicted, strict=True):
        of_model, of_jobs = best[best["model"] == model], map(read_best, files[model])
        try:
            predicted[model] = best_layers.predictions(of_model, of_jobs, stimuli, memorability_scores(stimuli))
        except InputError:
            collecting.check(given.best, study.load(snakemake.config))
            raise
        if set(of_model["split"]) != set(predicted[model]["split"]):
            wrong = "of other layers than the tables beside it"
            collecting.refuse(dict.fromkeys(map(str, files[model]), wrong), study.load(snakemake.config))
        write_frame(output, predicted[model])
    write_frame(snakemake.output.table, best)
    write_frame(snakemake.output.controls, best_layers.controls(best, predicted, trained))
