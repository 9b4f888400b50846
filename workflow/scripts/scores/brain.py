from dataclasses import asdict

from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.names import region
from memscore.networks.streaming import layers_of_job
from memscore.scores import brain
from memscore.settings import made_with
from memscore.stimuli.benchmarks import read_benchmark

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    benchmarks = dict(zip(params.benchmarks, map(read_benchmark, given.benchmarks), strict=True))
    rows, made_on = [], {"device": device.kind(snakemake.config["device"]), "made_with": made_with(snakemake.params)}
    for layer, features in layers_of_job(snakemake, say, *given.pixels):
        for name, benchmark in benchmarks.items():
            similarity = brain.similarity(features, benchmark, params.normalise)
            where = {"model": snakemake.wildcards.model, "layer": layer, "benchmark": name}
            rows.append(where | {"region": region(name)} | asdict(similarity) | made_on)
    write_rows(snakemake.output[0], rows)
