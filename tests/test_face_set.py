"The set of rendered faces: its bytes, its split, and that its pictures come out of its numbers again."
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from maskfer_nb import face_set, faces
from maskfer_nb.files import root
from maskfer_nb.layouts import RENDERED_LICENCE
from maskfer_nb.sources import SHIPPED, load, read_image

MEGABYTES = 19


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faces")


@pytest.fixture(scope="module")
def small(folder):
    "Forty faces of ten people."
    face_set.make(folder, folder / "small.zip", n=40, seed=4, size=48, samples=8)
    return folder / "small.zip"


@pytest.fixture(scope="module")
def shipped():
    if not (root() / SHIPPED).exists(): pytest.skip(f"{SHIPPED} is not there: make faces renders it")
    return root() / SHIPPED


def test_a_set_has_every_file_of_every_face_and_the_same_bytes_again(small, folder):
    before = small.read_bytes()
    face_set.make(folder, folder / "again.zip", n=40, seed=4, size=48, samples=8)
    assert (folder / "again.zip").read_bytes() == before
    with zipfile.ZipFile(small) as archive:
        members = archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        card = archive.read("README.md").decode()
    names = [f"rendered-4-{number:06}" for number in range(40)]
    assert members == ["README.md", "faces.parquet", *(f"pictures/{name}.webp" for name in names),
                       *(f"regions/{name}.png" for name in names)]
    assert "40 faces of 10 people who do not exist, 48 pixels" in card and RENDERED_LICENCE in card
    assert faces.LICENCE == RENDERED_LICENCE


def test_a_set_holds_what_the_renderer_says(small, folder):
    made = faces.render(folder, n=40, seed=4, size=48, samples=8)
    drawn, numbers = faces.recipes(40, 4), face_set.read_numbers(small)
    found, rejects = load(small)
    assert rejects.empty and found.face_id.tolist() == numbers.face_id.tolist() == made.face_id.tolist()
    assert np.abs(np.stack(found.landmarks) - np.stack(made.landmarks)).max() <= 1 / 64
    for name in drawn.select_dtypes("number"):
        whole = drawn[name].dtype.kind == "i"
        assert numbers[name].dtype == (np.int64 if whole else np.float32), name
        assert np.array_equal(numbers[name], drawn[name].astype(numbers[name].dtype)), name
    for number, face in enumerate(found.itertuples()):
        with zipfile.ZipFile(small) as archive: stored = archive.read(f"regions/{face.face_id}.png")
        assert np.array_equal(Image.open(io.BytesIO(stored)), Image.open(made.regions[number]))
        assert np.abs(read_image(face.path).astype(int) - read_image(made.path[number])).mean() < 8


def check_split(numbers):
    "A tenth of the people are test, nobody is both, and every class has its tenth."
    people = numbers.groupby("subject").split.agg(["nunique", "first"])
    assert (people["nunique"] == 1).all() and (people["first"] == "test").sum() == round(len(people) / 10)
    counts = numbers.groupby("split").label.value_counts().unstack()
    assert (counts.nunique(axis=1) == 1).all() and set(counts.index) == {"train", "test"}


def test_a_tenth_of_the_people_are_test(small):
    check_split(face_set.read_numbers(small))
    drawn = faces.recipes(5200 // 20)
    one, other = (face_set.split_people(drawn, seed) for seed in (0, 1))
    assert one.equals(face_set.split_people(drawn, 0)) and not one.equals(other)


def rendered_again(path, n):
    "Twenty of a set's faces beside what their numbers render: median grey levels a picture, and values beyond two."
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba: pip install 'maskfer_nb[render]'")
    table = load(path)[0].set_index("face_id").path
    medians, beyond = {}, []
    for _, row in face_set.read_numbers(path).sample(n, random_state=0).iterrows():
        apart = np.abs(face_set.again(row).astype(int) - read_image(table[row.face_id]))
        medians[row.face_id] = np.median(apart)
        beyond.append((apart > 2).mean())
    print(f"{np.mean(beyond):.2%} of the values are more than two grey levels apart, {max(beyond):.2%} in one picture")
    return medians


def test_what_is_stored_comes_out_of_its_numbers_again(small):
    medians = rendered_again(small, 5)
    assert max(medians.values()) <= 2, medians


def test_other_numbers_are_another_picture(small):
    row = face_set.read_numbers(small).iloc[0].copy()
    before = face_set.again(row)
    row["picture_yaw"] += 0.3
    assert np.median(np.abs(face_set.again(row).astype(int) - before)) > 2


def test_shipped_faces_come_out_of_their_numbers_again(shipped):
    medians = rendered_again(shipped, 20)
    assert len(medians) == 20 and max(medians.values()) <= 2, medians


def test_the_shipped_set_is_whole_and_small(shipped):
    found, rejects = load(shipped)
    numbers = face_set.read_numbers(shipped)
    assert rejects.empty and len(found) == len(numbers) and shipped.stat().st_size < MEGABYTES * 1e6
    check_split(numbers)
    assert set(found.label) == {"angry", "happy", "normal", "surprised"} and set(found.split) == {"train", "test"}
    some = found.sample(20, random_state=0)
    assert {read_image(path).shape for path in some.path} == {(112, 112, 3)}
    assert all((points > -20).all() and (points < 132).all() for points in found.landmarks)
