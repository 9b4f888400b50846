"""Made-up recordings as a Brain-Score plugin would hold them, for tests and for the jobs of a workflow in a test.

`package()` uploads them with BrainIO's own packaging; `registrations(packaged)` gives their benchmarks, built as
`brainscore_vision.benchmarks.majajhong2015` and `freemanziemba2013` build theirs. The data are untidy: presentations
in random order, some missing, some sites without a response, numbers as stimulus ids whose order as text is another,
neuroids shuffled, V4 and IT in one assembly.
"""

import functools

import numpy as np
from brainscore_core.supported_data_standards.brainio import packaging, s3
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision import load_ceiling, load_metric
from brainscore_vision.benchmark_helpers.neural_common import NeuralBenchmark, average_repetition
from brainscore_vision.utils import LazyLoad
from PIL import Image

BUCKET = "brainscore-test"
N_STIMULI, N_REPETITIONS, N_SITES = 80, 4, 5
AREAS = {"Test2026": ("V4", "IT"), "Texture2026": ("V1",)}
STRATA = {"Test2026": "object_name", "Texture2026": "texture_type"}
DEGREES = {"Test2026": 8, "Texture2026": 4}
MILLISECONDS = {"Test2026": [(70, 170)], "Texture2026": [(t, t + 1) for t in range(48, 54)]}
WINDOW = (50, 53)


def stimulus_set(name, directory):
    """Numbers from 3 to 999 as ids, in random order; noise as images, 24 pixels wide."""
    rng = np.random.default_rng(len(name))
    ids = rng.choice(np.arange(3, 1000), N_STIMULI, replace=False)
    strata = [f"{STRATA[name]}_{k}" for k in "zyxwv"] if name == "Test2026" else ["texture", "noise"]
    directory.mkdir(parents=True)
    paths = {}
    for number in ids:
        paths[number] = directory / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(paths[number])
    stimuli = StimulusSet(
        {
            "stimulus_id": ids,
            STRATA[name]: rng.choice(strata, N_STIMULI),
            "stimulus_path_within_store": [f"shown_{number}" for number in ids],
        }
    )
    stimuli.stimulus_paths, stimuli.identifier = paths, name
    return stimuli


def recordings(name, ids):
    """Presentations in the order in which they were shown."""
    rng = np.random.default_rng(len(name) + 1)
    shown = rng.permutation(N_STIMULI * N_REPETITIONS)
    stimulus, repetition = shown // N_REPETITIONS, shown % N_REPETITIONS
    # One repetition in four stimuli is missing; two are never, so that each half of the repetitions has some.
    there = ~((repetition == 2) & (stimulus % 4 == 0))
    stimulus, repetition = stimulus[there], repetition[there]
    areas, bins = AREAS[name], MILLISECONDS[name]
    n = N_SITES * len(areas)
    signal = rng.standard_normal((N_STIMULI, 8)) @ rng.standard_normal((8, n))
    values = signal[stimulus, :, None] + 2 * rng.standard_normal((len(stimulus), n, len(bins)))
    values[(rng.random(values.shape[:2]) < 0.1) & (repetition == 3)[:, None]] = np.nan
    animal = {"animal": ("neuroid", rng.choice(["Tito", "Chabo"], n))} if name == "Test2026" else {}
    return NeuroidAssembly(
        values,
        dims=["presentation", "neuroid", "time_bin"],
        coords=animal
        | {
            "stimulus_id": ("presentation", ids[stimulus]),
            "repetition": ("presentation", repetition),
            "neuroid_id": ("neuroid", [f"site_{i}" for i in rng.permutation(n)]),
            "region": ("neuroid", rng.permutation(np.repeat(areas, N_SITES))),
            "time_bin_start": ("time_bin", [start for start, _ in bins]),
            "time_bin_end": ("time_bin", [end for _, end in bins]),
        },
    )


def package(directory):
    """Upload both data sets; what their plugins would write down: identifiers, SHA-1s, versions."""
    packaged = {}
    for name in AREAS:
        stimuli = stimulus_set(name, directory / name)
        assembly = recordings(name, stimuli["stimulus_id"].values)
        images = packaging.package_stimulus_set(None, stimuli, name, bucket_name=BUCKET)
        responses = packaging.package_data_assembly(None, assembly, name, name, bucket_name=BUCKET)
        packaged[name] = {"images": images, "responses": {k: v for k, v in responses.items() if k != "cls"}}
    return packaged


def load_assembly(name, region, packaged, average):
    """As `majajhong2015.benchmark.load_assembly` does, or `freemanziemba2013`'s where there are many time bins."""
    assembly = s3.load_assembly_from_s3(
        **packaged[name]["responses"],
        cls=NeuroidAssembly,
        stimulus_set_loader=lambda: s3.load_stimulus_set_from_s3(**packaged[name]["images"]),
    )
    assembly = assembly.sel(region=region)
    if len(MILLISECONDS[name]) > 1:
        assembly = assembly.stack(neuroid=["neuroid_id"])
        assembly["region"] = "neuroid", [region] * len(assembly["neuroid"])
        assembly.load()
        assembly = assembly.sel(time_bin=[(t, t + 1) for t in range(*WINDOW)])
        assembly = assembly.mean(dim="time_bin", keep_attrs=True)
        assembly = assembly.expand_dims("time_bin_start").expand_dims("time_bin_end")
        assembly["time_bin_start"], assembly["time_bin_end"] = [WINDOW[0]], [WINDOW[1]]
        assembly = assembly.stack(time_bin=["time_bin_start", "time_bin_end"])
    else:
        assembly["region"] = "neuroid", [region] * len(assembly["neuroid"])
        assembly.load()
    assembly = assembly.squeeze("time_bin").transpose("presentation", "neuroid")
    return average_repetition(assembly) if average else assembly


def benchmark(name, region, packaged):
    """As Brain-Score's plugins build theirs; the textures' assemblies load at first use, like Freeman and Ziemba's."""
    single, averaged = (
        LazyLoad(lambda average=average: load_assembly(name, region, packaged, average))
        if name == "Texture2026"
        else load_assembly(name, region, packaged, average)
        for average in (False, True)
    )
    ceiler = load_ceiling("internal_consistency")
    return NeuralBenchmark(
        identifier=f"{name}.{region}-pls",
        version=3,
        assembly=averaged,
        similarity_metric=load_metric("pls", crossvalidation_kwargs={"stratification_coord": STRATA[name]}),
        visual_degrees=DEGREES[name],
        number_of_trials=20,
        ceiling_func=lambda: ceiler(single),
        parent=region,
        bibtex=None,
    )


def registrations(packaged):
    """What the plugins would put into Brain-Score's registry: a function for each benchmark's name."""
    return {
        f"{name}.{region}-pls": functools.partial(benchmark, name, region, packaged)
        for name, areas in AREAS.items()
        for region in areas
    }
