"""What takes the place of the scripts that score, in tests of what becomes of a run."""

TABLE = "results/memorability.csv"
JOBS = [f"results/memorability/mine/tiny/{layer}.csv" for layer in ("conv1.0", "layer2.0.act2", "penultimate")]
# In the place of the scripts that score: the finished study's numbers, without a network. Waits while there is a file
# `hold` in the study's folder, and leaves a file that says that it was reached.
STAND_IN = """
import os
import time
from pathlib import Path

from memscore.files import replacing
from memscore.job import job

with job(snakemake):
    while os.path.exists("hold"):
        Path(f"reached.{{os.getpid()}}").touch()
        time.sleep(0.1)
    time.sleep(0.5)
    for output in reversed(snakemake.output):
        with replacing(output) as temporary:
            temporary.write_bytes(Path({finished!r}, output).read_bytes())
"""
# The same of a run with other settings, whose numbers are others: waits for a file `hold.before`, leaves `before.*`.
OTHER_SETTINGS = (
    STAND_IN.replace('"hold"', '"hold.before"')
    .replace('"reached.', '"before.')
    .replace(".read_bytes())", ".read_bytes().replace(b'0.', b'0.9'))")
)
