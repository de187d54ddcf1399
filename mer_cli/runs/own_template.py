"""Write a commented file with a method of your own, which trains as it is: a network, a learner or an estimator."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Literal

from mer_cli.errors import ConfigError

TemplateKind = Literal["network", "learner", "estimator"]
COMMENT = "#     "  # in front of each command at the end of a template


def write_template(path: Path, kind: TemplateKind) -> list[str]:
    """Write the template of a kind of method to a new file; return the commands that come next.

    Raises
    ------
    ConfigError
        If the name doesn't end in .py, the file exists already, or it can't be written.
    """
    if path.suffix != ".py":
        raise ConfigError(f"--template {path}: the name must end in .py. Type {path.with_suffix('.py')}.")
    packaged = files("mer_cli.runs").joinpath("templates", f"{kind}.py.txt")
    text = packaged.read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text.replace("FILE.py", path.name))
    except FileExistsError:
        raise ConfigError(
            f"--template {path}: the file exists already, and is not overwritten. Give another name."
        ) from None
    except OSError as error:
        raise ConfigError(f"--template {path}: can't be written ({error.strerror}). Give another place.") from None
    place = str(path) if path.is_absolute() else f"./{path}"
    commands = [line.removeprefix(COMMENT) for line in text.splitlines() if line.startswith(f"{COMMENT}mer ")]
    return [command.replace("./FILE.py", shlex.quote(place)) for command in commands]
