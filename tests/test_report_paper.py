"""The published numbers as data: whole numbers of correct clips, or a footnote that says why not."""

import math
import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest

from mer_cli.datasets.schemes import SCHEMES
from mer_cli.report.build import build_report
from mer_cli.report.paper import paper_notes, paper_table
from mer_cli.report.render import render
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.runs.variants import GRIDS

NUMBERS = (3, 4, 5, 6, 7)
ALL = [(number, block, row) for number in NUMBERS for block in paper_table(number).blocks for row in block.rows]
# Footnotes that say why no number of clips, or none that can be told, fits a printed accuracy.
NO_CLIPS = {"?": {"decimal"}, "–": {"uar", "typo"}}
# Footnotes that say why it is not MMNet's number of clips.
OTHER_CLIPS = {"megc", "short-of-133", "set", "not-136"}
# Numbers of clips that are searched for one that fits: of three classes, and of SAMM; of five classes of CASME II.
SEARCHED = {True: range(125, 159), False: range(235, 258)}
LIKELY_CLIPS = {"casme2": (145, 156, 246, 247, 249), "samm": (132, 133, 136)}

# Printed methods that a variant under another name stands for.
VARIANTS = {"TSCNN": "tscnn-lite", "AU-GCN": "augcn-flow", "GEME": "di-resnet18"}

N_ROWS = {3: [4, 4, 4], 4: [2, 2, 2], 5: [6, 6], 6: [7, 9], 7: [7, 7]}

# The sums of each block's accuracies and F1, added up from the paper and not from the file: a mistyped digit changes
# them.
SUMS = {
    3: [("337.74", "3.2511"), ("307.35", "2.6963"), ("338.78", "3.3164")],
    4: [("173.09", "1.6892"), ("157.35", "1.4291"), ("168.44", "1.6576")],
    5: [("515.66", "0"), ("475.72", "0")],
    6: [("587.01", "5.3418"), ("701.05", "6.8636")],
    7: [("536.22", "4.7850"), ("488.08", "4.3936")],
}

# What the paper's text says of its tables (sections 3.3 and 3.4), by table, protocol, better row and other row: the
# gain in accuracy, in points, and in F1, in hundredths; None where the text tells none.
GAINS = [
    (3, "casme2-5/249", "MMNet", "Baseline (ResNet)", "7.23", None),
    (3, "samm-5/136", "MMNet", "Baseline (ResNet)", "6.61", None),
    (3, "mmew-4/263", "MMNet", "Baseline (ResNet)", "5.70", None),
    (6, "casme2-mmnet3/156", "MMNet", "GACNN", "5.85", "7.99"),
    (7, "samm-3/133", "MMNet", "GACNN", "1.5", "2.73"),
    (6, "casme2-5/249", "MMNet", "SMA-STN", "5.76", "7.3"),
    (7, "samm-5/136", "MMNet", "SMA-STN", "2.94", "2.58"),
]

# Correct clips of Tables 3 to 5 as the paper's accuracies give them, computed apart from the file.
CORRECT = {
    "casme2-5/249": {"baseline": 202, "ca": 207, "pc": 212, "mmnet": 220, "independent": 211},
    "samm-5/136": {"baseline": 100, "ca": 104, "pc": 105, "mmnet": 109, "independent": 105},
    "mmew-4/263": {"baseline": 215, "ca": 221, "pc": 225, "mmnet": 230, "independent": 213},
}
CORRECT_5 = {"casme2-5/249": [215, 220, 214, 211, 214, 210], "samm-5/136": [108, 109, 107, 110, 109, 104]}


def name_of(entry):
    number, block, row = entry
    return f"{number}-{block.protocol_id}-{row.method}"


def rows_of(number, protocol_id):
    (block,) = (block for block in paper_table(number).blocks if block.protocol_id == protocol_id)
    return block.rows


def row_of(number, protocol_id, method):
    (row,) = (row for row in rows_of(number, protocol_id) if row.method == method)
    return row


def correct_clips(printed, n_clips):
    """The numbers of correct clips that print so, by how the percentage was shortened."""
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)
    shares = {k: Decimal(100 * k) / n_clips for k in range(n_clips + 1)}
    return {
        how: [k for k, share in shares.items() if share.quantize(digits, how) == Decimal(printed)]
        for how in (ROUND_HALF_UP, ROUND_DOWN)
    }


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_an_accuracy_is_a_whole_number_of_correct_clips_or_a_footnote_says_why_not(entry):
    _, block, row = entry
    if row.clips in NO_CLIPS:
        assert NO_CLIPS[row.clips] & set(row.notes)
        return
    numbers = [int(number) for number in re.findall(r"\d+", row.clips)]
    fits = {n_clips: correct_clips(row.accuracy, n_clips) for n_clips in numbers}
    assert all(any(how.values()) for how in fits.values())
    if sum(block.class_counts) not in numbers:
        assert OTHER_CLIPS & set(row.notes)
    assert ("cut" in row.notes) == (not any(how[ROUND_HALF_UP] for how in fits.values()))


@pytest.mark.parametrize("entry", [entry for entry in ALL if entry[0] in (6, 7)], ids=name_of)
def test_no_number_of_clips_that_an_accuracy_fits_is_left_out(entry):
    _, block, row = entry
    numbers = {int(number) for number in re.findall(r"\d+", row.clips)}
    if not numbers or numbers == {sum(block.class_counts)}:
        return  # none can be told; or the block's own, which fits, needs no other
    searched = SEARCHED[block.dataset == "samm" or len(block.class_counts) == 3]
    how = ROUND_DOWN if "cut" in row.notes else ROUND_HALF_UP
    assert numbers == {n_clips for n_clips in searched if correct_clips(row.accuracy, n_clips)[how]}


@pytest.mark.parametrize("entry", [entry for entry in ALL if entry[2].clips == "–"], ids=name_of)
def test_an_accuracy_that_is_said_to_fit_no_clips_fits_none_that_are_in_use(entry):
    _, block, row = entry
    for n_clips in LIKELY_CLIPS[block.dataset]:
        assert not any(correct_clips(row.accuracy, n_clips).values())


@pytest.mark.parametrize("entry", [entry for entry in ALL if entry[2].clips == "?"], ids=name_of)
def test_an_accuracy_whose_clips_cannot_be_told_is_known_to_one_decimal(entry):
    tenths = Decimal(entry[2].accuracy) * 10
    assert tenths == int(tenths)


@pytest.mark.parametrize("number", [3, 4])
def test_tables_3_and_4_reach_the_known_numbers_of_correct_clips(number):
    for block in paper_table(number).blocks:
        for row in block.rows:
            wanted = CORRECT[block.protocol_id][resolve_config(**row.settings).variant]
            assert [wanted] in correct_clips(row.accuracy, sum(block.class_counts)).values()


@pytest.mark.parametrize("block", paper_table(5).blocks, ids=lambda block: block.protocol_id)
def test_table_5_reaches_the_known_numbers_of_correct_clips(block):
    for row, wanted in zip(block.rows, CORRECT_5[block.protocol_id], strict=True):
        assert [wanted] in correct_clips(row.accuracy, sum(block.class_counts)).values()


def test_every_table_has_as_many_rows_as_the_paper():
    assert {number: [len(block.rows) for block in paper_table(number).blocks] for number in NUMBERS} == N_ROWS


@pytest.mark.parametrize("number", NUMBERS)
def test_the_numbers_of_every_block_add_up_to_the_papers_sums(number):
    for block, (of_accuracy, of_f1) in zip(paper_table(number).blocks, SUMS[number], strict=True):
        assert sum(Decimal(row.accuracy) for row in block.rows) == Decimal(of_accuracy)
        assert sum(Decimal(row.f1 or "0") for row in block.rows) == Decimal(of_f1)


@pytest.mark.parametrize(("number", "protocol_id", "better", "other", "in_accuracy", "in_f1"), GAINS)
def test_the_gains_that_the_papers_text_tells_are_those_of_its_tables(
    number, protocol_id, better, other, in_accuracy, in_f1
):
    better, other = row_of(number, protocol_id, better), row_of(number, protocol_id, other)
    assert Decimal(better.accuracy) - Decimal(other.accuracy) == Decimal(in_accuracy)
    assert in_f1 is None or 100 * (Decimal(better.f1) - Decimal(other.f1)) == Decimal(in_f1)


@pytest.mark.parametrize("protocol_id", ["casme2-5/249", "samm-5/136", "mmew-4/263", "casme2-mmnet3/156", "samm-3/133"])
def test_mmnet_has_the_same_numbers_in_every_table_and_the_best_ones(protocol_id):
    blocks = [(number, block) for number in NUMBERS for block in paper_table(number).blocks]
    own = [(number, block) for number, block in blocks if block.protocol_id == protocol_id]
    mmnet = [(number, row) for number, block in own for row in block.rows if is_mmnet(row)]
    assert len(mmnet) == len(own)
    assert len({row.accuracy for _, row in mmnet}) == len({row.f1 for number, row in mmnet if number != 5}) == 1
    others = [(number, row) for number, block in own for row in block.rows if not is_mmnet(row)]
    better = [(number, row.method) for number, row in others if float(row.accuracy) >= float(mmnet[0][1].accuracy)]
    assert better == ([(5, "N_L 3, N_H 2"), (5, "N_L 3, N_H 4")] if protocol_id == "samm-5/136" else [])
    assert all(float(row.f1) < float(mmnet[0][1].f1) for number, row in others if number != 5)


def is_mmnet(row):
    return row.settings is not None and resolve_config(**row.settings) == resolve_config()


def p_of_difference(one, other, n_clips):
    """The z test of two shares of as many clips, with their pooled variance."""
    pooled = (one + other) / (2 * n_clips)
    z = (one - other) / n_clips / math.sqrt(pooled * (1 - pooled) * 2 / n_clips)
    return math.erfc(abs(z) / math.sqrt(2))


def told(key):
    """The numbers of clips in a footnote, each with its p: "9 correct clips more, p .24"."""
    found = re.findall(r"(\d+) (?:correct clips )?(?:more|apart)[^,;.]*, p (\.\d+)", paper_notes()[key])
    return [(int(n_clips), float(p)) for n_clips, p in found]


@pytest.mark.parametrize("protocol_id", CORRECT)
def test_footnotes_of_tables_3_to_5_tell_the_differences_in_clips_and_their_p(protocol_id):
    correct, n_clips = CORRECT[protocol_id], int(protocol_id.partition("/")[2])
    base, dataset = correct["baseline"], protocol_id.partition("-")[0]
    pairs = {
        f"parts-{dataset}": [(correct[name], base) for name in ("ca", "pc", "mmnet")],
        f"attention-{dataset}": [(correct["mmnet"], correct["independent"])],
    }
    if protocol_id in CORRECT_5:
        pairs[f"settings-{dataset}"] = [(max(CORRECT_5[protocol_id]), min(CORRECT_5[protocol_id]))]
    for key, compared in pairs.items():
        assert [n for n, _ in told(key)] == [one - other for one, other in compared]
        for (_, p), (one, other) in zip(told(key), compared, strict=True):
            assert p == pytest.approx(p_of_difference(one, other, n_clips), abs=0.005)
    listed = f"Correct clips: {base}, {correct['ca']}, {correct['pc']} and {correct['mmnet']}."
    assert paper_notes()[f"parts-{dataset}"].startswith(listed)


def test_the_footnote_on_the_best_f1_names_the_best_other_one_of_its_block():
    *others, mmnet = rows_of(6, "casme2-5/249")
    assert "best-f1" in mmnet.notes
    best = max(others, key=lambda row: Decimal(row.f1))
    behind = {row.method: f"{row.method}'s, {Decimal(mmnet.f1) - Decimal(row.f1):.4f} lower." for row in others}
    note = paper_notes()["best-f1"].replace(" .", " 0.")
    assert behind["SMA-STN"] in note
    assert note.endswith(behind[best.method])


@pytest.mark.parametrize("number", [3, 4])
def test_tables_3_and_4_are_rows_of_the_grid_that_is_trained(number):
    trained = [resolve_config(**settings) for settings in GRIDS[number]]
    in_paper = [resolve_config(**row.settings) for row in paper_table(number).blocks[0].rows]
    assert in_paper == trained[: len(in_paper)]  # what the paper doesn't have comes after it
    for block in paper_table(number).blocks:
        assert [resolve_config(**row.settings) for row in block.rows] == in_paper


def test_table_5_is_the_grid_that_is_trained():
    for block in paper_table(5).blocks:
        assert [row.settings for row in block.rows] == list(GRIDS[5])


@pytest.mark.parametrize("number", [6, 7])
def test_tables_6_and_7_end_each_block_with_mmnet_and_name_the_others_that_can_be_trained(number):
    for block in paper_table(number).blocks:
        *others, last = (row for row in block.rows if row.settings is not None)
        assert (last.settings, block.rows[-1].method) == ({}, "MMNet")
        ours = {row.method: METHODS[row.settings["model"]] for row in others}
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
        assert block.protocol_id.endswith(f"/{sum(block.class_counts)}")
        assert len(block.class_counts) == len(SCHEMES[block.scheme].class_names)
    assert {block.n_subjects for _, block, _ in ALL if block.dataset == "mmew"} == {None}
    assert {block.n_subjects for _, block, _ in ALL if block.scheme == "mmnet3"} == {25}


def test_every_footnote_is_there_and_used_once_a_row():
    used = [note for _, _, row in ALL for note in row.notes]
    assert set(used) == set(paper_notes())
    assert all(len(set(row.notes)) == len(row.notes) for _, _, row in ALL)
    assert all(text.endswith(".") for text in paper_notes().values())


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_numbers_are_the_printed_characters_and_table_5_has_no_f1(entry):
    number, _, row = entry
    assert re.fullmatch(r"\d\d\.\d\d?", row.accuracy)
    assert re.fullmatch("" if number == 5 else r"\.\d{4}", row.f1)
    assert row.clips


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_every_number_of_the_papers_own_networks_says_that_the_test_subject_chose_the_epoch(entry):
    _, _, row = entry
    if row.settings is None or "model" in row.settings:
        assert row.epoch_rule == "not stated"
    else:
        assert row.epoch_rule.endswith("best-test, selected on the test subject")
        assert ("unreleased" in row.notes) == row.epoch_rule.startswith("presumably")
        assert ("leak" in row.notes) != ("unreleased" in row.notes)


@pytest.mark.parametrize("format", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_shows_every_printed_number_beside_its_method_in_the_papers_order(format):
    text = render(format, build_report([str(number) for number in NUMBERS], [], []).tables, [], with_images=False)
    text = "".join(text.replace("&amp;", "&").replace("\\", "").split())
    place, n_numbers = 0, 0
    for number, block, row in ALL:
        cells = re.escape(row.method.replace(" ", "")) + r".{1,400}?\b" + re.escape(row.accuracy) + r"(?!\d)"
        if row.f1:
            cells += r".{1,1500}?(?<!\d)" + re.escape(row.f1)
        found = re.compile(cells, re.DOTALL).search(text, place)
        assert found, (number, block.protocol_id, row.method)
        place = found.end()
        n_numbers += 2 if row.f1 else 1
    assert n_numbers == 108
