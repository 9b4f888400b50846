"""Jobs on Slurm: the executor of Snakemake's plugin, which submits them, with another way to learn what became of them.

Written against snakemake-executor-plugin-slurm 2.5.4; docs/slurm.md says what it would do by itself, and why not here.
"""

import asyncio
import re
import shlex
import sys
import time
from collections import deque
from pathlib import Path

import snakemake_executor_plugin_slurm as plugin

from memscore import lock, slurm

# Between two looks at the queue: by the profile's first pause, and half as much again while nothing ends.
LONGEST_PAUSE = 60  # seconds
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
        self.under_way = {}  # what limits count each job in the queue under
        self.before = {}  # files of each job, as they were when it was submitted
        self.unknown, self.stuck = {}, {}  # since when
        self.said = set()
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
        """Submit a job, unless as many as a limit lets are in the queue: then later."""
        if self.held or self._full(job):
            self.held.append(job)
        else:
            self._submit(job)

    def report_job_submission(self, job_info, **kwargs):
        self.under_way[job_info.external_jobid] = _limited(job_info.job)
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
        """Those too that were being submitted, or looked at, when Ctrl-C came: the plugin knows not of them."""
        self.held.clear()
        super().cancel()
        listed = slurm.queue(f"--name={self.run_uuid}", clusters=self._submitted_job_clusters) or {}
        slurm.cancel([number for number, job in listed.items() if job.state not in slurm.ENDS], 0)

    async def check_active_jobs(self, active_jobs):
        """Report the jobs that have ended; yield the others.

        The queue tells; what it has forgotten, the accounts; and where there are none, the files of the job.
        """
        self._submit_held()
        first = self.workflow.executor_settings.init_seconds_before_status_checks
        if not active_jobs:
            self.next_seconds_between_status_checks = first
            return
        clusters = self._submitted_job_clusters
        listed = slurm.queue(f"--name={self.run_uuid}", clusters=clusters)
        if listed is None:
            self._say(AWAY)
        else:
            self.said.discard(AWAY)
            self._tell_of_stuck(listed)
        known = (
            {} if listed is None else slurm.ends({each.external_jobid for each in active_jobs} - set(listed), clusters)
        )
        pause = min(1.5 * self.next_seconds_between_status_checks, LONGEST_PAUSE)
        for each in active_jobs:
            state = None if listed is None else self._end(each, listed, known)
            if state is None:
                yield each
                continue
            pause = first
            self.under_way.pop(each.external_jobid, None)
            if state == "COMPLETED":
                self.report_job_success(each)
                if not self.workflow.executor_settings.keep_successful_logs:
                    each.aux["slurm_logfile"].unlink(missing_ok=True)
            else:
                message = self._last_words(each, state, listed)
                self.report_job_error(each, msg=message, aux_logs=[str(each.aux["slurm_logfile"])])
        self.next_seconds_between_status_checks = min(max(pause, first), max(LONGEST_PAUSE, first))

    async def sleep(self):
        """In short steps: neither Ctrl-C nor the end of the run is kept waiting."""
        end = time.monotonic() + self.next_seconds_between_status_checks
        while self.wait and time.monotonic() < end:
            await asyncio.sleep(0.5)

    def _submit(self, job) -> None:
        self.before[job.jobid] = {file: _signature(file) for file in (*job.output, *job.log)}
        super().run_job(job)

    def _submit_held(self) -> None:
        """As many of the held jobs as are taken, in their order."""
        self.refused = False
        while self.held and not self._full(self.held[0]):
            self._submit(self.held.popleft())
            if self.refused:
                self.held.rotate(1)
                return

    def _full(self, job) -> bool:
        limit = slurm.most_jobs(*_limited(job))
        if limit is None or list(self.under_way.values()).count(_limited(job)) < limit:
            return False
        self._say(f"this cluster lets you have {limit} jobs in the queue: the run keeps to it")
        return True

    def _end(self, job_info, listed, known) -> str | None:
        """The state in which a job ended; None where it has not, as far as anybody knows."""
        number = job_info.external_jobid
        state = listed[number].state if number in listed else known.get(number)
        if number in listed or state:
            self.unknown.pop(number, None)
            return state if state in slurm.ENDS else None
        since = self.unknown.setdefault(number, time.monotonic())
        if all(self._written(job_info.job, file) for file in job_info.job.output):
            return "COMPLETED"
        patience = max(self.workflow.execution_settings.latency_wait, FORGOTTEN)
        return "unknown to Slurm by now, and no results of it" if time.monotonic() > since + patience else None

    def _written(self, job, file: str) -> bool:
        """Whether a file of a job is another than when it was submitted."""
        return _signature(file) not in (None, self.before.get(job.jobid, {}).get(file))

    def _last_words(self, job_info, state: str, listed) -> str:
        """What is known of a job that failed: of one that has no log of its own yet, the end of Slurm's."""
        job, number, log = job_info.job, job_info.external_jobid, Path(job_info.aux["slurm_logfile"])
        node = f" on {listed[number].nodes}" if number in listed and listed[number].nodes else ""
        message = f"Slurm job {number}: {state}{node}. "
        if any(self._written(job, file) for file in job.log):
            return message
        lines = [line.strip() for line in _read(log).splitlines() if line.strip()]
        said = " / ".join(lines[-LAST_WORDS:]) or "nothing"
        ended = f"job of rule {job.name} failed before its own log began ({state}{node})"
        # Of a hundred jobs on such a node, once: they differ in numbers.
        self._say(f"{ended}; Slurm's log {log} ends: {said}", re.sub(r"\d+", "", said))
        return f"{message}It has no log of its own; Slurm's ends: {said}. "

    def _tell_of_stuck(self, listed) -> None:
        now = time.monotonic()
        stuck = {number: job for number, job in listed.items() if job.for_ever}
        self.stuck = {number: self.stuck.get(number, now) for number in stuck}
        long = [job for number, job in stuck.items() if now - self.stuck[number] >= PATIENCE]
        for (rule, reason), n in slurm.reasons(long).items():
            number = next(job.number for job in long if (job.rule, job.reason) == (rule, reason))
            self._say(
                f"{n} jobs of rule {rule} wait for what will not come by itself, says Slurm: {reason}; see scontrol "
                f"show job {number}, slurm/site.yaml, and resources in the config",
                (rule, reason),
            )

    def _say(self, message: str, about=None) -> None:
        """Once."""
        if (about or message) not in self.said:
            self.said.add(about or message)
            print(f"memscore: {message}", file=sys.stderr, flush=True)


def _limited(job) -> tuple[str, str]:
    """What a job is counted under where a cluster limits how many there are."""
    return job.resources.get("slurm_account") or "", job.resources.get("qos") or ""


def _signature(file: str) -> tuple | None:
    try:
        with open(file, "rb"):  # A network file system looks anew at what is opened.
            pass
        stat = Path(file).stat()
    except IsADirectoryError:
        stat = Path(file).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
