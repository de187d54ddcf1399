"""Writes a tiny true CASME II tree: drawn pictures, a real workbook with the released columns."""

import cv2
import numpy as np
from openpyxl import Workbook

HEADER = [
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
]
ROWS = (  # subject, clip, onset, apex, offset, units, emotion
    ("01", "EP02_01f", 46, 59, 86, 12, "happiness"),
    ("01", "EP03_02", 131, 161, 181, "4+L10", "others"),
    ("02", "EP01_11f", 46, 51, 60, "4+7", "disgust"),
    ("17", "EP06_02_01", 5, 9, 14, 1, "surprise"),
)


def write_table(path, rows=ROWS, header=HEADER, notes=0):
    """A coding table; `notes` rows of text stand above the header."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Sheet1"
    book.create_sheet("Sheet2")
    for note in range(notes):
        sheet.append([f"note {note}"])
    sheet.append(header)
    for subject, name, onset, apex, offset, units, emotion in rows:
        sheet.append([subject, name, None, onset, apex, offset, None, units, emotion])
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def write_frames(folder, numbers, pattern="img{}.jpg"):
    """A small grey picture for each frame number; a comment in it tells its folder, so no other has the same bytes."""
    note = "/".join(folder.parts[-2:]).encode()
    comment = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        picture = np.full((8, 8, 3), number % 256, np.uint8)
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        (folder / pattern.format(number)).write_bytes(data[:2] + comment + data[2:])


def write_video(path, n_frames, size=(64, 48)):
    """A video whose frames are grey, the brighter the later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, size)
    for number in range(1, n_frames + 1):
        writer.write(np.full((size[1], size[0], 3), 10 * number % 256, np.uint8))
    writer.release()
    return path


def write_release(root, pictures="CASME2_RAW_selected", rows=ROWS, *, subject_folder="sub{}", pattern="img{}.jpg"):
    """The tree of `rows`, each clip with its frames from onset to offset; the table lies in `root`."""
    for subject, name, onset, _, offset, *_ in rows:
        write_frames(root / pictures / subject_folder.format(subject) / name, range(onset, offset + 1), pattern)
    write_table(root / "CASME2-coding-20190701.xlsx", rows)
    return root
