"""Where a command writes for others: a file in one move, and never in place of a device, a pipe or a link."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mer_cli.errors import RunError
from mer_cli.report.exports import write_report


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.md"
    for text in ("first", "±"):
        write_report(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in path.parent.iterdir()] == ["report.md"]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target.md", tmp_path / "link.md"
    target.write_text("old")
    link.symlink_to(target)
    write_report(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_stays_a_pipe_and_its_reader_gets_the_text(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_report(pipe, "text")
    reader.join(timeout=10)
    assert got == ["text"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["", ".", "/"])
def test_a_folder_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"--out .*: can't be written \(Is a directory\)\. Give another path\."):
        write_report(Path(place), "text")
    assert not list(tmp_path.iterdir())
