from pathlib import Path

from memscore import device
from memscore.files import write_rows
from memscore.job import every_few_seconds, job
from memscore.predictions import peers
from memscore.stimuli import tables

with job(snakemake) as say:
    file, where = Path(snakemake.input.stimuli), snakemake.wildcards
    table = tables.read_table(file)
    predict, images = peers.PEERS[where.peer], [file.parent / path for path in table["path"]]
    progress = every_few_seconds(say, f"{where.peer}: images of {where.set}", len(table))
    predicted = predict(images, snakemake.params.upright, device.of_networks(snakemake.config["device"]), progress)
    rows = zip(table["stimulus_id"], predicted, strict=True)
    write_rows(snakemake.output[0], [{"stimulus_id": id, "predicted": float(value)} for id, value in rows])
