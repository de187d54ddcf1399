"""How the images of a release are numbered: decided over all clips, on tables with the statistics of the real one."""

import random
from pathlib import Path

import pytest

from mer_cli.datasets.annotation import settle_annotation
from mer_cli.datasets.numbering import Numbered, decide_numbering
from mer_cli.datasets.registry import load_release
from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef

REMEDY = (
    "Unpack the release again, so that all images keep the released names, or write the numbers of the images into a "
    "copy of the table."
)


def table_like_casme2(n_clips=254, n_subjects=26, seed=1):
    """Clip id -> onset, apex, offset: 67 frames on average (24 to 141), apex after 30, onsets from 1 to hundreds."""
    rng = random.Random(seed)
    table = {}
    for number in range(n_clips):
        length = min(max(round(rng.gauss(67.2, 22.6)), 24), 141)
        onset = 1 + min(round(rng.expovariate(1 / 90)), 600)
        apex = onset + min(max(round(rng.gauss(32, 14)), 1), length - 2)
        table[f"casme2/{number % n_subjects + 1:02d}/EP{number:03d}"] = (onset, apex, onset + length - 1)
    return table


def settle(table, frames_of):
    """Settle all rows over the frames that `frames_of` gives for (clip id, onset, apex, offset)."""
    frames = {clip_id: list(frames_of(clip_id, *row)) for clip_id, row in table.items()}
    rows = [
        Numbered(clip_id, *row, len(frames[clip_id]), frames[clip_id][0], frames[clip_id][-1])
        for clip_id, row in table.items()
    ]
    numbering = decide_numbering("casme2", rows, ())
    settled = {}
    for clip_id, row in table.items():
        if clip_id not in numbering.undecided:
            cells = dict(zip(("onset", "apex", "offset"), map(str, row), strict=True))
            held = [FrameRef(number, Path(f"img{number}.jpg")) for number in frames[clip_id]]
            settled[clip_id] = settle_annotation(cells, held, anew=clip_id in numbering.anew)
    return numbering, settled


def frames(annotation):
    return annotation.onset, annotation.apex, annotation.offset


def refused(table, frames_of):
    with pytest.raises(DatasetError) as error:
        settle(table, frames_of)
    return str(error.value)


def is_subject(clip_id, *numbers):
    return int(clip_id.split("/")[1]) in numbers


@pytest.mark.parametrize("start", [0, 1, 1000])
def test_folders_numbered_anew_move_every_clip_of_the_table_to_its_own_frames(start):
    table = table_like_casme2()
    numbering, settled = settle(table, lambda _, onset, __, offset: range(start, start + offset - onset + 1))
    for clip_id, (onset, apex, offset) in table.items():
        assert frames(settled[clip_id]) == (start, apex - onset + start, offset - onset + start)
    n_moved = sum(onset != start for onset, _, _ in table.values())
    assert numbering.corrections == (
        f"{n_moved} of 254 clips are numbered {'1..N' if start == 1 else f'from {start}'} on disk, as many as "
        "annotated: all their frame numbers of the table were moved, the onset to the first image.",
    )
    assert (numbering.undecided, numbering.notes) == ({}, ())


def test_the_row_of_the_issue_is_moved_though_two_of_its_numbers_are_on_disk():
    _, settled = settle({"casme2/01/EP1": (21, 54, 76)}, lambda *_: range(1, 57))
    (annotation,) = settled.values()
    assert frames(annotation) == (1, 34, 56)
    assert annotation.repairs == (
        "21, 54, 76 are numbered otherwise than the frames 1..56 on disk: moved to 1, 34, 56",
    )


def test_a_release_as_it_comes_is_left_as_it_is():
    table = table_like_casme2()
    layouts = (
        lambda _, onset, __, offset: range(onset, offset + 1),
        lambda _, onset, __, offset: range(1, offset + 1 + onset % 40),  # whole recordings
        lambda _, onset, __, offset: range(max(onset - 10, 1), offset + 11),
    )
    for layout in layouts:
        numbering, settled = settle(table, layout)
        assert {clip_id: frames(annotation) for clip_id, annotation in settled.items()} == table
        assert not any(annotation.repairs for annotation in settled.values())
        assert (numbering.anew, numbering.undecided, numbering.corrections, numbering.notes) == (set(), {}, (), ())


def test_onsets_of_1_over_folders_from_1_are_left_as_they_are():
    table = {
        clip_id: (1, apex - onset + 1, offset - onset + 1)
        for clip_id, (onset, apex, offset) in table_like_casme2().items()
    }
    wrong = {clip_id: (1, apex, offset + 5) for clip_id, (_, apex, offset) in [*table.items()][:16]}  # as in MMEW
    numbering, settled = settle(table | wrong, lambda clip_id, *_: range(1, table[clip_id][2] + 1))
    assert {clip_id: frames(annotation) for clip_id, annotation in settled.items()} == table
    assert (numbering.anew, numbering.undecided, numbering.corrections) == (set(), {}, ())


def test_single_clips_of_an_older_release_are_fitted_to_the_disk_one_by_one():
    table = table_like_casme2() | {"casme2/07/EP06_01": (15, 49, 68), "casme2/12/EP09_02": (16, 59, 101)}
    older = {"casme2/07/EP06_01": range(76, 131), "casme2/12/EP09_02": range(161, 247)}
    numbering, settled = settle(table, lambda clip, onset, _, offset: older.get(clip, range(onset, offset + 1)))
    assert settled["casme2/07/EP06_01"].repairs == (
        "15, 49, 68 are numbered otherwise than the frames 76..130 on disk: moved to 76, 111, 130",
    )
    assert frames(settled["casme2/12/EP09_02"]) == (161, 204, 246)
    assert sum(bool(annotation.repairs) for annotation in settled.values()) == 2
    assert (numbering.anew, numbering.undecided, numbering.corrections) == (set(), {}, ())


def test_missing_first_and_dropped_frames_are_no_other_numbering():
    """As in CAS(ME)^3: a recording begins at its eighth frame, and one clip in ten lacks frames."""
    rng = random.Random(3)
    table = {f"casme3/{number % 90}/a_{number}": (number, number + 5, number + 20) for number in range(1, 861)}

    def layout(_, onset, __, offset):
        held = [number for number in range(onset, offset + 1) if number > 8 or offset < 12]
        if rng.random() < 0.1:
            del held[rng.randrange(len(held))]
        return held

    numbering, settled = settle(table, layout)
    assert (numbering.anew, numbering.undecided, numbering.corrections, numbering.notes) == (set(), {}, (), ())
    assert all(
        abs(number - told) <= 8
        for clip, row in table.items()
        for number, told in zip(frames(settled[clip]), row, strict=True)
    )


def test_only_the_subjects_that_were_numbered_anew_are_moved():
    table = table_like_casme2()

    def layout(clip, onset, _, offset):
        return range(1, offset - onset + 2) if is_subject(clip, 3, 17) else range(1, offset + 30)

    numbering, settled = settle(table, layout)
    for clip, (onset, apex, offset) in table.items():
        shift = onset - 1 if is_subject(clip, 3, 17) else 0
        assert frames(settled[clip]) == (onset - shift, apex - shift, offset - shift)
    (sentence,) = numbering.corrections
    assert " of 254 clips (subjects 03, 17) are numbered 1..N on disk" in sentence


def test_a_subject_of_both_kinds_is_refused_with_both_readings():
    table = table_like_casme2()
    first = next(iter(table))

    def layout(clip, onset, _, offset):
        return range(1, offset - onset + 2) if int(clip[-3:]) % 4 < 2 else range(1, offset + 30)

    text = refused(table, layout)
    assert text.startswith("casme2: ")
    assert " clips are in folders that were numbered anew, " in text
    assert " have frames around them under the table's numbers, and both occur in subjects 01, 02, 03, " in text
    onset, _, offset = table[first]
    assert (
        f"{first}: {onset}..{offset} of the table are {onset}..{offset} of the images 1..{offset - onset + 1}, or, if "
        f"the folder was numbered anew from its onset, 1..{offset - onset + 1}. "
    ) in text
    assert text.endswith(REMEDY)


def test_a_few_clips_against_the_rest_of_their_subject_fail_with_both_readings():
    table = table_like_casme2()
    odd = [clip for clip, (onset, apex, offset) in table.items() if onset > 1 and apex < offset - onset][:3]

    for few_are_anew in (True, False):
        numbering, settled = settle(
            table,
            lambda clip, onset, _, offset, few=few_are_anew: (
                range(1, offset - onset + 2) if (clip in odd) is few else range(1, offset + 30)
            ),
        )
        assert sorted(numbering.undecided) == sorted(odd)
        assert len(settled) == 251
        for clip, (onset, apex, _) in table.items():
            if clip not in odd:
                assert settled[clip].apex == (apex if few_are_anew else apex - onset + 1)
        clip = odd[0]
        onset, _, offset = table[clip]
        n = offset - onset + 1
        assert numbering.undecided[clip] == (
            "nearly all other clips are numbered otherwise, so it can't be told how this one is. "
            f"{clip}: {onset}..{offset} of the table are {onset}..{offset} of the images "
            f"1..{n if few_are_anew else offset + 29}, or, if the folder was numbered anew from its onset, 1..{n}. "
            f"{REMEDY}"
        )


def test_folders_cut_with_frames_around_and_numbered_anew_are_refused():
    table = table_like_casme2()
    text = refused(table, lambda _, onset, __, offset: range(1, offset - onset + 22))
    assert ", +20 images in each, and numbered anew. casme2/" in text
    assert (
        "clips have annotated frames beyond the last image, though nearly every folder begins at 1: the folders seem "
        "to be cut otherwise than annotated"
    ) in text
    assert text.endswith(f". It can't be told which image is the onset. {REMEDY}")
    few = {"lab/1/a": (96, 135, 156), "lab/1/b": (42, 82, 133), "lab/1/c": (4, 42, 95)}
    assert "casme2: 2 of 3 clips have annotated frames beyond the last image" in refused(
        few, lambda _, on, __, off: range(1, off - on + 28)
    )
    other = refused(table, lambda _, onset, __, offset: range(1, offset - onset + 12 + onset % 7))
    assert "cut otherwise than annotated, and numbered anew" in other


def test_a_single_subject_cut_with_frames_around_fails_and_the_others_do_not():
    table = table_like_casme2()

    def layout(clip, onset, _, offset):
        return range(1, offset - onset + 22) if is_subject(clip, 5) else range(onset, offset + 1)

    numbering, settled = settle(table, layout)
    assert {clip.split("/")[1] for clip in numbering.undecided} == {"05"}
    assert all(frames(settled[clip]) == table[clip] for clip in settled if not is_subject(clip, 5))
    assert len(settled) + len(numbering.undecided) == len(table)


@pytest.mark.parametrize("first", ["anew", "onset"])
def test_every_second_image_kept_or_one_added_between_moves_the_apex_in_proportion(first):
    table = table_like_casme2()
    for rate, n_frames in ((0.5, lambda length: (length + 1) // 2), (2, lambda length: 2 * length - 1)):

        def layout(_, onset, __, offset, n_frames=n_frames):
            start = 1 if first == "anew" else onset
            return range(start, start + n_frames(offset - onset + 1))

        numbering, settled = settle(table, layout)
        for clip, (onset, apex, _) in table.items():
            start = 1 if first == "anew" else onset
            assert settled[clip].onset == start
            assert abs(settled[clip].apex - (start + rate * (apex - onset))) <= 0.75
        assert numbering.corrections == (
            f"254 of 254 clips have {rate} images for each annotated frame, as at another frame rate: all their frame "
            "numbers of the table were moved in proportion, the onset to the first image.",
        )


def test_frames_around_in_proportion_to_the_clip_are_no_other_frame_rate():
    table = {
        clip: (onset + 100, apex + 100, offset + 100) for clip, (onset, apex, offset) in table_like_casme2().items()
    }

    def layout(_, onset, __, offset):
        before = (offset - onset) // 2
        return range(onset - before, onset - before + 2 * (offset - onset) + 1)

    numbering, settled = settle(table, layout)
    assert {clip: frames(annotation) for clip, annotation in settled.items()} == table
    assert (numbering.anew, numbering.undecided, numbering.corrections) == (set(), {}, ())


def test_every_second_image_under_the_tables_numbers_is_left_and_told():
    table = table_like_casme2()
    numbering, settled = settle(table, lambda _, onset, __, offset: range(onset, offset + 1, 2))
    assert all(abs(settled[clip].apex - apex) <= 1 for clip, (_, apex, _) in table.items())
    assert (numbering.anew, numbering.corrections) == (set(), ())
    assert numbering.notes == (
        "the folders hold every second image only: the nearest one is taken where the table names another, and motion "
        "from image to image is that of half the frame rate.",
    )


def test_images_from_0_under_a_table_from_1_are_moved_by_one():
    table = table_like_casme2()
    numbering, settled = settle(table, lambda _, onset, __, offset: range(onset - 1, offset))
    assert all(frames(settled[clip]) == tuple(number - 1 for number in row) for clip, row in table.items())
    assert numbering.corrections[0].startswith("254 of 254 clips have as many images as annotated, under other numbers")


def test_whole_recordings_from_0_are_left_and_told():
    table = table_like_casme2()
    numbering, settled = settle(table, lambda _, onset, __, offset: range(offset + 1 + onset % 40))
    assert all(abs(settled[clip].offset - offset) <= 1 for clip, (_, _, offset) in table.items())
    assert numbering.notes[0].endswith(
        "begin at image 0 and the table's onsets at 1: the table's numbers are taken as those of the images. If the "
        "images were numbered anew from 0, every frame is one too late."
    )


def test_a_folder_numbered_anew_that_lacks_images_is_moved_in_proportion_and_one_with_more_fails():
    table = table_like_casme2()
    lacking, longer = [clip for clip, (onset, _, _) in table.items() if onset > 1][:2]
    surplus = {lacking: -2, longer: 3}
    numbering, settled = settle(
        table, lambda clip, onset, _, offset: range(1, offset - onset + 2 + surplus.get(clip, 0))
    )
    onset, _, offset = table[lacking]
    assert (settled[lacking].onset, settled[lacking].offset) == (1, offset - onset - 1)
    assert settled[lacking].repairs[0].endswith(", in proportion")
    onset, _, offset = table[longer]
    n = offset - onset + 1
    assert numbering.undecided == {
        longer: f"the folders were numbered anew, and this one holds {n + 3} frames (1..{n + 3}) where {n} are "
        f"annotated ({onset}..{offset}), so it can't be told which of them is the onset. {REMEDY}"
    }


def test_the_order_of_the_rows_changes_nothing():
    table = table_like_casme2()

    def layout(clip, onset, _, offset):
        return range(1, offset - onset + 2) if is_subject(clip, 3, 17) else range(1, offset + 30)

    shuffled = dict(random.Random(4).sample([*table.items()], len(table)))
    assert settle(shuffled, layout) == settle(table, layout)

    def mixture(clip, onset, _, offset):
        return range(1, offset - onset + 2) if int(clip[-3:]) % 4 < 2 else range(1, offset + 30)

    assert refused(shuffled, mixture) == refused(table, mixture)


# On disk, through the loader. No image is opened, so the files are empty.

HEADER = "subject,clip,onset,apex,offset,label,path"


def write_clip(root, folder, names):
    (root / folder).mkdir(parents=True)
    for name in names:
        (root / folder / name).touch()


def load_table(root, *lines):
    table = root / "mylab.csv"
    table.write_text("\n".join([HEADER, *lines]) + "\n")
    return load_release("table", root, table=table)


def test_your_own_table_is_looked_at_as_a_whole_and_told(tmp_path):
    rows = {"a": (21, 54, 76), "b": (46, 59, 86), "c": (3, 20, 40)}
    for name, (onset, _, offset) in rows.items():
        write_clip(tmp_path, name, [f"{number:03d}.jpg" for number in range(1, offset - onset + 2)])
    lines = [f"p01,{name},{onset},{apex},{offset},happy,{name}" for name, (onset, apex, offset) in rows.items()]
    release = load_table(tmp_path, *lines)
    assert [(clip.onset, clip.apex, clip.offset) for clip in release.clips] == [(1, 34, 56), (1, 14, 41), (1, 18, 38)]
    assert all(len(clip.repairs) == 1 for clip in release.clips)
    sentence = (
        "3 of 3 clips are numbered 1..N on disk, as many as annotated: all their frame numbers of the table were "
        "moved, the onset to the first image."
    )
    assert (release.numbering, release.errata) == ((sentence,), (sentence,))


def test_a_half_blank_row_among_folders_numbered_anew_fails(tmp_path):
    for name in ("a", "b", "c"):
        write_clip(tmp_path, name, [f"{number:03d}.jpg" for number in range(1, 57)])
    release = load_table(tmp_path, "p01,a,21,54,76,happy,a", "p01,b,21,54,,happy,b", "p01,c,,,,happy,c")
    assert [clip.name for clip in release.clips] == ["a", "c"]
    (failed,) = release.failed
    assert failed.reason == (
        "row 3: the folders were numbered anew, and the table does not hold both onset and offset, so its numbers "
        "can't be moved to those of the images. Fill in both, or leave onset, apex and offset blank."
    )


def test_a_table_without_offsets_over_folders_numbered_anew_is_refused(tmp_path):
    rows = {"a": (21, 54, 76), "b": (46, 59, 86), "c": (103, 120, 140)}
    for name, (onset, _, offset) in rows.items():
        write_clip(tmp_path, name, [f"{number:03d}.jpg" for number in range(1, offset - onset + 2)])
    lines = [f"p01,{name},{onset},{apex},,happy,{name}" for name, (onset, apex, _) in rows.items()]
    with pytest.raises(DatasetError) as error:
        load_table(tmp_path, *lines[1:], "p01,d,,,,happy,a", "p02,e,30,60,,happy,b")
    assert str(error.value).startswith(
        "mylab: 3 of 3 clips have annotated frames beyond the last image, though nearly every folder begins at 1: "
    )


def test_a_date_at_the_end_of_a_name_is_no_frame_number(tmp_path):
    write_clip(tmp_path, "a", [f"frame{number:03d}_20240503.jpg" for number in range(8, 31)])
    write_clip(tmp_path, "b", ["frame001_20240503.jpg", "frame002_20240504.jpg"])  # over midnight
    release = load_table(tmp_path, "p01,a,8,20,30,happy,a", "p01,b,,,,happy,b")
    assert [[frame.number for frame in clip.frames] for clip in release.clips] == [[*range(8, 31)], [1, 2]]
    note = (
        "in images named like frame008_20240503.jpg the frame number is 8: the last run of digits is the same in "
        "several images of a folder"
    )
    assert (release.numbering, release.errata) == ((note,), (note,))


def test_images_whose_numbers_repeat_are_only_called_copies_if_they_are(tmp_path):
    write_clip(tmp_path, "two", ["006_0005.jpg", "006_0006.jpg", "007_0005.jpg", "007_0006.jpg"])
    write_clip(tmp_path, "one", ["006_0005.jpg", "006_0006.jpg"])
    write_clip(tmp_path, "copy", ["img1.jpg", "img1.png", "img2.jpg"])
    release = load_table(tmp_path, *(f"p01,{name},,,,happy,{name}" for name in ("two", "one", "copy")))
    assert ([clip.name for clip in release.clips], release.numbering) == (["one"], ())
    assert [failed.reason for failed in release.failed] == [
        f"row 2: {tmp_path}/two: frame 5 has two images, 006_0005.jpg and 007_0005.jpg. By their names they are not "
        "copies: keep both. Rename the images so that the last run of digits is the frame number, or move images of "
        "another clip out of the folder.",
        f"row 4: {tmp_path}/copy: frame 1 has two images, img1.jpg and img1.png. Remove the copy.",
    ]


def test_an_image_beside_its_own_copy_in_every_case_is_a_copy(tmp_path):
    write_clip(tmp_path, "a", [name for n in (1, 2, 3) for name in (f"img{n}.jpg", f"img{n} (1).jpg")])
    (failed,) = load_table(tmp_path, "p01,a,,,,happy,a").failed
    assert failed.reason == (
        f"row 2: {tmp_path}/a: frame 1 has two images, img1 (1).jpg and img1.jpg. Remove the copy."
    )
