from pathlib import Path

from memscore.analysis import best_layers
from memscore.files import read_frame, write_frame
from memscore.job import job
from memscore.scores.memorability import read_best
from memscore.stimuli.splits import memorability_scores
from memscore.stimuli.tables import read_table

with job(snakemake) as say:
    given, trained, predicted = snakemake.input, snakemake.params.trained, {}
    stimuli = read_table(given.stimuli[0])
    best = best_layers.choose(read_frame(given.memorability[0]))
    for model, file in zip(trained, snakemake.output.predicted, strict=True):
        of_jobs = [read_best(each) for each in given.best if Path(each).parent.name == model]
        of_model = best[best["model"] == model]
        predicted[model] = best_layers.predictions(of_model, of_jobs, stimuli, memorability_scores(stimuli))
        write_frame(file, predicted[model])
    write_frame(snakemake.output.table, best)
    write_frame(snakemake.output.controls, best_layers.controls(best, predicted, trained))
