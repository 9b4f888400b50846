from pathlib import Path

import pandas as pd

from memscore import study
from memscore.analysis import best_layers, collecting, statistics, tables
from memscore.files import read_frame, write_frame
from memscore.job import job
from memscore.networks import architectures
from memscore.stimuli import splits
from memscore.stimuli.tables import read_table, split_columns

with job(snakemake) as say:
    given, tuned = snakemake.input, [tuple(each) for each in snakemake.params.tuned]
    of_study = study.load(snakemake.config)

    def together(files):
        return collecting.together(files, of_study) if files else None

    before = tuple(read_frame(files[0]) if files else None for files in (given.memorability_before, given.brain_before))
    after = together(given.memorability_after), together(given.brain_after)
    top1, networks = None, snakemake.params.networks
    if given.published:
        published = pd.read_csv(given.published, sep="\t", comment="#")
        whole = {model: architectures.whole_name(timm_name) for model, timm_name in networks.items()}
        top1 = {model: tables.published_top1(published, timm_name) for model, timm_name in whole.items()}
    if given.recognition:
        top1 = together(given.recognition).set_index("model")["top1"]
    collecting.check(given.predicted, of_study)
    stimuli = read_table(given.stimuli[0])
    _, _, validation = splits.memorability_splits(stimuli, given.stimuli[0], 0, choose=True)
    numbers = [int(column.removeprefix("split_")) for column in split_columns(stimuli)]
    n_validation = dict(zip(numbers, validation.sum(1).tolist(), strict=True))
    best = read_frame(given.best_layers)
    table = tables.finetuned(tuned, together(given.scores), n_validation, before, best, after, top1)
    write_frame(snakemake.output.table, table)
    heads = {each[1:]: read_frame(file) for each, file in zip(tuned, given.predicted, strict=True)}
    of_layers = {Path(file).stem: read_frame(file) for file in given.best_predicted}
    write_frame(snakemake.output.against, best_layers.against(heads, of_layers))
    write_frame(snakemake.output.layers, tables.layers(snakemake.params.layers, *after))
    write_frame(snakemake.output.networks, statistics.relate_networks(table, snakemake.params.benchmarks))
