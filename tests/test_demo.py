"""What the demo refuses; that it runs is shown by `make demo`, and its commands by test_end_to_end."""

import pytest

from mer_cli.demo import SYNTH, run_demo
from mer_cli.errors import ConfigError


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(ConfigError, match=r"holds files that no demo wrote — expected an empty folder\. Give another"):
        run_demo(tmp_path, 1, print)


def test_a_demo_of_another_seed_is_refused(tmp_path):
    (tmp_path / "faces.txt").write_text(f"{SYNTH} --seed 1\n")
    with pytest.raises(ConfigError, match=r"expected those of --seed 2\. Give another --out\."):
        run_demo(tmp_path, 2, print)


def test_a_command_that_fails_ends_the_demo_and_is_named(tmp_path):
    (tmp_path / "faces.txt").write_text(f"{SYNTH} --seed 1\n")
    shown = []
    with pytest.raises(ConfigError, match="mer preprocess casme2 raw: ended with exit code 1 in"):
        run_demo(tmp_path, 1, shown.append)
    assert shown == ["mer preprocess casme2 raw"]
