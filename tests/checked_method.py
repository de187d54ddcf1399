"""Checks a class `Net` whose text is written into the current folder, as `mer models --check` does."""

from pathlib import Path

from mer_cli.runs.config import resolve_config
from mer_cli.training.check_method import check_method


def method_of(text, **settings):
    Path("mynet.py").write_text(text.lstrip("\n"), encoding="utf-8")
    return resolve_config(model="./mynet.py:Net", **settings)


def check(text, **settings):
    return {found.name: (found.mark, found.text) for found in check_method(method_of(text, **settings), 3)}
