from memscore.analysis import statistics
from memscore.files import read_frame, write_frame
from memscore.job import job

with job(snakemake) as say:
    table, params = read_frame(snakemake.input[0]), snakemake.params
    columns = [column for column in table if column.startswith(("within.", "across."))]
    write_frame(snakemake.output[0], statistics.relate_each(table, columns, params.benchmarks))
