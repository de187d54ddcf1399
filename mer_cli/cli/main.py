"""The command line: the application with all of its commands."""

import io
import signal
import sys

from mer_cli.cli import (  # noqa: F401  # register
    bench,
    ceiling,
    demo,
    doctor,
    export,
    fit,
    methods,
    predict,
    predictions,
    preprocess,
    results,
    runs,
    spot,
    status,
    synth,
    train,
    tune,
)
from mer_cli.cli.app import app


def main() -> None:
    """Run `mer`. A character that the terminal's encoding lacks is printed as its number.

    SIGTERM, which a scheduler sends when the time is over, works like Ctrl-C: half-written files are removed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
