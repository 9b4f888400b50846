from memscore.files import write_frame
from memscore.job import job
from memscore.stimuli import inspection, selection, tables

with job(snakemake) as say:
    images = inspection.read(snakemake.input.images)
    write_frame(snakemake.log.bad_images, selection.bad_images(images))
    table, duplicates = selection.select(
        tables.read_text(snakemake.input.table),
        images,
        snakemake.wildcards.set,
        **snakemake.params.flaws,
        bad_list=snakemake.log.bad_images,
        say=say,
    )
    asked = snakemake.config["memorability"]
    if asked and asked["dataset"] == snakemake.wildcards.set:
        choose = asked["components"] == "auto"
        selection.check_usable(table, snakemake.wildcards.set, 0 if choose else asked["components"], choose)
    write_frame(snakemake.output.duplicates, duplicates)
    tables.write_table(snakemake.output.stimuli, table, corrected=True)  # staging has refused what is not
