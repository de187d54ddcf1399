"""Damage to the TOML files that a user gives: a config file of `mer train`, and a label scheme."""

import re

from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st

CONFIG = """model = "ststnet"
scheme = "megc3"
seed = 2
epochs = 5
learning_rate = 1e-3
inner_val = 1
stores = ["data/casme2.h5"]
loso = true

[set]
width = 64
"""
SCHEME = """name = "my3"
classes = ["positive", "negative", "surprise"]

[casme2]
happiness = "positive"
disgust = "negative"
surprise = "surprise"
drop = ["repression", "others", "sadness", "fear"]
leave_out = ["04/EP12_01f"]

[expected.casme2]
positive = 32
negative = 62
surprise = 28
"""
values = st.sampled_from(
    [
        *("true", "-1", "0", "1" + "0" * 30, "1" * 5000, "1e400", "inf", "nan", "1979-05-27", "0x10", '""', "''", "{}"),
        *(
            '"\\u0000"',
            '"\\ud800"',
            '"x"',
            "[]",
            "[1]",
            '["a", 1]',
            "[" * 100_000,
            "[" * 40 + "]" * 40,
            "{a = {b = 1}}",
        ),
        *('"""' + "x" * 100_000 + '"""', '"=cmd()"', '"../.."', '"positive"', '"megc3"', '"mmnet"', '["casme2"]'),
    ]
)
keys = st.sampled_from(
    [
        "seed",
        "epochs",
        "name",
        "classes",
        "happiness",
        "drop",
        "expected",
        "casme2",
        "set",
        "a" + ".a" * 20_000,
        '""',
        "é",
    ]
)
edits = st.one_of(
    st.tuples(st.just("bytes"), damages),
    st.tuples(st.just("value"), st.tuples(st.integers(0, 11), values)),
    st.tuples(st.just("key"), st.tuples(st.integers(0, 11), keys)),
    st.tuples(st.just("line"), st.tuples(keys, values)),
    st.tuples(st.just("section"), keys),
    st.tuples(st.just("all"), st.binary(max_size=64)),
)
cases = st.lists(edits, min_size=1, max_size=3)


def edited(content, kind, how):
    """Return the bytes of a file after an edit of one of its lines, or after damage to any of them."""
    if kind == "bytes":
        return damaged(content, how)
    if kind == "all":
        return how
    if kind == "section":
        return content + f"\n[{how}]\n".encode()
    lines = content.decode("utf-8", errors="replace").split("\n")
    if kind == "line":
        return "\n".join([f"{how[0]} = {how[1]}", *lines]).encode()
    number, text = how
    places = [place for place, line in enumerate(lines) if "=" in line] or [0]
    place = places[number % len(places)]
    pattern, new = (r"=.*", f"= {text}") if kind == "value" else (r"^[^=]*", f"{text} ")
    lines[place] = re.sub(pattern, lambda _: new, lines[place], count=1)
    return "\n".join(lines).encode()


def read_config(path):
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.config_file import read_config_file

    flags = {"stores": list[str] | None, "loso": bool, "set": list[str] | None}
    file = read_config_file(path, flags)
    settings = dict(file.override({}))
    return repr(resolve_config(settings.pop("recipe", None), **settings))


def read_scheme(path):
    from mer_cli.datasets.scheme_file import read_scheme, scheme_text

    scheme = read_scheme(path, {"casme2": ["happiness", "disgust", "surprise", "fear"]}, ["megc3"])
    return scheme_text(scheme)


def try_all(n_cases, path, text, read):
    path.write_text(text, encoding="utf-8")
    _, undisturbed = outcome(read, path)

    def tried(case):
        content = text.encode()
        for kind, how in case:
            content = edited(content, kind, how)
        path.write_bytes(content)
        return outcome(read, path)

    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))


@sizes
def test_a_damaged_config_file_is_read_or_refused(n_cases, tmp_path):
    try_all(n_cases, tmp_path / "config.toml", CONFIG, read_config)


@sizes
def test_a_damaged_label_scheme_is_read_or_refused(n_cases, tmp_path):
    try_all(n_cases, tmp_path / "my3.toml", SCHEME, read_scheme)
