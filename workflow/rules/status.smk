# How far a long run has come. To Snakemake this would be a study of its own: its DAG, and at its end the lock removed that a
# run holds in the same folder. So it is answered as this file is read.


def jobs_by_stage():
    """One output of each of the study's jobs; planned without the DAG, which takes a large study's jobs minutes."""
    datasets, sets, across = STUDY.datasets_in_use(), STUDY.stimulus_sets(), STUDY.across()
    seen = [*sets, *([("references", "pca")] if config["reduction"]["pca"] else [])]
    return {
        "staging": [
            *(f"resources/weights/{model}.safetensors" for model in STUDY.models),
            *(f"resources/stimuli/datasets/{name}/{table}.csv" for name in datasets for table in ("staged", "images")),
            *(f"resources/stimuli/{kind}/{name}/stimuli.csv" for kind, name in seen),
            *(f"resources/stimuli/datasets/{fitted}/shared/{tested}.csv" for fitted, tested in across),
            *(f"resources/benchmarks/{name}.nc" for name in STUDY.benchmarks()),
        ],
        "pixels": list(
            dict.fromkeys(
                f"resources/pixels/{kind}/{name}/{STUDY.transform(model)}.npy"
                for kind, name in seen
                for model in STUDY.models
            )
        ),
        **{stage: files for stage, files in STUDY.job_tables().items() if stage not in ("consistency", "audit")},
        "tables and report": tables(),
    }


def tables():
    """The same of the study's end: tables, figures and the front page."""
    named = {
        "layers.csv figures/along_depth.svg provenance.json summary.rst": True,
        "memorability.csv best_layers.csv": STUDY.dataset,
        "brain.csv": STUDY.benchmarks(),
        "correlations.csv figures/relation.svg": STUDY.relates,
        "finetuned.csv beside_published.csv figures/training_curves.svg figures/beside_published.svg": STUDY.tuned,
        "figures/before_and_after.svg": STUDY.tuned and STUDY.benchmarks(),
        "generalisation.csv figures/across_against_within.svg": STUDY.generalisation,
        "generalisation_correlations.csv figures/generalisation_by_region.svg": STUDY.generalisation
        and STUDY.benchmarks(),
    }
    return [
        *(f"results/{name}" for names, wanted in named.items() if wanted for name in names.split()),
        *STUDY.job_tables()["consistency"],
        *("results/provenance/{}/{}.json".format(*each) for each in STUDY.records()),
        *(f"results/memorability/{name}.csv" for name in STUDY.generalisation),
        *(f"results/generalisation/{fitted}/{tested}.csv" for fitted, tested in STUDY.across()),
    ]


def scratch_of(job):
    """Bytes that a job asks for in its tmpdir: those that score layers do."""
    kinds = {"memorability": "datasets", "generalisation": "datasets", "brain": "benchmarks"}
    found = re.fullmatch(r"results/(\w+)/(.+)/([^/]+)/([^/]+)\.csv", job)
    if not found or found[1] not in kinds:
        return 0
    pixels = pixels_for(kinds[found[1]], found[3], *found[2].split("/"))
    return 10**6 * STUDY.room(found[3], found[4], pixels)[1] if all(map(os.path.exists, pixels)) else 0


def on_gpus(executor):
    """Whether jobs that run networks have a GPU each: of this machine, or by what is asked of its cluster."""
    here = device.DRIVER.exists() or config["device"].startswith("cuda")
    return config["device"] != "cpu" and (here or bool(executor == "slurm" and SITE.resources("gpu").get("gres")))


def command_line():
    """What this Snakemake is asked for, and how. It knows, and says so to the workflow once this file is read."""
    from contextlib import redirect_stderr
    from io import StringIO

    from snakemake.cli import parse_args

    with redirect_stderr(StringIO()):
        return parse_args(None)[1]


def only_looks():
    """Whether nothing is run: then jobs of a run that was killed may still end well, and its lock stays."""
    looking = (
        "dryrun touch summary detailed_summary dag rulegraph filegraph d3dag list_rules list_target_rules lint report "
        "list_changes list_input_changes list_params_changes list_untracked list_conda_envs archive containerize "
        "generate_unit_tests cleanup_metadata"
    )
    try:
        asked = command_line()
    except SystemExit:  # Another program's command line, by Snakemake's API.
        return False
    return any(getattr(asked, name, False) for name in looking.split())


STATUS = workflow.modifier.modify_rulename("status")
if STATUS in sys.argv and workflow.is_main_process and STATUS in (asked := command_line()).targets:
    from memscore import progress

    stages = jobs_by_stage()
    networks = stages.keys() - {"staging", "pixels", "tables and report"}
    print(*progress.report(stages, networks, on_gpus(asked.executor), SITE.clusters, scratch_of), sep="\n")
    # Snakemake keeps a log of whatever it is asked: who asks every minute wants none.
    for file in workflow.logger_manager.get_logfile():
        os.unlink(file)
    sys.exit(0)
