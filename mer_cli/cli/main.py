"""The command line: the application with all of its commands, listed in the order of these imports."""

import io
import signal
import sys

from mer_cli.cli import bench as bench
from mer_cli.cli import demo as demo
from mer_cli.cli import doctor as doctor
from mer_cli.cli import methods as methods
from mer_cli.cli import preprocess as preprocess
from mer_cli.cli import results as results
from mer_cli.cli import runs as runs
from mer_cli.cli import tools as tools
from mer_cli.cli import train as train
from mer_cli.cli.app import app


def main() -> None:
    """The installed `mer`. A character that the terminal's encoding lacks is printed as its number.

    SIGTERM, a scheduler's word that the time is over, is taken as Ctrl-C: what is half written is tidied away.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
