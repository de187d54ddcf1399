"""The rows of the paper's Table 6 (CASME II) as printed there, and what has to be known before comparing with them.

Source: Li, Sui, Zhu, Zhao: MMNet, IJCAI 2022, Table 6. `clips` is the number of clips for which the printed accuracy
is a whole number of correct clips (searched over 125-158 for three classes, 235-257 for five; not all that fit are
likely), as pooled accuracy would be; the paper states no comparator's set. "?" cannot be told, "–" is no accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_STATED = "not stated"
AUTHORS_RULE = "best-test, selected on the test subject"


@dataclass(frozen=True)
class PublishedRow:
    """One method; `accuracy` (%) and `f1` are the printed characters. `notes` are keys of `NOTES`."""

    method: str
    n_classes: int
    accuracy: str
    f1: str
    clips: str
    notes: tuple[str, ...] = ()
    epoch_rule: str = NOT_STATED


@dataclass(frozen=True)
class PaperRun:
    """MMNet's own row: the scheme that repeats it, and the clip set that it was measured on."""

    row: PublishedRow
    scheme: str
    protocol_id: str
    n_subjects: int


NOTES = {
    "megc": "Three classes of MEGC 2019 (disgust and repression are negative): another clip set than MMNet's.",
    "ststnet": "The printed accuracy is STSTNet's UAR; it was trained and tested on SMIC, CASME II and SAMM together "
    "(442 clips).",
    "decimal": "Printed to one decimal, so the clip set cannot be told.",
    "minet": "A survey (arXiv 2107.02823) lists it with five classes (unverified).",
    "tscnn": "Pre-trained on FER2013 (unverified).",
    "dikd": "The same survey lists it with four classes (unverified). 252 clips fit if 72.619 was cut, not rounded.",
    "leak": "The released script chooses the epochs by the held-out subject's score, and accuracy and F1 from "
    "different epochs; the author confirms it (muse1998/MMNet, issue 9).",
    "mmnet3": "Negative holds disgust 63, repression 27, sadness 4 and fear 2, so 156 clips and not the 145 of MEGC.",
    "mmnet5": "Needs the table CASME2-coding-20190701; the older one holds 246 clips of the five classes.",
}

COMPARATORS = (
    PublishedRow("OFF-ApexNet", 3, "88.28", ".8697", "145 or 128", ("megc",)),
    PublishedRow("STSTNet", 3, "86.86", ".8382", "–", ("ststnet",)),
    PublishedRow("AU-GACN", 3, "71.20", ".3550", "?", ("decimal",)),
    PublishedRow("MTMNet", 3, "75.60", ".7010", "?", ("decimal",)),
    PublishedRow("MiNet&MaNet", 3, "79.90", ".7590", "?", ("decimal", "minet")),
    PublishedRow("GACNN", 3, "89.66", ".8695", "145", ("megc",)),
    PublishedRow("DSSN", 5, "71.19", ".7297", "243 or 236"),
    PublishedRow("TSCNN", 5, "80.97", ".8070", "247", ("tscnn",)),
    PublishedRow("Dynamic", 5, "72.61", ".6700", "241 or 252", ("dikd",)),
    PublishedRow("Graph-TCN", 5, "73.98", ".7246", "246"),
    PublishedRow("SMA-STN", 5, "82.59", ".7946", "247"),
    PublishedRow("AU-GCN", 5, "74.27", ".7047", "241"),
    PublishedRow("GEME", 5, "75.20", ".7354", "246"),
    PublishedRow("MERSiamC3D", 5, "81.89", ".8300", "243 or 254"),
)

MMNET_ON_CASME2 = (
    PaperRun(
        PublishedRow("MMNet", 3, "95.51", ".9494", "156", ("leak", "mmnet3"), AUTHORS_RULE),
        scheme="mmnet3",
        protocol_id="casme2-mmnet3/156",
        n_subjects=25,
    ),
    PaperRun(
        PublishedRow("MMNet", 5, "88.35", ".8676", "249", ("leak", "mmnet5"), AUTHORS_RULE),
        scheme="casme2-5",
        protocol_id="casme2-5/249",
        n_subjects=26,
    ),
)
