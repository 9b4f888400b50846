"""Jobs on Slurm: the executor of Snakemake's plugin, which submits them, with another way to learn what became of them.

Written against snakemake-executor-plugin-slurm 2.5.4; docs/slurm.md says what it would do by itself, and why not here.
"""

import asyncio
import re
import shlex
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import snakemake_executor_plugin_slurm as plugin

from memscore import lock, slurm

# Between two looks at the queue, by the profile's first pause: half as much again each time while nothing ends.
LONGEST_PAUSE = 3  # times the first
# A job that waits for ever is told of after as long.
PATIENCE = 60
# Until a job that neither queue nor accounts know is given up, if its files do not tell. At least as long as a network
# file system may take to show them (`latency-wait`).
FORGOTTEN = 30
LAST_WORDS = 3  # lines of Slurm's log of a job
AWAY = "Slurm's controller does not answer: waiting for it; jobs run on meanwhile"


class Executor(plugin.Executor):
    """As the plugin's, but for what its methods say."""

    def __init__(self, workflow, logger):
        """Jobs have the run's name, by which the next run finds what this one leaves if it is killed."""
        settings = workflow.executor_settings
        settings.jobname_prefix = "_".join(filter(None, [(settings.jobname_prefix or "")[:20], lock.name()]))
        settings.status_command = None  # is not asked here
        self.held, self.refused = deque(), False  # jobs to submit later; whether the last one was refused
        self.under_way = {}  # what limits count a job in the queue under, by its place
        self.before = {}  # files of each job, as they were when it was submitted
        self.unknown, self.stuck = {}, {}  # since when
        self.strays, self.said = set(), set()
        lock.note(always=True)
        super().__init__(workflow, logger)  # starts to look at once

    def additional_general_args(self):
        """A job that fails leaves what is there, which may be another's: a run that lives removes what failed."""
        return f"{super().additional_general_args()} --keep-incomplete"

    def get_account_arg(self, job):
        """That of slurm/site.yaml, or else none: Slurm knows a user's default, and sbatch says what it does not know.

        The plugin takes the account of the user's last job.
        """
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(account)}" if account else ""

    def get_partition_arg(self, job):
        """Without a partition Slurm takes its default, whether `sinfo` answers or not."""
        if job.resources.get("slurm_partition") or self._partitions:
            return super().get_partition_arg(job)
        return ""

    def run_job(self, job):
        """Submit a job, unless others of its kind wait to be, or as many as a limit lets are in the queue."""
        if self._kind(job) in map(self._kind, list(self.held)) or self._full(job):
            self.held.append(job)
        else:
            self._submit(job)

    def report_job_submission(self, job_info, **kwargs):
        self.under_way[_place(job_info)] = self._kind(job_info.job)
        super().report_job_submission(job_info, **kwargs)

    def report_job_error(self, job_info, msg=None, **kwargs):
        """A job that sbatch refused for now is held."""
        refusal = None if job_info.external_jobid else slurm.refused_for_now(msg or "", bool(self.under_way))
        if refusal is None:
            super().report_job_error(job_info, msg=msg, **kwargs)
            return
        self.refused = True
        self.held.append(job_info.job)
        self._say(f"Slurm takes no more jobs now ({refusal}): the run goes on when it does")

    def cancel(self):
        super().cancel()
        self.cancel_jobs([])  # what was being submitted meanwhile

    def cancel_jobs(self, active_jobs):
        """By the run's name: the plugin cancels what it has listed, and not what it is just looking at."""
        self.held.clear()
        for cluster in {"", *(cluster for cluster, _ in list(self.under_way))}:
            if not slurm.cancel_named(self.run_uuid, cluster):
                self._say("Slurm cancels no jobs now (scancel fails): the next run in this folder does")

    async def check_active_jobs(self, active_jobs):
        """Report the jobs that have ended; yield the others.

        The queue tells; what it has forgotten, the accounts; and where there are none, the files of the job. What goes
        wrong here ends the run, and its jobs with it.
        """
        try:
            for each in self._look(active_jobs):
                yield each
        except Exception:
            self.cancel_jobs([])
            raise

    async def sleep(self):
        """In short steps: neither Ctrl-C nor the end of the run is kept waiting."""
        end = time.monotonic() + self.next_seconds_between_status_checks
        while self.wait and time.monotonic() < end:
            await asyncio.sleep(0.5)

    def _look(self, active_jobs) -> list:
        """The jobs that have not ended; the others are reported."""
        self._submit_held()
        first = self.workflow.executor_settings.init_seconds_before_status_checks
        pause = max(first, min(1.5 * self.next_seconds_between_status_checks, LONGEST_PAUSE * first))
        places = {_place(each) for each in active_jobs}
        listed, known = {}, {}
        for cluster in {cluster for cluster, _ in places}:
            jobs = slurm.queue(f"--name={self.run_uuid}", cluster=cluster)
            if jobs is None:
                self._say(AWAY)
                return active_jobs
            listed |= {(cluster, number): job for number, job in jobs.items()}
            forgotten = {number for where, number in places - listed.keys() if where == cluster}
            known |= {(cluster, number): state for number, state in slurm.ends(forgotten, cluster).items()}
        self.said.discard(AWAY)
        self._tell_of_stuck(listed)
        self._cancel_strays(listed)
        ended = [(each, state) for each in active_jobs if (state := self._end(each, listed, known))]
        for each, state in ended:
            self._report(each, state, listed.get(_place(each)))
        self.next_seconds_between_status_checks = first if ended or not active_jobs else pause
        done = {_place(each) for each, _ in ended}
        return [each for each in active_jobs if _place(each) not in done]

    def _report(self, job_info, state: str, listed: slurm.Job | None) -> None:
        self.under_way.pop(_place(job_info), None)
        if state != "COMPLETED":
            message = self._last_words(job_info, state, listed)
            self.report_job_error(job_info, msg=message, aux_logs=[str(job_info.aux["slurm_logfile"])])
            return
        self.report_job_success(job_info)
        if not self.workflow.executor_settings.keep_successful_logs:
            with suppress(OSError):
                job_info.aux["slurm_logfile"].unlink(missing_ok=True)

    def _submit(self, job) -> None:
        self.before[job.jobid] = {file: _signature(file) for file in (*job.output, *job.log)}
        super().run_job(job)

    def _submit_held(self) -> None:
        """As many of the held jobs as are taken, in their order; where one of a kind is not, the others wait."""
        waiting = set()
        for _ in range(len(self.held)):
            try:
                job = self.held.popleft()
            except IndexError:  # Ctrl-C
                return
            kind = self._kind(job)
            if kind in waiting or self._full(job):
                self.held.append(job)
                waiting.add(kind)
                continue
            self.refused = False
            self._submit(job)
            if self.refused:
                waiting.add(kind)

    def _full(self, job) -> bool:
        cluster, _, account, qos = self._kind(job)
        limit = None if cluster else slurm.most_jobs(account, qos)
        if limit is None or [kind[2:] for kind in list(self.under_way.values())].count((account, qos)) < limit:
            return False
        self._say(f"this cluster lets you have {slurm.jobs(limit)} in the queue: the run keeps to it")
        return True

    def _kind(self, job) -> tuple[str, str, str, str]:
        """What decides whether Slurm takes a job now: cluster, partition, account and QOS."""
        asked = job.resources
        qos = asked.get("qos") or self.workflow.executor_settings.qos or ""
        return _cluster(job), asked.get("slurm_partition") or "", asked.get("slurm_account") or "", qos

    def _end(self, job_info, listed, known) -> str | None:
        """The state in which a job ended; None where it has not, as far as anybody knows."""
        place, job = _place(job_info), job_info.job
        state = listed[place].state if place in listed else known.get(place)
        if state:
            self.unknown.pop(place, None)
            return state if state in slurm.ENDS else None
        since = self.unknown.setdefault(place, time.monotonic())
        if job.output and all(self._written(job, file) for file in job.output):
            return "COMPLETED"
        patience = max(self.workflow.execution_settings.latency_wait, FORGOTTEN)
        return "unknown to Slurm by now, and no results of it" if time.monotonic() > since + patience else None

    def _written(self, job, file: str) -> bool:
        """Whether a file of a job is another than when it was submitted."""
        return _signature(file) not in (None, self.before.get(job.jobid, {}).get(file))

    def _last_words(self, job_info, state: str, listed: slurm.Job | None) -> str:
        """Why a job failed, as Slurm noted in its log of it; of a job without a log of its own, the end of Slurm's."""
        job, log = job_info.job, Path(job_info.aux["slurm_logfile"])
        node = f" on {listed.nodes}" if listed and listed.nodes else ""
        message = f"Slurm job {job_info.external_jobid}: {state}{node}. "
        lines = [line.strip() for line in _read(log).splitlines() if line.strip()]
        if any(self._written(job, file) for file in job.log):
            why = [line for line in lines if line.startswith("slurmstepd: error")][-1:]  # a limit, out of memory, ...
            return message + "".join(f"{line}. " for line in why)
        said = " / ".join(lines[-LAST_WORDS:]) or "nothing"
        ended = f"job of rule {job.name} failed before its own log began ({state}{node})"
        # Of a hundred jobs on such a node, once: they differ in numbers.
        self._say(f"{ended}; Slurm's log {log} ends: {said}", re.sub(r"\d+", "", said))
        return f"{message}It has no log of its own; Slurm's ends: {said}. "

    def _tell_of_stuck(self, listed) -> None:
        now = time.monotonic()
        stuck = {place: job for place, job in listed.items() if job.for_ever}
        self.stuck = {place: self.stuck.get(place, now) for place in stuck}
        long = [job for place, job in stuck.items() if now - self.stuck[place] >= PATIENCE]
        for (rule, reason), n in slurm.reasons(long).items():
            number = next(job.number for job in long if (job.rule, job.reason) == (rule, reason))
            self._say(
                f"rule {rule}: {slurm.jobs(n)} in the queue for what will not come by itself, says Slurm: {reason}; "
                f"see scontrol show job {number}, slurm/site.yaml, and resources in the config",
                (rule, reason),
            )

    def _cancel_strays(self, listed) -> None:
        """Jobs that Slurm took though sbatch said otherwise, as when its answer was lost: they were submitted again.

        Not at once: one that has just been submitted is not under way yet.
        """
        strays = {place for place, job in listed.items() if not job.over and place not in self.under_way}
        for cluster, number in strays & self.strays:
            slurm.cancel([number], 0, cluster)
        self.strays = strays

    def _say(self, message: str, about=None) -> None:
        """Once; to nobody where the terminal has gone."""
        if (about or message) not in self.said:
            self.said.add(about or message)
            with suppress(OSError):
                print(f"memscore: {message}", file=sys.stderr, flush=True)


def _cluster(job) -> str:
    asked = job.resources
    return asked.get("cluster") or asked.get("clusters") or asked.get("slurm_cluster") or ""


def _place(job_info) -> tuple[str, str]:
    """Two clusters may give one number."""
    return _cluster(job_info.job), job_info.external_jobid


def _signature(file: str) -> tuple | None:
    try:
        with suppress(IsADirectoryError), open(file, "rb"):  # A network file system looks anew at what is opened.
            pass
        stat = Path(file).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
