"""Processes without their start-up: `snakemake` and its jobs' scripts are forked from one that has imported it all.

What tests wait for is otherwise the import of Snakemake, torch and timm, again in each process. A fork begins where an
interpreter is after its imports, with the arguments, folder, environment and open files of its caller. Nothing of
memscore is imported before the fork: each study finds its own copy of the package.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

# Stands for `python`: passes on to the server at SOCKET what it was called with, and ends as the fork does.
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
files = array.array("i", [0, 1, 2])
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
connection.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
connection.sendall(request)
sys.exit(int(connection.recv(16) or 137))  # no word of it: killed
"""
LIBRARIES = """
PIL.Image jsonschema.validators matplotlib.backends.backend_agg matplotlib.backends.backend_svg matplotlib.figure
netCDF4 requests safetensors.torch scipy.stats skimage.data skimage.transform sklearn.cross_decomposition
sklearn.linear_model sklearn.model_selection snakemake.api snakemake.cli snakemake.dag snakemake.executors.dryrun
snakemake.executors.local snakemake.logging snakemake.report snakemake.report.html_reporter
snakemake.scheduling.greedy snakemake.scheduling.job_scheduler snakemake.workflow snakemake_executor_plugin_slurm
threadpoolctl timm torch torchvision xarray
""".split()


class Forks:
    """A server in a folder; `python` is what to call for a fork of it in the place of a Python.

    before : what its command begins with, such as `unshare --net`: its forks are where it is
    environment : beside this process's; what libraries read as they are loaded is of the server, all else of its caller
    """

    def __init__(self, folder: Path, *before: str, **environment: str):
        self.python, path = folder / "python", str(folder / "socket")
        self.python.write_text(CLIENT.format(python=sys.executable, socket=path))
        self.python.chmod(0o755)
        self.environment = environment
        command = [*before, sys.executable, "-W", "ignore", __file__, path, str(self.python)]
        self.process = subprocess.Popen(command, env=environ() | environment, start_new_session=True)
        while not os.path.exists(path):
            if self.process.poll() is not None:
                raise RuntimeError(f"{__file__}: the server did not start")
            time.sleep(0.05)

    def snakemake(self, folder: Path, *arguments: str) -> tuple[int, str]:
        """(exit status, everything it printed) of `snakemake` in that folder; its jobs' scripts are forks too."""
        return snakemake(str(self.python), folder, *arguments, **self.environment)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def environ() -> dict[str, str]:
    """This process's environment without what would have Snakemake find another package or profile."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SNAKEMAKE_PROFILE")}


def snakemake(python: str, folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    process = subprocess.run(
        [python, "-m", "snakemake", *arguments],
        cwd=folder,
        env=environ() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2400,
    )
    return process.returncode, process.stdout


def serve(path: str, python: str) -> None:
    """Fork for each caller, as long as the process lives that started this one."""
    parent = os.getppid()
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The system buries them.
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{path}.part")
    server.listen(64)
    os.rename(f"{path}.part", path)
    while os.getppid() == parent:
        if not select.select([server], [], [], 5)[0]:
            continue
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.executable = python
            connection.sendall(b"%d" % become(connection))
            os._exit(0)
        connection.close()


def become(connection: socket.socket) -> int:
    """Run what a caller asks for as its Python would; the exit status."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    data = connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    arguments, folder, environment = json.loads(data)
    for file, number in zip(files, range(3), strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = [sys.executable, *arguments]
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")
    try:
        status = run(*arguments)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = int(bool(ended.code)) if not isinstance(ended.code, int) else ended.code
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def run(first: str, *others: str) -> int:
    """`python -m snakemake ...` or `python <script>`."""
    if first == "-m":
        from snakemake import cli

        sys.argv = list(others)
        cli.main()
    else:
        sys.argv = [first, *others]
        sys.path.insert(0, os.path.dirname(first))
        runpy.run_path(first, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.path.pop(0)  # The tests' own modules are no program's.
    serve(*sys.argv[1:])
