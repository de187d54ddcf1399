"""Real Ray nodes on this machine, on free ports, that ask for a password; each is stopped by its process id."""

import gc
import os
import secrets
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager, suppress

import psutil

from mer_cli.engines.ray_engine import RayEngine

CLI = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
OBJECT_STORE = 100_000_000
MOST_SECONDS = 60


def free_port():
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


class Node:
    """A node of a cluster, with one processor unless the options say otherwise; the head if it gets no address."""

    def __init__(self, folder, name, *options, address=None, env=None):
        port = free_port()
        self.address = address or f"127.0.0.1:{port}"
        role = ["--address", address] if address else ["--head", "--port", str(port), "--include-dashboard=false"]
        limits = ["--num-cpus=1", f"--object-store-memory={OBJECT_STORE}"]
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = psutil.Popen(
                [*CLI, *role, *limits, *options], stdout=log, stderr=subprocess.STDOUT, env=env, cwd=folder
            )

    def wait(self):
        """Wait until the node is up."""
        end = time.monotonic() + MOST_SECONDS
        while b"Ray runtime started" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)
        return self

    def processes(self, part=""):
        """The processes of the node whose command line holds a part."""
        return [process for process in self.process.children(recursive=True) if part in " ".join(process.cmdline())]

    def raylet(self):
        return next(process for process in self.processes("raylet/raylet") if process.name() == "raylet")

    def stop(self):
        """End the node, and wait until all of its processes have ended."""
        held = [self.process, *self.process.children(recursive=True)]
        for process in held:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(held, timeout=20)


def node_environment(**changes):
    """The environment of nodes and drivers: a password, and no words about use."""
    return {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        **changes,
    }


@contextmanager
def ray_engine(address=None):
    """An open engine; what Ray leaves unclosed when it ends is collected here, and not in a later test."""
    with RayEngine(address) as engine:
        yield engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
