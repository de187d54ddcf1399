"""Start a Ray cluster on this machine for one command, or connect to one that runs; each mistake is one error.

A cluster of this machine alone listens on the loopback interface only, asks every process for a password that nobody
else knows (since Ray 2.52), and is gone when the command ends, its folder of logs and sockets too.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

from mer_cli.engines.ray_reaper import reaper
from mer_cli.errors import ConfigError, RunError
from mer_cli.system.extras import import_extra

STARTS = 3  # of a local cluster: Ray gives up after 30 s, and on a busy machine the next start is quicker
TOO_SLOW = "timed out during startup"  # in Ray's error
SECONDS_TO_ANSWER = 5.0  # Ray itself would wait two minutes for a cluster that isn't there
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # Ray speaks gRPC, which stands on it
VERSIONS = r"started with:\s+Ray: (\S+)\s+Python: (\S+)"  # in Ray's error, of the cluster and then of this process
SETTINGS = 4  # type of the frame with which every HTTP/2 server begins
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def import_ray() -> Any:
    """Import and return Ray, which is an extra."""
    return import_extra("--engine ray", "Ray", "ray", "ray")


@contextmanager
def local_cluster() -> Iterator[Any]:
    """Yield Ray, connected to a cluster of this machine's processors and GPUs, which ends with the block."""
    with ExitStack() as stack:
        for is_last in (False,) * (STARTS - 1) + (True,):
            with ExitStack() as start:
                try:
                    ray = _start_local(start)
                except Exception as error:
                    if TOO_SLOW in str(error) and not is_last:
                        continue
                    raise connection_error("--engine ray", error) from None
                stack.enter_context(start.pop_all())
                break
        yield ray


def _start_local(stack: ExitStack) -> Any:
    """Start a cluster of this machine, which ends when the stack is closed, and return Ray, connected to it."""
    from joblib import cpu_count  # knows affinity and a container's share

    stack.enter_context(_environment({**QUIET, "RAY_AUTH_TOKEN": _token()}))
    if "ray" not in sys.modules:  # which reads it only once; from about 2.59 on, Ray sets it for local clusters
        stack.enter_context(_environment({"RAY_AUTH_MODE": "token"}))
    ray = import_ray()
    # Ray listens on loopback by itself where it doesn't support several nodes: on Windows and macOS.
    stack.enter_context(_replaced(ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False))
    folder = tempfile.mkdtemp(prefix="mer-ray-", dir="/tmp" if os.name == "posix" else None)  # for short sockets
    note_processes = stack.enter_context(reaper(folder))
    try:
        _init(ray, stack, "local", num_cpus=cpu_count(), include_dashboard=False, _temp_dir=folder)
    finally:
        note_processes()
    return ray


@contextmanager
def joined_cluster(address: str) -> Iterator[Any]:
    """Yield Ray, connected to the cluster at "HOST:PORT", or with "auto" to the one whose node this machine is."""
    where = f"--engine ray:{address}"
    if address != "auto":
        _require_server(where, address)
    with ExitStack() as stack:
        stack.enter_context(_environment(QUIET))
        ray = import_ray()
        try:
            _init(ray, stack, address)
        except (Exception, SystemExit) as error:  # Ray ends the process when it has waited in vain
            raise connection_error(where, error) from None
        yield ray


def _init(ray: Any, stack: ExitStack, address: str, **options: Any) -> None:
    """Connect to a cluster, until the stack is closed; signals and the terminal are left to the command."""
    stack.callback(ray.shutdown)
    stack.enter_context(_replaced(ray._private.worker, "print_to_stdstream", _print_nothing))
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level="CRITICAL", **options)
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:  # in another thread, Ray doesn't change it
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Replace a name in a module of Ray for a block; another release may lack it."""
    if not hasattr(module, name):
        yield
        return
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _print_nothing(*data: Any, **options: Any) -> None:
    """Do nothing, where Ray would print on stdout that a worker or a node was lost, which the engine tells."""


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a block, except those that the user has set."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@cache
def _token() -> str:
    """Return a password for the local clusters of this process; Ray would write one into the home directory."""
    return secrets.token_hex(32)


def _require_server(where: str, address: str) -> None:
    """Raise an error, at once, unless something that may be Ray answers at an address."""
    match = re.fullmatch(r"\[?([^/\s]+?)\]?:(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ConfigError(
            f"{where}: '{address}' is not an address. Expected ray:HOST:PORT, as 'ray start --head' prints it, or "
            "ray:auto on a machine that is a node of the cluster."
        )
    try:
        with socket.create_connection((match[1], int(match[2])), timeout=SECONDS_TO_ANSWER) as server:
            if os.environ.get("RAY_USE_TLS", "0") == "1":
                return
            server.sendall(HTTP2_GREETING)
            answer = server.recv(9)
    except TimeoutError:
        raise ConfigError(_no_ray(where, f"nothing answers within {SECONDS_TO_ANSWER:g} seconds")) from None
    except OSError as error:
        raise ConfigError(_no_ray(where, error.strerror or str(error))) from None
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise ConfigError(_no_ray(where, "something else answers"))


def _no_ray(where: str, reason: str) -> str:
    return (
        f"{where}: there is no Ray cluster at this address ({reason}). Start its first node there: ray start --head; "
        "it prints the address."
    )


def connection_error(where: str, error: BaseException) -> Exception:
    """Return the error that says what to do if Ray can't be connected to; Ray's own if it isn't known."""
    causes = [error, *([error.__cause__] if error.__cause__ else [])]
    text = "\n".join(str(cause) for cause in causes)
    if "InvalidAuthToken" in text or "no authentication token was found" in text:
        return ConfigError(
            f"{where}: the cluster asks for a password, and this machine has another or none. Copy ~/.ray/auth_token "
            "of its first node to the same place here, and set RAY_AUTH_MODE=token."
        )
    versions = re.search(rf"{VERSIONS}[\s\S]+{VERSIONS}", text)
    if versions:
        theirs_ray, theirs_python, ours_ray, ours_python = versions.groups()
        return ConfigError(
            f"{where}: the cluster has Ray {theirs_ray} and Python {theirs_python}, and this machine has Ray "
            f"{ours_ray} and Python {ours_python}. All nodes need the same: install Ray {theirs_ray} here (pip install "
            f"'ray=={theirs_ray}') in an environment with Python {theirs_python}."
        )
    if isinstance(error, SystemExit):  # after two minutes
        return ConfigError(_no_ray(where, "what answers there doesn't speak as Ray does"))
    if "Could not find any running Ray instance" in text:
        return ConfigError(
            f"{where}: this machine is not a node of a Ray cluster. Start one: ray start --head, or add this machine "
            "to another's: ray start --address=HOST:PORT."
        )
    return RunError(f"{where}: {' '.join(text.split())}")
