"""The audit's pages as a browser reads them: what they say, that all links lead somewhere, that text stays text."""

import re
from html.parser import HTMLParser

import pytest
from test_store_audit import FAILED, clip_of, clip_of_id, files_in, write_audit
from tiny_store import EMOTIONS

from mer_cli.records import FailedClip
from mer_cli.store.audit_page import AuditRow, file_stem, subject_pages

VOID = {"meta", "img", "br", "link", "input"}
NASTY = "casme2/01/<b>\"EP\" & 'x'</b>"


class Page(HTMLParser):
    """What a page says and points to; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.targets, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.targets += [attributes[name] for name in ("href", "src") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def pages_of(folder):
    return {name: Page(data.decode()) for name, data in files_in(folder).items() if name.endswith(".html")}


def some_clips():
    clips = [clip_of(clip_id, emotion) for clip_id, emotion in EMOTIONS.items()]
    clips[1] = clip_of("casme2/01/EP02_01", status="repaired", note="offset 70 is not on disk: 68 is taken")
    return clips


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return pages_of(write_audit(tmp_path_factory.mktemp("audit") / "a", some_clips(), [FAILED]))


def test_index_tells_the_state_of_every_row(pages):
    text = pages["index.html"].text
    assert "Audit of casme2: 4 clips ok, 1 repaired, 1 failed" in text
    assert "CASME2-coding-20190701.xlsx (20190701)" in text
    assert (
        "Failed clips: 1 clip why, and what it changes casme2/03/EP09_09 (others) failed: row 7: no folder. Unpack it "
        "again. casme2-5 has 1 others fewer; casme2-7 has 1 others fewer; casme2-4 has 1 others fewer."
    ) in text
    assert "Errata applied: 1 casme2/04/EP12_01f: apex / set to 291." in text
    assert "Repaired clips: 1 Point at an apex" in text
    assert "casme2/01/EP02_01 · disgust · repaired offset 70 is not on disk: 68 is taken onset 10, landmarks" in text
    assert "Subjects: 3 01 2 clips, 1 repaired 02 2 clips 03 1 clip, 1 failed" in text


def test_index_sets_counts_beside_the_published_ones_and_marks_those_that_differ(pages):
    index = pages["index.html"]
    assert (
        "class casme2-5/5 published happiness 2 32 repression 0 27 disgust 2 63 surprise 1 28 others 0 99" in index.text
    )
    n_differing = sum("differs" in attributes.get("class", "") for tag, attributes in index.tags if tag == "td")
    assert n_differing == 7 + 5 + 9 + 6 + 5  # classes, all clips and subjects of five schemes
    assert "warning: casme2-5: the store holds happiness 2" in index.text


def test_index_of_the_older_table_names_its_three_other_rows(tmp_path):
    text = pages_of(write_audit(tmp_path / "a", some_clips(), table_version="20140508"))["index.html"].text
    assert "Rows that differ from the published table" in text
    assert text.count("is sadness in table 20140508, surprise in 20190701.") == 3


def test_index_says_that_faces_are_generated(tmp_path):
    text = pages_of(write_audit(tmp_path / "a", some_clips(), generated=True))["index.html"].text
    assert "generated: no score on them is a result on the dataset" in text


def test_subject_page_shows_each_clip_with_numbers_emotion_detector_and_note(pages):
    text = pages["subject-01.html"].text
    assert "Subject 01: 2 clips, 1 repaired" in text
    assert "casme2/01/EP01_01 · happiness onset 10, landmarks apex 70 what moved" in text
    assert "onset 10, apex 70, offset 100; face found by hog" in text
    assert "offset 70 is not on disk: 68 is taken" in text
    assert "casme2/03/EP09_09 · others · failed row 7: no folder. Unpack it again." in pages["subject-03.html"].text


def test_subject_pages_lead_to_each_other_and_back(pages):
    assert pages["subject-02.html"].targets[1:4] == ["index.html", "subject-01.html", "subject-03.html"]
    assert [target for target in pages["subject-01.html"].targets if "subject" in target] == ["subject-02.html"]


def test_every_link_and_picture_is_there(tmp_path):
    failed = FailedClip("casme2/x y/EP01", "others", "row 9: gone.")
    folder = write_audit(tmp_path / "a", [*some_clips(), clip_of_id(NASTY)], [failed])
    pages, files = pages_of(folder), files_in(folder)
    assert len(pages) == 5
    for name, page in pages.items():
        assert len(set(page.ids)) == len(page.ids)
        for target in page.targets:
            file, _, anchor = target.partition("#")
            assert (file or name) in files, target
            assert not anchor or anchor in pages[file or name].ids, target


def test_pages_need_nothing_from_elsewhere_and_no_script(pages):
    for page in pages.values():
        assert not [target for target in page.targets if re.match(r"[a-z]+:|/", target)]
        assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe"}]


def test_pages_are_read_with_the_keyboard_in_light_and_dark(tmp_path):
    folder = write_audit(tmp_path / "a", some_clips())
    text = (folder / "subject-01.html").read_text()
    assert "prefers-color-scheme: dark" in text
    assert ":focus-visible" in text
    apexes = [attributes for tag, attributes in Page(text).tags if attributes.get("class") == "apex"]
    assert [attributes["tabindex"] for attributes in apexes] == ["0", "0"]
    assert all(attributes["alt"] for tag, attributes in Page(text).tags if tag == "img")


def test_ids_notes_and_reasons_are_text_and_never_markup(tmp_path):
    failed = FailedClip(NASTY, "<i>", "row 9: <script>alert(1)</script> & 'more' \"words\".")
    clips = [clip_of_id("casme2/02/EP & <u>"), clip_of("casme2/01/EP1", status="repaired", note="<s>mended</s> & so")]
    folder = write_audit(tmp_path / "a", clips, [failed], errata=("<em>one</em>",), table='<b>".xlsx')
    pages = pages_of(folder)
    tags = {tag for page in pages.values() for tag, _ in page.tags}
    assert not tags & {"b", "u", "s", "i", "em", "script"}
    assert f"{NASTY} (<i>) failed: row 9: <script>alert(1)</script> & 'more' \"words\"." in pages["index.html"].text
    assert "<s>mended</s> & so" in pages["index.html"].text
    assert "casme2/02/EP & <u>" in pages["subject-02.html"].text
    assert NASTY in pages["subject-01.html"].text
    assert "casme2/02/EP & <u>, onset with the 68 landmarks" in [
        attributes.get("alt") for _, attributes in pages["subject-02.html"].tags
    ]


def test_subject_pages_have_names_that_any_disk_takes():
    ids = ["casme3/spNO.1/a_1", "mine/Ann/1", "mine/ann/1", "mine/../1", "mine/a b/1", f"mine/{'x' * 300}/1"]
    pages = subject_pages(AuditRow(clip_id, "", None, None, None, "ok", "") for clip_id in ids)
    files = {page.name: page.file for page in pages}
    assert files["spNO.1"] == "subject-spNO.1.html"
    assert re.fullmatch(r"subject-Ann-[0-9a-f]{10}\.html", files["Ann"])
    assert re.fullmatch(r"subject-a_b-[0-9a-f]{10}\.html", files["a b"])
    assert len({file.casefold() for file in files.values()}) == len(files)
    assert max(map(len, files.values())) < 120


def test_subject_pages_come_in_order_whatever_the_order_of_rows():
    rows = [AuditRow(f"casme2/{s}/{k}", "", None, None, None, "ok", "") for s in ("02", "01") for k in "ba"]
    pages = subject_pages(rows)
    assert pages == subject_pages(rows[::-1])
    assert [(page.name, [row.clip_id[-1] for row in page.rows]) for page in pages] == [
        ("01", ["a", "b"]),
        ("02", ["a", "b"]),
    ]


def test_file_stem_is_plain_short_and_another_for_each_text():
    texts = ["casme2/01/EP01", "casme2/01/ep01", "casme2/01/EP:01", "casme2/01/EP?01", "é", "x" * 500, "x" * 501]
    stems = [file_stem(text) for text in texts]
    assert len({stem.casefold() for stem in stems}) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{12,91}", stem) for stem in stems)
