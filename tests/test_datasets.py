"MU and M-FER on disk: shares, splits, rejects, bytes."
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskfer_nb import datasets, faces, masks, sources
from maskfer_nb.files import file_hash

FOUR = ["angry", "happy", "normal", "surprised"]
SEVEN = FOUR + ["fearful", "disgusted", "sad"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return faces.render(tmp_path_factory.mktemp("faces"), n=280, seed=1, size=48, classes=tuple(SEVEN))


def make(table, folder, classes=FOUR, mu=(40, 20), mfer=(80, 24), seed=0, fit="jaw"):
    "The chain of notebook 04."
    table = datasets.split(table, seed)
    mu, mfer, needed = datasets.quotas(classes, sorted(table.label.unique()), dict(train=mu[0], test=mu[1]), dict(train=mfer[0], test=mfer[1]))
    work = folder.with_name(f".{folder.name}")
    work.mkdir(parents=True)
    pool, rejects = datasets.usable(table, needed, seed, work)
    chosen = datasets.choose_mfer(pool, classes, mfer)
    pairs = datasets.choose_mu(pool, chosen.index, mu)
    datasets.write(pairs, chosen, rejects, work, folder, size=48, fit=fit)
    return folder


def metadata(folder):
    return pd.concat(pd.read_csv(path).assign(dataset=path.parts[-3], split=path.parts[-2], folder=path.parent) for path in sorted(folder.glob("*/*/metadata.csv")))


@pytest.fixture(scope="module")
def made(rendered, tmp_path_factory):
    return make(rendered, tmp_path_factory.mktemp("made") / "data")


def test_classes_and_textures_have_equal_shares(made):
    mfer = metadata(made).query("dataset == 'mfer' and split != 'unmasked'")
    assert set(mfer.groupby("split").label.value_counts().loc["test"]) == {6}
    assert set(mfer.groupby("split").label.value_counts().loc["train"]) == {18} and set(mfer.groupby("split").label.value_counts().loc["val"]) == {2}
    shares = mfer.groupby(["split", "label"]).texture.value_counts().unstack(fill_value=0)
    assert list(shares.columns) == ["black", "grey", "white"] and (np.ptp(shares.to_numpy(), axis=1) <= 1).all()
    mu = metadata(made).query("dataset == 'mu'")
    assert (mu.groupby("split").label.value_counts().unstack().agg(np.ptp, axis=1) <= 1).all()
    assert mu[mu.split == "train"].expression.nunique() == 7
    assert set(mu[mu.label == "masked"].texture) == set(masks.TEXTURES) and set(mu[mu.label == "unmasked"].texture) == {"unmasked"}


def test_subjects_and_pictures_never_cross_splits(made):
    table = metadata(made).replace({"split": {"unmasked": "test"}})
    assert table.groupby("subject").split.nunique().max() == 1
    pixels = pd.Series([Image.open(folder / name).tobytes() for folder, name in zip(table.folder, table.file_name)])
    assert pd.Series(table.split.to_numpy()).groupby(pixels).nunique().max() == 1


def test_pixel_identical_pictures_are_refused(rendered, tmp_path):
    "One face copied over the others of its class, as other subjects: it may stand once and nowhere else."
    table = rendered.copy()
    happy = table.index[table.label == "happy"]
    image = (tmp_path / "same.png")
    image.write_bytes(open(table.path[happy[0]], "rb").read())
    table.loc[happy[1:20], "path"] = str(image)
    table.loc[happy[1:20], "subject"] = [f"other{i}" for i in range(19)]
    for i in happy[1:20]: table.at[i, "landmarks"] = table.landmarks[happy[0]]
    table = datasets.split(table, 0)
    pool, rejects = datasets.usable(table, {(split, "happy"): 100 for split in ("train", "val", "test")}, 0, tmp_path)
    assert rejects.reason.str.startswith("pixel-identical:").sum() == 19
    assert len(pool) + len(rejects) == (table.label == "happy").sum()


def test_the_same_faces_and_seed_give_the_same_bytes(rendered, made, tmp_path):
    assert file_hash(make(rendered, tmp_path / "again")) == file_hash(made)
    assert file_hash(make(rendered, tmp_path / "other", seed=1)) != file_hash(made)


def test_shards_of_several_machines_give_the_bytes_of_one(rendered, made, tmp_path, monkeypatch):
    "In parts of 7 faces, examined and written by three machines, the last first and one of them not at all: what is missing is made by who merges."
    monkeypatch.setattr(datasets, "PART", 7)
    table = datasets.split(rendered, 0)
    mu, mfer, needed = datasets.quotas(FOUR, sorted(table.label.unique()), dict(train=40, test=20), dict(train=80, test=24))
    for number in (2, 0): datasets.examine_shard(table, needed, 0, tmp_path, number, 3, n_jobs=1)
    examined = {path: path.stat().st_mtime_ns for path in tmp_path.glob("examined/*")}
    pool, rejects = datasets.usable(table, needed, 0, tmp_path)
    chosen = datasets.choose_mfer(pool, FOUR, mfer)
    pairs = datasets.choose_mu(pool, chosen.index, mu)
    for number in (2, 0): datasets.write_shard(datasets.sheets(pairs, chosen), tmp_path, 48, number=number, shards=3, n_jobs=1)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("data/*/*/metadata-*.csv")}
    times = {path.relative_to(tmp_path / "data"): path.stat().st_mtime_ns for part in written for path in (part.parent / name for name in pd.read_csv(part, header=None)[0] if name != "file_name")}
    datasets.write(pairs, chosen, rejects, tmp_path, tmp_path / "made", size=48)
    assert file_hash(tmp_path / "made") == file_hash(made)
    assert len(examined) > 10 and all(path.stat().st_mtime_ns == time for path, time in examined.items())
    assert len(times) > 100 and all((tmp_path / "made" / path).stat().st_mtime_ns == time for path, time in times.items())


def test_metadata_holds_what_the_mask_covers(made):
    row = metadata(made).query("dataset == 'mfer' and split == 'test'").iloc[0]
    masked = np.asarray(Image.open(row.folder / row.file_name)).astype(int)
    bare = np.asarray(Image.open(made / "mfer/unmasked" / row.file_name.replace(row.texture, "unmasked"))).astype(int)
    polygon, points = np.array(json.loads(row.polygon)), np.array(json.loads(row.landmarks))
    assert points.shape == (68, 2) and masked.shape == (48, 48, 3)
    changed = np.argwhere(np.abs(masked - bare).max(-1) > 8)[:, ::-1]
    assert len(changed) > 200
    near = np.array([cv2.pointPolygonTest(polygon.astype(np.float32), pixel.astype(float).tolist(), True) for pixel in changed])
    assert (near > -1.5).mean() > 0.9  # the others are ear loops
    assert (changed[:, 1] > points[36:48, 1].min()).all() and (changed >= 0).all()


def test_regions_are_a_partition_and_lie_where_they_should(made):
    table = metadata(made).query("dataset == 'mfer' and split == 'test'")
    regions = attention.read_regions(made / "mfer/test", 48)
    for row in table.itertuples():
        of, points = regions[Path(row.file_name).stem], np.array(json.loads(row.landmarks))
        assert (sum(region.astype(int) for region in of.values()) == 1).all()
        at = lambda k: tuple(np.clip(np.round(points[k]), 0, 47).astype(int)[::-1])
        assert of["eyes"][at(37)] and of["eyes"][at(19)] and of["mask"][at(33)] and of["mask"][at(62)] and of["background"][47, 0]
    assert not any(of["mask"].any() for of in attention.read_regions(made / "mfer/unmasked", 48).values())


def test_both_fits_have_the_same_faces(rendered, tmp_path):
    names = {fit: sorted(metadata(make(rendered, tmp_path / fit, fit=fit)).file_name) for fit in masks.FITS}
    assert names["jaw"] == names["rigid"]


def test_seven_classes(rendered, tmp_path):
    mfer = metadata(make(rendered, tmp_path / "data", classes=SEVEN, mfer=(140, 42))).query("dataset == 'mfer' and split == 'test'")
    assert mfer.label.value_counts().to_dict() == dict.fromkeys(SEVEN, 6)


def test_a_scarce_class_makes_all_classes_smaller_and_a_missing_one_is_an_error(rendered, tmp_path):
    angry = rendered.index[rendered.label == "angry"]
    table = metadata(make(rendered.drop(angry[8:]), tmp_path / "scarce")).query("dataset == 'mfer'")
    assert table.groupby("split").label.value_counts().unstack().agg(np.ptp, axis=1).max() == 0
    with pytest.raises(ValueError, match="no usable face of class 'angry'"): make(rendered.drop(angry), tmp_path / "missing")


def test_a_face_that_cannot_be_used_is_listed_with_its_reason(rendered, tmp_path):
    table = rendered.copy()
    broken, profile = table.index[0], table.index[1]
    (tmp_path / "broken.png").write_bytes(open(table.path[broken], "rb").read()[:200])
    table.loc[broken, "path"] = str(tmp_path / "broken.png")
    table.at[profile, "landmarks"] = np.where(np.arange(68)[:, None] < 8, table.landmarks[profile][30], table.landmarks[profile])
    rejects = pd.read_csv(make(table, tmp_path / "data", mu=(200, 60), mfer=(144, 40)) / "rejects.csv").set_index("face_id")
    assert rejects.loc[table.face_id[broken]].stage == "sources" and "broken.png" in rejects.loc[table.face_id[broken]].reason
    assert rejects.loc[table.face_id[profile]].stage == "masks"


def test_leave_out(rendered, tmp_path):
    listed = tmp_path / "unclear.txt"
    listed.write_text("\n".join(rendered.face_id[:5]))
    kept, rejects = datasets.drop_listed(rendered, listed)
    assert len(kept) == len(rendered) - 5 and list(rejects.face_id) == list(rendered.face_id[:5]) and set(rejects.reason) == {"listed in unclear.txt"}
    listed.write_text("nobody")
    with pytest.raises(ValueError, match="unclear.txt: not a face of this source: nobody"): datasets.drop_listed(rendered, listed)


def test_a_picture_that_is_not_square_is_cropped_to_its_middle(rendered, tmp_path):
    image = sources.read_image(rendered.path[0])
    wide = np.pad(image, ((0, 0), (30, 30), (0, 0)))
    crop, corner = datasets.square(wide)
    assert (crop == image).all() and corner.tolist() == [30, 0]


@pytest.mark.parametrize("texture", list(masks.TEXTURES))
def test_a_mask_leaves_everything_else_as_it_was(rendered, texture):
    for row in rendered.iloc[:14].itertuples():
        image = sources.read_image(row.path)
        masked = masks.paste(image, row.landmarks, texture)
        assert (masked.image[masked.alpha == 0] <= image[masked.alpha == 0]).all() and (masked.image[:8] == image[:8]).all()  # but for the mask's shadow
        light = (image.mean(2)[masked.alpha > 0.99].mean() / 140) ** 0.5
        assert abs(masked.image[masked.alpha > 0.99].mean() / np.mean(masks.TEXTURES[texture][1]) / min(light, 1) - 0.9) < 0.14
        eyes = np.round(row.landmarks[36:48]).astype(int)
        assert masked.alpha[eyes[:, 1], eyes[:, 0]].max() == 0
        nose_tip, chin = np.round(row.landmarks[33]).astype(int), np.round(row.landmarks[8] - [0, 3]).astype(int)
        assert masked.alpha[nose_tip[1], nose_tip[0]] == 1 and masked.alpha[chin[1], chin[0]] > 0.5
