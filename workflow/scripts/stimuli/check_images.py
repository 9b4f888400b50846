from pathlib import Path

from memscore.files import write_frame
from memscore.job import every_few_seconds, job
from memscore.stimuli import inspection, tables

with job(snakemake) as say:
    table, target = tables.read_table(snakemake.input.table), Path(snakemake.output[0])
    known = tables.read_text(target) if target.is_file() else None
    images = inspection.inspect(
        table,
        target.parent,
        known,
        progress=every_few_seconds(say, f"images of {snakemake.wildcards.set}", len(table)),
        threads=snakemake.threads,
    )
    write_frame(target, images)
