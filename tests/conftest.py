"""Shared by all tests: scratch copies of the workflow, a study of seconds, the real `snakemake`, a bad server."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

from memscore import libraries
from memscore.networks import architectures

os.environ.update(libraries.environment())  # read as libraries are loaded

import forks
import numpy as np
import pandas as pd
import pytest
import slurm_machine
import yaml
from filelock import FileLock
from PIL import Image
from runs import Run

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ("Snakefile", "workflow", "config", "envs", "profiles", "slurm")
N_IMAGES = 48
NO_ACCOUNTS = "no accounts"  # of the Slurm that a test runs on

LAB_NETWORK = """
import os
import time

import timm
import torch


class Constant(torch.nn.Module):
    def forward(self, x):
        return torch.ones_like(x)


class NotANumber(torch.nn.Module):
    def forward(self, x):
        return x * torch.nan


class LabNetwork(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.constant = Constant()
        self.broken = NotANumber()
        self.fc = torch.nn.Linear(8, 5)

    def get_classifier(self):
        return self.fc

    def forward(self, images):
        if os.path.exists("wait") and images.device.type != "meta" and len(images) > 2:
            with open("wait", "a") as marks:
                marks.write("x")
            if os.path.getsize("wait") > 3:
                time.sleep(60)
        maps = self.conv(images)
        self.constant(maps)
        self.broken(maps)
        return self.fc(maps.mean((2, 3)))


@timm.models.register_model
def lab_network(pretrained=False, **kwargs):
    return LabNetwork()
"""


RELIABILITY = """# What may go wrong, and what then happens

Each row is a test that breaks something on purpose in a real run ([`tests/faults`](../tests/faults)). Where nothing
else is said, the same command, given again, ends with the tables and figures of an undisturbed run, to the byte.
`make reliability` runs the tests and writes this page.

| what happens | where | what you see, and what you do |
| --- | --- | --- |
"""
FAULTS = []


def pytest_addoption(parser):
    parser.addoption("--reliability", type=Path, help="write what the tests of faults saw to this page")
    parser.addoption("--looked-at", action="store_true", help="code that changed needs no other version: versions.json")


def pytest_collection_modifyitems(items):
    """Fast tests first, those that run Snakemake after them: what is broken shows in minutes."""

    def late(item):
        marked = [bool(item.get_closest_marker(name)) for name in ("thorough", "workflow", "slow")]
        return [*marked, NO_ACCOUNTS in item.name]

    items.sort(key=late)


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        where = "Slurm" if "slurm" in Path(report.fspath).stem else "one machine"
        rows = [value for name, value in report.user_properties if name == "fault"]
        FAULTS.extend(f"| {what} | {where} | {outcome} |" for what, outcome in rows)


def pytest_sessionfinish(session):
    page = session.config.getoption("--reliability")
    if page and not hasattr(session.config, "workerinput"):
        # Those on Slurm may run apart from the others: rows of tests that did not run stay.
        there = page.read_text(encoding="utf-8").removeprefix(RELIABILITY).splitlines() if page.exists() else []
        rows = {tuple(row.split(" | ")[1::-1]): row for row in [*there, *FAULTS]}
        page.write_text(RELIABILITY + "".join(f"{rows[key]}\n" for key in sorted(rows, reverse=True)), encoding="utf-8")


@pytest.fixture(scope="session")
def repository():
    return ROOT


@pytest.fixture(scope="session")
def real_data():
    """Folder of real recordings for tests: MEMSCORE_REAL_DATA, or `shared/real` beside the repository.

    Where the variable is set, as in `.ci/run`, the data must be there.
    """
    named = os.environ.get("MEMSCORE_REAL_DATA")
    folder = Path(named or ROOT.parent / "shared/real")
    if not folder.is_dir():
        if named:
            pytest.fail(f"MEMSCORE_REAL_DATA: no folder {folder}")
        pytest.skip(f"no real recordings in {folder}; MEMSCORE_REAL_DATA names their folder")
    return folder.resolve()


@pytest.fixture(scope="session")
def slurm_session(request, tmp_path_factory):
    """A Slurm for all tests in a row that want one with accounts, or, with the parameter `no accounts`, without."""
    accounts = getattr(request, "param", None) != NO_ACCOUNTS
    if (reason := slurm_machine.why_not(accounts)) is not None:
        # Where a run is to show that it works, it must not pass by being left out.
        (pytest.fail if os.environ.get("MEMSCORE_SLURM") else pytest.skip)(reason)
    with slurm_machine.slurm_here(tmp_path_factory.mktemp("slurm"), accounts) as slurm:
        yield slurm


@pytest.fixture
def slurm(slurm_session):
    """A real Slurm on this machine (`slurm_machine.Slurm`), without jobs of other tests.

    `@pytest.mark.parametrize("slurm_session", ["no accounts"], indirect=True)` for one that keeps no accounts.
    """
    yield slurm_session
    end_runs()
    slurm_session.reset()


@pytest.fixture(scope="session")
def make_study_folder():
    """make(folder): the workflow in a folder of its own, so that no run touches the repository's results."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in WORKFLOW:
            if (ROOT / name).is_dir():  # its compiled code too, which need not be compiled again
                shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, folder / name)
        return folder

    return make


@pytest.fixture(scope="session")
def configure():
    """configure(folder, **changes): edit the folder's config/config.yaml, sections merged by key."""

    def edit(folder: Path, **changes) -> None:
        path = folder / "config/config.yaml"
        config = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            both = isinstance(value, dict) and isinstance(config.get(key), dict)
            config[key] = config[key] | value if both else value
        path.write_text(yaml.safe_dump(config))

    return edit


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """A folder of layer descriptions that knows test_resnet at 64 px, so that parsing a study needs no timm."""
    folder = tmp_path_factory.mktemp("catalogue")
    architectures.describe("test_resnet", 64, [], folder)
    return folder


def write_dataset(folder: Path, table: str, images: str, seed: int) -> None:
    """48 generated images, of which people remember the brighter ones, and a table of their scores."""
    (folder / images).mkdir()
    rng = np.random.default_rng(seed)
    paths = [f"{images}/{i:02d}.png" for i in range(N_IMAGES)]
    brightness = rng.uniform(0.2, 0.8, N_IMAGES)
    for path, mean in zip(paths, brightness, strict=True):
        blocks = 255 * np.clip(mean + rng.normal(0, 0.2, (6, 6, 3)), 0, 1)
        Image.fromarray(blocks.astype(np.uint8)).resize((48, 48)).save(folder / path)
    scores = {"path": paths, "memorability": np.clip(brightness + rng.normal(0, 0.1, N_IMAGES), 0, 1)}
    pd.DataFrame(scores).to_csv(folder / table, index=False)


@pytest.fixture(scope="session")
def make_tiny_study(make_study_folder, configure, catalogue):
    """make(folder): three layers of one untrained network, 48 generated images, V1 and IT of the simulated brain."""

    def make(folder: Path) -> Path:
        make_study_folder(folder)
        shutil.copytree(catalogue, folder / "resources/layers")
        write_dataset(folder, "mine.csv", "images", seed=0)
        (folder / "models.tsv").write_text("model\ttimm_name\tweights\tlayers\ntiny\ttest_resnet\tuntrained\t\n")
        configure(
            folder,
            models="models.tsv",
            layers={"count": 3},
            layers_per_job=1,
            input_size=64,
            datasets={"mine": {"source": "table", "table": "mine.csv", "n_splits": 2}},
            memorability={"dataset": "mine", "components": 5},
            brain={"benchmarks": ["simulated.V1", "simulated.IT"]},
        )
        return folder

    return make


@pytest.fixture(scope="session")
def add_lab_network(configure):
    """add(folder, layers): a lab's own network on the study's table; one of its layers is constant, one is NaN.

    While there is a file `wait` in the folder, each batch leaves a byte in it, and takes a minute from the fourth on.
    """

    def add(folder: Path, layers: str) -> None:
        (folder / "lab.py").write_text(LAB_NETWORK)
        with open(folder / "models.tsv", "a") as table:
            table.write(f"lab\tlab_network\tuntrained\t{layers}\n")
        configure(folder, model_plugins=["lab.py"])

    return add


@pytest.fixture(scope="session")
def add_dataset(configure):
    """add(folder): a second data set `theirs`, other images and other people, beside the tiny study's `mine`."""

    def add(folder: Path) -> None:
        write_dataset(folder, "theirs.csv", "their_images", seed=1)
        configure(folder, datasets={"theirs": {"source": "table", "table": "theirs.csv", "n_splits": 3}})

    return add


@pytest.fixture
def tiny_study(make_tiny_study, tmp_path):
    """The tiny study of which nothing is staged."""
    return make_tiny_study(tmp_path / "study")


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """once(name, make): a folder that the first worker to ask for it makes by `make(folder)`, and the others find."""
    top = tmp_path_factory.getbasetemp()
    top = top if worker_id == "master" else top.parent

    def folder_of(name: str, make) -> Path:
        with FileLock(top / f"{name}.lock"):
            folder, made = top / name, top / f"{name}.made"
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                made.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def staged_original(make_tiny_study, run_snakemake, once):
    """The tiny study with the simulated brain's stimuli, pixels and benchmarks, which take most of its time."""

    def make(folder):
        make_tiny_study(folder)
        targets = [f"resources/benchmarks/simulated.{area}.nc" for area in ("V1", "IT")]
        targets.append("resources/pixels/benchmarks/simulated/64x64-bilinear.npy")
        code, output = run_snakemake(folder, "--cores", "2", "--quiet", "rules", "--", *targets)
        assert code == 0, output

    return once("staged", make)


@pytest.fixture
def staged_study(staged_original, tmp_path):
    return shutil.copytree(staged_original, tmp_path / "study")


@pytest.fixture(scope="session")
def start_forks(tmp_path_factory):
    """start(*before, **environment): a server of forks (`forks.Forks`), stopped at the end."""
    servers = []

    def start(*before: str, **environment: str) -> forks.Forks:
        servers.append(forks.Forks(tmp_path_factory.mktemp("forks"), *before, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def shared_forks(start_forks):
    return start_forks()


@pytest.fixture(scope="session")
def run_snakemake(shared_forks):
    """run(folder, *arguments): (exit status, everything it printed) of `snakemake` in that folder, forked."""
    return shared_forks.snakemake


@pytest.fixture(scope="session")
def start_snakemake():
    """The same in processes of its own, as a user starts it."""
    return partial(forks.snakemake, sys.executable)


# What is asked of the workflow as Snakemake reads it.
TOLD = r"""
import json
from types import SimpleNamespace as Names

include: "Snakefile"


def spans(rule):
    for output in rule.output:
        for name in rule.wildcard_names:
            file = re.sub(r"{(\w+)[^}]*}", lambda found: "1/1" if found[1] == name else "1", output)
            if rule.is_producer(file):
                yield file


# What a job asks for when it is tried first, and again.
def tries(rule, name):
    of, given = Names(model="tiny", layers="conv1.0"), Names(pixels=[])
    return [rule.resources[name].evaluate(of, input=given, attempt=attempt).value for attempt in (1, 2)]


# `workflow.is_local` says yes to every rule where none is to run.
def is_local(rule):
    return rule.norun or rule.name in workflow._localrules


with open("rules.json", "w") as file:
    json.dump({rule.name: {
        "script": rule.script,
        "local": is_local(rule),
        "steps": list(dict(rule.params.items()).get("version", [])),
        "resources": {name: each.value for name, each in rule.resources.items() if not each.is_evaluable()},
        "memory": [] if is_local(rule) else tries(rule, "mem_mb"),
        "spans": list(spans(rule)),
        "wildcards": sorted(rule.wildcard_names),
    } for rule in workflow.rules}, file)
"""


@pytest.fixture(scope="session")
def rules(make_tiny_study, run_snakemake, once):
    """By name, of each rule: script, local, steps of its version, resources that are no functions, wildcards.

    memory : of a rule that runs on a node, in MB, of the first try and the second
    spans : the outputs that it also makes where one wildcard is two folders
    """

    def make(folder):
        make_tiny_study(folder)
        (folder / "told.smk").write_text(TOLD)
        code, output = run_snakemake(folder, "--snakefile", "told.smk", "--profile", "slurm", "--list-rules")
        assert code == 0, output

    return json.loads((once("rules", make) / "rules.json").read_text())


def end_runs() -> None:
    while Run.under_way:
        Run.under_way.pop().kill()


@pytest.fixture(autouse=True)
def no_run_left():
    yield
    end_runs()


@pytest.fixture(scope="session")
def cut_off():
    """What a command begins with that is to have no network at all, not even loopback."""
    command = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets no user make network namespaces (unshare --map-root-user --net)")
    return command


@pytest.fixture(scope="session")
def finished_original(staged_original, run_snakemake, once):
    def make(folder):
        shutil.copytree(staged_original, folder)
        code, output = run_snakemake(folder, "--cores", "2", "--quiet", "rules")
        assert code == 0, output

    return once("finished", make)


@pytest.fixture
def finished_study(finished_original, tmp_path):
    """The tiny study, run to its end; a copy for each test, with its times and Snakemake's memory of it."""
    return shutil.copytree(finished_original, tmp_path / "study")


@pytest.fixture(scope="session")
def results_of():
    """results_of(folder): {path: bytes} of every table and figure that a study has written."""

    def read(folder: Path) -> dict[str, bytes]:
        files = [path for path in (folder / "results").rglob("[!.]*") if path.suffix in (".csv", ".svg")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}

    return read


class Server(ThreadingHTTPServer):
    """HTTP on loopback that fails on demand.

    answer : (method, path, headers) -> (status, headers, body)
    fault : a status to give instead, `changed` for one bit flipped, `hang up` half-way; None for none
    """

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.fault, self.requests = answer, None, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """From now on connections are refused."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.command, self.path))
        fault = self.server.fault
        if isinstance(fault, int):
            status, headers, body = fault, {"Content-Length": "0"}, b""
        else:
            status, headers, body = self.server.answer(self.command, self.path, dict(self.headers))
        if fault == "changed" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if fault == "hang up" else body)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """serve(answer): a `Server`, stopped when the test ends."""
    servers = []

    def start(answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def nobodys_aws(monkeypatch):
    """No AWS account of the person who runs the tests, and no server that tells of one."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """moto's S3 on loopback with the recordings of benchmarks2026, and what their plugins would say of them."""
    import benchmarks2026
    import boto3
    from brainscore_core.supported_data_standards.brainio import fetch
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "lab")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("TQDM_DISABLE", "1")
        patch.setattr(fetch, "_local_data_path", str(tmp_path_factory.mktemp("packaging")))
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        client, bucket = boto3.client("s3"), benchmarks2026.BUCKET
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        packaged = benchmarks2026.package(tmp_path_factory.mktemp("images"))
        for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
            client.put_object_acl(Bucket=bucket, Key=item["Key"], ACL="public-read")
    yield SimpleNamespace(host=host, port=port, packaged=packaged)
    server.stop()


@pytest.fixture
def brainio_server(s3, serve, nobodys_aws, tmp_path, monkeypatch):
    """The S3 behind a `Server`, for this process and those it starts; their home and BrainIO's cache are empty."""

    def forward(method, path, headers):
        connection = http.client.HTTPConnection(s3.host, s3.port)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        left_out = ("connection", "date", "server", *(() if server.checksums else ("x-amz-checksum-crc32",)))
        kept = {name: value for name, value in response.getheaders() if name.lower() not in left_out}
        return response.status, kept, response.read()

    server = serve(forward)
    server.checksums = False  # Brain-Score's older files have none that boto would check.
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRAINIO_HOME", str(tmp_path / "brainio"))
    return server
