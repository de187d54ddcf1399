"""Label schemes from a file of the user's own: what a file says, and every mistake in one."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from mer_cli.datasets.casme2 import VERSIONS
from mer_cli.datasets.scheme_file import check_clips, datasets_in, read_scheme, scheme_text
from mer_cli.datasets.schemes import check_counts, protocol_id, resolve_scheme
from mer_cli.errors import ConfigError

MINE = """\
name = "mine"
classes = ["good", "bad"]

[mylab]
smile = "good"
frown = "bad"
drop = ["blink"]
leave_out = ["p2/b"]
"""
CASME2 = '[casme2]\nhappiness = "good"\ndrop = ["disgust"]\n'
EMOTIONS = {"mylab": {"smile", "frown", "blink"}}
CLIPS = {"mylab/p1/a": "smile", "mylab/p1/b": "frown", "mylab/p2/a": "blink", "mylab/p2/b": "frown"}
KNOWN_CLASSES = 'for example: classes = ["positive", "negative", "surprise"]'


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the file, mine.toml in the user's folder; pairs replace what stands in it."""
    monkeypatch.chdir(tmp_path)

    def write_file(*changes, text=MINE):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        Path("mine.toml").write_text(text, encoding="utf-8")
        return Path("mine.toml")

    return write_file


def labels_of(scheme, clips=CLIPS):
    labels = {clip_id: scheme.label(clip_id, emotion) for clip_id, emotion in clips.items()}
    return {clip_id: label for clip_id, label in labels.items() if label is not None}


def refuse(expected, emotions=EMOTIONS):
    with pytest.raises(ConfigError) as error:
        resolve_scheme("mine.toml", emotions)
    assert str(error.value) == expected


def test_a_file_maps_drops_and_leaves_out(write):
    write()
    scheme = resolve_scheme("mine.toml", EMOTIONS)
    assert (scheme.name, scheme.class_names, scheme.datasets) == ("mine", ("good", "bad"), ("mylab",))
    assert labels_of(scheme) == {"mylab/p1/a": 0, "mylab/p1/b": 1}
    assert protocol_id(scheme, ["mylab"], 2) == "mylab-mine/2"


def test_a_scheme_has_only_the_datasets_that_are_used_and_the_file_tells_all_of_them(write):
    path = write(text=MINE + CASME2)
    assert resolve_scheme("mine.toml", EMOTIONS).datasets == ("mylab",)
    assert set(resolve_scheme("mine.toml", {**EMOTIONS, "casme2": {"disgust"}}).datasets) == {"mylab", "casme2"}
    assert set(datasets_in(path)) == {"mylab", "casme2"}


def test_a_clip_may_be_left_out_by_its_whole_id(write):
    write(('"p2/b"', '"mylab/p2/b"'))
    assert resolve_scheme("mine.toml", EMOTIONS).left_out == {"mylab/p2/b"}


def test_a_schemes_own_text_gives_the_same_scheme_again(write):
    clip, emotion = 'mylab/p 1/ä"b', 'big "smile"'
    path = write(('leave_out = ["p2/b"]', 'leave_out = [\'p 1/ä"b\']\n\'big "smile"\' = "good"'))
    emotions = {"mylab": {*EMOTIONS["mylab"], emotion}}
    first = read_scheme(path, emotions, ())
    assert (first.left_out, first.class_of["mylab"][emotion]) == ({clip}, "good")
    text = scheme_text(first)
    write(text=text)
    again = read_scheme(path, emotions, ())
    assert (again.class_names, again.class_of, again.left_out) == (first.class_names, first.class_of, first.left_out)
    assert scheme_text(again) == text


def test_the_example_of_the_documentation_gives_what_it_expects_of_the_published_table(write):
    page = (Path(__file__).parents[1] / "docs/labels.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    write(text=text)
    counts = VERSIONS["20190701"]
    scheme = resolve_scheme("mine.toml", {"casme2": counts})
    clips = {f"casme2/01/{emotion}{number}": emotion for emotion, count in counts.items() for number in range(count)}
    del clips["casme2/01/disgust0"]
    labels = labels_of(scheme, {**clips, "casme2/04/EP12_01f": "disgust"})
    assert check_counts(scheme, "casme2", "20190701", labels) is None
    assert Counter(labels.values()) == dict(enumerate((32, 62, 28, 27)))


def test_counts_that_differ_from_the_expected_ones_are_told_whatever_the_table(write):
    write(text=f"{MINE}[expected.mylab]\ngood = 1\nbad = 1\nsubjects = 1\n")
    scheme = resolve_scheme("mine.toml", EMOTIONS)
    assert check_counts(scheme, "mylab", "", labels_of(scheme)) is None
    more = {**labels_of(scheme), "mylab/p3/a": 1}
    assert check_counts(scheme, "mylab", "any", more) == (
        "mine: the store holds good 1, bad 2 of 2 subjects. Expected good 1, bad 1 of 1 subjects in mine.toml. "
        "`mer info` lists the clips that failed."
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("name =", "nom =")],
         "Unknown key 'nom'. Known: name, classes, expected. Emotions go into the section of their dataset, such as "
         "[casme2]."),
        ([("name =", "nam =")],
         "Unknown key 'nam'. Known: name, classes, expected. Did you mean 'name'? Emotions go into the section of "
         "their dataset, such as [casme2]."),
        ([("leave_out", "[expectd.mylab]\nleave_out")],
         "Unknown key 'expectd'. Known: name, classes, expected. Did you mean 'expected'? Emotions go into the section "
         "of their dataset, such as [casme2]."),
        ([('name = "mine"\n', "")], 'has no name. Give the scheme one, for example: name = "my3".'),
        ([('"mine"', '"my/3"')],
         'name is \'my/3\'. Expected letters, digits, "-" and "_", for example: name = "my3".'),
        ([('"mine"', '"MMNet3"')],
         "name is 'MMNet3', and mer has a scheme 'mmnet3' of its own. Choose another name."),
        ([('"mine"', '"labels"')],
         "name is 'labels', and mer has a scheme 'labels' of its own. Choose another name."),
        ([('"mine"', '"5"'), ("leave_out", 'leave_out = []\n[casme2]\nhappiness = "good"\n#')],
         "name is '5', and mer has a scheme 'casme2-5' of its own. Choose another name."),
        ([('"mine"', '"mylab-megc3"')],
         "name is 'mylab-megc3', and mer has a scheme 'megc3' of its own. Choose another name."),
        ([('classes = ["good", "bad"]\n', "")],
         f"has no classes. List them in the order of their labels, {KNOWN_CLASSES}."),
        ([('["good", "bad"]', '"good"')], f"classes is 'good'. Expected a list of names, {KNOWN_CLASSES}."),
        ([('["good", "bad"]', '["good"]')], f"classes has 1 of them. Expected at least 2, {KNOWN_CLASSES}."),
        ([('["good", "bad"]', '["good", "bad", "good"]')], "classes names 'good' twice. Name it once."),
        ([("[mylab]", "[mylap]")],
         "has no section for mylab, the dataset of a store. Did you mean 'mylap'? Add [mylab], and say there which "
         "class each emotion belongs to."),
        ([("smile", "smiel")],
         "[mylab]: Unknown emotion 'smiel'. Known: blink, frown, smile. Did you mean 'smile'? Other keys: drop, "
         "leave_out."),
        ([("blink", "wink")],
         "[mylab]: Unknown emotion 'wink'. Known: blink, frown, smile. Did you mean 'blink'? Other keys: drop, "
         "leave_out."),
        ([("leave_out", "leaveout")],
         "[mylab]: Unknown emotion 'leaveout'. Known: blink, frown, smile. Other keys: drop, leave_out."),
        ([("leave_out", 'leave_out = []\n[casme2]\nhapiness = "good"\n#')],
         "[casme2]: Unknown emotion 'hapiness'. Known: happiness, disgust, repression, surprise, others, sadness, "
         "fear. Did you mean 'happiness'? Other keys: drop, leave_out."),
        ([('smile = "good"', 'smile = "god"')],
         "[mylab]: smile: Unknown class 'god'. Known: good, bad. Did you mean 'good'?"),
        ([('smile = "good"', "smile = 0")],
         "[mylab]: smile is 0. Expected the name of a class, in quotes; for emotions to leave out: drop = "
         "[\"smile\"]."),
        ([('["blink"]', '"blink"')],
         "[mylab]: drop is 'blink'. Expected a list, for example: drop = [\"others\", \"fear\"]."),
        ([('["p2/b"]', "[4]")],
         "[mylab]: leave_out is [4]. Expected a list, for example: leave_out = [\"04/EP12_01f\"]."),
        ([('["blink"]', '["blink", "smile"]')],
         "[mylab]: 'smile' has a class and is dropped. Do one of the two."),
        ([('smile = "good"\n', ""), ('frown = "bad"', 'frown = "good"'), ('drop = ["blink"]', 'blink = "bad"')],
         "[mylab] says nothing of smile, which the store has. Give each a class, or leave it out: drop = [\"smile\"]."),
        ([('drop = ["blink"]\n', ""), ('frown = "bad"\n', "")],
         "[mylab] says nothing of blink, frown, which the store has. Give each a class, or leave it out: drop = "
         "[\"blink\", \"frown\"]."),
        ([('frown = "bad"', 'frown = "good"')],
         "no emotion belongs to class 'bad'. Give it one, or take it out of classes."),
        ([("[mylab]", "[expected.mylib]\ngood = 1\nbad = 1\n[mylab]")],
         "[expected.mylib]: Unknown dataset 'mylib'. Known: mylab. Did you mean 'mylab'?"),
        ([("[mylab]", "[expected.mylab]\ngood = 1\nbat = 1\n[mylab]")],
         "[expected.mylab]: Unknown class 'bat'. Known: good, bad, subjects. Did you mean 'bad'?"),
        ([("[mylab]", "[expected.mylab]\ngood = 1\nbad = true\n[mylab]")],
         "[expected.mylab]: bad is True. Expected a number of clips or subjects, 0 or more."),
        ([("[mylab]", "[expected.mylab]\ngood = -1\nbad = 1\n[mylab]")],
         "[expected.mylab]: good is -1. Expected a number of clips or subjects, 0 or more."),
        ([("[mylab]", "[expected.mylab]\nsubjects = 1\n[mylab]")],
         "[expected.mylab] lacks good, bad. Give the clips of every class, or none at all."),
        ([("[mylab]", "[expected]\nmylab = 3\n[mylab]")],
         "expected needs a section for each dataset, such as [expected.casme2]."),
    ],
)  # fmt: skip
def test_each_mistake_in_a_file_is_named(write, changes, message):
    write(*changes)
    refuse(f"mine.toml: {message}")


@pytest.mark.parametrize("name", ["units", "Units-1-4", "mylab-units-12"])
def test_the_names_of_action_units_as_targets_are_taken(write, name):
    write(('name = "mine"', f'name = "{name}"'))
    alias = name.casefold().removeprefix("mylab-")
    refuse(f"mine.toml: name is '{name}', and mer has a scheme '{alias}' of its own. Choose another name.")


def test_a_file_that_is_not_toml_is_refused_with_the_line(write):
    path = write(('smile = "good"', "smile = good"))
    with pytest.raises(tomllib.TOMLDecodeError) as problem:
        tomllib.loads(path.read_text())
    assert "line 5" in str(problem.value)
    refuse(f"mine.toml: not valid TOML: {problem.value}. Correct it; docs/labels.md shows an example.")


def test_an_emotion_that_is_named_twice_is_refused_with_the_line(write):
    write(('frown = "bad"', 'smile = "bad"'))
    with pytest.raises(ConfigError, match=r"^mine.toml: not valid TOML: .*line 6"):
        resolve_scheme("mine.toml", EMOTIONS)


def test_a_file_that_cannot_be_read_is_named(write):
    write()
    Path("latin.toml").write_bytes(MINE.replace("smile", "lächeln").encode("latin-1"))
    for name, problem in (
        ("none.toml", "can't be read (No such file or directory). Give --scheme the path of a TOML file, as "
                      "docs/labels.md shows."),
        ("latin.toml", "not text in UTF-8. Save it as UTF-8."),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as error:
            resolve_scheme(name, EMOTIONS)
        assert str(error.value) == f"{name}: {problem}"


def test_a_byte_order_mark_of_an_editor_does_no_harm(write):
    write()
    Path("mine.toml").write_bytes(b"\xef\xbb\xbf" + MINE.encode())
    assert resolve_scheme("mine.toml", EMOTIONS).name == "mine"


def test_a_left_out_clip_must_be_in_the_store_and_each_class_must_have_a_clip(write):
    write()
    scheme = resolve_scheme("mine.toml", EMOTIONS)
    check_clips(scheme, CLIPS, labels_of(scheme))
    with pytest.raises(ConfigError) as error:
        check_clips(scheme, [clip for clip in CLIPS if clip != "mylab/p2/b"], labels_of(scheme))
    assert str(error.value) == (
        "mine.toml: leave_out names mylab/p2/b, which the store does not have. Did you mean 'mylab/p2/a'? Correct it, "
        "or take it out."
    )
    with pytest.raises(ConfigError) as error:
        check_clips(scheme, CLIPS, {"mylab/p1/a": 0})
    assert str(error.value) == (
        "mine.toml: class 'bad' has no clip in the store (its emotions: frown). Give it an emotion of the store, or "
        "take it out of classes."
    )
