from pathlib import Path

from memscore.files import replacing, write_frame
from memscore.job import job
from memscore.report import stimulus_page
from memscore.stimuli import inspection, tables

with job(snakemake) as say:
    table, params = Path(snakemake.input.table), snakemake.params
    names = map("/".join, params.others)
    page, pairs = stimulus_page.write(
        snakemake.wildcards.set,
        tables.read_text(table),
        inspection.read(snakemake.input.images),
        dict(zip(names, map(inspection.read, snakemake.input.others), strict=True)),
        table.parent,
        params.flaws,
        params.seed,
    )
    write_frame(snakemake.output.duplicates, pairs)
    with replacing(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
