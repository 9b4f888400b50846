"""Configs and model tables: what cannot be used is refused in one line, and layers are chosen as promised."""

import copy
import json
import os
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memscore import study
from memscore.errors import InputError
from memscore.networks import architectures

HEADER = "model\ttimm_name\tweights\tlayers\n"


@pytest.fixture
def config(repository, tmp_path):
    """The default config, with a table of one small model."""
    table = tmp_path / "models.tsv"
    table.write_text(HEADER + "tiny\ttest_resnet\tuntrained\t\n")
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    return config | {"models": str(table), "input_size": 64}


def refusal(*arguments) -> str:
    """The message with which a study is refused."""
    with pytest.raises(InputError) as caught:
        study.load(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


def changed(config: dict, path: str, value) -> dict:
    """A copy of the config with `value` at `a.b.c`; without that key if the value is `...`."""
    config = copy.deepcopy(config)
    *above, last = path.split(".")
    section = config
    for key in above:
        section = section[key]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return config


def test_default_config_is_accepted(config, catalogue):
    loaded = study.load(config, catalogue)
    assert list(loaded.models) == ["tiny"]
    assert len(loaded.models["tiny"].layers) == config["layers"]["count"]


def test_files_of_the_workflow_where_the_study_has_none_of_its_own(
    config, repository, catalogue, tmp_path, monkeypatch
):
    """And not what else lies in the checkout, such as another study's."""
    monkeypatch.chdir(tmp_path)
    config |= {"published": "config/published.tsv", "object_recognition": "config/imagenet_top1.tsv"}
    loaded = study.load(config, catalogue)
    assert loaded.accuracies == str(repository / "config/imagenet_top1.tsv")
    assert loaded.config["published"] == str(repository / "config/published.tsv")
    assert loaded.config["models"] == config["models"]
    assert config["published"] == "config/published.tsv", "what provenance says of the config is the same everywhere"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/imagenet_top1.tsv").touch()
    assert study.load(config, catalogue).accuracies == "config/imagenet_top1.tsv"
    assert "models: no file README.md" in refusal(changed(config, "models", "README.md"), catalogue)
    assert "downloads: no folder shared" in refusal(changed(config, "downloads", "shared"), catalogue)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("bath_size", 16, ["'bath_size'", "batch_size"]),
        ("layers.cuont", 3, ["layers:", "'cuont'", "count"]),
        (
            "datasets.mine",
            {"source": "table", "table": "mine.csv", "imges": "x"},
            ["datasets: mine:", "'imges'", "images"],
        ),
        ("seed", ..., ["missing", "'seed'"]),
        ("reduction.sketch", ..., ["reduction:", "missing", "'sketch'"]),
        ("reduction.pca", ..., ["reduction:", "missing", "'pca'"]),
        ("reduction.pca", 1, ["reduction: pca:", "1", "minimum"]),
        ("reduction.pca", "all", ["reduction: pca:", "'all'", "integer"]),
        ("reduction.pca_images", ["tiles"], ["reduction: pca_images:", "['tiles']", "string"]),
        ("datasets.mine", {"source": "table"}, ["datasets: mine:", "missing", "'table'"]),
        ("seed", "one", ["seed:", "'one'", "integer"]),
        ("seed", -1, ["seed:", "-1"]),
        ("layers.count", 0, ["layers: count:", "0"]),
        ("layers.count", "all", ["layers: count:", "'all'", "integer"]),
        ("layers", None, ["layers:", "None"]),
        ("input_size", 0, ["input_size:", "0"]),
        ("device", "gpu", ["device:", "'gpu'", "cuda"]),
        ("model_plugins", "lab.py", ["model_plugins:", "'lab.py'", "array"]),
        ("datasets.mine", {"source": "lamen"}, ["datasets: mine: source:", "'lamen'", "table"]),
        ("datasets.my set", {"source": "simulated"}, ["datasets:", "'my set'"]),
        ("memorability.dataset", "lamem", ["memorability: dataset:", "'lamem'", "tiles"]),
        ("memorability.components", 0, ["memorability: components:", "0"]),
        ("memorability.components", "best", ["memorability: components:", "'best'"]),
        ("memorability.max_components", 0, ["memorability: max_components:", "0"]),
        ("finetune.splits", [0], ["finetune: splits:", "0"]),
        ("finetune.optimizer", "adam", ["finetune: optimizer:", "'adam'", "adamw"]),
        ("finetune.epochs", ..., ["finetune:", "missing", "'epochs'"]),
        ("brain.benchmarks", [], ["brain: benchmarks:", "[]"]),
        ("brain.benchmarks", ["simulated.V3"], ["brain: benchmarks:", "'simulated.V3'"]),
        ("brain.normalise", "r2", ["brain: normalise:", "'r2'", "explained_variance"]),
    ],
)
def test_bad_config_is_refused(config, catalogue, path, value, words):
    message = refusal(changed(config, path, value), catalogue)
    assert message.startswith("config: ")
    for word in words:
        assert word in message
    assert "config/config.yaml explains" in message or path in ("memorability.dataset", "brain.benchmarks")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (None, ["pca needs reference images", "a stimulus set or a folder"]),
        ("", ["pca needs reference images"]),
        ("imagenet/val", ["'imagenet/val'", "among datasets (tiles)", "nor a folder", "repository root"]),
        ("Snakefile", ["'Snakefile'", "nor a folder"]),
    ],
)
def test_principal_components_need_reference_images(config, catalogue, images, words):
    config = changed(changed(config, "reduction.pca", 1000), "reduction.pca_images", images)
    message = refusal(config, catalogue)
    assert message.startswith("config: reduction: pca_images: ")
    for word in words:
        assert word in message
    assert study.load(changed(config, "reduction.pca", None), catalogue).reference_sets() == []


def test_reference_images_are_a_stimulus_set_or_a_folder(config, catalogue, tmp_path):
    config = changed(config, "reduction.pca", 1000)
    assert study.load(changed(config, "reduction.pca_images", "tiles"), catalogue).reference_sets() == ["tiles"]
    assert study.load(changed(config, "reduction.pca_images", str(tmp_path)), catalogue).reference_sets() == []


def test_table_of_the_reference_images_must_exist(config, catalogue):
    config = changed(config, "datasets.mine", {"source": "table", "table": "nowhere.csv"})
    assert study.load(config, catalogue)
    config = changed(changed(config, "reduction.pca", 10), "reduction.pca_images", "mine")
    assert refusal(config, catalogue).startswith("config: datasets: mine: table: no file nowhere.csv; ")


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            {"source": "simulated", "table": "a.csv"},
            ["unknown key 'table'", "known are drop_duplicates, group, on_bad_image, source;"],
        ),
        (
            {"source": "table", "table": "a.csv", "url": "http://a/b"},
            ["'url'", "group, images, memorability, n_splits, on_bad_image, source, stratify, table"],
        ),
        (
            {"source": "lamem", "n_splits": 5},
            ["'n_splits'", "archive, directory, drop_duplicates, on_bad_image, sha256, source, url"],
        ),
        ({"source": "lamem", "archive": ["a", "b"]}, ["archive:", "'string'"]),
        ({"source": "lamem", "url": "lamem.tar.gz"}, ["url:", "'lamem.tar.gz'"]),
        ({"source": "lamem", "url": "http://here/"}, ["url:", "'http://here/'"]),
        ({"source": "lamem", "sha256": "abc"}, ["sha256:", "'abc'"]),
        ({"source": "lamem", "directory": "a", "archive": "b"}, ["directory and archive both say where it is"]),
        ({"source": "lamem", "url": "http://a/b", "archive": "b"}, ["archive and url both say where it is"]),
        ({"source": "lamem", "directory": "config", "sha256": "0" * 64}, ["sha256 is an archive's"]),
        ({"source": "lamem", "directory": "nowhere"}, ["directory: no folder nowhere; give a path from the repo"]),
        ({"source": "lamem", "directory": "Snakefile"}, ["directory: no folder Snakefile"]),
        ({"source": "lamem", "archive": "lamem.tar.gz"}, ["archive: no file lamem.tar.gz; give a path from the repo"]),
        ({"source": "lnsim", "group": "scene"}, ["'group'", "archive, directory, drop_duplicates, n_splits"]),
        ({"source": "lnsim", "directory": "nowhere"}, ["directory: no folder nowhere"]),
        ({"source": "memcat"}, ["memcat cannot be downloaded; name its directory: or archive:"]),
        ({"source": "memcat", "archive": ["Snakefile", "nowhere.zip"]}, ["archive: no file nowhere.zip"]),
        ({"source": "memcat", "archive": []}, ["archive:", "[]"]),
        ({"source": "memcat", "directory": "config", "table": "nowhere.csv"}, ["table: no file nowhere.csv"]),
        ({"source": "memcat", "memorability": "raw"}, ["memorability:", "'raw'", "corrected"]),
        ({"source": "figrim", "directory": "config"}, ["missing", "'table'"]),
        ({"source": "figrim", "table": "Snakefile"}, ["figrim cannot be downloaded"]),
        ({"source": "table", "table": "Snakefile", "images": "nowhere"}, ["images: no folder nowhere"]),
        ({"source": "table", "table": "Snakefile", "group": "a", "stratify": "b"}, ["leave one of them out"]),
    ],
    ids=str,
)
def test_data_set_that_cannot_be_found_is_refused(config, catalogue, repository, monkeypatch, dataset, words):
    monkeypatch.chdir(repository)
    config = changed(changed(config, "datasets.mine", dataset), "memorability.dataset", "mine")
    message = refusal(config, catalogue)
    assert message.startswith("config: datasets: mine: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "dataset",
    [
        {"source": "lamem"},
        {"source": "lamem", "url": "https://mirror.example/lamem.tar.gz", "sha256": "0" * 64},
        {"source": "lamem", "archive": "Snakefile", "sha256": "0" * 64},
        {"source": "lamem", "directory": "config"},
        {"source": "lnsim"},
        {"source": "lnsim", "url": "https://mirror.example/lnsim.zip", "n_splits": 3},
        {"source": "lnsim", "directory": "config"},
        {"source": "memcat", "directory": "config", "memorability": "corrected", "group": "category", "n_splits": 3},
        {"source": "memcat", "archive": ["Snakefile", "README.md"], "table": "README.md"},
        {"source": "figrim", "archive": "Snakefile", "table": "README.md", "group": "category"},
        {"source": "table", "table": "README.md", "images": "config", "stratify": "kind", "n_splits": 2},
    ],
    ids=str,
)
def test_data_set_that_says_where_it_is_is_accepted(config, catalogue, repository, monkeypatch, dataset):
    monkeypatch.chdir(repository)
    config = changed(changed(config, "datasets.mine", dataset), "memorability.dataset", "mine")
    assert study.load(config, catalogue).dataset == "mine"


def test_only_the_tiles_are_small(config, catalogue, repository, monkeypatch, tmp_path):
    """Photographs go in at their network's own size, unless the config says otherwise."""
    monkeypatch.chdir(repository)
    (tmp_path / "own.tsv").write_text(HEADER + "own\tresnet18\tuntrained\t\n")
    tiles = config | {"input_size": None, "models": str(tmp_path / "own.tsv")}
    mine = changed(tiles, "datasets.mine", {"source": "table", "table": "README.md"})
    assert study.load(tiles, catalogue).models["own"].input["input_size"] == [160, 160]
    assert study.load(mine, catalogue).models["own"].input["input_size"] == [160, 160]
    for images in (
        changed(mine, "memorability.dataset", "mine"),
        changed(tiles, "brain.benchmarks", ["cowley2023.V4"]),
    ):
        assert study.load(images, catalogue).models["own"].input["input_size"] == [224, 224]
        assert study.load(images | {"input_size": 64}, catalogue).models["own"].input["input_size"] == [64, 64]


@pytest.mark.parametrize("path", ["memorability", "brain"])
def test_each_half_of_a_study_can_be_left_out(config, catalogue, path):
    loaded = study.load(changed(config, path, None), catalogue)
    assert bool(loaded.dataset) == (path != "memorability")
    assert bool(loaded.benchmarks()) == (path != "brain")


def test_a_study_of_neither_half_is_refused(config, catalogue):
    message = refusal(changed(changed(config, "brain", None), "memorability", None), catalogue)
    assert message == "config: memorability and brain are both null; a study needs one of them"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        pytest.param("", ["no models", "tabs"], id="empty"),
        pytest.param(HEADER, ["no models", "tabs"], id="header-only"),
        pytest.param("# no models yet\n" + HEADER, ["no models"], id="comment-only"),
        pytest.param(
            "model\ttimm_name\ntiny\ttest_resnet\n", ["model 1", "missing", "'weights'"], id="no-weights-column"
        ),
        pytest.param(HEADER + "tiny\ttest_resnet\t\t\n", ["model 1", "missing", "'weights'"], id="empty-weights"),
        pytest.param(
            "model,timm_name,weights\ntiny,test_resnet,untrained\n", ["'model,timm_name,weights'", "tabs"], id="commas"
        ),
        pytest.param("model\ttimm_name\tweights\tlyers\nm\tn\tw\tx\n", ["model 1", "'lyers'", "layers"], id="column"),
        pytest.param(HEADER + "a\ttest_resnet\tuntrained\t\n" * 2, ["model 2", "'a'", "another name"], id="duplicate"),
        pytest.param(HEADER + "a/b\ttest_resnet\tuntrained\t\n", ["model 1", "'a/b'", "use letters"], id="slash"),
        pytest.param(HEADER + "my net\ttest_resnet\tuntrained\t\n", ["model 1", "'my net'", "use letters"], id="space"),
        pytest.param(HEADER + "a.tuned-1\ttest_resnet\tuntrained\t\n", ["'a.tuned-1'", "fine-tuned"], id="tuned"),
        pytest.param(HEADER + ".net\ttest_resnet\tuntrained\t\n", ["model 1", "'.net'", "use letters"], id="hidden"),
        pytest.param(
            HEADER + "tiny\ttest_resnet\tuntrained\tblocks.*\n", ["'tiny'", "'blocks.*'", "conv1.0"], id="pattern"
        ),
        pytest.param(HEADER + "tiny\ttest_resnet\tuntrained\tconv1.0,blocks.*\n", ["'tiny'", "'blocks.*'"], id="half"),
        pytest.param(HEADER + "tiny\ttest_resnet\tuntrained\t\textra\n", ["model 1", "more cells"], id="extra-cell"),
        pytest.param((HEADER + "é\ttest_resnet\tuntrained\t\n").encode("latin-1"), ["UTF-8"], id="latin-1"),
        pytest.param(
            HEADER + "tiny\ttest_resnet\tweights.pth\t\n", ["'tiny'", "weights.pth", "untrained"], id="weights"
        ),
    ],
)
def test_bad_model_table_is_refused(config, catalogue, tmp_path, table, words):
    path = tmp_path / "table.tsv"
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    message = refusal(config | {"models": str(path)}, catalogue)
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("timm_name", "words"),
    [
        ("tf_efficientnet_lte0", ["tf_efficientnet_lite0"]),
        ("resnet5O", ["resnet50"]),
        ("ResNet50", ["resnet50"]),
        ("qqqqq", ["timm.list_models()"]),
        ("resnet18.no_such_tag", ["resnet18", "no_such_tag"]),
    ],
)
def test_unknown_timm_model_is_refused(config, catalogue, tmp_path, timm_name, words):
    path = tmp_path / "table.tsv"
    path.write_text(HEADER + f"mine\t{timm_name}\tuntrained\t\n")
    message = refusal(config | {"models": str(path)}, catalogue)
    for word in [str(path), "'mine'", timm_name, *words]:
        assert word in message


def test_a_seed_of_its_own_may_be_zero(config, catalogue):
    loaded = study.load(changed(config | {"seed": 3}, "seeds.data", 0), catalogue)
    assert (loaded.seed("data"), loaded.seed("weights")) == (0, 3)


def test_missing_files_are_refused(config, catalogue, tmp_path):
    """Even where a finished study would let Snakemake go on with what it made from them."""
    assert "nowhere.tsv" in refusal(config | {"models": "nowhere.tsv"}, catalogue)
    assert "model_plugins: no file nowhere.py" in refusal(config | {"model_plugins": ["nowhere.py"]}, catalogue)
    assert "config: images: no folder nowhere" in refusal(config | {"images": "nowhere"}, catalogue)
    assert "config: predictor: no file nothing" in refusal(config | {"predictor": "nothing"}, catalogue)
    datasets = {"mine": {"source": "table", "table": "nowhere.csv"}}
    memorability = {"dataset": "mine", "components": 5, "max_components": 25}
    message = refusal(config | {"datasets": datasets, "memorability": memorability}, catalogue)
    assert "datasets: mine:" in message
    assert "nowhere.csv" in message


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_of_any_editor_are_read(config, catalogue, tmp_path, encoding, newline):
    path = tmp_path / "table.tsv"
    text = "# ours\n" + HEADER + "\n tiny \ttest_resnet\tuntrained\t conv1.0, penultimate \n\n"
    path.write_text(text, encoding=encoding, newline=newline)
    layers = study.load(config | {"models": str(path)}, catalogue).models["tiny"].layers
    assert [layer["name"] for layer in layers] == ["conv1.0", "penultimate"]


def make_layers(n: int, penultimate: bool = True) -> list[dict]:
    """n layers in order; the penultimate one stands last but one, before the classifier."""
    names = [f"layer{i}" for i in range(n)]
    if penultimate:
        names[max(n - 2, 0)] = architectures.PENULTIMATE
    return [{"name": name, "module_type": "Conv2d", "n_features": 10, "calls": 1} for name in names]


sizes = st.integers(1, 400)


@given(n=sizes, count=st.integers(1, 500), penultimate=st.booleans())
def test_count_spreads_layers_from_first_to_penultimate(n, count, penultimate):
    layers = make_layers(n, penultimate)
    chosen = study.select_layers(layers, {"count": count, "every": None})
    positions = [layer["index"] for layer in chosen]
    assert 1 <= len(chosen) <= count
    assert positions == sorted(set(positions))
    assert [layers[i]["name"] for i in positions] == [layer["name"] for layer in chosen]
    end = max(n - 2, 0) if penultimate else n - 1
    assert positions[-1] == end
    if count >= 2:
        assert positions[0] == 0
    assert len(chosen) == min(count, end + 1)
    gaps = [after - before for before, after in pairwise(positions)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(n=sizes, every=st.integers(1, 50), penultimate=st.booleans())
def test_every_takes_each_nth_and_the_penultimate(n, every, penultimate):
    layers = make_layers(n, penultimate)
    chosen = [layer["index"] for layer in study.select_layers(layers, {"count": 3, "every": every})]
    end = max(n - 2, 0) if penultimate else n - 1
    assert chosen == sorted({*range(0, n, every), end})
    if every == 1:
        assert chosen == list(range(n))


@given(n=sizes, count=st.integers(1, 50))
def test_depth_is_a_place_in_the_whole_network(n, count):
    chosen = study.select_layers(make_layers(n), {"count": count, "every": None})
    for layer in chosen:
        assert layer["depth"] == pytest.approx(min(1, layer["index"] / max(n - 2, 1)), abs=1e-4)
    assert chosen[-1]["name"] == architectures.PENULTIMATE
    assert chosen[-1]["depth"] == (n > 2)


@given(n=st.integers(1, 60), share=st.floats(0, 1), batch=st.integers(1, 70))
@settings(max_examples=200)
def test_batches_cut_the_layers_in_order(n, share, batch):
    chosen = study.select_layers(make_layers(n), {"count": max(1, round(share * n)), "every": None})
    model = study.Model("tiny", "test_resnet", "untrained", {}, chosen)
    cut = study.Study({"layers_per_job": batch, "finetune": {"splits": None}}, {"tiny": model})
    runs = cut.runs("nowhere", "tiny")
    assert [layer for run in runs for layer in cut.layers_of("tiny", run)] == chosen
    assert len(runs) == len(set(runs)) == -(-len(chosen) // batch)
    assert all("/" not in run for run in runs)
    assert [row["layer"] for row in cut.table()] == [layer["name"] for layer in chosen]


@given(n=st.integers(1, 40), first=st.integers(1, 45), then=st.integers(1, 45), data=st.data())
@settings(max_examples=200)
def test_what_is_scored_stays_however_it_was_cut(n, first, then, data):
    """Of runs of `first` layers some are there; runs of `then` fill the gaps, and a third look sees the same."""
    names = [f"l{i}" for i in range(n)]
    before = study.cut(names, first)
    there = data.draw(st.sets(st.sampled_from(before)))
    after = study.cut(names, then, there)
    assert there <= set(after)

    def layers_of(run):
        start, _, end = run.partition("..")
        return names[names.index(start) : names.index(end or start) + 1]

    assert [name for run in after for name in layers_of(run)] == names
    assert all(len(layers_of(run)) <= then for run in after if run not in there)
    assert study.cut(names, 1, set(after) | there) == after


def test_pattern_takes_all_it_matches_in_network_order():
    layers = make_layers(12)
    chosen = study.select_layers(layers, {"count": 2, "every": None}, "penultimate, layer1*")
    assert [layer["name"] for layer in chosen] == ["layer1", "penultimate", "layer11"]


def test_parse_of_known_models_imports_no_torch(config, catalogue, repository):
    """The DAG is built again in every job on every node."""
    code = (
        "import json, sys; from pathlib import Path; from memscore import study;"
        "loaded = study.load(json.loads(sys.argv[1]), Path(sys.argv[2]));"
        "heavy = ('torch', 'timm', 'torchvision', 'pandas', 'sklearn', 'rfc3987_syntax');"
        "print(len(loaded.models['tiny'].layers), [name for name in heavy if name in sys.modules])"
    )
    arguments = [sys.executable, "-c", code, json.dumps(config), str(catalogue)]
    environment = os.environ | {"PYTHONPATH": str(repository / "workflow")}
    ran = subprocess.run(arguments, cwd=repository, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{config['layers']['count']} []"


@pytest.mark.parametrize(
    "script",
    ["analysis/collect", "analysis/layers", "stimuli/pixels", "stimuli/stage_dataset", "stimuli/stage_stimuli"],
)
def test_jobs_without_networks_import_none(repository, script):
    """Each works for seconds."""
    imports = (repository / f"workflow/scripts/{script}.py").read_text().partition("\nwith job(")[0]
    heavy = "('torch', 'timm', 'torchvision', 'sklearn', 'scipy.stats', 'matplotlib')"
    code = f"{imports}\nimport sys; print([name for name in {heavy} if name in sys.modules])"
    arguments = [sys.executable, "-c", code]
    ran = subprocess.run(arguments, cwd=repository / "workflow", capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_jobs_with_networks_import_no_compiler(repository):
    """It and what else they do without take longer to import than torch."""
    imports = (repository / "workflow/scripts/scores/memorability.py").read_text().partition("\nwith job(")[0]
    heavy = "('torch._dynamo', 'sympy', 'triton', 'torchvision.ops.roi_align', 'sklearn', 'scipy', 'xarray')"
    code = (
        f"{imports}\nfrom memscore.networks import architectures\n"
        "architectures.create('tf_efficientnet_lite0')\n"
        f"import sys; print([name for name in {heavy} if name in sys.modules])"
    )
    arguments = [sys.executable, "-c", code]
    ran = subprocess.run(arguments, cwd=repository / "workflow", capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("audit", "words"),
    [
        ({"model": "lite9", "layer": "penultimate", "benchmark": "simulated.IT"}, ["model 'lite9'", "tiny"]),
        ({"model": "tiny", "layer": "blocks.9", "benchmark": "simulated.IT"}, ["layer 'blocks.9'", "penultimate"]),
        ({"model": "tiny", "layer": "penultimate", "benchmark": "cowley2023.V4"}, ["'cowley2023.V4'", "simulated.IT"]),
    ],
)
def test_audit_of_what_is_not_in_the_study_is_refused(config, catalogue, audit, words):
    message = refusal(config | {"audit": [audit], "layers": {"count": 3, "every": None}}, catalogue)
    assert message.startswith("config: audit: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["tiles", "lamem"], ["generalisation: 'lamem' is not among datasets (tiles, mine)"]),
        (["tiles"], ["generalisation: names 1 of the datasets", "two or more, or null"]),
        ([], ["generalisation: names 0 of the datasets", "two or more, or null"]),
        (["tiles", "tiles"], ["generalisation:", "non-unique"]),
        ("tiles", ["generalisation:", "'tiles'", "array"]),
        (["tiles", "mine"], ["datasets: mine: table: no file nowhere.csv"]),
    ],
)
def test_generalisation_between_what_are_no_two_data_sets_is_refused(config, catalogue, names, words):
    config = changed(config, "datasets.mine", {"source": "table", "table": "nowhere.csv"})
    message = refusal(changed(config, "generalisation", names), catalogue)
    assert message.startswith("config: ")
    for word in words:
        assert word in message


def test_audit_takes_the_middle_and_the_last_layer_of_the_first_network(config, catalogue):
    loaded = study.load(config, catalogue)
    audits = loaded.audits()
    assert {each["model"] for each in audits} == {"tiny"}
    assert {each["benchmark"] for each in audits} == set(config["brain"]["benchmarks"])
    layers = [layer["name"] for layer in loaded.models["tiny"].layers]
    assert {each["layer"] for each in audits} == {layers[len(layers) // 2], "penultimate"}


def test_generalisation_needs_the_settings_of_memorability(config, catalogue):
    config = changed(changed(config, "datasets.other", {"source": "simulated"}), "generalisation", ["tiles", "other"])
    assert "memorability is null" in refusal(changed(config, "memorability", None), catalogue)


def test_ones_own_photographs_are_turned_upright_and_published_images_are_not(config, catalogue, tmp_path):
    (tmp_path / "scores.csv").touch()
    config = changed(config, "datasets.mine", {"source": "table", "table": str(tmp_path / "scores.csv")})
    loaded = study.load(changed(config, "datasets.lamem", {"source": "lamem"}), catalogue)
    turned = {(kind, name): loaded.upright(kind, name) for kind, name in PUBLISHED}
    assert turned == dict.fromkeys(PUBLISHED, False)
    assert loaded.upright("datasets", "mine")


PUBLISHED = [("datasets", "lamem"), ("datasets", "tiles"), ("benchmarks", "cowley2023"), ("references", "pca")]


def test_every_ordered_pair_is_generalised_between(config, catalogue, tmp_path):
    (tmp_path / "scores.csv").touch()
    config = changed(config, "datasets.mine", {"source": "table", "table": str(tmp_path / "scores.csv")})
    config = changed(config, "datasets.ours", {"source": "table", "table": str(tmp_path / "scores.csv")})
    assert study.load(config, catalogue).across() == []
    loaded = study.load(changed(config, "generalisation", ["tiles", "mine"]), catalogue)
    assert loaded.across() == [("tiles", "mine"), ("mine", "tiles")]
    assert loaded.made_up(loaded.generalisation)["viewers"]
    assert not loaded.made_up(["mine", "ours"])["viewers"]
    three = study.load(changed(config, "generalisation", ["tiles", "mine", "ours"]), catalogue)
    assert len(set(three.across())) == 6
