"""A script without a main guard, whose worker processes would start its work once more, ends with a sentence."""

import subprocess
import sys

import pytest

CALL = "run_in_workers(abs, [-1, -2], 2, print)"
IMPORT = "from mer_cli.system.workers import run_in_workers\n"
SENTENCE = (
    "your script does its work also when a worker process imports it. Put the work under "
    '`if __name__ == "__main__":`, and leave imports, functions and classes above that line.'
)


def run_script(folder, code):
    (folder / "script.py").write_text(code)
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=100)


def test_a_guarded_script_runs_in_workers(tmp_path):
    done = run_script(tmp_path, f"{IMPORT}if __name__ == '__main__':\n    {CALL}\n")
    assert (sorted(done.stdout.split()), done.stderr) == (["1", "2"], "")


@pytest.mark.parametrize("also", ["", "end_unguarded_worker()\n"], ids=["in workers", "in one process"])
def test_a_script_without_a_guard_is_told_to_add_one(tmp_path, also):
    done = run_script(tmp_path, f"{IMPORT}from mer_cli.system.workers import end_unguarded_worker\n{also}{CALL}\n")
    *of_workers, last = [line for line in done.stderr.splitlines() if SENTENCE in line]
    assert (done.returncode, last) == (1, f"mer_cli.errors.ConfigError: {SENTENCE}")
    assert set(of_workers) == {f"error: {SENTENCE}"}
    assert done.stderr.count("Traceback") == 1
