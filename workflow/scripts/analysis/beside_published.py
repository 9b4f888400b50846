import pandas as pd

from memscore import study
from memscore.analysis import collecting, tables
from memscore.files import read_frame, write_frame
from memscore.job import job
from memscore.predictions import peers
from memscore.stimuli.tables import read_table

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    stimuli = read_table(given.stimuli[0])
    collecting.check(given.peers, study.load(snakemake.config))
    measured = {
        name: peers.rho_by_split(read_frame(file), stimuli, params.splits, given.stimuli[0])
        for name, file in zip(params.peers, given.peers, strict=True)
    }
    published = pd.read_csv(given.published, sep="\t", comment="#") if given.published else None
    saw_them = [name for name in params.peers if params.source in peers.TRAINED_ON[name]]
    table = tables.beside_published(read_frame(given.finetuned), measured, published, saw_them)
    write_frame(snakemake.output[0], table)
