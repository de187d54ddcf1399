"""Describe your own method as a run records it: through which door it comes, what it sees, its settings and options.

The class says what it needs in class attributes, all of which may be left out: `INPUT`, `RECIPE`, `TITLE`, `NAME`, and
for a network `loss` and `KEEPS_NO_STATE`. `docs/own-methods.md` describes them.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.motion.inputs import Channel, DescriptorInput, MotionInput, PairInput, Shown, ViewInput
from mer_cli.runs.foreign import Door, Foreign, Option
from mer_cli.runs.methods import LIVE, METHODS, Method, find_method, method_of
from mer_cli.runs.own_code import (
    Origin,
    entry_points,
    find_origin,
    hash_of,
    import_code,
    installed_version,
    is_own,
    origin_of,
    read_sources,
    remember,
)

FLOW = "flow"  # name of --features for the values of the flow itself
FLOW_PIXELS = "flow-svm"  # the built-in method that learns from them
LONGEST_TITLE = 100
LONGEST_NAME = 60
FIT_PREDICT = ("train", "labels", "held_out")
FIT_PREDICT_NAMED = ("seed", "device", "log")


def find_any_method(
    given: Any, options: Mapping[str, str | Option] | None = None, features: str | None = None, flag: str = "--model"
) -> Method:
    """Return a method: built in, or your own, whose code is imported and described.

    Parameters
    ----------
    given : the value of --model, or a class, function or estimator
    options : values of --set by name, as text or already typed
    features : value of --features, for an estimator

    Raises
    ------
    ConfigError
        If there is no such method, its code can't be imported or used, or an option or the features don't fit it.
    """
    if isinstance(given, str) and (given in METHODS or not is_own(given)):
        method = find_method(given, flag)
        if options:
            are_flags = " Its options are flags: --n-layers 3." if method.variants else ""
            raise ConfigError(f"--set has no effect with {flag} {given}, which is built in. Leave it out.{are_flags}")
        if features:
            raise ConfigError(f"--features has no effect with {flag} {given}, which is built in. Leave it out.")
        return method
    origin = find_origin(given, flag) if isinstance(given, str) else origin_of(given)
    if origin.code in (built_in := {f"mer_cli.models.{method.code}": method for method in LIVE}):
        return built_in[origin.code]
    found = import_code(origin)
    sources = read_sources(origin, found)
    door = _door_of(found, features, origin)
    foreign = Foreign(
        door=door,
        title=_title_of(found, origin),
        code=origin.code,
        source_sha256=hash_of(sources),
        version=installed_version(origin.module) if origin.module else "",
        sees=_input_of(found, door, features, origin),
        features=_descriptor_named(features).name if features else "",
        options=_read_options(found, options or {}, door, origin),
        settings=_recipe_of(found, origin),
        keeps_no_state=getattr(found, "KEEPS_NO_STATE", False) is True,
    )
    remember(foreign, origin, found, sources)
    return method_of(_name_of(found, given, origin), foreign)


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """Return the options in texts such as "width=64", by name.

    Raises
    ------
    ConfigError
        If a text has no "=", or a name is given twice.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(f"--set {text}: expected NAME=VALUE, such as --set width=64.")
        if name.strip() in options:
            raise ConfigError(f"--set {name.strip()}: is given twice. Leave one out.")
        options[name.strip()] = value.strip()
    return options


def _title_of(found: Any, origin: Origin) -> str:
    """Return the class's TITLE, which stands in tables of every format."""
    title = getattr(found, "TITLE", origin.name)
    is_line = isinstance(title, str) and title.isprintable() and title.strip() == title
    if not is_line or not 1 <= len(title) <= LONGEST_TITLE or title.startswith(("=", "+", "-", "@")):
        raise ConfigError(
            f"{origin.text}: TITLE is {title!r}. Expected a line of text, of at most {LONGEST_TITLE} characters, that "
            "does not begin with a blank or one of = + - @. Change it."
        )
    return title


def _name_of(found: Any, given: Any, origin: Origin) -> str:
    """Return the method's short name, which its runs' folders are named after; refuse a built-in method's name."""
    name = given if isinstance(given, str) and given in entry_points() else getattr(found, "NAME", origin.name)
    slug = slug_of(str(name))
    if slug in METHODS:
        raise ConfigError(
            f"{origin.text}: '{slug}' is the name of a built-in method (--model {slug}). Rename the class, or give it "
            "another NAME."
        )
    if not slug:
        raise ConfigError(f"{origin.text}: NAME is {name!r}, which has no letter or digit. Choose another.")
    if len(slug) > LONGEST_NAME:
        raise ConfigError(
            f"{origin.text}: NAME has {len(slug)} characters, and is part of a folder's name. Expected at most "
            f"{LONGEST_NAME}. Choose another."
        )
    return slug


def slug_of(name: str) -> str:
    """Return a name in small letters and digits, with hyphens between them: "MyNet (TF)" gives "mynet-tf"."""
    return re.sub("[^a-z0-9]+", "-", name.casefold()).strip("-")


def _door_of(found: Any, features: str | None, origin: Origin) -> Door:
    """Return the door that the code fits; a description of all doors is the error if it fits none."""
    is_class = inspect.isclass(found)
    if features:
        if is_class and _is_module(found):
            raise ConfigError(f"--features has no effect on {origin.text}, which is a torch.nn.Module. Leave it out.")
        if not callable(found) and not hasattr(found, "fit"):
            raise ConfigError(
                f"{origin.text}: is an object of type {type(found).__name__}, not a scikit-learn estimator. Leave "
                "--features out, or name an estimator."
            )
        return "estimator"
    if is_class and _is_module(found):
        _input_of(found, "network", None, origin)  # first, because what forward gets follows from it
        _require_arguments(found.forward, ("self", *_inputs_of_network(found)), (), origin, "forward")
        return "network"
    if is_class and callable(getattr(found, "fit_predict", None)) and not hasattr(found, "get_params"):
        _require_arguments(found.fit_predict, ("self", *FIT_PREDICT), FIT_PREDICT_NAMED, origin, "fit_predict")
        return "learner"
    if callable(getattr(found, "fit", None)):
        raise ConfigError(
            f"{origin.text}: an estimator learns from vectors of numbers. Say from which: --features flow, or the name "
            f"of a descriptor: {', '.join(_descriptors())}."
        )
    if inspect.isfunction(found):
        raise ConfigError(
            f"{origin.text}: is a function. Expected a class. If it returns a scikit-learn estimator, say what that "
            "learns from: --features flow, or the name of a descriptor."
        )
    what = "is a class" if is_class else f"is an object of type {type(found).__name__}"
    raise ConfigError(
        f"{origin.text}: {what} that mer can't train. Expected a subclass of torch.nn.Module, a class with a method "
        "fit_predict, or a scikit-learn estimator with --features. `mer models --template FILE.py` writes an example."
    )


def _is_module(found: type) -> bool:
    """Return whether a class is a torch module, without importing torch, which its file has imported."""
    return any(f"{base.__module__}.{base.__name__}" == "torch.nn.modules.module.Module" for base in found.__mro__)


def _inputs_of_network(found: Any) -> tuple[str, ...]:
    sees = getattr(found, "INPUT", PairInput())
    if isinstance(sees, MotionInput):
        return ("image", "graph") if sees.units else ("image",)
    return ("onset", "apex")


def _require_arguments(
    function: Callable[..., Any], positional: tuple[str, ...], named: tuple[str, ...], origin: Origin, name: str
) -> None:
    """Raise a ConfigError unless a method can be called with these arguments."""
    try:
        inspect.signature(function).bind(*positional, **dict.fromkeys(named))
    except (TypeError, ValueError) as error:
        expected = ", ".join((*positional, *(("*", *named) if named else ())))
        cure = "Change its arguments, or say in INPUT what it sees." if name == "forward" else "Change its arguments."
        raise ConfigError(f"{origin.text}: {name} can't be called with ({expected}): {error}. {cure}") from None


def _input_of(found: Any, door: Door, features: str | None, origin: Origin) -> Any:
    """Return what the method sees: the class's INPUT, or the input of the descriptor that its features come from."""
    if features:
        return _descriptor_named(features).sees
    kinds: dict[str, tuple[type, ...]] = {"network": (PairInput, MotionInput), "learner": (ViewInput,)}
    sees = getattr(found, "INPUT", kinds[door][0]())
    if not isinstance(sees, kinds[door]):
        known = " or ".join(f"mer_cli.{kind.__name__}(...)" for kind in kinds[door])
        raise ConfigError(f"{origin.text}: INPUT is {sees!r}. Expected {known}.")
    _require_names(sees, origin)
    return sees


def _require_names(sees: object, origin: Origin) -> None:
    """Raise a ConfigError if an INPUT has a name that doesn't exist, no name at all, or a text in place of a tuple."""
    if not isinstance(sees, MotionInput | ViewInput):
        return
    field, known = ("channels", get_args(Channel)) if isinstance(sees, MotionInput) else ("arrays", get_args(Shown))
    held = getattr(sees, field)
    if not isinstance(held, tuple):
        wanted = f"Expected a tuple, such as ({held!r},)." if isinstance(held, str) else "Expected a tuple of names."
        raise ConfigError(f"{origin.text}: INPUT: {field} is {held!r}. {wanted}")
    for name in held:
        if name not in known:
            raise ConfigError(f"{origin.text}: INPUT: {field}: {unknown_name('name', str(name), known)}")
    if isinstance(sees, MotionInput) and (not held or type(sees.size) is not int or sees.size < 1):
        raise ConfigError(
            f"{origin.text}: INPUT is {sees!r}. Expected a whole number of pixels, and at least one channel."
        )


def _descriptors() -> list[str]:
    return [FLOW, *(method.name for method in LIVE if isinstance(method.sees, DescriptorInput))]


def _descriptor_named(features: str) -> Method:
    if features not in _descriptors():
        raise ConfigError(f"--features: {unknown_name('descriptor', features, _descriptors())}")
    return METHODS[FLOW_PIXELS if features == FLOW else features]


def _recipe_of(found: Any, origin: Origin) -> dict[str, Any]:
    """Return the settings in the class's RECIPE."""
    recipe = getattr(found, "RECIPE", {})
    if not isinstance(recipe, Mapping):
        raise ConfigError(
            f"{origin.text}: RECIPE is {recipe!r}. Expected a dict of settings, such as {{'epochs': 60}}."
        )
    for name, value in recipe.items():
        if not isinstance(name, str) or type(value) not in (bool, int, float, str):
            raise ConfigError(
                f"{origin.text}: RECIPE has {name!r}: {value!r}. Expected a setting's name, and a text, number, "
                "True or False of Python's own types. Change it."
            )
    return dict(recipe)


def _read_options(found: Any, given: Mapping[str, str | Option], door: Door, origin: Origin) -> dict[str, Option]:
    """Return the options with the types that the signature of the class names.

    Raises
    ------
    ConfigError
        If an option is unknown, has a value of another type, or one without a default is missing.
    """
    if not callable(found):
        if given:
            raise ConfigError(f"--set {next(iter(given))}: {origin.text} is an estimator, not a class. Leave it out.")
        return {}
    if door == "estimator" and hasattr(found, "fit") and not inspect.isclass(found):
        return {}
    parameters = list(inspect.signature(found).parameters.values())
    reserved = {"self", *([parameters[0].name] if door == "network" and parameters else [])} & given.keys()
    if reserved:
        raise ConfigError(f"--set {min(reserved)}: {origin.text} gets it from mer. Leave it out.")
    if door == "network":
        parameters = _after_n_classes(parameters, origin)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {each.name: each for each in parameters if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)}
    for name in given:
        if name not in known and not takes_any:
            names = f"{unknown_name('option', name, known)}" if known else f"{origin.name} has no options."
            raise ConfigError(f"--set {name}: {names}")
    missing = [name for name, each in known.items() if each.default is each.empty and name not in given]
    if missing:
        raise ConfigError(f"{origin.text}: needs a value for '{missing[0]}'. Give it: --set {missing[0]}=VALUE.")
    hints = _hints_of(found)
    typed = {name: _typed(name, value, hints.get(name), known.get(name)) for name, value in given.items()}
    # A default that is given doesn't change the network; the source has it.
    defaults = {
        name: each.default for name, each in known.items() if isinstance(each.default, bool | int | float | str)
    }
    return {name: value for name, value in typed.items() if name not in defaults or defaults[name] != value}


def _after_n_classes(parameters: list[inspect.Parameter], origin: Origin) -> list[inspect.Parameter]:
    """Return the parameters of a network's class without the first, which is the number of classes."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
        raise ConfigError(f"{origin.text}: __init__ must take the number of classes first: __init__(self, n_classes).")
    return parameters[1:]


def _hints_of(found: Any) -> dict[str, Any]:
    function = found.__init__ if inspect.isclass(found) else found
    try:
        return get_type_hints(function)
    except Exception:  # an annotation that can't be resolved is not our matter: the default's type is used
        return {}


def _typed(name: str, value: str | Option, hint: Any, parameter: inspect.Parameter | None) -> Option:
    """Return a value of --set in the type of the annotation, or of the default if there is no annotation.

    Without either it is a number, true or false where it reads like one, and otherwise text.
    """
    default = parameter.default if parameter and parameter.default is not inspect.Parameter.empty else None
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind in (bool, int, float, str)]
    choices = get_args(hint) if str(get_origin(hint)).endswith("Literal") else ()
    if not kinds and not choices and isinstance(default, bool | int | float | str):
        kinds = [type(default)]
    if choices:
        found = next((choice for choice in choices if str(choice) == str(value)), None)
        if found is None:
            raise ConfigError(f"--set {name}={value}: expected one of {', '.join(map(str, choices))}.")
        return found  # type: ignore[no-any-return]  # a literal's values are of these types
    if type(value) not in (bool, int, float, str):
        raise ConfigError(
            f"options: {name} is {value!r}. Expected a text, a number, True or False, which a run can record."
        )
    if not isinstance(value, str):
        value = float(value) if kinds == [float] and type(value) is int else value
        return _finite(name, value)
    for kind in kinds or [bool, int, float, str]:
        if (read := _read_as(kind, value)) is not None:
            return _finite(name, read)
    raise ConfigError(f"--set {name}={value}: expected {' or '.join(_WORDS[kind] for kind in kinds)}.")


def _finite(name: str, value: Option) -> Option:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"--set {name}={value}: a run can't record it. Expected a finite number.")
    return value


_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _read_as(kind: type, text: str) -> Option | None:
    if kind is str:
        return text
    if kind is bool:
        return {"true": True, "false": False}.get(text.casefold())
    try:
        return kind(text)  # type: ignore[no-any-return]  # int or float
    except ValueError:
        return None
