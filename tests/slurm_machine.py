"""A real Slurm on this machine, for tests: Debian's slurm-wlm and munge, stand-in GPUs, accounts if they are wanted.

One node that passes for a larger one (`config_overrides`), two partitions. Slurm reads its configuration from
/etc/slurm (Snakemake's executor clears SLURM_CONF), so a machine that has a Slurm of its own is left alone.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

ETC = Path("/etc/slurm")
OURS = "# Written by memscore's tests; removed when they end."
NODE = {"CPUs": 8, "RealMemory": 64000, "Gres": "gpu:2"}
LONGEST = 600  # minutes, of a job in either partition

CONFIG = """{ours}
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SwitchType=switch/none
ReturnToService=2
JobRequeue=1
KillWait=3
MinJobAge=86400
MessageTimeout=60
SlurmdTimeout=300
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUs} RealMemory={RealMemory} Gres={Gres} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime={longest} State=UP
PartitionName=gpu Nodes={host} MaxTime={longest} State=UP
"""
# Whatever devices there are: nothing is done with them.
GPUS = f"{OURS}\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
WITH_ACCOUNTS = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket"""
SLURMDBD = """{ours}
DbdHost=localhost
DbdPort={ports[2]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[3]}
StorageUser=root
StorageLoc=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""


def why_not(accounts: bool = False) -> str | None:
    """What keeps a Slurm from running here; None where it can."""
    wanted = ["munged", "slurmctld", "slurmd", "sbatch"] + ["slurmdbd", "mariadbd", "mariadb-install-db"] * accounts
    missing = [name for name in wanted if not shutil.which(name)]
    if missing:
        packages = "slurm-wlm munge" + " slurmdbd mariadb-server" * accounts
        return f"no {', '.join(missing)} on this machine: apt-get install {packages}"
    if os.geteuid() != 0:
        return "a Slurm for tests is set up by root, in /etc/slurm"
    config = ETC / "slurm.conf"
    if config.exists() and OURS not in config.read_text():
        return f"this machine has a Slurm of its own ({config})"
    return None


class Slurm:
    """A running Slurm; `slurm("scancel", job)` runs one of its commands and returns what it says."""

    def __init__(self, folder: Path, host: str):
        self.folder, self.host, self.daemons = folder, host, {}

    def __call__(self, *command: str) -> str:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr}{ran.stdout}"
        return ran.stdout

    def start(self, name: str, *arguments: str) -> None:
        """A daemon in the foreground, as a child of this process."""
        with open(self.folder / f"{name}.out", "a") as out:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
            self.daemons[name] = subprocess.Popen(
                [shutil.which(name), *arguments], stdout=out, stderr=out, env=environment, start_new_session=True
            )

    def stop(self, name: str) -> None:
        process = self.daemons.pop(name, None)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait_for(self, what: str, holds, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            for name, process in self.daemons.items():
                assert process.poll() is None, f"{name} ended: {self._said(name)}"
            assert time.monotonic() < deadline, f"no {what} in {seconds} s: {self._said('slurmctld')}"
            time.sleep(0.2)

    def restart_controller(self) -> None:
        self.stop("slurmctld")
        self.start("slurmctld", "-D")
        self.wait_for("controller", self.answers)

    def answers(self) -> bool:
        return subprocess.run(["scontrol", "ping"], capture_output=True, timeout=60).stdout.find(b"UP") > 0

    def idle(self) -> bool:
        return subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, timeout=60).stdout.strip() == b"idle"

    def jobs(self, *options: str) -> list[list[str]]:
        """[number, state, rule and wildcards] of each job in the queue."""
        lines = self("squeue", "--noheader", "-o", "%A|%T|%k", *options).splitlines()
        return [line.split("|", 2) for line in lines]

    def running(self, rule: str = "") -> list[str]:
        """Numbers of the jobs of a rule that run."""
        return [number for number, state, comment in self.jobs() if state == "RUNNING" and rule in comment]

    def preempt(self, number: str) -> None:
        """Stop a job, as for a more important one, and let it start again at once."""
        self("scontrol", "requeue", number)
        self.wait_for("end of the job", lambda: [number, "PENDING"] in [job[:2] for job in self.jobs()])
        self.start_now()

    def start_now(self) -> None:
        """Let jobs that were requeued start: Slurm itself waits for two minutes."""
        for number, state, _ in self.jobs():
            if state == "PENDING":
                self("scontrol", "update", f"jobid={number}", "starttime=now")

    def _said(self, name: str) -> str:
        files = [self.folder / f"{name}.log", self.folder / f"{name}.out"]
        return "".join(file.read_text()[-1500:] for file in files if file.exists())


@contextmanager
def slurm_here(folder: Path, accounts: bool = False):
    """A Slurm that lives as long as the block, in this folder and /etc/slurm."""
    host = socket.gethostname().split(".")[0]
    slurm = Slurm(folder, host)
    ports = _free_ports(4)
    accounting = WITH_ACCOUNTS if accounts else "AccountingStorageType=accounting_storage/none"
    values = {
        "ours": OURS,
        "host": host,
        "ports": ports,
        "folder": folder,
        "longest": LONGEST,
        "accounting": accounting.format(port=ports[2], folder=folder),
        **NODE,
    }
    with ExitStack() as stack:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        stack.callback(_remove_configuration)
        _configure("slurm.conf", CONFIG.format(**values))
        _configure("gres.conf", GPUS)
        _start_munge(slurm, stack)
        if accounts:
            _configure("slurmdbd.conf", SLURMDBD.format(**values)).chmod(0o600)
            _start_accounting(slurm, stack, ports)
        stack.callback(slurm.stop, "slurmctld")
        slurm.start("slurmctld", "-D")
        slurm.wait_for("controller", slurm.answers)
        stack.callback(slurm.stop, "slurmd")
        slurm.start("slurmd", "-D")
        slurm.wait_for("node", slurm.idle)
        stack.callback(lambda: subprocess.run(["scancel", "--user=root"], timeout=60, check=False))
        yield slurm


def _start_munge(slurm: Slurm, stack: ExitStack) -> None:
    key = slurm.folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    stack.callback(slurm.stop, "munged")
    files = [f"--{name}-file={slurm.folder}/munged.{name}" for name in ("pid", "log", "seed")]
    slurm.start(
        "munged", "--foreground", "--force", f"--socket={slurm.folder}/munge.socket", f"--key-file={key}", *files
    )
    slurm.wait_for("munge", (slurm.folder / "munge.socket").exists)


def _start_accounting(slurm: Slurm, stack: ExitStack, ports: list[int]) -> None:
    data = f"--datadir={slurm.folder}/mariadb"
    made = ["mariadb-install-db", "--no-defaults", "--user=root", data, "--auth-root-authentication-method=normal"]
    subprocess.run(made, check=True, capture_output=True, timeout=300)
    stack.callback(slurm.stop, "mariadbd")
    where = [f"--port={ports[3]}", "--bind-address=127.0.0.1", f"--socket={slurm.folder}/mariadb.socket"]
    slurm.start("mariadbd", "--no-defaults", "--user=root", data, *where, f"--pid-file={slurm.folder}/mariadb.pid")
    slurm.wait_for("database", lambda: _listens(ports[3]))
    stack.callback(slurm.stop, "slurmdbd")
    slurm.start("slurmdbd", "-D")
    slurm.wait_for("accounts", lambda: _listens(ports[2]))
    # A cluster whose accounts are kept has its name in them.
    slurm.wait_for("cluster in the accounts", lambda: _added("cluster", "tests"))
    slurm("sacctmgr", "-i", "add", "account", "lab", "cluster=tests")
    slurm("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=tests")


def _added(*what: str) -> bool:
    return subprocess.run(["sacctmgr", "-i", "add", *what], capture_output=True, timeout=60).returncode == 0


def _configure(name: str, text: str) -> Path:
    ETC.mkdir(parents=True, exist_ok=True)
    (ETC / name).write_text(text)
    return ETC / name


def _remove_configuration() -> None:
    for name in ("slurm.conf", "gres.conf", "slurmdbd.conf"):
        file = ETC / name
        if file.exists() and OURS in file.read_text():
            file.unlink()


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
