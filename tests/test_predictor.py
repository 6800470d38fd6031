"""What an importing user relies on: weights that come along, several faces, and errors that say what was wrong."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskfer_nb import command, fabrics, faces, landmarks, masks
from maskfer_nb.predictor import SIDE, MaskedFER, crop

WEIGHTS = Path(__file__).parents[1] / "maskfer_nb/masked_fer"


@pytest.fixture(scope="module")
def model():
    return MaskedFER.from_pretrained()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    "Rendered people: pictures, landmarks."
    rows = [row for _, row in faces.recipes(12, seed=21, classes=("happy", "surprised", "normal")).iterrows()]
    return [faces.photograph(row, 160)[0] for row in rows], [faces.landmarks(row, 160) for row in rows]


def test_the_weights_are_small_plain_and_licensed():
    assert (WEIGHTS / "model.safetensors").stat().st_size < 10e6
    assert "Apache-2.0" in (WEIGHTS / "README.md").read_text() and not list(WEIGHTS.glob("*.bin"))


def test_masks_are_told_from_none(model, people):
    told = []
    for number, (picture, points) in enumerate(zip(*people)):
        masked = masks.paste(picture, points, fabrics.mask(fabrics.KINDS[number % 3], "random", number), "rigid").image
        told += [(face.masked > 0.5) == worn for worn, shown in ((False, picture), (True, masked)) for face in model(shown)[:1]]
    assert len(told) >= 18 and np.mean(told) > 0.85


def test_every_face_of_a_picture(model, people):
    four = [cv2.resize(picture, (240, 240)) for picture in people[0][2:6]]
    found = model(np.concatenate([np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)]))
    places = {tuple((face.square.mean(0) // 240).astype(int)) for face in found}
    assert len(found) == len(places) >= 3 and places <= {(x, y) for x in (0, 1) for y in (0, 1)}
    assert all(np.isclose(sum(face.expressions.values()), 1, atol=1e-4) and face.attention.min() >= 0 and face.attention.max() <= 1 for face in found)


def test_masked_people_in_a_group_are_found(model, people):
    worn = [masks.paste(picture, points, fabrics.mask("surgical", "white"), "rigid").image for picture, points in zip(*people)]
    group = np.concatenate([np.concatenate([cv2.resize(each, (200, 200)) for each in worn[start : start + 3]], 1) for start in (0, 3)])
    found = model(group)
    places = {tuple((face.square.mean(0) // 200).astype(int)) for face in found}
    strict = landmarks.find(group, "rendered")
    assert len(places) > len(strict) or len(places) == 6, (len(places), len(strict))
    assert len(places) >= 4 and len(found) <= 7 and np.mean([face.masked > 0.5 for face in found]) > 0.7


def test_a_tilted_head_is_cut_upright(people):
    picture, points = people[0][0], people[1][0]
    turn = cv2.getRotationMatrix2D((80, 80), 25, 1)
    tilted = cv2.warpAffine(picture, turn, (160, 160), borderMode=cv2.BORDER_REPLICATE)
    straight, _ = crop(picture, points)
    again, square = crop(tilted, points @ turn[:, :2].T + turn[:, 2])
    middle = np.s_[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    assert np.abs(straight[middle].astype(int) - again[middle]).mean() < 6 and not np.isclose(square[0, 1], square[1, 1])


def test_colour_makes_no_difference_but_brightness(model, people):
    grey = cv2.cvtColor(people[0][3], cv2.COLOR_RGB2GRAY)
    assert model(grey)[0].expressions == pytest.approx(model(np.stack([grey] * 3, -1))[0].expressions, abs=1e-3)


@pytest.mark.parametrize("files, message", [({}, "model.safetensors"), ({"pytorch_model.bin": b"pickle"}, "model.safetensors"), ({"model.safetensors": b"short"}, "header|safetensors")])
def test_weights_that_are_none(tmp_path, files, message):
    (tmp_path / "config.json").write_bytes((WEIGHTS / "config.json").read_bytes())
    for name, content in files.items(): (tmp_path / name).write_bytes(content)
    with pytest.raises(Exception, match=message): MaskedFER.from_pretrained(tmp_path)


def test_no_picture(model, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    with pytest.raises(ValueError, match="notes.png"): model(tmp_path / "notes.png")
    with pytest.raises(TypeError, match="int"): model(3)
    assert model(torch.zeros(3, 64, 64)) == []


def test_predictions_go_on_where_they_stopped(people, tmp_path):
    for number, picture in enumerate(people[0][:5]): cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
    (tmp_path / "broken.png").touch()
    out = tmp_path / "faces.jsonl"
    command.main(["predict", str(tmp_path), "--out", str(out)])
    whole = out.read_bytes()
    assert whole.count(b"\n") == 6 and b"error" in whole
    out.write_bytes(whole[: len(whole) // 2])
    command.main(["predict", str(tmp_path), "--out", str(out)])
    assert out.read_bytes() == whole
    out.write_text("not an answer\n")
    with pytest.raises(SystemExit, match="line 1 is not an answer of `maskfer predict`; name another file"): command.main(["predict", str(tmp_path), "--out", str(out)])
