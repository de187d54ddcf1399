"""Coding tables without their release: whose they are, and that they say the same as the release does."""

from pathlib import Path

import pytest
from fake_dataset import write_release, write_table

from mer_cli.datasets.registry import DATASETS, load_release
from mer_cli.datasets.synthetic.spreadsheet import write_workbook
from mer_cli.datasets.synthetic.writer import LAYOUTS
from mer_cli.datasets.table_alone import is_table, read_table_alone
from mer_cli.errors import DatasetError

TABLE = "CASME2-coding-20190701.xlsx"
WITH_TABLE = [layout for layout in LAYOUTS.values() if layout.sheets]


def table_of(layout, folder):
    """The coding table that `mer synth` writes for a few clips."""
    plans = layout.plan(subjects=3, clips=9, seed=10, intensity=1.0, emotions=None)
    path = folder / Path(layout.table).name
    write_workbook(path, layout.sheets(plans))
    return path, plans


@pytest.mark.parametrize("layout", WITH_TABLE, ids=lambda layout: layout.name)
def test_a_table_with_its_released_name_is_known_and_read_whole(layout, tmp_path):
    path, plans = table_of(layout, tmp_path)
    table = read_table_alone(path)
    assert table.dataset == layout.name.partition("-")[0]
    n_elsewhere = len(plans) - len(table.entries)
    assert n_elsewhere == 0 or (DATASETS[table.dataset].parts and n_elsewhere < len(plans))  # in tables of other parts
    assert not table.failed


def test_the_table_of_a_part_is_known_by_its_other_names_too(tmp_path):
    path, _ = table_of(LAYOUTS["dfme"], tmp_path)
    assert read_table_alone(path.rename(tmp_path / "DFME test_A.xlsx")).dataset == "dfme"


def test_a_table_says_what_its_release_says(tmp_path):
    write_release(tmp_path)
    release = load_release("casme2", tmp_path)
    alone = read_table_alone(tmp_path / TABLE)
    assert {(clip.clip_id, clip.emotion, clip.action_units) for clip in release.clips} == {
        (clip_id, entry.emotion, entry.action_units) for clip_id, entry in alone.entries.items()
    }
    assert (alone.version, alone.sha256) == (release.table_version, release.table_sha256)
    assert not alone.generated


def test_a_table_below_a_stamp_is_generated(tmp_path):
    (tmp_path / "GENERATED.txt").write_text("faces", encoding="utf-8")
    assert read_table_alone(write_table(tmp_path / "below" / TABLE)).generated


def test_a_name_that_fits_two_datasets_is_an_error_that_names_both(tmp_path):
    path = tmp_path / "SAMM Micro FACS Codes, part_A JpgIndex.xlsx"
    with pytest.raises(DatasetError) as error:
        read_table_alone(path)
    assert str(error.value) == (
        f"{path}: can't tell whose coding table this is; it could be that of samm or casme3. Say it: --dataset samm, "
        "or --dataset table for a CSV of your own clips."
    )


@pytest.mark.parametrize("claimed", ["samm", "mmew"])  # which have a column for each of CASME II's
def test_a_table_that_counts_as_another_datasets_is_refused(claimed, tmp_path):
    path = tmp_path / "renamed.xlsx"
    layout = LAYOUTS["casme2"]
    write_workbook(path, layout.sheets(layout.plan(seed=10)))
    with pytest.raises(DatasetError) as error:
        read_table_alone(path, claimed)
    assert str(error.value) == (
        f"{path}: has as many clips of each emotion as the table of casme2, version 20190701, so it is not that of "
        f"{claimed}. Give --dataset casme2."
    )
    with pytest.raises(DatasetError, match=r"so it is not that of samm\. Give --dataset casme2\.$"):
        read_table_alone(path.rename(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx"))
    assert read_table_alone(tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx", "casme2").version == "20190701"


@pytest.mark.parametrize("layout", WITH_TABLE, ids=lambda layout: layout.name)
def test_a_table_that_counts_as_no_version_is_read_if_its_dataset_is_said(layout, tmp_path):
    path, _ = table_of(layout, tmp_path)
    dataset = layout.name.partition("-")[0]
    assert read_table_alone(path.rename(tmp_path / f"renamed{path.suffix}"), dataset).version == ""


@pytest.mark.parametrize("name", ["casme", "4dme"])  # of which no version is known
def test_a_whole_table_of_which_no_version_is_known_is_read(name, tmp_path):
    path = tmp_path / Path(LAYOUTS[name].table).name
    write_workbook(path, LAYOUTS[name].sheets(LAYOUTS[name].plan(seed=10)))
    assert read_table_alone(path).dataset == name


def test_a_workbook_with_a_sheet_for_each_dataset_is_read_as_the_one_that_is_said(tmp_path):
    path = tmp_path / "both.xlsx"
    sheets = {
        name: next(iter(LAYOUTS[name].sheets(LAYOUTS[name].plan(seed=10)).values())) for name in ("casme", "casme2")
    }
    write_workbook(path, sheets)
    assert read_table_alone(path, "casme").dataset == "casme"


def test_two_spellings_of_a_subject_are_an_error_unless_joined(tmp_path):
    path = tmp_path / "mine.csv"
    header = "subject,clip,onset,apex,offset,label,path,action_units"
    path.write_text(f"{header}\n1,a,,,,joy,1/a,12\n01,b,,,,joy,01/b,12\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="subject '01' is spelt '1' in row 2"):
        read_table_alone(path, "table")
    joined = read_table_alone(path, "table", join_spellings=True)
    assert sorted(joined.entries) == ["mine/1/a", "mine/1/b"]
    assert joined.notes == ("subject '01' joined with '1' of row 2",)


def test_an_unknown_dataset_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"^Unknown dataset 'casme-22'\. Known: casme2, "):
        read_table_alone(write_table(tmp_path / TABLE), "casme-22")


def test_tables_are_known_by_their_extension():
    assert all(map(is_table, map(Path, ("a.xlsx", "a.XLS", "a.csv", "a.ods"))))
    assert not any(map(is_table, map(Path, ("a.h5", "folder", "a.txt"))))
