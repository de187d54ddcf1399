"""CSVs of intervals: written and read back, in the shapes of other programs, and bad files with one clear error."""

import numpy as np
import pytest

from mer_cli.errors import DatasetError
from mer_cli.report.exports import csv_text
from mer_cli.spotting.interval import Interval, Spotted
from mer_cli.spotting.interval_file import COLUMNS, Row, interval_rows, read_intervals


def written(tmp_path, text, name="p.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def refusal(path):
    with pytest.raises(DatasetError) as error:
        read_intervals(path)
    return str(error.value)


def test_what_is_written_is_read_back(tmp_path):
    spotted = Spotted(200.0, 1200, (Interval(10, 15, 30, 8.5),), (Interval(40, 45, 50, 7.0, "blink"),))
    rows = interval_rows("a.avi", spotted, [*spotted.intervals, *spotted.rejected])
    path = written(tmp_path, csv_text([COLUMNS, *rows]))
    assert path.read_text().splitlines()[1:] == ["a.avi,10,15,30,8.5,,200,1200", "a.avi,40,45,50,7,blink,200,1200"]
    assert read_intervals(path) == (
        Row("a.avi", 10, 30, fps=200, n_frames=1200),
        Row("a.avi", 40, 50, reason="blink", fps=200, n_frames=1200),
    )


def test_images_whose_numbers_begin_late_are_read_back(tmp_path):
    spotted = Spotted(200.0, 100, (Interval(310, 315, 330, 8.5),), numbers=np.arange(301, 401, 4, dtype=np.int32))
    path = written(tmp_path, csv_text([COLUMNS, *interval_rows("frames", spotted, spotted.intervals)]))
    assert read_intervals(path) == (Row("frames", 310, 330, fps=200, n_frames=100),)


def test_a_recording_without_intervals_keeps_a_row(tmp_path):
    path = written(tmp_path, csv_text([COLUMNS, *interval_rows("a.avi", Spotted(200.0, 1200, ()), ())]))
    assert read_intervals(path) == (Row("a.avi", 0, 0, fps=200, n_frames=1200),)


def test_a_file_with_only_a_header_has_no_intervals(tmp_path):
    assert read_intervals(written(tmp_path, "video,onset,offset\n")) == ()


def test_columns_may_come_in_any_order_and_case_with_others_between(tmp_path):
    path = written(tmp_path, "Offset;note;Onset;Emotion;VIDEO\n30.0;x;10;happiness;a\n\n")
    assert read_intervals(path) == (Row("a", 10, 30, emotion="happiness"),)


def test_a_missing_column_is_named_with_those_found(tmp_path):
    path = written(tmp_path, "vidio,onset,apex\na,1,2\n")
    assert refusal(path) == (
        f"{path}: no column 'video', 'offset'; the first row has vidio, onset, apex. Expected a header with video, "
        "onset, offset. Did you mean 'vidio'?"
    )


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = written(tmp_path, "video,onset,offset,onset\na,1,2,3\n")
    assert refusal(path) == f"{path}: there are two columns 'onset'. Delete the wrong one."


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("a,50,40,,", "onset 50 is after offset 40. Correct the row."),
        ("a,10,40,60,", "apex 60 is not between onset 10 and offset 40. Correct the row."),
        ("a,ten,40,,", "onset 'ten'. Expected a whole number of at least 1. Correct it."),
        ("a,0,40,,", "onset '0'. Expected a whole number of at least 1. Correct it."),
        ("a,1.5,40,,", "onset '1.5'. Expected a whole number of at least 1. Correct it."),
        ("a,,40,,", "the onset is blank, and the offset is not. Fill it in, or leave both blank."),
        (",10,40,,", "the video is blank. Fill it in."),
        ("a,10,40,,30", "the interval has 31 frames, and the video 30. Correct the row."),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(tmp_path, cells, message):
    path = written(tmp_path, f"video,onset,offset,apex,n_frames\na,1,2,,\n{cells}\n")
    assert refusal(path) == f"{path}: row 3: {message}"


def test_a_wrong_frame_rate_is_refused(tmp_path):
    path = written(tmp_path, "video,onset,offset,fps\na,1,2,fast\n")
    assert refusal(path) == f"{path}: row 2: fps 'fast'. Expected frames a second, such as 200. Correct it."


def test_a_file_that_is_not_a_csv_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe\x00")
    assert refusal(path).startswith(f"{path}: not a CSV of intervals (")
    assert refusal(path).endswith(
        "Give a file that mer spot --format csv wrote, or one with the columns video, onset, offset."
    )


def test_an_empty_file_is_refused(tmp_path):
    path = written(tmp_path, "")
    assert refusal(path) == f"{path}: the file is empty. Expected a header with video, onset, offset."


def test_a_file_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "absent.csv"
    assert refusal(path) == f"{path}: can't be read (No such file or directory). Check the path."


def test_a_quotation_mark_that_is_not_closed_does_not_swallow_rows(tmp_path):
    path = written(tmp_path, 'video,onset,offset\na,1,2\n"a,10,20\na,30,40\n')
    assert refusal(path) == (
        f"{path}: row 3: the video holds a line break. Close the quotation mark before it, or rename the video."
    )
