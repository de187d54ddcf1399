"""Cutting large pictures beside decoding them; how fast is for `mer bench`, here only that it is of that order."""

import pytest
from tiny_faces import person_of

from mer_cli.bench.preprocess import bench_cut


@pytest.mark.slow
def test_cutting_large_pictures_takes_not_much_longer_than_decoding_them(monkeypatch):
    monkeypatch.setattr("mer_cli.bench.preprocess.draw_subject", person_of)
    figures = bench_cut(repeats=3)
    assert list(figures) == ["samm", "mmew"]
    for times in figures.values():
        assert list(times) == ["decode_s", "cut_s", "ratio"]
        assert 1 < times["ratio"] < 4  # 1.6-1.7 on a quiet machine; 6 and more with a search of the whole picture
