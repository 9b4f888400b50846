# The package lies beside this folder, whoever's Snakefile uses it. This process finds it and so do the scripts that it
# starts, here and on cluster nodes.
import gc
import inspect
import os
import re
import sys
from pathlib import Path

PACKAGE = os.path.dirname(workflow.current_basedir.get_path_or_uri(secret_free=True))
if not os.path.isdir(PACKAGE):
    sys.exit(f"memscore: no folder {PACKAGE}; Snakemake fetches rules, not packages: give the snakefile: of a clone")
sys.path.insert(0, PACKAGE)

from memscore import cluster, configuration, device, files, libraries, lock, names, slurm, study, versions, wanted
from memscore.errors import InputError
from memscore.stimuli import state

# Whose workflow has this as a module may have a package of its own.
PYTHONPATH = os.pathsep.join(filter(None, [PACKAGE, os.environ.get("PYTHONPATH")]))
os.environ.update(libraries.environment(), PYTHONPATH=PYTHONPATH)

if workflow.is_main_process:
    os.environ.pop(wanted.RUN, None)

try:
    # A job that starts when its run is over would begin by removing the results that are there.
    wanted.check()
    SITE = cluster.read_site(Path("slurm/site.yaml"), Path(PACKAGE).parent / "slurm/site.yaml")
    # What is wrong there a run says before its jobs, which may have other paths and packages.
    if workflow.is_main_process:
        for path in workflow.configfiles:
            configuration.check_file(Path(path))
    STUDY = study.load(config)
    if workflow.is_main_process and not workflow.deployment_settings.deployment_method:
        study.check_packages(STUDY)
except InputError as error:
    sys.exit(f"memscore: {error}")


# A large study's jobs are millions of objects that stay: looking for garbage among them again and again takes a sixth of
# planning.
gc.set_threshold(100_000, 100, 1000)


def staged_table(wildcards):
    """What is staged of a stimulus set: of a dataset before bad images are left out."""
    name = "staged" if wildcards.kind == "datasets" else "stimuli"
    return f"resources/stimuli/{wildcards.kind}/{wildcards.set}/{name}.csv"


def of_job(function):
    """A function that Snakemake calls for each of fifty thousand jobs, its parameters noted.

    Snakemake asks Python for them up to three times a call, which takes longer than most of these functions do.
    """
    function.__signature__ = inspect.signature(function)
    return function


# Input functions of layers run once a job, thirty thousand times in a large study: they format strings, not expand them.
def pixels_for(kind, model, *sets):
    """The files of stimulus sets' pixels as a model wants them."""
    return [f"resources/pixels/{kind}/{set}/{STUDY.transform(model)}.npy" for set in sets]


def recorded(part, name):
    """The staged file of which hashes are kept."""
    return {
        "weights": f"resources/weights/{name}.safetensors",
        "datasets": f"resources/stimuli/datasets/{name}/stimuli.csv",
        "stimuli": f"resources/stimuli/benchmarks/{name}/stimuli.csv",
        "benchmarks": f"resources/benchmarks/{name}.nc",
    }[part]


def scored(folder, sets):
    """What the jobs write that between them score every layer of the study on these stimulus sets."""
    return STUDY.scored(STUDY.models, folder, sets)


# Of a job that fails. It is the run that tries again, with more memory and time: the Snakemake that a job on a cluster is run
# by would try as often, with no more.
RETRIES = 2 if workflow.is_main_process else 0


def on_node(kind, mem_mb, minutes):
    """Resources of what runs on a node, `cpu` or `gpu`, more with each try."""
    return {
        **SITE.resources(kind),
        "mem_mb": of_job(lambda wildcards, attempt: SITE.memory(kind, mem_mb, attempt)),
        "runtime": of_job(lambda wildcards, attempt: SITE.minutes(kind, minutes, attempt)),
        "local_gpu": device.shared_card(config["device"]) if kind == "gpu" else 0,
    }


def meet_cluster():
    """Before the first job of a run on Slurm: what runs before left there goes, and all jobs of this one can start."""
    if workflow.executor_plugin.name != "slurm":
        return

    def say(message):
        print(f"memscore: {message}", file=sys.stderr, flush=True)

    try:
        slurm.wait_for_controller(say)
    except InputError as error:
        sys.exit(f"memscore: {error}")
    for name in sorted(SITE.clusters):
        cluster.cancel_left(say, name)
    cluster.ask(SITE)
    away = [job for job in workflow.dag.needrun_jobs() if not workflow.is_local(job.rule)]
    named = (job.resources.get("slurm_partition") for job in away)
    SITE.default = str(next(filter(None, named), SITE.default))
    asked = ((job.rule.name, {"threads": job.threads, **dict(job.resources.items())}) for job in away)
    found = cluster.impossible(SITE, asked)
    if found:
        sys.exit("\n".join(f"memscore: {each}; see slurm/site.yaml, and resources in the config" for each in found))


# Jobs go to Slurm as the plugin sends them, and what becomes of them is asked in our own way.
def use_our_executor():
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    registry = ExecutorPluginRegistry()
    if registry.is_installed("slurm"):
        from memscore.executor import Executor

        registry.get_plugin("slurm").executor = Executor


if workflow.is_main_process:
    use_our_executor()


# One job at a time on this machine's GPU unless --resources local_gpu=<n> says otherwise. A cluster counts its own.
resource_scopes:
    local_gpu="local",


workflow.global_resources.setdefault("local_gpu", 1)


# Every wildcard is one folder or file name: where one could span several, a job's file would match the rules that collect
# files of a folder above, and each of those would ask for every job again.
wildcard_constraints:
    kind="[^/]+",
    set="[^/]+",
    model="[^/]+",
    layers="[^/]+",
    benchmark="[^/]+",
    transform="[^/]+",
    fitted="[^/]+",
    tested="[^/]+",
    part="[^/]+",
    name="[^/]+",
    split="[^/]+",
    peer="[^/]+",
