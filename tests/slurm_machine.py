"""A real Slurm on this machine, for tests: Debian's slurm-wlm and munge, stand-in GPUs, accounts if they are wanted.

One node that passes for a larger one (`config_overrides`). Slurm reads its configuration from /etc/slurm (Snakemake's
executor clears SLURM_CONF), so a machine that has a Slurm of its own is left alone. Where nothing is said below, its
settings are Slurm's defaults.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

ETC = Path("/etc/slurm")
CLUSTER = f"tests{os.getpid()}"  # no other's, by which the processes of jobs are known
OURS = "# Written by memscore's tests; removed when they end."
NODE = {"CPUs": 8, "RealMemory": 64000, "Gres": "gpu:2"}
LONGEST = 600  # minutes, of a job in any partition

CONFIG = """{ours}
ClusterName={cluster}
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
{memory}
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SwitchType=switch/none
KillWait=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/linux
GresTypes=gpu
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUs} RealMemory={RealMemory} Gres={Gres} State=UNKNOWN
PartitionName=DEFAULT Nodes={host} MaxTime={longest} PreemptMode=OFF
PartitionName=cpu Default=YES
PartitionName=gpu
PartitionName=cancelled PreemptMode=CANCEL
PartitionName=requeued PreemptMode=REQUEUE
PartitionName=urgent PriorityTier=2
PartitionName=theirs AllowAccounts=other
"""
# Whatever devices there are: nothing is done with them.
GPUS = f"{OURS}\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
# The kernel ends what takes too much memory; where this machine has no cgroups (v1) Slurm itself looks, each second.
CGROUPS = Path("/sys/fs/cgroup/memory/cgroup.procs")
BY_KERNEL = "TaskPlugin=task/cgroup"
BY_SLURM = "TaskPlugin=task/none\nJobAcctGatherFrequency=task=1\nJobAcctGatherParams=OverMemoryKill"
CGROUP = f"{OURS}\nCgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n"
WITH_ACCOUNTS = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations,limits,qos"""
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


def cgroups() -> bool:
    """Whether this machine lets a Slurm of ours limit memory by cgroups."""
    return os.access(CGROUPS, os.W_OK)


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
    """A running Slurm; `slurm("scancel", job)` runs one of its commands and returns what it says.

    first : the largest job number before the test; jobs up to it are others'
    """

    def __init__(self, folder: Path, host: str, configuration: str):
        self.folder, self.host, self.configuration = folder, host, configuration
        self.daemons, self.limited, self.first = {}, [], 0

    def __call__(self, *command: str) -> str:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr}{ran.stdout}"
        return ran.stdout

    def start(self, name: str, *arguments: str) -> None:
        """A daemon in the foreground, as a child of this process."""
        with open(self.folder / f"{name}.out", "a") as out:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
            # It ends with this process, however that ends.
            command = ["setpriv", "--pdeathsig", "TERM", shutil.which(name), *arguments]
            self.daemons[name] = subprocess.Popen(
                command, stdout=out, stderr=out, env=environment, start_new_session=True
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
            time.sleep(0.1)

    def start_controller(self) -> None:
        self.start("slurmctld", "-D")
        self.wait_for("controller", self.answers)

    def start_node(self) -> None:
        self.start("slurmd", "-D")
        self.wait_for("node", self.idle)

    def answers(self) -> bool:
        return subprocess.run(["scontrol", "ping"], capture_output=True, timeout=60).stdout.find(b"UP") > 0

    def idle(self) -> bool:
        return subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, timeout=60).stdout.strip() == b"idle"

    def node_down(self) -> None:
        """The node is lost with all that runs on it, until `resume`."""
        self("scontrol", "update", f"nodename={self.host}", "state=down", "reason=test")
        # Slurm drains a node that is given a job of which something is left there.
        self.wait_for("end of the steps", lambda: not list((self.folder / "spool").glob(f"{self.host}_*")))

    def resume(self) -> None:
        """The node takes jobs again, whatever it was set to."""
        # Slurm refuses where there is nothing to resume.
        command = ["scontrol", "update", f"nodename={self.host}", "state=resume"]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    def jobs(self, *options: str) -> list[list[str]]:
        """[number, state, rule and wildcards] of each of the test's jobs in the queue."""
        lines = self("squeue", "--noheader", "-o", "%A|%T|%k", *options).splitlines()
        return [job for job in (line.split("|", 2) for line in lines) if int(job[0]) > self.first]

    def accounts(self, *fields: str) -> list[list[str]]:
        """What the accounts say of each of the test's jobs."""
        columns = ",".join(("JobIDRaw", *fields))
        lines = self("sacct", "-X", "-n", "-P", "--starttime", "now-1days", "--format", columns).splitlines()
        return [rest for number, *rest in (line.split("|") for line in lines) if int(number) > self.first]

    def running(self, rule: str = "") -> list[str]:
        """Numbers of the jobs of a rule that run."""
        return [number for number, state, comment in self.jobs() if state == "RUNNING" and rule in comment]

    def preempt(self, number: str) -> None:
        """A more important job takes the whole node, and ends at once. A job that was requeued may start again."""
        more = ("--partition=urgent", "--exclusive", "--mem=0", "--output=/dev/null", "--wrap", "sleep 600")
        urgent = self("sbatch", "--parsable", "--chdir", str(self.folder), *more).strip()
        self.wait_for("more important job", lambda: urgent in self.running())
        assert number not in self.running(), f"job {number} was not preempted: its partition?"
        self("scancel", urgent)
        self.wait_for("its end", lambda: urgent not in [job[0] for job in self.jobs()])
        self.start_now()

    def start_now(self) -> None:
        """Let jobs that were requeued start: Slurm itself waits for two minutes."""
        for number, state, _ in self.jobs():
            if state == "PENDING":  # In the second of its end the node would refuse it: "Job credential revoked".
                self("scontrol", "update", f"jobid={number}", "starttime=now+3")

    def configure(self, **settings) -> None:
        """Other settings than this Slurm's own, until the test ends."""
        text = self.configuration
        for key, value in settings.items():
            text = re.sub(rf"^{key}=.*\n|\Z", "", text, flags=re.MULTILINE)
            text = text.replace(f"{OURS}\n", f"{OURS}\n{key}={value}\n")
        _configure("slurm.conf", text)
        self("scontrol", "reconfigure")

    def limit(self, *of: str, **limits: int) -> None:
        """Limits of the user's account, or of what is named, such as `"qos", "short"`, until the test ends."""
        self._modify(of, limits)
        self.limited.append((of, dict.fromkeys(limits, -1)))

    def commands_without(self, folder: Path, *missing: str) -> str:
        """A PATH with all commands of this machine but these."""
        folder.mkdir()
        for place in reversed(os.environ["PATH"].split(os.pathsep)):
            for file in Path(place).glob("*"):
                (folder / file.name).unlink(missing_ok=True)
                if file.name not in missing:
                    (folder / file.name).symlink_to(file)
        return str(folder)

    def reset(self) -> None:
        """No job is left, and everything is as it was before a test changed it."""
        for name, start in (("slurmctld", self.start_controller), ("slurmd", self.start_node)):
            if name not in self.daemons or self.daemons[name].poll() is not None:
                start()
        self("scancel", f"--user={os.geteuid()}")
        while self.limited:
            self._modify(*self.limited.pop())
        if (ETC / "slurm.conf").read_text() != self.configuration:
            self.configure()
        self.wait_for("end of the jobs", lambda: not self("squeue", "--noheader"))
        self._end_processes()
        self.resume()
        self.wait_for("node", self.idle)
        self.first = int(re.search(r"NEXT_JOB_ID += (\d+)", self("scontrol", "show", "config"))[1]) - 1

    def _modify(self, of: tuple[str, ...], limits: dict[str, int]) -> None:
        changes = [f"{key}={value}" for key, value in limits.items()]
        self("sacctmgr", "-i", "modify", *(of or ("user", "root")), "set", *changes)

    def _end_processes(self) -> None:
        """Whatever jobs left: each has its cluster's name in its environment."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_CLUSTER_NAME") == CLUSTER:
                    process.kill()
            except psutil.Error:  # It has ended.
                continue

    def _said(self, name: str) -> str:
        files = [self.folder / f"{name}.log", self.folder / f"{name}.out"]
        return "".join(file.read_text()[-1500:] for file in files if file.exists())


@contextmanager
def slurm_here(folder: Path, accounts: bool = False):
    """A Slurm that lives as long as the block, in this folder and /etc/slurm. A second one waits for its end."""
    host = socket.gethostname().split(".")[0]
    ports = _free_ports(4)
    accounting = WITH_ACCOUNTS if accounts else "AccountingStorageType=accounting_storage/none"
    values = {
        "ours": OURS,
        "cluster": CLUSTER,
        "host": host,
        "ports": ports,
        "folder": folder,
        "longest": LONGEST,
        "memory": BY_KERNEL if cgroups() else BY_SLURM,
        "accounting": accounting.format(port=ports[2], folder=folder),
        **NODE,
    }
    slurm = Slurm(folder, host, CONFIG.format(**values))
    with ExitStack() as stack:
        stack.enter_context(_alone())
        for name in ("state", "spool"):
            (folder / name).mkdir()
        stack.callback(_remove_configuration)
        _configure("slurm.conf", slurm.configuration)
        _configure("gres.conf", GPUS)
        _configure("cgroup.conf", CGROUP)
        _start_munge(slurm, stack)
        if accounts:
            _configure("slurmdbd.conf", SLURMDBD.format(**values)).chmod(0o600)
            _start_accounting(slurm, stack, ports)
        stack.callback(slurm.stop, "slurmctld")
        slurm.start_controller()
        stack.callback(slurm.stop, "slurmd")
        slurm.start_node()
        stack.callback(slurm.reset)
        yield slurm


@contextmanager
def _alone():
    """Hold /etc/slurm; who else wants it waits."""
    ETC.mkdir(parents=True, exist_ok=True)
    folder = os.open(ETC, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


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
    slurm.wait_for("cluster in the accounts", lambda: _added("cluster", CLUSTER))
    for account in ("lab", "other"):
        _added("account", account, f"cluster={CLUSTER}")
    _added("qos", "short", "MaxWall=00:30:00")
    _added("user", "root", "account=lab", f"cluster={CLUSTER}", "qos=normal,short", "defaultqos=normal")
    slurm("sacctmgr", "-i", "modify", "user", "root", "set", "defaultaccount=lab")


def _added(*what: str) -> bool:
    return subprocess.run(["sacctmgr", "-i", "add", *what], capture_output=True, timeout=60).returncode == 0


def _configure(name: str, text: str) -> Path:
    (ETC / name).write_text(text)
    return ETC / name


def _remove_configuration() -> None:
    for name in ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf"):
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
