from memscore import inspection, selection, stimuli
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    images = inspection.read(snakemake.input.images)
    write_frame(snakemake.log.bad_images, selection.bad_images(images))
    table, duplicates = selection.select(
        stimuli.read_text(snakemake.input.table),
        images,
        snakemake.wildcards.set,
        **snakemake.params.flaws,
        bad_list=snakemake.log.bad_images,
        say=say,
    )
    write_frame(snakemake.output.duplicates, duplicates)
    stimuli.write_table(snakemake.output.stimuli, table)
