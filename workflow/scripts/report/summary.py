import pandas as pd

from memscore.files import read_frame, replacing
from memscore.job import job
from memscore.report import provenance, summary
from memscore.stimuli import consistency

with job(snakemake) as say:
    layers = read_frame(snakemake.input.layers)
    correlations, differences, controls = (
        read_frame(path) if path else pd.DataFrame()
        for path in (snakemake.input.correlations, snakemake.input.differences, snakemake.input.controls)
    )
    people, params = consistency.read(snakemake.input.consistency), snakemake.params
    text = summary.write(
        layers,
        correlations,
        differences,
        controls,
        params.benchmarks,
        params.dataset,
        params.simulated,
        consistency=people,
        rests_on=provenance.described(snakemake.input.provenance),
        source=params.source,
        finetuned=tuple(map(read_frame, snakemake.input.finetuned)) or None,
    )
    with replacing(snakemake.output[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
