"""Configs as people write them: what is meant is understood, what cannot be is refused while the study is planned."""

import copy

import pytest
import yaml

from memscore import configuration, study
from memscore.errors import InputError
from memscore.networks import architectures

HEADER = "model\ttimm_name\tweights\tlayers\n"


@pytest.fixture
def config(repository, tmp_path):
    """The default config, with a table of one small model whose weights are a lab's."""
    (tmp_path / "lab.pth").touch()
    table = tmp_path / "models.tsv"
    table.write_text(HEADER + f"tiny\ttest_resnet\t{tmp_path}/lab.pth\t\n")
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    return config | {"models": str(table), "input_size": 64}


def merged(config: dict, written: str) -> dict:
    """The config with what a user's YAML says, as Snakemake merges them."""

    def merge(below, above):
        both = isinstance(below, dict) and isinstance(above, dict)
        return below | {key: merge(below.get(key), above[key]) for key in above} if both else above

    return merge(copy.deepcopy(config), yaml.safe_load(written))


def refuse(words, function, *arguments) -> None:
    """A call is refused in one line that has these words."""
    with pytest.raises(InputError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("written", "words"),
    [
        pytest.param("datasets: {no: {source: simulated}}", ["datasets: False", "quotes"], id="name-no"),
        pytest.param("datasets: {2023: {source: simulated}}", ["datasets: 2023", "quotes"], id="name-number"),
        pytest.param("finetune: {models: [no]}", ["finetune: models: 0: False", "quotes"], id="value-no"),
        pytest.param("brain: {cowley2023: {sessions: [210325]}}", ["sessions: 0: 210325", "quotes"], id="session"),
        pytest.param("brain: {cowley2023: {sessions: [2021-03-25]}}", ["sessions", "quotes"], id="date"),
        pytest.param("layers: penultimate", ["layers: 'penultimate'", "write layers: {count: 1}"], id="layers"),
        pytest.param(
            "brain: {benchmarks: cowley2023.V4}",
            ["brain: benchmarks: ", "write benchmarks: [cowley2023.V4]"],
            id="list",
        ),
        pytest.param("finetune: {splits: 2}", ["finetune: splits: 2", "write splits: [2]"], id="list-of-numbers"),
        pytest.param("finetune: no", ["finetune: False", "write finetune: null"], id="finetune-no"),
        pytest.param("brain: simulated.IT", ["brain: 'simulated.IT'", "write brain: {benchmarks: […]}"], id="brain"),
        pytest.param(
            "brain: {benchmarks: [MajajHong2015public.V5-pls]}", ["'MajajHong2015public.V5-pls'", "V4-pls, IT-pls"]
        ),
        pytest.param(
            "brain: {benchmarks: [MajajHong2015public.IT-ridge]}", ["'MajajHong2015public.IT-ridge'", "V4-pls, IT-pls"]
        ),
        pytest.param("brain: {benchmarks: [Other2020.IT-ridge]}", ["'Other2020.IT-ridge'", "-pls"], id="metric"),
        pytest.param(
            "brain: {benchmarks: [cowley2023.V4], cowley2023: {directory: /nope}}",
            ["cowley2023: directory: no folder /nope"],
            id="directory",
        ),
        pytest.param(
            "finetune: {splits: [9]}", ["tiles: no split_9", "split_1, split_2", "finetune: splits"], id="split"
        ),
    ],
)
def test_what_planning_can_know_is_refused_with_the_right_line(config, catalogue, written, words):
    refuse(["config: ", *words], study.load, merged(config, written), catalogue)


@pytest.mark.parametrize("splits", [[4], [7, 12]])
def test_splits_of_ones_own_table_are_those_of_its_columns(config, catalogue, tmp_path, splits):
    table = tmp_path / "mine.csv"
    table.write_text("sep=;\npath;memorability;Split_7;split_12\na.png;0.5;train;test\n")
    mine = f"{{datasets: {{mine: {{source: table, table: {table}}}}}, memorability: {{dataset: mine}}}}"
    config = merged(merged(config, mine), f"finetune: {{splits: {splits}}}")
    if splits == [4]:
        refuse(["mine: no split_4; it has split_7, split_12"], study.load, config, catalogue)
    else:
        assert [split for *_, split in study.load(config, catalogue).tunings()] == splits


@pytest.mark.parametrize(
    "benchmark", ["MajajHong2015public.V4-pls", "FreemanZiemba2013public.V2-pls", "Other2020.V4-pls"]
)
def test_benchmarks_that_staging_may_know_are_planned(config, catalogue, benchmark):
    assert study.load(merged(config, f"brain: {{benchmarks: [{benchmark}]}}"), catalogue).benchmarks() == [benchmark]


@pytest.mark.parametrize(("written", "value"), [("1e-4", 1e-4), ("1E4", 1e4), ("2.e-1", 0.2), ("0.01", 0.01)])
def test_numbers_that_yaml_takes_for_text_are_numbers(config, catalogue, written, value):
    config = merged(config, f"finetune: {{learning_rate: {written}}}\nresources: {{memory_gb: 1e1}}")
    recipe = study.load(config, catalogue).recipe
    assert recipe["learning_rate"] == value
    assert config["resources"]["memory_gb"] == 10, "the rules read the config itself"


def test_names_that_look_like_numbers_stay_names(config, catalogue):
    config = merged(config, 'datasets: {"1e4": {source: simulated}}\nmemorability: {dataset: 1e4}')
    assert study.load(config, catalogue).dataset == "1e4"


def test_finetune_null_is_no_training(config, catalogue):
    assert study.load(config, catalogue).tuned
    config = merged(config, "finetune: null")
    assert not study.load(config, catalogue).tuned
    assert config["finetune"]["splits"] is None, "the rules read the config itself"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("my.yaml", "datasets:\n  a: {}\nseed: 1\ndatasets:\n  b: {}\n", ["my.yaml: line 4: datasets", "line 1"]),
        ("my.yaml", "seed: 1\nbrain:\n  normalise: ratio\n  normalise: ratio\n", ["line 4: normalise", "line 3"]),
        ("my.yaml", "audit:\n  - model: a\n    model: b\n", ["line 3: model", "line 2"]),
        ("my.json", '{"seed": 1,\n"seed": 2}', ["my.json: line 2: seed", "line 1"]),
        ("results/provenance.json", "{}", ["results/provenance.json was read as a config", "targets before"]),
    ],
)
def test_config_files_that_say_a_thing_twice_or_are_none_are_refused(tmp_path, monkeypatch, name, text, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    refuse(words, configuration.check_file, path)


def test_config_files_that_say_everything_once_are_read(repository, tmp_path):
    for path in sorted((repository / "config").glob("*.yaml")):
        configuration.check_file(path)
    path = tmp_path / "my.yaml"
    path.write_text("a: &x {seed: 1}\nb: {<<: *x, seed: 2}\nc: {seed: 3}\n")
    configuration.check_file(path)


def test_packages_whose_weights_are_still_to_be_staged_must_be_installed(config, catalogue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.tsv").write_text(HEADER + "tiny\ttest_resnet\tpip:not-installed\t\n")
    loaded = study.load(config, catalogue)
    refuse(["models.tsv: model 'tiny'", "pip install not-installed"], study.check_packages, loaded)
    (tmp_path / "resources/weights").mkdir(parents=True)
    (tmp_path / "resources/weights/tiny.safetensors").touch()
    study.check_packages(loaded)


@pytest.mark.parametrize("name", ["a/b", "a{b}", "a\nb"])
def test_layers_whose_names_no_file_can_have_are_refused(config, catalogue, monkeypatch, name):
    known = architectures.describe("test_resnet", 64, [], catalogue)
    described = {**known, "layers": [{**known["layers"][0], "name": name}, *known["layers"][1:]]}
    monkeypatch.setattr(architectures, "describe", lambda *arguments: described)
    refuse(["model 'tiny'", repr(name), "rename it"], study.load, config, catalogue)
    study.load(merged(config, "layers: {count: 1}"), catalogue)
