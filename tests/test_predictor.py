"""What an importing user relies on: weights that come along, several faces, and errors that say what was wrong."""
import json
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import maskfer_nb
from maskfer_nb import command, detector, fabrics, faces, masks, training
from maskfer_nb.export import CropFER
from maskfer_nb.mcn import MCN
from maskfer_nb.predictor import FOUR, SEVEN, SIDE, MaskedFER, crop
from maskfer_nb.train import NETWORKS, train

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
    assert max((WEIGHTS / f"model.{kind}").stat().st_size for kind in ("safetensors", "onnx")) < 10e6
    assert "Apache-2.0" in (WEIGHTS / "README.md").read_text() and not list(WEIGHTS.glob("*.bin"))


def test_seven_expressions_are_there_for_the_asking(model, people):
    seven = MaskedFER.from_pretrained(expressions=SEVEN)
    assert model.expressions == list(FOUR) and seven.expressions == list(SEVEN)
    two = MaskedFER.from_pretrained(expressions=["surprised", "angry"])
    for picture, points in zip(*people):
        few, every, pair = (each(picture, points=[points])[0].expressions for each in (model, seven, two))
        assert np.isclose(sum(every.values()), 1, atol=1e-4) and list(pair) == ["surprised", "angry"]
        shares = np.array([every[word] for word in FOUR])
        assert np.allclose(list(few.values()), shares / shares.sum(), atol=1e-4)
        assert pair["angry"] == pytest.approx(every["angry"] / (every["angry"] + every["surprised"]), abs=1e-4)


@pytest.mark.parametrize("wanted, said", [(["bored"], "'bored' is not known"), ([], "some words"), ("angry", "a list")])
def test_an_expression_that_is_not_known(wanted, said):
    with pytest.raises(ValueError, match=said): MaskedFER.from_pretrained(expressions=wanted)


def test_no_answer_rather_than_a_wrong_one(model, people):
    for picture, points in zip(*people):
        face, = model(picture, points=[points])
        likeliest = max(face.expressions.values())
        assert face.told(likeliest) == face.expression and face.told(likeliest + 1e-6) is None


def test_masks_are_told_from_none(model, people):
    told = []
    for number, (picture, points) in enumerate(zip(*people)):
        masked = masks.paste(picture, points, fabrics.mask(fabrics.KINDS[number % 3], "random", number), "rigid").image
        for worn, shown in ((False, picture), (True, masked)):
            told += [(face.masked > 0.5) == worn for face in model(shown)[:1]]
    assert len(told) >= 18 and np.mean(told) > 0.85


def test_every_face_of_a_picture(model, people):
    four = [cv2.resize(picture, (240, 240)) for picture in people[0][2:6]]
    found = model(np.concatenate([np.concatenate(four[:2], 1), np.concatenate(four[2:], 1)]))
    places = {tuple((face.square.mean(0) // 240).astype(int)) for face in found}
    assert len(found) == len(places) >= 3 and places <= {(x, y) for x in (0, 1) for y in (0, 1)}
    assert all(np.isclose(sum(face.expressions.values()), 1, atol=1e-4) for face in found)
    assert all(face.attention.min() >= 0 and face.attention.max() <= 1 for face in found)


def test_masked_people_in_a_group_are_found(model, people):
    white = fabrics.mask("surgical", "white")
    worn = [masks.paste(picture, points, white, "rigid").image for picture, points in zip(*people)]
    each = [cv2.resize(image, (200, 200)) for image in worn[:6]]
    group = np.concatenate([np.concatenate(each[:3], 1), np.concatenate(each[3:], 1)])
    found = model(group)
    places = {tuple((face.square.mean(0) // 200).astype(int)) for face in found}
    assert len(places) == 6 and len(found) == 6 and np.mean([face.masked > 0.5 for face in found]) > 0.7


def test_a_tilted_head_is_cut_upright(people):
    picture, points = people[0][0], people[1][0]
    turn = cv2.getRotationMatrix2D((80, 80), 25, 1)
    tilted = cv2.warpAffine(picture, turn, (160, 160), borderMode=cv2.BORDER_REPLICATE)
    straight, _ = crop(picture, points)
    again, square = crop(tilted, points @ turn[:, :2].T + turn[:, 2])
    middle = np.s_[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4]
    assert np.abs(straight[middle].astype(int) - again[middle]).mean() < 6
    assert not np.isclose(square[0, 1], square[1, 1])


def test_colour_makes_no_difference_but_brightness(model, people):
    "The red channel alone is another picture: here it is the negative of what it was."
    picture, points = people[0][3].copy(), people[1][3]
    picture[..., 0] = 255 - picture[..., 0]
    grey, red = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.ascontiguousarray(picture[..., 0])
    ours, by_grey, by_red = (crop(image, points)[0] for image in (picture, grey, red))
    assert np.array_equal(ours, by_grey) and np.abs(ours.astype(int) - by_red).mean() > 20
    three = np.stack([grey] * 3, -1)
    (in_grey,), (in_three,) = model([grey, three])
    assert in_grey.expressions == pytest.approx(in_three.expressions, abs=1e-3)
    # the detector looks at colours and gives another box, so the points are given here
    (face,), (in_grey,) = model([picture, grey], points=[[points]] * 2)
    assert face.expressions == pytest.approx(in_grey.expressions, abs=1e-3)
    assert face.masked == pytest.approx(in_grey.masked, abs=1e-3)
    expressions, _, _ = model.answer(np.stack([ours, by_red]))
    assert np.abs(expressions[0] - expressions[1]).max() > 0.1  # an answer by the red channel would be noticed


def test_a_mirrored_face_gets_the_mirrored_answer(model, people):
    face = crop(people[0][0], people[1][0])[0][None]
    straight, mirrored = model.answer(face), model.answer(np.ascontiguousarray(face[..., ::-1]))
    assert np.allclose(straight[0], mirrored[0], atol=1e-5) and np.allclose(straight[1], mirrored[1], atol=1e-5)
    assert np.allclose(straight[2], mirrored[2][..., ::-1], atol=1e-5)
    assert np.abs(straight[2] - mirrored[2]).max() > 0.01  # this map is not the same from both sides


NO_FILE = "No such file or directory: .*model.safetensors"


@pytest.mark.parametrize("files, message", [
    ({}, NO_FILE),
    ({"pytorch_model.bin": b"pickle"}, NO_FILE),
    ({"model.safetensors": b"short"}, "Error while deserializing header")])
def test_weights_that_are_none(tmp_path, files, message):
    (tmp_path / "config.json").write_bytes((WEIGHTS / "config.json").read_bytes())
    for name, content in files.items(): (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"not the weights of CropFER \(.*{message}"):
        CropFER.from_pretrained(tmp_path)


@pytest.mark.parametrize("name, files, message", [
    (".", {}, "has no model.onnx$"),
    (".", {"model.safetensors": b""}, "has no model.onnx; write it with `maskfer export .*model.onnx --weights .*`"),
    (".", {"model.onnx": b"short"}, r"model.onnx: not a network of MaskedFER \("),
    ("gone.onnx", {}, r"gone.onnx: not a network of MaskedFER \("),
    ("other.onnx", {"other.onnx": (WEIGHTS.parent / "detector.onnx").read_bytes()}, "not a network of MaskedFER")])
def test_graphs_that_are_none(tmp_path, name, files, message):
    for each, content in files.items(): (tmp_path / each).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error: MaskedFER.from_pretrained(tmp_path / name)
    assert "\n" not in str(error.value)


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
    command.main(["predict", str(tmp_path), "--out", str(out)])  # nothing is left to do
    assert out.read_bytes() == whole
    out.write_text("not an answer\n")
    with pytest.raises(SystemExit, match="line 1 is not an answer of `maskfer predict`; name another file"):
        command.main(["predict", str(tmp_path), "--out", str(out)])


def test_a_folder_is_told_in_its_order_by_any_number_of_processes(people, tmp_path):
    for number in range(40):
        picture = people[0][number % 12][..., ::-1]
        (tmp_path / f"{number % 3}").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"{number % 3}/{number:02}.png"), picture)
    (tmp_path / "1/05.jpg").write_bytes(b"broken")
    alone, together = (list(command.predict(tmp_path, jobs=jobs)) for jobs in (1, 3))
    assert alone == together and len(alone) == 41
    assert [line["file"] for line in alone] == sorted(line["file"] for line in alone)
    assert [line["file"] for line in alone if "error" in line] == ["1/05.jpg"]
    assert np.mean([len(line["faces"]) == 1 for line in alone if "faces" in line]) > 0.9


def test_crops_are_all_answered_by_the_command(people, tmp_path):
    for number, (picture, points) in enumerate(zip(*people)):
        x, y = points[27:31].mean(0).astype(int)
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture[y - 20 : y + 26, x - 24 : x + 24, ::-1])
    lines = list(command.predict(tmp_path, cropped=True, folder=tmp_path / "shown"))
    assert [len(line["faces"]) for line in lines] == [1] * 12 and len(list((tmp_path / "shown").iterdir())) == 12


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    "A data set of two classes that anything learns: dark and bright squares."
    folder, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for split, n in (("train", 24), ("val", 8), ("test", 8)):
        for name, level in (("masked", 40), ("unmasked", 180)):
            (folder / split / name).mkdir(parents=True)
            for k in range(n):
                square = rng.integers(level, level + 40, (32, 32, 3), np.uint8)
                Image.fromarray(square).save(folder / split / name / f"{name}{k}.png")
    return folder


def test_mcn_is_trained_by_its_name(squares, tmp_path, capsys):
    words = ["train", str(squares), "--epochs", "4", "--batch-size", "8", "--width", "0.125"]
    command.main([*words, str(tmp_path / "mcn"), "--network", "mcn"])
    history = pd.read_csv(tmp_path / "mcn/history.csv")
    assert f"is right on {history.val_accuracy.max():.1%} of the validation faces" in capsys.readouterr().out
    answers = pd.read_parquet(tmp_path / "mcn/predictions.parquet")
    assert set(answers.network) == {"mcn"} and {"p_masked", "p_unmasked"} <= set(answers)
    assert history.val_accuracy.max() == 1 and ((answers.p_masked > 0.5) == (answers.label == "masked")).all()
    mcn = MCN.from_pretrained(tmp_path / "mcn")
    assert mcn.width == 0.125 and len(list(tmp_path.glob("mcn/attention.npz"))) == 1
    command.main([*words, str(tmp_path / "fecn"), "--network", "fecn", "--mcn", str(tmp_path / "mcn")])
    looks = load_file(tmp_path / "fecn/model.safetensors")
    assert all(torch.equal(looks[f"generator.{key}"], value) for key, value in mcn.cut().state_dict().items())


def test_the_command_offers_every_network_there_is(capsys):
    with pytest.raises(SystemExit): command.main(["train", "--help"])
    assert f"--network {{{','.join(NETWORKS)}}}" in capsys.readouterr().out


def test_what_is_installed_is_said(capsys):
    with pytest.raises(SystemExit) as stop: command.main(["--version"])
    said = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert stop.value.code == 0 and said["maskfer_nb"] == maskfer_nb.__version__
    assert said["torch"] == metadata.version("torch")
    assert said["detector.onnx"] == said["masked_fer/model.onnx"] == "found"


def test_the_command_says_seven_where_it_is_asked_to(people, tmp_path, capsys):
    Image.fromarray(people[0][0]).save(tmp_path / "one.png")
    for options, known in (([], FOUR), (["--seven"], SEVEN)):
        command.main(["predict", str(tmp_path / "one.png"), "--cropped", *options])
        face, = json.loads(capsys.readouterr().out)["faces"]
        assert list(face["expressions"]) == list(known)
    asked = ["predict", str(tmp_path / "one.png"), "--cropped", "--out", str(tmp_path / "said.jsonl")]
    command.main([*asked, "--seven"])
    command.main([*asked, "--seven"])  # goes on
    with pytest.raises(SystemExit, match="name another file"): command.main(asked)


def test_mcn_wants_two_classes(squares, tmp_path):
    with pytest.raises(ValueError, match="no network 'vgg'"): train(squares, tmp_path / "out", "vgg")
    for split in ("train", "val", "test"):
        for name in "abc":
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(tmp_path / "data" / split / name / "0.png")
    with pytest.raises(ValueError, match="name the MU-dataset; .* has 3 classes"):
        train(tmp_path / "data", tmp_path / "out", "mcn")


def test_the_epoch_printed_is_the_one_whose_weights_are_kept(squares, tmp_path, monkeypatch, capsys):
    "Of equal accuracies the lower loss counts, and neither the first nor the last of them has it."
    validated, weights = [(0.50, 0.4), (0.75, 0.6), (0.75, 0.3), (0.75, 0.5)], []

    def accuracy_and_loss(network, faces):
        weights.append({key: value.clone() for key, value in network.state_dict().items()})
        return validated[len(weights) - 1]

    monkeypatch.setattr(training, "accuracy_and_loss", accuracy_and_loss)
    command.main(["train", str(squares), str(tmp_path), "--network", "mcn", "--epochs", "4", "--width", "0.125"])
    kept = load_file(tmp_path / "model.safetensors")
    same = [all(torch.equal(kept[key], value.contiguous()) for key, value in each.items()) for each in weights]
    assert same == [False, False, True, False]
    assert capsys.readouterr().out == f"{tmp_path}: epoch 2 is right on 75.0% of the validation faces\n"


def numbers(answers):
    return np.array([[*face.box, face.masked, *face.expressions.values()] for face in answers])


def kinds_of_picture(face):
    "Name → (PIL image, its pixels as an array)."
    grey, see_through = face.convert("L"), face.convert("RGBA")
    see_through.putalpha(grey)
    deep = np.asarray(grey).astype(np.uint16) * 257
    kinds = {"grey": grey, "palette": face.quantize(256), "cmyk": face.convert("CMYK")}
    found = {name: (image, np.asarray(image.convert("RGB"))) for name, image in kinds.items()}
    found |= {"alpha": (see_through, np.asarray(see_through)), "deep": (Image.fromarray(deep), deep)}
    return found | {"grey and alpha": (see_through.convert("LA"), np.asarray(grey))}


def in_every_way(model, image, pixels, path):
    "The answers to a picture as a file, PIL image, array and tensor."
    deep = pixels.dtype == np.uint16
    tensor = torch.from_numpy((pixels >> 8).astype(np.uint8) if deep else pixels.copy())
    if tensor.ndim == 3: tensor = tensor.permute(2, 0, 1)
    if tensor.ndim == 2: tensor = tensor[None]
    return [numbers(model(each)) for each in (path, str(path), image, Image.open(path), pixels, tensor, tensor / 255)]


@pytest.mark.parametrize("kind", ["grey", "palette", "alpha", "deep", "cmyk", "grey and alpha"])
def test_a_picture_is_answered_alike_however_it_comes(model, people, tmp_path, kind):
    image, pixels = kinds_of_picture(Image.fromarray(people[0][1]))[kind]
    path = tmp_path / ("face.tif" if kind in ("cmyk", "deep") else "face.png")
    image.save(path)
    first, *others = in_every_way(model, image, pixels, path)
    assert len(first) == 1 and all(np.abs(each - first).max() <= 1e-4 for each in others)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_a_picture_however_it_comes(model, people, tmp_path, turn):
    upright, path = Image.fromarray(people[0][1]), tmp_path / "face.png"
    way = Image.Transpose
    back = {2: way.FLIP_LEFT_RIGHT, 3: way.ROTATE_180, 4: way.FLIP_TOP_BOTTOM, 5: way.TRANSPOSE, 6: way.ROTATE_90,
            7: way.TRANSVERSE, 8: way.ROTATE_270}
    image = upright.transpose(back[turn]) if turn in back else upright
    image.getexif()[0x112] = turn
    image.save(path, exif=image.getexif())
    first, *others = in_every_way(model, image, np.asarray(upright), path)
    assert len(first) == 1 and all(np.abs(each - first).max() <= 1e-4 for each in others)


@pytest.mark.parametrize("wrong, said", [
    (torch.full((3, 40, 40), 255.0), "from 0 to 1, not from 255 to 255"),
    (torch.full((3, 40, 40), -0.5), "from 0 to 1"),
    (torch.full((1, 40, 40), np.nan), "from 0 to 1"),
    (np.full((40, 40, 3), 255.0), "not float64"),
    (np.full((40, 40), 0.5, np.float32), "not float32"),
    (torch.zeros(40, 40), "channels come first"),
    (torch.full((3, 40, 40), 2.0), "from 0 to 1"),
    (np.zeros((40, 40, 2), np.uint8), "1, 3 or 4 channels, not 2"),
    (np.zeros((40, 40, 3), int), "not int64"),
    (np.zeros((40, 40), bool), "not bool"),
    (torch.zeros(40, 40, 3), r"channels come first, \(3, H, W\), not \(40, 40, 3\)"),
    (torch.zeros(2, 40, 40), "channels come first"),
    (np.zeros((0, 40, 3), np.uint8), "height and a width"),
    (np.zeros(40, np.uint8), "height and a width"),
    ({"a": 1}, "not a path"),
])
def test_what_is_no_picture_is_refused_in_one_line(model, wrong, said):
    with pytest.raises((ValueError, TypeError), match=said) as error: model(wrong)
    assert "\n" not in str(error.value)


def test_a_film_is_refused_as_a_picture_however_it_comes(model, tmp_path):
    frames = [Image.new("L", (40, 40), shade) for shade in (0, 99)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    for given in (tmp_path / "film.gif", Image.open(tmp_path / "film.gif")):
        with pytest.raises(ValueError, match="2 frames"): model(given)


def test_who_was_left_out_and_why(model, people):
    sharp, blurred = people[0][0], cv2.GaussianBlur(people[0][1], (0, 0), 14)
    pair = np.concatenate([sharp, blurred], 1)
    considered, found = model.explain(pair), model(pair)
    assert [each.box for each in considered if each.answered] == [face.box for face in found] and len(found) == 1
    doubtful = [each for each in considered if not each.answered]
    assert doubtful and all("score" in each.why and "asked" in each.why for each in doubtful)
    assert model.explain(np.zeros((60, 60, 3), np.uint8)) == []
    upside_down = [each for each in model.explain(np.ascontiguousarray(sharp[::-1])) if not each.answered]
    assert all(each.why for each in upside_down)


def test_what_cannot_be_a_face_is_left_out_with_its_reason(model, people, monkeypatch):
    answer = lambda grey, middle, *square: np.tile(middle, (68, 1)) + np.linspace(0, 9, 136).reshape(68, 2)
    monkeypatch.setattr("maskfer_nb.landmarks._answer", answer)
    assert model(people[0][0]) == []
    (considered,) = (each for each in model.explain(people[0][0]) if "score" not in each.why)
    assert not considered.answered and considered.why == "jaw not around nose and mouth"


def test_a_face_has_the_box_by_which_it_was_found(model, people):
    pair = np.concatenate(people[0][:2], 1)
    boxes = detector.find(pair)
    assert {face.box for face in model(pair)} == {tuple(box[:4].tolist()) for box in boxes} and len(boxes) == 2
    assert [face.box for face in model(pair, boxes=[(5, 6, 140, 150)])] == [(5.0, 6.0, 140.0, 150.0)]
    (face,) = model(pair, points=people[1][:1])
    assert np.allclose(face.box, [*people[1][0].min(0), *people[1][0].max(0)], atol=1e-3)
    assert model(people[0][0], cropped=True)[0].box == (0, 0, 160, 160)


@pytest.mark.parametrize("how", ["boxes", "detector"])
@pytest.mark.parametrize("wrong", [
    [[np.nan] * 4], [[0, 0, np.inf, np.inf]], [[1e8, 1e8, 1e8 + 9, 1e8 + 9]], [[-1e7, -1e7, 1e7, 1e7]],
    [[90, 80, 40, 30]], [[50, 50, 50, 50]], [[999, 0, 1200, 90]], [[1, 2, 3]], [10, 20, 90, 99], [["a"] * 4], 7, None])
def test_what_is_no_box_is_refused_in_one_line_at_once(model, people, how, wrong):
    if how == "boxes" and wrong is None: return  # as if none were given
    given = {"boxes": wrong} if how == "boxes" else {"detector": lambda image: wrong}
    with pytest.raises(ValueError, match=f"^{how}: ") as error: model(people[0][0], **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.float32, list])
def test_boxes_of_any_numbers_get_the_same_answer(model, people, kind):
    picture = np.full((255, 255, 3), 99, np.uint8)
    picture[95:, 95:] = people[0][0]
    box = [[115, 97, 235, 249]]
    expected = numbers(model(picture, boxes=np.array(box, float)))
    given = box if kind is list else np.array(box, kind)
    assert np.array_equal(numbers(model(picture, boxes=given)), expected)
    assert np.array_equal(numbers(model(picture, detector=lambda image: given)), expected)


@pytest.mark.parametrize("wrong", [
    lambda points: [points[:67]], lambda points: [np.tile(points, (7, 1))], lambda points: [points / 160],
    lambda points: [points * 0], lambda points: [points.T], lambda points: points, lambda points: [points + 999],
    lambda points: [np.where(points > 90, np.nan, points)], lambda points: "points",
    lambda points: [points, points[:5]]])
def test_what_are_no_points_is_refused_in_one_line(model, people, wrong):
    with pytest.raises(ValueError, match="^points: ") as error: model(people[0][0], points=wrong(people[1][0]))
    assert "\n" not in str(error.value)


def test_boxes_and_points_are_not_given_both_nor_too_few_or_many(model, people):
    picture, points, box = people[0][0], people[1][0], [20, 10, 140, 150]
    with pytest.raises(ValueError, match="not both"): model(picture, boxes=[box], points=[points])
    for boxes, how in (([[box]], "shorter"), ([[box]] * 3, "longer")):
        with pytest.raises(ValueError, match=f"boxes: {how}"): model([picture, picture], boxes=boxes)


def test_tensors_without_pixels_are_refused_and_negated_ones_read(model, people):
    tensor = torch.from_numpy(people[0][1]).permute(2, 0, 1).float() / 255
    with pytest.raises(ValueError, match="without pixels"): model(tensor.to("meta"))
    negated = torch._neg_view(-tensor)
    assert np.array_equal(numbers(model(negated)), numbers(model(tensor)))


ANSWER = b'{"file": "0.png", "faces": []}\n'


def saved(folder, pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures): Image.fromarray(picture).save(folder / f"{number}.png")
    return str(folder)


@pytest.mark.parametrize("content", [b"a note", b'{"lr": 0.1}', b'{"file": 3', b'{"file"; ', b"3", ANSWER + b"a note",
                                     ANSWER + b"[", b'{"file": "talk.mp4", "fps": 25}', b'{"file": "0.png"', ANSWER])
def test_a_file_of_others_keeps_its_bytes(people, tmp_path, content):
    "Whether or not a text ends its last line."
    out = tmp_path / "out"
    out.write_bytes(content)
    with pytest.raises(SystemExit, match="out: .*; name another file"):
        command.main(["predict", saved(tmp_path / "in", people[0][:1]), "--out", str(out)])
    assert out.read_bytes() == content and not (tmp_path / ".out.asked.json").exists()


@pytest.mark.parametrize("torn", [0, 1, 5, 9, 20])
def test_a_torn_answer_is_cut_off_wherever_it_is_torn(tmp_path, torn):
    (tmp_path / "out").write_bytes(ANSWER + ANSWER[:torn])
    assert command.take_up(tmp_path / "out") == {"0.png"} and (tmp_path / "out").read_bytes() == ANSWER


@pytest.mark.parametrize("words", [["B"], ["A", "--every", "2"], ["A", "--cropped"], ["A", "--annotated", "shown"]])
def test_another_question_is_not_answered_by_an_earlier_run(people, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name, some in (("A", people[0][:2]), ("B", people[0][2:4])): saved(tmp_path / name, some)
    command.main(["predict", "A", "--out", "faces.jsonl", "--jobs", "1"])
    before = Path("faces.jsonl").read_bytes()
    with pytest.raises(SystemExit, match="maskfer: faces.jsonl: answers not this .* but {.*; name another") as stop:
        command.main(["predict", *words, "--out", "faces.jsonl", "--jobs", "1"])
    assert "\n" not in str(stop.value) and Path("faces.jsonl").read_bytes() == before and not Path("shown").exists()
    command.main(["predict", str(tmp_path / "A"), "--out", "faces.jsonl"])
    assert Path("faces.jsonl").read_bytes() == before
    assert list(pd.read_json("faces.jsonl", lines=True)) == ["file", "faces"]


def test_a_refused_question_leaves_nothing_behind(people, tmp_path):
    with pytest.raises(SystemExit, match="no such file"):
        command.main(["predict", str(tmp_path / "A"), "--out", str(tmp_path / "faces.jsonl")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given, shown", [
    ("in", "other"), ("in/deeper", "in"), ("in", "in/deeper"), ("in/0.png", "other")])
def test_annotated_pictures_replace_none(people, tmp_path, given, shown):
    for name in ("other", "in", "in/deeper"): saved(tmp_path / name, people[0][:1])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for _ in range(2):
        with pytest.raises(SystemExit, match="0.png: is there already; name another folder"):
            command.main(["predict", str(tmp_path / given), "--annotated", str(tmp_path / shown), "--out",
                          str(tmp_path / "faces.jsonl")])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


def test_an_interrupted_run_draws_on(people, tmp_path):
    "Its last pictures may be there and their lines not."
    words = ["predict", saved(tmp_path / "in", people[0][:3]), "--annotated", str(tmp_path / "shown"), "--out",
             str(tmp_path / "faces.jsonl"), "--jobs", "1"]
    command.main(words)
    whole, drawn = (tmp_path / "faces.jsonl").read_bytes(), (tmp_path / "shown/2.png").read_bytes()
    for kept in (0, len(whole) // 2):
        (tmp_path / "faces.jsonl").write_bytes(whole[:kept])
        (tmp_path / "shown/2.png").write_bytes(b"torn")
        command.main(words)
        assert (tmp_path / "faces.jsonl").read_bytes() == whole and (tmp_path / "shown/2.png").read_bytes() == drawn


def test_a_killed_process_is_one_line_and_the_run_goes_on(people, tmp_path, is_told_of_a_killed_process):
    words = ["predict", saved(tmp_path / "in", people[0][:1] * 20), "--annotated", str(tmp_path / "shown"), "--out",
             str(tmp_path / "faces.jsonl"), "--jobs", "2"]
    is_told_of_a_killed_process(words, command, "_looked")
    command.main(words)
    assert (tmp_path / "faces.jsonl").read_bytes().count(b"\n") == 20 == len(list((tmp_path / "shown").iterdir()))


@pytest.mark.parametrize("name", ["顔" * 80 + ".png", "x" * 255])
def test_a_long_name_is_answered_and_drawn(people, tmp_path, name):
    Image.fromarray(people[0][0]).save(saved(tmp_path / "in", people[0][:1]) + "/" + name, "PNG")
    lines = list(command.predict(tmp_path / "in", folder=tmp_path / "shown", jobs=1))
    assert {line["file"] for line in lines if "faces" in line} == {"0.png", name}
    assert {path.name for path in (tmp_path / "shown").iterdir()} == {"0.png", name}


def test_a_video_whose_name_has_no_room_for_more_is_one_line(people, tmp_path):
    path = Path(saved(tmp_path / "in", people[0][:1])) / ("x" * 251 + ".avi")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 160))
    for _ in range(3): film.write(people[0][0][..., ::-1])
    film.release()
    (tmp_path / "film.avi").rename(path)
    *_, last = command.predict(tmp_path / "in", folder=tmp_path / "shown", jobs=1)
    assert last["file"] == path.name and "too long a name" in last["error"]
    assert [path.name for path in (tmp_path / "shown").iterdir()] == ["0.png"]
