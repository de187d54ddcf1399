"""The published numbers as data: whole numbers of correct clips, or a footnote that says why not."""

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest

from mer_cli.datasets.schemes import SCHEMES
from mer_cli.models.catalogue import method_of
from mer_cli.report.paper import paper_notes, paper_table
from mer_cli.training.config import resolve_config
from mer_cli.training.grids import GRIDS

NUMBERS = (3, 4, 5, 6, 7)
ALL = [(number, block, row) for number in NUMBERS for block in paper_table(number).blocks for row in block.rows]
PRINTED = [entry for entry in ALL if entry[2].accuracy]
# Footnotes that say why no number of clips, or none that can be told, fits a printed accuracy.
NO_CLIPS = {"?": {"decimal"}, "–": {"uar", "typo"}}
# Footnotes that say why it is not MMNet's number of clips.
OTHER_CLIPS = {"megc", "short-of-133", "set", "not-136"}
LIKELY_CLIPS = {"casme2": (145, 156, 246, 247, 249), "samm": (132, 133, 136)}

# Printed methods that a variant under another name stands for.
VARIANTS = {"TSCNN": "tscnn-lite", "AU-GCN": "augcn-flow", "GEME": "di-resnet18"}

# Correct clips of Tables 3 and 4 as the paper's accuracies give them, computed apart from the file.
CORRECT = {
    "casme2-5/249": {"baseline": 202, "ca": 207, "pc": 212, "mmnet": 220, "independent": 211},
    "samm-5/136": {"baseline": 100, "ca": 104, "pc": 105, "mmnet": 109, "independent": 105},
    "mmew-4/263": {"baseline": 215, "ca": 221, "pc": 225, "mmnet": 230, "independent": 213},
}


def name_of(entry):
    number, block, row = entry
    return f"{number}-{block.protocol_id}-{row.method}"


def correct_clips(printed, n_clips):
    """The numbers of correct clips that print so, by how the percentage was shortened."""
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)
    shares = {k: Decimal(100 * k) / n_clips for k in range(n_clips + 1)}
    return {
        how: [k for k, share in shares.items() if share.quantize(digits, how) == Decimal(printed)]
        for how in (ROUND_HALF_UP, ROUND_DOWN)
    }


@pytest.mark.parametrize("entry", PRINTED, ids=name_of)
def test_an_accuracy_is_a_whole_number_of_correct_clips_or_a_footnote_says_why_not(entry):
    _, block, row = entry
    if row.clips in NO_CLIPS:
        assert NO_CLIPS[row.clips] & set(row.notes)
        return
    numbers = [int(number) for number in row.clips.split(" or ")]
    fits = {n_clips: correct_clips(row.accuracy, n_clips) for n_clips in numbers}
    assert all(any(how.values()) for how in fits.values())
    if block.n_clips not in numbers:
        assert OTHER_CLIPS & set(row.notes)
    assert ("cut" in row.notes) == (not any(how[ROUND_HALF_UP] for how in fits.values()))


@pytest.mark.parametrize("entry", [entry for entry in PRINTED if entry[2].clips == "–"], ids=name_of)
def test_an_accuracy_that_is_said_to_fit_no_clips_fits_none_that_are_in_use(entry):
    _, block, row = entry
    for n_clips in LIKELY_CLIPS[block.dataset]:
        assert not any(correct_clips(row.accuracy, n_clips).values())


@pytest.mark.parametrize("entry", [entry for entry in PRINTED if entry[2].clips == "?"], ids=name_of)
def test_an_accuracy_whose_clips_cannot_be_told_is_known_to_one_decimal(entry):
    tenths = Decimal(entry[2].accuracy) * 10
    assert tenths == int(tenths)


@pytest.mark.parametrize("number", [3, 4])
def test_tables_3_and_4_reach_the_known_numbers_of_correct_clips(number):
    for block in paper_table(number).blocks:
        for row in block.rows:
            wanted = CORRECT[block.protocol_id][resolve_config(**row.settings).variant]
            assert [wanted] in correct_clips(row.accuracy, block.n_clips).values()


@pytest.mark.parametrize("number", [3, 4])
def test_tables_3_and_4_are_rows_of_the_grid_that_is_trained(number):
    trained = [resolve_config(**settings) for settings in GRIDS[number]]
    in_paper = [resolve_config(**row.settings) for row in paper_table(number).blocks[0].rows]
    assert in_paper == trained[: len(in_paper)]  # what the paper doesn't have comes after it
    for block in paper_table(number).blocks:
        assert [resolve_config(**row.settings) for row in block.rows] == in_paper


def test_table_5_is_within_the_grid_that_is_trained():
    for block in paper_table(5).blocks:
        assert all(row.settings in GRIDS[5] for row in block.rows)


@pytest.mark.parametrize("number", [6, 7])
def test_tables_6_and_7_end_each_block_with_mmnet_and_name_the_others_that_can_be_trained(number):
    for block in paper_table(number).blocks:
        *others, last = (row for row in block.rows if row.settings is not None)
        assert (last.settings, block.rows[-1].method) == ({}, "MMNet")
        ours = {row.method: method_of(row.settings["model"]) for row in others}
        assert {name for name, method in ours.items() if method.title != name} == set(VARIANTS) & set(ours)
        assert all(
            VARIANTS[name] == ours[name].name and ours[name].form == "variant" for name in set(VARIANTS) & set(ours)
        )
        assert all(resolve_config(**row.settings).recipe == "published" for row in others)


def test_blocks_are_of_the_protocols_that_their_schemes_give():
    blocks = {number: [block.protocol_id for block in paper_table(number).blocks] for number in NUMBERS}
    ablations = ["casme2-5/249", "samm-5/136", "mmew-4/263"]
    assert blocks == {
        3: ablations,
        4: ablations,
        5: ablations[:2],
        6: ["casme2-mmnet3/156", "casme2-5/249"],
        7: ["samm-3/133", "samm-5/136"],
    }
    for _, block, _ in ALL:
        assert block.protocol_id.endswith(f"/{block.n_clips}")
        assert block.n_classes == len(SCHEMES[block.scheme].class_names)
    assert {block.n_subjects for _, block, _ in ALL if block.dataset == "mmew"} == {None}
    assert {block.n_subjects for _, block, _ in ALL if block.scheme == "mmnet3"} == {25}


def test_every_footnote_is_there_and_used_once_a_row():
    used = [note for _, _, row in ALL for note in row.notes]
    assert set(used) == set(paper_notes())
    assert all(len(set(row.notes)) == len(row.notes) for _, _, row in ALL)
    assert all(text.endswith(".") for text in paper_notes().values())


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_numbers_are_the_printed_characters_and_what_is_left_out_is_said_to_be(entry):
    _, _, row = entry
    for printed, pattern in ((row.accuracy, r"\d\d\.\d\d?"), (row.f1, r"\.\d{4}")):
        assert isinstance(printed, str)
        assert ("unknown" in row.notes) if printed == "" else re.fullmatch(pattern, printed)
    assert ("unknown" in row.notes) == ("" in (row.accuracy, row.f1))
    assert (row.clips == "") == (row.accuracy == "")


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_every_number_of_the_papers_own_networks_says_that_the_test_subject_chose_the_epoch(entry):
    _, _, row = entry
    if row.settings is None or "model" in row.settings:
        assert row.epoch_rule == "not stated"
    else:
        assert row.epoch_rule.endswith("best-test, selected on the test subject")
        assert ("unreleased" in row.notes) == row.epoch_rule.startswith("presumably")
        assert ("leak" in row.notes) != ("unreleased" in row.notes)
