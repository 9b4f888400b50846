from pathlib import Path

from memscore import device
from memscore.errors import InputError
from memscore.files import replacing, write_rows
from memscore.job import every_few_seconds, job
from memscore.predictions import predictor
from memscore.report import contact_sheet
from memscore.stimuli import state

with job(snakemake) as say:
    given, folder = snakemake.input, Path(snakemake.params.images)
    known = predictor.load(given.predictor, given.plugins, device.of_networks(snakemake.config["device"]))
    files = state.files_in(folder)
    if not files:
        raise InputError(f"config: images: no files in {folder}; name a folder with photographs")
    rows = known.of_files(files, every_few_seconds(say, f"images of {folder}", len(files)))
    unread = sum(row["rank"] is None for row in rows)
    say(f"{len(files) - unread} images, {unread} files that cannot be read as one")
    write_rows(snakemake.output.table, rows)
    with replacing(snakemake.output.page) as temporary:
        temporary.write_text(contact_sheet.write(rows, known.about, str(folder)), encoding="utf-8")
