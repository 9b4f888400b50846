from dataclasses import asdict

from memscore import names
from memscore.device import of_scores
from memscore.files import write_rows
from memscore.job import job
from memscore.networks import store
from memscore.scores import brain
from memscore.stimuli.benchmarks import read_benchmark

with job(snakemake) as say:
    benchmarks = {
        name: read_benchmark(path)
        for name, path in zip(snakemake.params.benchmarks, snakemake.input.benchmarks, strict=True)
    }
    device = of_scores(snakemake.config["device"])
    rows = []
    for layer, features in store.read(snakemake.input.activations):
        for name, benchmark in benchmarks.items():
            similarity = brain.similarity(features, benchmark, snakemake.params.normalise, device)
            where = {"model": snakemake.wildcards.model, "layer": layer, "benchmark": name}
            rows.append(where | {"region": names.region(name)} | asdict(similarity))
    write_rows(snakemake.output[0], rows)
