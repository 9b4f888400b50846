"""What a cluster is asked, and what is made of its answers."""

import pytest

from memscore import cluster, slurm
from memscore.errors import InputError

NODES = [
    cluster.parse_nodes("cpu*|8|64000|(null)|10:00:00"),
    cluster.parse_nodes("gpu|32|256000|gpu:a100:4(S:0-1)|2-00:00:00"),
    cluster.parse_nodes("gpu|64|128000+|gpu:h100:2,shard:8|2-00:00:00"),
    cluster.parse_nodes("long|8|64000|gpu:2|infinite"),
]


@pytest.fixture
def site():
    return cluster.Site({"cpu": {}, "gpu": {"slurm_partition": "gpu", "gres": "gpu:1"}}, NODES, "cpu")


def test_answers_of_sinfo_are_read():
    assert NODES[0] == cluster.Nodes("cpu", 8, 64000, {}, 600)
    assert NODES[1] == cluster.Nodes("gpu", 32, 256000, {"": 4, "a100": 4}, 2880)
    assert NODES[2] == cluster.Nodes("gpu", 64, 128000, {"": 2, "h100": 2}, 2880)
    assert cluster.parse_nodes("mig|8|1|gpu:1g.5gb:7,gpu:tesla:2(IDX:0)|1:00").gpus == {"": 9, "1g.5gb": 7, "tesla": 2}
    assert NODES[3] == cluster.Nodes("long", 8, 64000, {"": 2}, None)


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("10:00:00", 600), ("1-00:00:00", 1440), ("30:00", 30), ("7-12:30:00", 10830), ("infinite", None)],
)
def test_time_limits_are_read(limit, minutes):
    assert cluster.parse_minutes(limit) == minutes


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        ({"threads": 9}, ["9 CPUs", "partition cpu", "8 CPUs"]),
        ({"cpus_per_task": 9, "threads": 1}, ["9 CPUs"]),
        ({"mem_mb": 64001}, ["64001 MB of memory", "64000 MB of memory"]),
        ({"runtime": 601}, ["601 minutes", "600 minutes"]),
        ({"gres": "gpu:1"}, ["1 GPUs", "no GPU"]),
        ({"gres": "gpu:5", "slurm_partition": "gpu"}, ["5 GPUs", "4 GPUs a100", "2 GPUs h100"]),
        ({"gres": "gpu:h100:3", "slurm_partition": "gpu"}, ["3 GPUs h100"]),
        ({"gres": "gpu:v100:1", "slurm_partition": "gpu"}, ["1 GPUs v100"]),
        ({"threads": 40, "mem_mb": 200000, "slurm_partition": "gpu"}, ["40 CPUs, 200000 MB"]),
        ({"slurm_partition": "cqu"}, ["'cqu'", "cpu, gpu, long"]),
    ],
)
def test_jobs_that_can_never_start_are_named(site, asks, words):
    (sentence,) = cluster.impossible(site, [("brain", {"threads": 1, "mem_mb": 100}), ("memorability", asks)])
    assert sentence.startswith("rule memorability asks for ")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    "asks",
    [
        {"threads": 8, "mem_mb": 64000, "runtime": 600},
        {"gres": "gpu:a100:4", "slurm_partition": "gpu", "threads": 32, "runtime": 2880},
        {"gres": "gpu", "slurm_partition": "gpu"},
        {"slurm_partition": "long", "runtime": 10**6, "gres": "gpu:2"},
        {"mem_mb": "<TBD>", "runtime": None},
        {"slurm_partition": "cpu,gpu", "threads": 60},
        {"slurm_partition": "theirs", "clusters": "other"},
    ],
)
def test_jobs_that_can_start_are_not(site, asks):
    assert cluster.impossible(site, [("memorability", asks)]) == []


def test_where_nothing_is_known_nothing_is_said():
    assert cluster.impossible(cluster.Site(cluster.DEFAULT), [("memorability", {"threads": 1000})]) == []


def test_what_grows_stays_what_a_node_has(site):
    """And is never less than what the first try asked for: more than there is would be told at once."""
    assert [site.minutes("cpu", 240, attempt) for attempt in (1, 2, 3)] == [240, 480, 600]
    assert [site.minutes("gpu", 2000, attempt) for attempt in (1, 2)] == [2000, 2880]
    assert [site.memory("cpu", 40000, attempt) for attempt in (1, 2)] == [40000, 64000]
    assert [site.memory("cpu", 70000, attempt) for attempt in (1, 2)] == [70000, 70000]
    assert site.memory("gpu", 100000, 2) == 200000
    site.asks["gpu"]["gres"] = "gpu:h100:1"
    assert site.memory("gpu", 100000, 2) == 128000, "of the nodes with this kind of GPU"
    elsewhere = cluster.Site(cluster.DEFAULT)
    assert (elsewhere.minutes("gpu", 9000, 2), elsewhere.memory("gpu", 10**9, 2)) == (18000, 2 * 10**9)


def test_first_site_file_counts(tmp_path):
    (tmp_path / "b.yaml").write_text("cpu: {slurm_partition: short}\ngpu:\n  slurm_account: 123\n  gres: gpu:a100:1\n")
    site = cluster.read_site(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert site.resources("cpu") == {"slurm_partition": "short"}
    assert site.resources("gpu") == {"slurm_account": "123", "gres": "gpu:a100:1"}
    assert cluster.read_site(tmp_path / "a.yaml").resources("gpu") == {"gres": "gpu:1"}


def test_the_example_is_a_site_file(repository):
    site = cluster.read_site(repository / "slurm/site.example.yaml")
    assert site.resources("gpu")["gres"] == "gpu:1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpus: {}", ["unknown gpus", "cpu and gpu"]),
        ("gpu: {partition: a}", ["unknown gpu: partition", "slurm_partition"]),
        ("gpu: a", ["sections cpu: and gpu:"]),
        ("- gpu", ["sections cpu: and gpu:"]),
        ("gpu: {", ["not YAML"]),
    ],
)
def test_what_is_no_site_file_is_refused(tmp_path, text, words):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        cluster.read_site(path)
    for word in [str(path), *words]:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def job(number, run="memscore-0123456789ab", state="RUNNING", folder="."):
    return slurm.Job(number, f"lab_{run}_7c1b", state, "None", "", str(folder), "rule_brain")


def test_left_over_is_what_no_living_run_of_this_folder_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere, alias = tmp_path / "elsewhere", tmp_path / "alias"
    elsewhere.mkdir()
    alias.symlink_to(tmp_path)
    jobs = [
        job("1", folder=tmp_path),
        job("2", folder=alias, state="PENDING"),
        job("3", folder=tmp_path, state="COMPLETED"),
        job("4", folder=tmp_path, run="memscore-ffffffffffff"),
        job("5", folder=elsewhere),
        job("6", folder=tmp_path, run="another"),
    ]
    assert cluster.left_over({each.number: each for each in jobs}, {"memscore-ffffffffffff"}) == ["1", "2"]


def test_jobs_are_looked_for_where_they_are_sent(site):
    assert site.clusters == {""}
    site.asks["gpu"]["clusters"] = "big,small"
    assert site.clusters == {"", "big,small"}


def test_a_run_that_may_live_is_waited_for(tmp_path, monkeypatch):
    """Its note is gone for a moment when another run of the folder ends; a run known to be dead waits for nobody."""
    monkeypatch.chdir(tmp_path)
    said, asked, cancelled = [], [set(), {"memscore-0123456789ab"}], []
    monkeypatch.setattr(cluster.wanted, "BEAT", 0)
    monkeypatch.setattr(cluster.slurm, "queue", lambda cluster="": {"1": job("1", folder=tmp_path)})
    monkeypatch.setattr(cluster.slurm, "cancel", lambda numbers, *_: cancelled.append(numbers))
    monkeypatch.setattr(cluster.lock, "living", lambda: asked.pop(0))
    cluster.cancel_left(said.append)
    assert (len(said), cancelled) == (1, [])
    asked[:] = [set()]
    monkeypatch.setattr(cluster.lock, "known_dead", lambda: {"memscore-0123456789ab"})
    cluster.cancel_left(said.append)
    assert cancelled == [["1"]]
