"Rendered faces: what the renderer is given, what it leaves on disk, and that expressions look like their names."
import time
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskfer_nb import faces
from maskfer_nb.files import code_files
from maskfer_nb.head import act, at_rest, build
from maskfer_nb.paint import BEARDS, COVERINGS, CUTS, looks
from maskfer_nb.worn import dressed, stand

ASSET = Path(str(files("maskfer_nb") / "head.npz"))


@pytest.fixture(scope="module")
def geometry():
    "Recipes and landmarks of 100 people in four expressions each, all seen from the front."
    table = faces.recipes(400, seed=7).assign(picture_yaw=0, picture_pitch=0, picture_roll=0)
    return table, np.stack([faces.landmarks(row) for _, row in table.iterrows()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faces")


@pytest.fixture(scope="module")
def rendered(folder):
    return faces.render(folder, n=24, seed=7)


def test_the_asset_is_small_plain_and_licensed():
    assert ASSET.stat().st_size < 2.5e6
    with np.load(ASSET, allow_pickle=False) as asset:
        assert {"vertices", "people", "local", "units", "triangles", "part"} <= set(asset.files)
    assert "CC0" in ASSET.with_suffix(".md").read_text()


def test_a_subject_is_the_same_person_in_every_class(geometry):
    table, _ = geometry
    person = table[[name for name in table if name.startswith("person_")]]
    assert (person.groupby(table.subject).nunique() == 1).all(axis=None)
    assert table.groupby("subject").label.agg(tuple).nunique() == 1 and table.label.value_counts().nunique() == 1
    assert table.person_age.nunique() == table.subject.nunique() and table.picture_gaze_x.nunique() == len(table)


def test_expressions_move_what_they_should(geometry):
    table, points = geometry
    points = points.reshape(100, 4, 68, 2) / np.linalg.norm(points[:, 36] - points[:, 45], axis=1).reshape(100, 4, 1, 1)
    angry, happy, normal, surprised = points.swapaxes(0, 1)
    corners = lambda p: (p[:, [51, 57], 1] - p[:, [48, 54], 1]).mean(1)
    brows = lambda p: p[:, 36:48, 1].mean(1) - p[:, 17:27, 1].mean(1)
    opening = lambda p: p[:, 66, 1] - p[:, 62, 1]
    assert np.mean(corners(happy) > corners(normal) + .02) > .97  # a smile smiles
    assert np.mean(brows(surprised) > brows(normal)) > .95 and np.mean(brows(angry) < brows(normal)) > .8
    assert np.mean(opening(surprised) > opening(normal) + .03) > .95

    def openness(p, eye):
        between = lambda a, b: np.linalg.norm(p[:, eye + a] - p[:, eye + b], axis=1)
        return (between(1, 5) + between(2, 4)) / between(0, 3) / 2

    shut = [np.minimum(openness(p, 36), openness(p, 42)) < .1 for p in (angry, happy, normal, surprised)]
    assert np.mean(shut) < .01  # nobody sleeps


def test_jaw_points_of_turned_heads_lie_on_the_outline():
    table = faces.recipes(400, seed=7)
    turned = table[table.picture_yaw.abs() > .3].head(12)
    assert len(turned) == 12
    on_edge = []
    for _, row in turned.iterrows():
        _, regions = faces.photograph(row)
        points = faces.landmarks(row)
        side = np.sign(points[27, 0] - (points[0, 0] + points[16, 0]) / 2)  # the nose moves towards the far cheek
        for k in range(2, 6):
            x, y = points[16 - k if side > 0 else k]
            column = lambda shift: int(np.clip(round(x + side * shift), 0, 111))
            row_ = int(np.clip(round(y), 0, 111))
            on_edge.append(regions[row_, column(-3)] == 2 and regions[row_, column(3)] != 2)
    assert np.mean(on_edge) > .9


def test_regions_are_where_the_landmarks_are(rendered):
    at = lambda regions, point: regions[tuple(np.clip(np.round(point[::-1]).astype(int), 0, 111))]
    for face in rendered.itertuples():
        regions = cv2.imread(face.regions, cv2.IMREAD_UNCHANGED)
        assert regions.shape == (112, 112) and set(np.unique(regions)) <= set(range(len(faces.REGIONS)))
        near_eyes = [at(regions, face.landmarks[eye].mean(0)) for eye in (slice(36, 42), slice(42, 48))]
        assert faces.REGIONS.index("eyes") in near_eyes
        assert at(regions, face.landmarks[48:60].mean(0)) == faces.REGIONS.index("mouth")


def test_what_is_there_is_kept_and_what_is_missing_is_rendered_again(rendered, folder):
    lost = Path(rendered.path[5])
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in lost.parent.iterdir()}
    assert len(before) == 48 and not list(folder.rglob("*partial*"))
    lost.unlink()
    time.sleep(.01)
    again = faces.render(folder, n=24, seed=7)
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in lost.parent.iterdir()}
    assert after.keys() == before.keys() and all(after[path][1] == before[path][1] for path in after)
    rewritten = {path.name for path in after if after[path][0] != before[path][0]}
    assert rewritten == {lost.name, f"{lost.stem}-regions.png"} and (again.path == rendered.path).all()


def test_other_parameters_go_to_another_folder(rendered, folder):
    other = faces.render(folder, n=4, seed=7, size=48, classes=("sad", "fearful"))
    assert Path(other.path[0]).parent != Path(rendered.path[0]).parent
    assert list(other.label) == ["sad", "fearful"] * 2 and cv2.imread(other.path[0]).shape == (48, 48, 3)
    for (_, row), points in zip(faces.recipes(4, seed=7, classes=("sad", "fearful")).iterrows(), other.landmarks):
        scaled = (faces.landmarks(row, 112) - 111 / 2) * 48 / 112 + 47 / 2  # pixels are counted from their middle
        np.testing.assert_allclose(points, scaled, atol=1e-4)


def test_a_folder_stands_for_all_code_that_faces_rest_on():
    names = {file.name for file in code_files("faces")}
    assert names == {"head.npz", "head.py", "paint.py", "worn.py", "creases.py", "faces.py", "files.py"}


def test_an_unknown_class_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match="no class 'bored'; there are angry, happy"):
        faces.recipes(4, classes=("happy", "bored"))


def _drawn(n: int, seed: int) -> list:
    "People as recipes draw them, without pictures."
    people = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        body = build(rng)
        people.append(body | looks(body, rng))
    return people


def test_glasses_beards_and_head_coverings_are_as_frequent_as_was_chosen():
    people = _drawn(2000, seed=3)
    share = lambda name: np.mean([person[name] > 0 for person in people])
    assert abs(share("glasses") - .15) < .03 and abs(share("covering") - .12) < .03
    assert not any(person["beard"] for person in people if person["sex"] > .5)
    assert {person["cut"] for person in people} == set(range(len(CUTS)))


@pytest.mark.parametrize("tone", range(8))
def test_skin_is_never_grey(tone):
    bare = dict(person_tone=tone, person_beard=0, person_glasses=0, person_covering=0)
    row = faces.recipes(4 * 8, seed=5).iloc[4 * tone + 2]
    picture, regions = faces.photograph(row.where(~row.index.isin(bare), row.index.map(bare)), 64)
    lab = cv2.cvtColor(np.float32(picture) / 255, cv2.COLOR_RGB2LAB)[regions == faces.REGIONS.index("face")]
    a, b = np.median(lab[:, 1:], 0)
    assert a > 0 and b > 0 and np.hypot(a, b) >= 16, (a, b)


@pytest.mark.parametrize("kind", range(1, len(COVERINGS)))
def test_head_coverings_leave_the_brows_free(kind):
    free = []
    for _, row in faces.recipes(16, seed=5).iterrows():
        row["person_covering"], row["person_fringe"] = kind, 0
        _, regions = faces.photograph(row, 112)
        column, line = faces.landmarks(row)[17:27].round().astype(int).clip(0, 111).T
        free += list(np.isin(regions[line, column], [faces.REGIONS.index("eyes"), faces.REGIONS.index("face")]))
    assert np.mean(free) > .93


def test_what_stands_on_the_skin_goes_where_the_skin_goes():
    row = faces.recipes(4, seed=5).iloc[3].copy()
    row["person_beard"] = BEARDS.index("full")
    person = tuple(faces.part_of(row, "person").items())
    hairs, rest = dressed(person)["whiskers"], at_rest(person)
    open_mouth = act(rest, dict(jawOpen=.8))
    moved = (stand(hairs, open_mouth) - stand(hairs, rest)).reshape(hairs["offsets"].shape)
    skin = ((open_mouth - rest)[hairs["corners"]] * hairs["shares"][..., None]).sum(1)
    np.testing.assert_allclose(moved, np.broadcast_to(skin[:, None], moved.shape), atol=1e-6)
    assert np.abs(skin).max() > .005


@pytest.mark.parametrize("cut", range(1, len(CUTS)))
def test_no_hair_grows_out_of_the_mouth(cut):
    row = faces.recipes(4, seed=5).iloc[2].copy()
    row["person_cut"], row["person_covering"] = cut, 0
    person = tuple(faces.part_of(row, "person").items())
    hairs, rest = dressed(person)["strands"], at_rest(person)
    roots = (rest[hairs["corners"]] * hairs["shares"][..., None]).sum(1)
    x, y, z = roots.T
    assert len(roots) > 500 and not ((np.abs(x) < .035) & (y < .1) & (z < 0)).any()
