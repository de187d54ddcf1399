"""The command line: the application with all of its commands, listed in the order of these imports."""

import io
import signal
import sys

from mer_cli import cli_bench as cli_bench
from mer_cli import cli_experiment as cli_experiment
from mer_cli import cli_models as cli_models
from mer_cli import cli_results as cli_results
from mer_cli import cli_runs as cli_runs
from mer_cli import cli_tools as cli_tools
from mer_cli.app import app


def main() -> None:
    """The installed `mer`. A character that the terminal's encoding lacks is printed as its number.

    SIGTERM, a scheduler's word that the time is over, is taken as Ctrl-C: what is half written is tidied away.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
