"""Find, import and hash the code of your own method: a file, an importable module, an installed package, or a class.

The hash covers every file that the code is made of: a file with the modules beside it that it imports, or all Python
files of the package. It is part of the run's identity, so changed code begins another run, and a worker process refuses
code that is not the one that the run was planned with. Nothing here is used to read a run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from mer_cli.errors import ConfigError, did_you_mean
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.main_code import source_of_main
from mer_cli.runs.process_state import ProcessChangedError, unchanged_process

ENTRY_POINTS = "mer.methods"
PACKAGE = "mer_cli"
_STARTED = time.time()

Sources = Mapping[str, bytes]  # file contents by name, with "/" between folders


@dataclass(frozen=True)
class Origin:
    """Where the code of your own method is found on this machine.

    text : as given, for errors: "./mynet.py:MyNet"
    name : name of the class, or of the estimator, in its module
    file : the file that holds it, if a file was given · module : otherwise the importable module, or "__main__"
    pickled : the class itself, by cloudpickle, if it was defined in a notebook or a script; else empty
    """

    text: str
    name: str
    file: Path | None = None
    module: str = ""
    pickled: bytes = b""

    @property
    def code(self) -> str:
        """The code's name without its folder, as a run records it: "mynet.py:MyNet", "mylab.nets:MyNet"."""
        return f"{self.file.name if self.file else self.module}:{self.name}"


@dataclass(frozen=True)
class _Known:
    """The code of a method that was named in this process: where it lies, what was imported, and its files."""

    origin: Origin
    found: Any
    sources: Sources


# A file may be edited while its run trains, so what was imported once is kept for every fold.
_KNOWN: dict[Foreign, _Known] = {}
_BESIDE: set[str] = set()  # names of the loaded modules that lie beside a file of your own
# A second import would execute nothing, and so find nothing changed.
_REFUSED: dict[tuple[Origin, tuple[tuple[Path, bytes], ...]], ProcessChangedError] = {}


def is_own(text: str) -> bool:
    """Return whether a value of --model names a method that is your own, by its form or as an entry point."""
    return ":" in text or text.endswith(".py") or text in entry_points()


@cache
def entry_points() -> dict[str, str]:
    """Return the methods of installed packages: the name of the entry point -> "module:name"."""
    return {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINTS)}


def find_origin(text: str, flag: str = "--model") -> Origin:
    """Return where the code lies that `text` names: "FILE.py:NAME", "MODULE:NAME", or the name of an entry point.

    Raises
    ------
    ConfigError
        If the text has another form, or the file does not exist; the message begins with `flag`.
    """
    offered = sorted({point.value for point in metadata.entry_points(group=ENTRY_POINTS, name=text)})
    if len(offered) > 1:
        raise ConfigError(
            f"{flag} {text}: several packages have a method of this name: {', '.join(offered)}. Give one of these "
            "instead of the name."
        )
    named = entry_points().get(text, text)
    place, _, name = (named, "", "") if named.endswith(".py") else named.rpartition(":")
    if place.endswith(".py"):
        file = Path(place).expanduser()
        if not file.is_file():
            raise ConfigError(
                f"{flag} {text}: there is no file {place}. Give its path. A run keeps a copy of its code in RUN/source."
            )
        if not name:
            raise ConfigError(f"{flag} {text}: names no class. Type {place}:NAME. {_choices(_defined(file))}")
        return Origin(text, name, file=file.absolute())
    if not name or not all(part.isidentifier() for part in place.split(".")):
        raise ConfigError(f"{flag} {text}: is not a method of your own. Expected FILE.py:CLASS or MODULE:CLASS.")
    return Origin(text, name, module=place)


def origin_of(found: Any) -> Origin:
    """Return the origin of a class, function or estimator that was handed over as a Python object.

    Raises
    ------
    ConfigError
        If an estimator was defined in a notebook or a script, where it has no name.
    """
    name = getattr(found, "__qualname__", "")
    module = getattr(found, "__module__", "__main__")
    if not name:
        raise ConfigError(
            f"model: {type(found).__name__} is an object without a name. Give a function that returns it, or its place "
            "as text: 'mylab.models:pipeline'."
        )
    if module == "__main__" or "<locals>" in name:
        import cloudpickle

        return Origin(name, name.rpartition(".")[2], module="__main__", pickled=cloudpickle.dumps(found))
    return Origin(f"{module}:{name}", name, module=module)


def remember(foreign: Foreign, origin: Origin, found: Any, sources: Sources) -> None:
    """Let `load` find the code of a method in this process as it is now; the latest place of the same code is kept.

    Parameters
    ----------
    found : what `import_code` returned · sources : its files, from `read_sources`
    """
    _KNOWN[foreign] = _Known(origin, found, sources)


def import_again(foreign: Foreign, origin: Origin) -> None:
    """Import the code of a method in another process than the one that named it.

    Raises
    ------
    ConfigError
        If the code is not the one that the record has the hash of.
    """
    found = import_code(origin)
    sources = {} if origin.pickled else read_sources(origin, found)  # a worker has not the text of the main module
    if not origin.pickled and hash_of(sources) != foreign.source_sha256:
        raise ConfigError(f"{origin.text}: was changed while the command was running. Start the command again.")
    remember(foreign, origin, found, sources)


def is_known(foreign: Foreign) -> bool:
    """Return whether the code of a method was named in this process."""
    return foreign in _KNOWN


def _known(foreign: Foreign) -> _Known:
    if not is_known(foreign):
        raise ConfigError(
            f"{foreign.code}: this run's method is not part of mer, and its code was not given. Reading, scoring and "
            "reporting the run need no code; for anything else name it: --model FILE.py:CLASS or MODULE:CLASS."
        )
    return _KNOWN[foreign]


def origin_known(foreign: Foreign) -> Origin:
    """Return where the code of a method lies, which must have been named in this process.

    Raises
    ------
    ConfigError
        If it was not.
    """
    return _known(foreign).origin


def load(foreign: Foreign) -> Any:
    """Return the class, function or estimator of a method that was named in this process, as it was then."""
    return _known(foreign).found


def import_code(origin: Origin) -> Any:
    """Import the code and return the object that the origin names.

    Raises
    ------
    ConfigError
        If the code can't be imported, with the line of the file that failed, or has no such name.
    """
    if origin.pickled:
        return _unpickle(origin.pickled)
    sources = _read(origin.file) if origin.file else ()
    if (origin, sources) in _REFUSED:
        raise _REFUSED[origin, sources]
    try:
        with unchanged_process(origin.text):
            module = _run_file(origin.file, sources) if origin.file else _import_module(origin)
    except ProcessChangedError as error:
        _REFUSED[origin, sources] = error
        raise
    found: Any = module
    for part in origin.name.split("."):
        if not hasattr(found, part):
            place = str(origin.file or origin.module)
            known = [name for name, held in vars(module).items() if getattr(held, "__module__", "") == module.__name__]
            raise ConfigError(
                f"{origin.text}: {place} has no '{origin.name}'.{did_you_mean(origin.name, known)} {_choices(known)}"
            )
        found = getattr(found, part)
    return found


@cache
def _unpickle(pickled: bytes) -> Any:
    import pickle

    return pickle.loads(pickled)  # of a class that this user handed over, never read from a file


def _read(file: Path) -> tuple[tuple[Path, bytes], ...]:
    """Return a file and the modules beside it that it imports, with their contents."""
    return tuple((each, each.read_bytes()) for each in _with_imports(file))


@cache
def _run_file(file: Path, sources: tuple[tuple[Path, bytes], ...]) -> ModuleType:
    """Run a file as a module, and return it; the modules that it imports are first looked for in its folder.

    Parameters
    ----------
    sources : `_read(file)`; if a module beside the file has changed, the file is run again
    """
    _unload_beside(file, [path for path, _ in sources[1:]])
    sys.path[:] = [str(file.parent), *(place for place in sys.path if place != str(file.parent))]
    digest = hashlib.sha256(b"\0".join(content for _, content in sources)).hexdigest()
    module = ModuleType(f"{file.stem}_{digest[:8]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    try:
        # The user's own file, which the command names.
        exec(compile(sources[0][1], str(file), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        where = line_in(error, [path for path, _ in sources], file.name)
        raise ConfigError(f"{file.name}{where}: {_spell(error)} Correct the file.") from error
    return module


def _unload_beside(file: Path, beside: list[Path]) -> None:
    """Make the file import the modules beside it anew: those of another file, or older ones, may have the same names.

    Raises
    ------
    ConfigError
        If a library has the name of such a module, so that the file would get the library.
    """
    importlib.invalidate_caches()  # a file that was written a moment ago must be seen
    for path in beside:
        name = ".".join(path.relative_to(file.parent).with_suffix("").parts).removesuffix(".__init__")
        place = getattr(sys.modules.get(name), "__file__", None)
        if name in _BESIDE:
            sys.modules.pop(name, None)
        elif name in sys.modules and Path(str(place)).resolve() != path.resolve():
            raise ConfigError(
                f"{file.name}: imports {name}, and gets {place or 'a part of Python'}, not {path.name} beside it. "
                f"Give {path.name} another name."
            )
        _BESIDE.add(name)


def _import_module(origin: Origin) -> ModuleType:
    """Import a module; also from the current folder, which `mer` itself is not started from."""
    if not {"", str(Path.cwd())} & {*sys.path}:
        sys.path.insert(0, str(Path.cwd()))
    was_loaded = origin.module in sys.modules
    try:
        module = importlib.import_module(origin.module)
    except (Exception, SystemExit) as error:
        is_absent = isinstance(error, ModuleNotFoundError) and f"{origin.module}.".startswith(f"{error.name}.")
        if is_absent:
            name = getattr(error, "name", "")
            raise ConfigError(
                f"{origin.text}: there is no module '{name}'. Install the package, or start mer in the folder that "
                "holds it. A file is named with its ending: FILE.py:CLASS."
            ) from error
        raise ConfigError(f"{origin.text}{_last_place(error)}: {_spell(error)} Correct the package.") from error
    if was_loaded:
        _require_unchanged(module, origin)
    _imported_at(module.__name__)
    return module


def _require_unchanged(module: ModuleType, origin: Origin) -> None:
    """Refuse a module with files saved after it was imported: their hash would not be that of the code in memory."""
    files = _module_files(module)
    newest = max((file.stat().st_mtime for file in files.values()), default=0)
    if newest > max(_STARTED, _imported_at(module.__name__)):
        raise ConfigError(
            f"{origin.text}: the package was changed after it was imported. Restart Python (in a notebook: the kernel)."
        )


@cache
def _imported_at(module: str) -> float:
    """Return when a module was first met here, in seconds since 1970."""
    return time.time()


def read_sources(origin: Origin, found: Any) -> Sources:
    """Return the files that the code is made of, by name, with newlines as on Linux.

    Parameters
    ----------
    found : what `import_code` returned

    Raises
    ------
    ConfigError
        If a file can't be read any more.
    """
    if origin.pickled:
        return {f"{origin.name}.py": source_of_main(found).encode()}
    if origin.file:
        files = {file.relative_to(origin.file.parent).as_posix(): file for file in _with_imports(origin.file)}
    else:
        files = {}
        for name in dict.fromkeys((origin.module, getattr(found, "__module__", None) or type(found).__module__)):
            if name in sys.modules:
                files |= _module_files(sys.modules[name])
        if not files:
            raise ConfigError(
                f"{origin.text}: its module has no file, so its source can't be recorded with the run. Write the class "
                f"into a file, and give FILE.py:{origin.name}."
            )
    try:
        return {name: file.read_bytes().replace(b"\r\n", b"\n") for name, file in sorted(files.items())}
    except OSError as error:
        raise ConfigError(f"{origin.text}: its source can't be read any more ({error}). Restore it.") from None


def hash_of(sources: Sources) -> str:
    """Return the SHA-256 over names and contents of files."""
    digest = hashlib.sha256()
    for name, content in sorted(sources.items()):
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _module_files(module: ModuleType) -> dict[str, Path]:
    """Return all Python files of the package that a module belongs to, by name; of a lone module also its imports."""
    top = module.__name__.partition(".")[0]
    package = sys.modules.get(top, module)
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    if folders:
        return {f"{top}/{file.relative_to(f).as_posix()}": file for f in folders for file in f.rglob("*.py")}
    if not getattr(module, "__file__", None):
        return {}
    file = Path(str(module.__file__))
    return {found.relative_to(file.parent).as_posix(): found for found in _with_imports(file)}


def _with_imports(file: Path) -> list[Path]:
    """Return a file and the modules in its folder that it imports, and that those import."""
    found, waiting = [file], [file]
    while waiting:
        for beside in _imported_by(waiting.pop(), file.parent):
            if beside not in found:
                found.append(beside)
                waiting.append(beside)
    return found


def _imported_by(file: Path, folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that the import statements of a file name."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return  # importing it says what is wrong
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        start = folder
        if isinstance(node, ast.ImportFrom):
            if node.level > len(file.relative_to(folder).parts):
                continue  # above the folder, where Python imports nothing either
            start = file.parents[node.level - 1] if node.level else folder
            names = [node.module or "", *(f"{node.module}.{name}" if node.module else name for name in names)]
        for name in filter(None, names):
            if name.partition(".")[0] == PACKAGE and start == folder:
                continue  # a checkout of mer beside the file is not what runs
            place = start.joinpath(*name.split("."))
            # Packages above a module run as well.
            above = [
                parent / "__init__.py" for parent in place.parents if parent.is_relative_to(start) and parent != start
            ]
            yield from (each for each in (place.with_suffix(".py"), place / "__init__.py", *above) if each.is_file())


def _defined(file: Path) -> list[str]:
    """Return the names of the classes and functions that a file defines, without running it."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):
        return []
    return [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]


def _choices(names: list[str]) -> str:
    public = [name for name in names if not name.startswith("_")]
    return f"Defined there: {', '.join(public)}." if public else "It defines no class."


def installed_version(module: str) -> str:
    """Return the version of the installed package that a module belongs to, or ""."""
    top = module.partition(".")[0]
    for name in metadata.packages_distributions().get(top, []):
        return metadata.version(name)
    return ""


def line_in(error: BaseException, files: list[Path], told: str) -> str:
    """Return ", line 12" for the last line of some files that an error went through, or "" if it went through none.

    Parameters
    ----------
    told : name of the file that the message names before; for another file the text is ", other.py, line 12"
    """
    wanted = {str(file) for file in files}
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames if frame.filename in wanted]
    if isinstance(error, SyntaxError) and error.filename in wanted:
        places.append((error.filename, error.lineno))
    if not places:
        return ""
    name, line = Path(places[-1][0]).name, places[-1][1]
    return f", line {line}" if name == told else f", {name}, line {line}"


def _last_place(error: BaseException) -> str:
    """Return ", nets.py, line 3" for the place that an error was raised at outside of Python's import system."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if isinstance(error, SyntaxError) and error.filename:
        return f", {Path(error.filename).name}, line {error.lineno}"
    return f", {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if len(frames) > 1 else ""


def _spell(error: BaseException) -> str:
    text = " ".join((str(error.msg) if isinstance(error, SyntaxError) else str(error)).split())
    return f"{type(error).__name__}: {text.rstrip('.')}." if text else f"{type(error).__name__}."


def own_files(foreign: Foreign) -> list[Path]:
    """Return the files of a method that was named in this process, to find them in the traceback of an error."""
    origin = origin_known(foreign)
    if origin.file:
        return _with_imports(origin.file)
    return list(_module_files(sys.modules[origin.module]).values()) if origin.module in sys.modules else []


def sources_of(foreign: Foreign) -> Sources:
    """Return the files of a method that was named in this process, as they were then."""
    return _known(foreign).sources
