"""What a class, a file or a module of your own must be like: every mistake ends with one error, in the file's words."""

import os
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.own_code import entry_points

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes, width: int = 16, rate: float = 0.5, deep: bool = False, kind: str = "plain"):
        super().__init__()
        self.layers = nn.Linear(3, n_classes)

    def forward(self, onset, apex):
        return self.layers((apex - onset).mean((2, 3)))
"""
ON_FLOW = """
import mer_cli
from torch import nn

class Net(nn.Module):
    INPUT = mer_cli.MotionInput(28)

    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Linear(3, n_classes)

    def forward(self, motion):
        return self.layers(motion.mean((2, 3)))
"""
LEARNER = """
class Learner:
    def fit_predict(self, train, labels, held_out, *, seed, device, log):
        return [[[0.0] * 3] * len(held_out)]
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("beside", "brokenlab"):
        sys.modules.pop(name, None)


def write(text, name="mynet.py"):
    Path(name).write_text(text.lstrip("\n"), encoding="utf-8")


def config_of(text=NET, model="./mynet.py:Net", **settings):
    write(text)
    return resolve_config(model=model, **settings)


def error_of(*arguments, **settings):
    with pytest.raises(ConfigError) as caught:
        config_of(*arguments, **settings)
    return str(caught.value)


def test_options_have_the_types_of_the_signature():
    options = {"width": "64", "rate": "2", "deep": "TRUE", "kind": "7"}
    assert config_of(options=options).network_options == {"width": 64, "rate": 2.0, "deep": True, "kind": "7"}


def test_a_default_that_is_given_is_the_same_method():
    assert config_of(options={"width": "16"}) == config_of()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "./yournet.py:Net",
            "--model ./yournet.py:Net: there is no file ./yournet.py. Give its path. A run keeps a "
            "copy of its code in RUN/source.",
        ),
        (
            "./mynet.py:Nett",
            "./mynet.py:Nett: {}/mynet.py has no 'Nett'. Did you mean 'Net'? Defined there: Net.",
        ),
        (
            "./mynet.py",
            "--model ./mynet.py: names no class. Type ./mynet.py:NAME. Defined there: Net.",
        ),
        (
            "my lab:Net",
            "--model my lab:Net: is not a method of your own. Expected FILE.py:CLASS or MODULE:CLASS.",
        ),
        (
            "nolab.nets:Net",
            "nolab.nets:Net: there is no module 'nolab'. Install the package, or start mer in the folder that holds "
            "it. A file is named with its ending: FILE.py:CLASS.",
        ),
    ],
)
def test_code_that_is_not_there(model, message, tmp_path):
    assert error_of(model=model) == message.format(tmp_path)


def test_a_file_without_any_class():
    assert error_of("x = 1\n", model="mynet.py") == (
        "--model mynet.py: names no class. Type mynet.py:NAME. It defines no class."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\n\nimport nowhere\n", "mynet.py, line 3: ModuleNotFoundError: No module named 'nowhere'."),
        ("a = 1\ndef f(:\n", "mynet.py, line 2: SyntaxError: invalid syntax."),
        ("def f():\n    return 1 / 0\n\nf()\n", "mynet.py, line 2: ZeroDivisionError: division by zero."),
        ("import sys\nsys.exit('no GPU')\n", "mynet.py, line 2: SystemExit: no GPU."),
    ],
)
def test_a_file_that_can_t_be_run_is_blamed_on_its_own_line(text, message):
    assert error_of(text) == f"{message} Correct the file."


def test_an_error_in_a_module_beside_the_file_is_blamed_on_that_line():
    write("x = 1\nimport nowhere\n", "beside.py")
    assert error_of("import beside\n") == (
        "mynet.py, beside.py, line 2: ModuleNotFoundError: No module named 'nowhere'. Correct the file."
    )


def test_an_error_in_an_importable_module_names_its_file_and_line():
    write("\n\nx = 1 / 0\n", "brokenlab.py")
    assert error_of(model="brokenlab:Net") == (
        "brokenlab:Net, brokenlab.py, line 1: ZeroDivisionError: division by zero. Correct the package."
    )


def of_motion(arguments):
    text = NET.replace("(self, onset, apex)", "(self, image)")
    return f"import mer_cli\n{text}".replace(
        "    def __init__", f"    INPUT = mer_cli.MotionInput({arguments})\n    def __init__", 1
    )


NO_DOOR = (
    "Expected a subclass of torch.nn.Module, a class with a method fit_predict, or a scikit-learn estimator with "
    "--features. `mer models --template FILE.py` writes an example."
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Net: ...\n", f"is a class that mer can't train. {NO_DOOR}"),
        ("Net = 3\n", f"is an object of type int that mer can't train. {NO_DOOR}"),
        (
            "def Net(n_classes): ...\n",
            "is a function. Expected a class. If it returns a scikit-learn estimator, say what that learns from: "
            "--features flow, or the name of a descriptor.",
        ),
        (
            NET.replace("(self, onset, apex)", "(self, onset)"),
            "forward can't be called with (self, onset, apex): too many positional arguments. Change its arguments, "
            "or say in INPUT what it sees.",
        ),
        (
            NET.replace("(self, onset, apex)", "(self, onset, apex, offset)"),
            "forward can't be called with (self, onset, apex): missing a required argument: 'offset'. "
            "Change its arguments, or say in INPUT what it sees.",
        ),
        (
            NET.replace("n_classes, width: int = 16", "*, n_classes, width: int = 16"),
            "__init__ must take the number of classes first: __init__(self, n_classes).",
        ),
        (
            LEARNER.replace(", log)", ")").replace("Learner", "Net"),
            "fit_predict can't be called with (self, train, labels, held_out, *, seed, device, log): got an unexpected "
            "keyword argument 'log'. Change its arguments.",
        ),
        (
            NET.replace("    def __init__", "    INPUT = 28\n    def __init__", 1),
            "INPUT is 28. Expected mer_cli.PairInput(...) or mer_cli.MotionInput(...).",
        ),
        (
            ON_FLOW.replace("mer_cli.MotionInput(28)", "'flow'"),
            "INPUT is 'flow'. Expected mer_cli.PairInput(...) or mer_cli.MotionInput(...).",
        ),
        (
            "import mer_cli\n" + LEARNER.replace("Learner:", "Net:\n    INPUT = mer_cli.MotionInput(28)"),
            "INPUT is MotionInput(size=28, channels=('u', 'v', 'strain'), units=()). Expected mer_cli.ViewInput(...).",
        ),
        (
            "import mer_cli\n" + LEARNER.replace("Learner:", "Net:\n    INPUT = mer_cli.ViewInput(('flow'))"),
            "INPUT: arrays is 'flow'. Expected a tuple, such as ('flow',).",
        ),
        (
            "import mer_cli\n" + LEARNER.replace("Learner:", "Net:\n    INPUT = mer_cli.ViewInput(('flows',))"),
            "INPUT: arrays: Unknown name 'flows'. Known: flow, frames, landmarks. Did you mean 'flow'?",
        ),
        (
            of_motion("28, ('w',)"),
            "INPUT: channels: Unknown name 'w'. Known: u, v, strain, magnitude, patches, apex, apex-grid, dynamic.",
        ),
        (
            of_motion("28, ['u']"),
            "INPUT: channels is ['u']. Expected a tuple of names.",
        ),
        (
            of_motion("0"),
            "INPUT is MotionInput(size=0, channels=('u', 'v', 'strain'), units=()). Expected a whole number of pixels, "
            "and at least one channel.",
        ),
        (
            NET.replace("    def __init__", "    RECIPE = 3\n    def __init__", 1),
            "RECIPE is 3. Expected a dict of settings, such as {'epochs': 60}.",
        ),
        (
            NET.replace("class Net", "class MMNet") + "\nNet = MMNet\nNet.NAME = 'MMNet'\n",
            "'mmnet' is the name of a built-in method (--model mmnet). Rename the class, or give it another NAME.",
        ),
        (
            NET.replace("    def __init__", "    NAME = '?!'\n    def __init__", 1),
            "NAME is '?!', which has no letter or digit. Choose another.",
        ),
        (
            NET.replace("    def __init__", f"    NAME = '{'a' * 61}'\n    def __init__", 1),
            "NAME has 61 characters, and is part of a folder's name. Expected at most 60. Choose another.",
        ),
        *(
            (
                NET.replace("    def __init__", f"    TITLE = {title!r}\n    def __init__", 1),
                f"TITLE is {title!r}. Expected a line of text, of at most 100 characters, that does not begin with a "
                "blank or one of = + - @. Change it.",
            )
            for title in ("", "two\nlines", "\x1b[31mred", "=cmd()", "a" * 101, 3)
        ),
        *(
            (
                NET.replace("    def __init__", f"    RECIPE = {{{shown}}}\n    def __init__", 1),
                f"RECIPE has {shown}. Expected a setting's name, and a text, number, True or False of Python's own "
                "types. Change it.",
            )
            for shown in ("1: 2", "'epochs': [5]", "'epochs': None")
        ),
        *(
            (f"import os, torch\n{change}\n{NET}", f"changes {told}")
            for change, told in (
                (
                    "torch.set_default_dtype(torch.float64)",
                    "torch's default dtype from torch.float32 to torch.float64, for every method in this process. "
                    "Convert the network alone: self.double() in __init__, and its inputs in forward.",
                ),
                (
                    "torch.set_default_device('meta')",
                    "torch's default device from cpu to meta, for every method in this process. Take it out of the "
                    "code.",
                ),
                (
                    "torch.set_grad_enabled(False)",
                    "whether torch computes gradients from True to False, for every method in this process. Take it "
                    "out of the code.",
                ),
            )
        ),
        (
            "from sklearn.svm import SVC\nNet = SVC()\n",
            "an estimator learns from vectors of numbers. Say from which: --features flow, or the name of a "
            "descriptor: flow, flow-svm, canonical-svm, bi-woof, hoof, fhoof, fhofo, mdmo, lbp-top, higo-top.",
        ),
    ],
)
def test_a_class_that_can_t_be_used(text, message):
    assert error_of(text) == f"./mynet.py:Net: {message}"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"widht": "8"}, "--set widht: Unknown option 'widht'. Known: width, rate, deep, kind. Did you mean 'width'?"),
        ({"width": "8.5"}, "--set width=8.5: expected a whole number."),
        ({"rate": "high"}, "--set rate=high: expected a number."),
        ({"deep": "yes"}, "--set deep=yes: expected true or false."),
    ],
)
def test_an_option_that_can_t_be_used(option, message):
    assert error_of(options=option) == message


def test_an_option_of_a_literal_type_names_its_values():
    text = "from typing import Literal\n" + NET.replace(
        'kind: str = "plain"', 'kind: Literal["plain", "deep"] = "plain"'
    )
    assert error_of(text, options={"kind": "dep"}) == "--set kind=dep: expected one of plain, deep."


def test_a_class_without_options_says_so():
    text = NET.replace(', width: int = 16, rate: float = 0.5, deep: bool = False, kind: str = "plain"', "")
    assert error_of(text, options={"width": "8"}) == "--set width: Net has no options."


def test_an_option_without_a_default_must_be_given():
    text = NET.replace("width: int = 16", "width: int")
    assert error_of(text) == "./mynet.py:Net: needs a value for 'width'. Give it: --set width=VALUE."


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("{'batch_size': 1}", "--batch-size must be at least 2, got 1."),
        ("{'epochs': '6 0'}", "--epochs must be a valid integer, unable to parse string as an integer, got '6 0'."),
        ("{'optimiser': 'lion'}", "--optimiser must be 'adamw', 'adam' or 'sgd', got 'lion'."),
        (
            "{'epochs': 10, 'decay_epochs': 20}",
            "--decay-epochs must be at most --epochs, got 20 and 10. Lower it, or give both.",
        ),
    ],
)
def test_a_recipe_with_a_value_that_can_t_be_used(recipe, message):
    text = NET.replace("    def __init__", f"    RECIPE = {recipe}\n    def __init__", 1)
    assert error_of(text) == f"mynet.py:Net: RECIPE: {message}"


def test_a_recipe_with_an_unknown_setting_names_the_nearest():
    text = NET.replace("    def __init__", "    RECIPE = {'learning_rat': 1}\n    def __init__", 1)
    message = error_of(text)
    assert message.startswith("mynet.py:Net: RECIPE: Unknown setting 'learning_rat'. Known: ")
    assert message.endswith(" Did you mean 'learning_rate'?")


def test_a_recipe_with_a_setting_without_effect_is_refused_unless_its_value_is_what_holds_anyway():
    text = "from sklearn.svm import SVC\ndef Net():\n    return SVC()\nNet.RECIPE = {'epochs': 5}\n"
    assert error_of(text, features="flow") == (
        "mynet.py:Net: RECIPE: epochs has no effect: it is for networks and learners. Leave it out."
    )
    assert config_of(text.replace("5", "1"), features="flow").epochs == 1


LEARNER_ON_FLOW = "import mer_cli\n" + LEARNER.replace("Learner:", "Net:\n    INPUT = mer_cli.ViewInput(('flow',))")


@pytest.mark.parametrize("text", [ON_FLOW, LEARNER_ON_FLOW])
def test_your_own_method_sees_the_flow_that_finds_most_unless_you_say_otherwise(text):
    of_class = text.replace("    INPUT", "    RECIPE = {'flow': 'tvl1'}\n    INPUT")
    assert (config_of(text).flow, config_of(text, flow="tvl1").flow, config_of(of_class).flow) == (
        "fast",
        "tvl1",
        "tvl1",
    )


def test_an_estimator_sees_the_flow_of_its_descriptor():
    text = "from sklearn.svm import SVC\nNet = SVC()\n"
    assert [config_of(text, features=name).flow for name in ("flow", "bi-woof", "canonical-svm", "hoof")] == [
        "tvl1",
        "tvl1",
        "fast",
        "fast",
    ]


def test_unknown_features_name_the_nearest():
    assert error_of("from sklearn.svm import SVC\nNet = SVC()\n", features="lbptop") == (
        "--features: Unknown descriptor 'lbptop'. Known: flow, flow-svm, canonical-svm, bi-woof, hoof, fhoof, fhofo, "
        "mdmo, lbp-top, higo-top. Did you mean 'lbp-top'?"
    )


def test_features_are_for_estimators_only():
    assert error_of(features="flow") == (
        "--features has no effect on ./mynet.py:Net, which is a torch.nn.Module. Leave it out."
    )
    assert error_of("Net = 3\n", features="flow") == (
        "./mynet.py:Net: is an object of type int, not a scikit-learn estimator. Leave --features out, or name an "
        "estimator."
    )


def test_an_option_of_an_estimator_that_is_made_has_no_effect():
    assert error_of("from sklearn.svm import SVC\nNet = SVC()\n", features="flow", options={"C": "3"}) == (
        "--set C: ./mynet.py:Net is an estimator, not a class. Leave it out."
    )


@pytest.mark.parametrize(
    ("flag", "given"), [("--set", {"options": {"width": "3"}}), ("--features", {"features": "flow"})]
)
def test_a_built_in_method_takes_neither_options_nor_features(flag, given):
    assert error_of(model="ststnet", **given) == (
        f"{flag} has no effect with --model ststnet, which is built in. Leave it out."
    )


def test_a_file_that_changes_after_it_was_named_does_not_change_the_method():
    method = config_of(NET.replace("super()", "self.version = 1; super()")).method
    write(NET.replace("super()", "self.version = 2; super()"))
    assert method.build(3).version == 1
    assert resolve_config(model="./mynet.py:Net").method.build(3).version == 2


def test_each_file_gets_the_module_beside_itself_as_it_is_now():
    text = "from beside import VERSION\n" + NET.replace("super()", "self.version = VERSION; super()")

    def version_in(folder, number):
        Path(folder).mkdir(exist_ok=True)
        write(text, f"{folder}/mynet.py")
        write(f"VERSION = {number}\n", f"{folder}/beside.py")
        return resolve_config(model=f"./{folder}/mynet.py:Net").method.build(3).version

    assert [version_in("a", 1), version_in("b", 2), version_in("a", 1), version_in("a", 33)] == [1, 2, 1, 33]


def test_a_module_beside_the_file_with_the_name_of_a_library_is_refused():
    write("", "pydantic.py")
    assert error_of("import pydantic\n" + NET) == (
        f"mynet.py: imports pydantic, and gets {sys.modules['pydantic'].__file__}, not pydantic.py beside it. Give "
        "pydantic.py another name."
    )


def test_the_order_of_the_options_makes_no_other_method():
    one, other = (
        config_of(options=options).foreign for options in ({"width": "5", "rate": "2"}, {"rate": "2", "width": "5"})
    )
    assert one == other
    assert hash(one) == hash(other)


def test_an_installed_package_names_a_method_and_its_version(tmp_path, monkeypatch):
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").touch()
    (tmp_path / "mylab" / "nets.py").write_text(NET, encoding="utf-8")
    (tmp_path / "mylab-1.5.dist-info").mkdir()
    for name, text in {
        "METADATA": "Name: mylab\nVersion: 1.5\n",
        "RECORD": "mylab/__init__.py,,\nmylab/nets.py,,\n",
        "entry_points.txt": "[mer.methods]\nmylab-net = mylab.nets:Net\nmylab-lost = mylab.nets:Lost\n",
    }.items():
        (tmp_path / "mylab-1.5.dist-info" / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    entry_points.cache_clear()
    try:
        config = resolve_config(model="mylab-net", options={"width": "8"})
        with pytest.raises(ConfigError) as caught:
            resolve_config(model="mylab-lost")
    finally:
        entry_points.cache_clear()
        for name in ("mylab", "mylab.nets"):
            sys.modules.pop(name, None)
    assert (config.model, config.foreign.code, config.foreign.version) == ("mylab-net", "mylab.nets:Net", "1.5")
    assert str(caught.value) == ("mylab-lost: mylab.nets has no 'Lost'. Defined there: Net.")


def test_a_name_of_two_installed_packages_is_refused(tmp_path, monkeypatch):
    for lab in ("onelab", "twolab"):
        (tmp_path / f"{lab}-1.0.dist-info").mkdir()
        write(f"Name: {lab}\nVersion: 1.0\n", f"{lab}-1.0.dist-info/METADATA")
        write(f"[mer.methods]\ntwice = {lab}:Net\n", f"{lab}-1.0.dist-info/entry_points.txt")
    monkeypatch.syspath_prepend(tmp_path)
    entry_points.cache_clear()
    try:
        assert error_of(model="twice") == (
            "--model twice: several packages have a method of this name: onelab:Net, twolab:Net. Give one of these "
            "instead of the name."
        )
    finally:
        entry_points.cache_clear()


def test_code_that_changes_the_current_folder_is_refused_each_time(tmp_path):
    message = (
        f"./mynet.py:Net: changes the current folder from {tmp_path} to /, for every method in this process. Take it "
        "out of the code."
    )
    assert error_of("import os\nos.chdir('/')\n" + NET) == message
    assert error_of("import os\nos.chdir('/')\n" + NET) == message
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_an_option_that_is_not_finite_can_t_be_recorded(value):
    assert error_of(options={"rate": value}) == (
        f"--set rate={value}: a run can't record it. Expected a finite number."
    )


def test_an_option_of_a_type_that_no_run_records():
    assert error_of(options={"width": [1, 2]}) == (
        "options: width is [1, 2]. Expected a text, a number, True or False, which a run can record."
    )


@pytest.mark.parametrize("name", ["self", "n_classes"])
def test_what_mer_gives_the_class_is_not_an_option(name):
    text = NET.replace("width: int = 16,", "").replace('kind: str = "plain"', "**others")
    assert error_of(text, options={name: "3"}) == f"--set {name}: ./mynet.py:Net gets it from mer. Leave it out."


def test_an_option_beside_a_default_that_is_a_tensor():
    text = "import torch\n" + NET.replace("width: int = 16", "width=torch.ones(2)")
    assert config_of(text, options={"width": "3"}).network_options == {"width": 3}


def test_a_package_that_was_changed_after_its_import_is_refused(tmp_path):
    (tmp_path / "brokenlab").mkdir()
    write("", "brokenlab/__init__.py")
    resolve = {"model": "brokenlab:Net"}
    write(NET, "brokenlab/__init__.py")
    resolve_config(**resolve)
    write(NET + "# changed", "brokenlab/__init__.py")
    later = time.time() + 10
    os.utime("brokenlab/__init__.py", (later, later))
    with pytest.raises(ConfigError) as caught:
        resolve_config(**resolve)
    assert str(caught.value) == (
        "brokenlab:Net: the package was changed after it was imported. Restart Python (in a notebook: the kernel)."
    )


def test_a_file_runs_as_python_runs_it_and_an_import_above_its_folder_is_not_its_source():
    text = """
    class Named:
        width: int = 1
    assert Named.__annotations__ == {"width": int}
    if False:
        from ..............................above import width
    """
    assert config_of(textwrap.dedent(text) + NET).model == "net"


def learner_with(width, table, *, attribute=1, default=1):
    """A class as a notebook makes one: with values of the function around it, which its text doesn't tell."""

    class Learner:
        shown = attribute

        def fit_predict(self, train, labels, held_out, *, seed, device, log, more=default):
            return width * table + more

    return Learner


def test_values_around_a_class_of_a_notebook_are_part_of_its_source():
    def source(*values, **settings):
        return resolve_config(model=learner_with(*values, **settings)).foreign.source_sha256

    table = np.arange(5000)
    plain = source(1, table)
    assert source(1, table.copy()) == plain
    other = table.copy()
    other[2500] = 0  # where the text of an array is cut short
    changed = [source(2, table), source(1, other), source(1, table, attribute=2), source(1, table, default=2)]
    assert len({plain, *changed}) == 5
