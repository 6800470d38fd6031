"MU and M-FER on disk: shares, splits, rejects, bytes."
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from copies import ROOT
from PIL import Image

from maskfer_nb import datasets, faces, masks, regions, shards, sources
from maskfer_nb.files import file_hash
from maskfer_nb.pictures import read_image

FOUR = ["angry", "happy", "normal", "surprised"]
SEVEN = FOUR + ["fearful", "disgusted", "sad"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return faces.render(tmp_path_factory.mktemp("faces"), n=280, seed=1, size=48, classes=tuple(SEVEN))


def plan(table, classes=FOUR, mu=(40, 20), mfer=(80, 24), seed=0):
    "The faces in their splits, and the quotas of these totals to train and to test."
    table = datasets.split(table, seed)
    totals = [dict(train=train, test=test) for train, test in (mu, mfer)]
    return table, *datasets.quotas(classes, sorted(table.label.unique()), *totals)


def make(table, folder, classes=FOUR, seed=0, fit="jaw", **totals):
    "The chain of 01_datasets."
    table, mu, mfer, needed = plan(table, classes, seed=seed, **totals)
    work = folder.with_name(f".{folder.name}")
    work.mkdir(parents=True)
    pool, rejects = shards.usable(table, needed, seed, work)
    chosen = datasets.choose_mfer(pool, classes, mfer)
    pairs = datasets.choose_mu(pool, chosen.index, mu)
    shards.write_datasets(pairs, chosen, rejects, work, folder, size=48, fit=fit)
    return folder


def metadata(folder):
    "Every line of every metadata.csv, with its data set, split and folder."
    tables = [(path, pd.read_csv(path)) for path in sorted(folder.glob("*/*/metadata.csv"))]
    return pd.concat(
        table.assign(dataset=path.parts[-3], split=path.parts[-2], folder=path.parent) for path, table in tables)


@pytest.fixture(scope="module")
def made(rendered, tmp_path_factory):
    return make(rendered, tmp_path_factory.mktemp("made") / "data")


def test_classes_and_textures_have_equal_shares(made):
    mfer = metadata(made).query("dataset == 'mfer' and split != 'unmasked'")
    counts = mfer.groupby("split").label.value_counts()
    assert {split: set(counts.loc[split]) for split in ("train", "val", "test")} == dict(train={18}, val={2}, test={6})
    shares = mfer.groupby(["split", "label"]).texture.value_counts().unstack(fill_value=0)
    assert list(shares.columns) == ["black", "grey", "white"] and (np.ptp(shares.to_numpy(), axis=1) <= 1).all()
    mu = metadata(made).query("dataset == 'mu'")
    assert (mu.groupby("split").label.value_counts().unstack().agg(np.ptp, axis=1) <= 1).all()
    assert mu[mu.split == "train"].expression.nunique() == 7
    worn = {label: set(group.texture) for label, group in mu.groupby("label")}
    assert worn == dict(masked=set(masks.TEXTURES), unmasked={"unmasked"})


def test_subjects_and_pictures_never_cross_splits(made):
    table = metadata(made).replace({"split": {"unmasked": "test"}})
    assert table.groupby("subject").split.nunique().max() == 1
    pictures = [folder / name for folder, name in zip(table.folder, table.file_name)]
    pixels = pd.Series([Image.open(path).tobytes() for path in pictures])
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
    pool, rejects = shards.usable(table, {(split, "happy"): 100 for split in ("train", "val", "test")}, 0, tmp_path)
    assert rejects.reason.str.startswith("pixel-identical:").sum() == 19
    assert len(pool) + len(rejects) == (table.label == "happy").sum()


def test_the_same_faces_and_seed_give_the_same_bytes(rendered, made, tmp_path):
    assert file_hash(make(rendered, tmp_path / "again")) == file_hash(made)
    assert file_hash(make(rendered, tmp_path / "other", seed=1)) != file_hash(made)


def test_shards_of_several_machines_give_the_bytes_of_one(rendered, made, tmp_path, monkeypatch):
    """In parts of 7 faces, examined and written by three machines, the last first and one of them not at all.

    What is missing is made by who merges."""
    monkeypatch.setattr(shards, "PART", 7)
    table, mu, mfer, needed = plan(rendered)
    for number in (2, 0): shards.examine_shard(table, needed, 0, tmp_path, number, 3, n_jobs=1)
    examined = {path: path.stat().st_mtime_ns for path in tmp_path.glob("examined/*")}
    pool, rejects = shards.usable(table, needed, 0, tmp_path)
    chosen = datasets.choose_mfer(pool, FOUR, mfer)
    pairs = datasets.choose_mu(pool, chosen.index, mu)
    sheets = datasets.sheets(pairs, chosen)
    for number in (2, 0): shards.write_shard(sheets, tmp_path, 48, number=number, shards=3, n_jobs=1)
    written = {}
    for part in tmp_path.glob("data/*/*/metadata-*.csv"):
        names = [name for name in pd.read_csv(part, header=None)[0] if name != "file_name"]
        paths = [part.parent / name for name in names]
        written |= {path.relative_to(tmp_path / "data"): path.stat().st_mtime_ns for path in paths}
    shards.write_datasets(pairs, chosen, rejects, tmp_path, tmp_path / "made", size=48)
    assert file_hash(tmp_path / "made") == file_hash(made)
    assert len(examined) > 10 and all(path.stat().st_mtime_ns == time for path, time in examined.items())
    assert len(written) > 100
    assert all((tmp_path / "made" / path).stat().st_mtime_ns == time for path, time in written.items())


def test_metadata_holds_what_the_mask_covers(made):
    row = metadata(made).query("dataset == 'mfer' and split == 'test'").iloc[0]
    bare_name = row.file_name.replace(row.texture, "unmasked")
    pictures = row.folder / row.file_name, made / "mfer/unmasked" / bare_name
    masked, bare = (np.asarray(Image.open(path)).astype(int) for path in pictures)
    polygon, points = np.array(json.loads(row.polygon)), np.array(json.loads(row.landmarks))
    assert points.shape == (68, 2) and masked.shape == (48, 48, 3)
    changed = np.argwhere(np.abs(masked - bare).max(-1) > 8)[:, ::-1]
    assert len(changed) > 200
    outline = polygon.astype(np.float32)
    near = np.array([cv2.pointPolygonTest(outline, pixel.astype(float).tolist(), True) for pixel in changed])
    assert (near > -1.5).mean() > 0.9  # the others are ear loops
    assert changed[:, 1].min() > points[36:48, 1].min()  # nothing above the eyes
    assert polygon[:, 1].max() > points[8, 1] - 3  # the polygon goes down to the chin, and not less far


def test_regions_are_a_partition_and_lie_where_they_should(made):
    table = metadata(made).query("dataset == 'mfer' and split == 'test'")
    areas = regions.read_regions(made / "mfer/test", 48)
    for row in table.itertuples():
        of, points = areas[Path(row.file_name).stem], np.array(json.loads(row.landmarks))
        assert (sum(region.astype(int) for region in of.values()) == 1).all()
        at = lambda k: tuple(np.clip(np.round(points[k]), 0, 47).astype(int)[::-1])
        assert of["eyes"][at(37)] and of["eyes"][at(19)] and of["mask"][at(33)] and of["mask"][at(62)]
        assert of["background"][47, 0]
    assert not any(of["mask"].any() for of in regions.read_regions(made / "mfer/unmasked", 48).values())


def test_both_fits_have_the_same_faces(rendered, tmp_path):
    names = {fit: sorted(metadata(make(rendered, tmp_path / fit, fit=fit)).file_name) for fit in masks.FITS}
    assert names["jaw"] == names["rigid"]


def test_seven_classes(rendered, tmp_path):
    made = metadata(make(rendered, tmp_path / "data", classes=SEVEN, mfer=(140, 42)))
    mfer = made.query("dataset == 'mfer' and split == 'test'")
    assert mfer.label.value_counts().to_dict() == dict.fromkeys(SEVEN, 6)


def test_a_scarce_class_makes_all_classes_smaller_and_a_missing_one_is_an_error(rendered, tmp_path):
    angry = rendered.index[rendered.label == "angry"]
    table = metadata(make(rendered.drop(angry[8:]), tmp_path / "scarce")).query("dataset == 'mfer'")
    assert table.groupby("split").label.value_counts().unstack().agg(np.ptp, axis=1).max() == 0
    with pytest.raises(ValueError, match="no usable face of class 'angry'"):
        make(rendered.drop(angry), tmp_path / "missing")


def test_a_face_that_cannot_be_used_is_listed_with_its_reason(rendered, tmp_path):
    table = rendered.copy()
    broken, profile = table.index[0], table.index[1]
    (tmp_path / "broken.png").write_bytes(open(table.path[broken], "rb").read()[:200])
    table.loc[broken, "path"] = str(tmp_path / "broken.png")
    points = table.landmarks[profile]
    table.at[profile, "landmarks"] = np.where(np.arange(68)[:, None] < 8, points[30], points)
    made = make(table, tmp_path / "data", mu=(200, 60), mfer=(144, 40))
    rejects = pd.read_csv(made / "rejects.csv").set_index("face_id")
    unread = rejects.loc[table.face_id[broken]]
    assert unread.stage == "sources" and "broken.png" in unread.reason
    assert rejects.loc[table.face_id[profile]].stage == "masks"


@pytest.mark.parametrize("move", [
    lambda points: points + 60, lambda points: np.where(points == points[0], np.nan, points)])
def test_landmarks_that_are_not_of_the_picture_are_refused(rendered, move):
    points = rendered.landmarks[0]
    assert set(datasets.examine(rendered.path[0], points)) == {"landmarks", "digest"}
    refused = datasets.examine(rendered.path[0], move(points))
    assert refused == dict(stage="landmarks", reason="landmarks outside the picture")


def test_a_crop_so_tight_that_brows_jaw_and_chin_are_outside_is_used(rendered, tmp_path):
    points, picture = rendered.landmarks[0], read_image(rendered.path[0])
    left, top = np.floor(points[36:48].min(0)).astype(int) - 1
    right, bottom = points[[16, 57]].max(0).astype(int) - [3, 1]
    cv2.imwrite(str(tmp_path / "tight.png"), picture[top:bottom, left:right])
    moved = points - [left, top]
    assert (moved[17:27, 1] < -1).any() and (moved[:17] > [right - left, bottom - top]).any(0).all()
    assert set(datasets.examine(str(tmp_path / "tight.png"), moved)) == {"landmarks", "digest"}


def test_the_shipped_faces_are_all_used():
    table = sources.load(ROOT / sources.SHIPPED)[0].sample(200, random_state=0)
    found = [datasets.examine(*face) for face in zip(table.path, table.landmarks)]
    assert [face["reason"] for face in found if "reason" in face] == []


def test_somebody_in_two_splits_is_an_error(rendered):
    table = rendered.assign(split=["train", "test"] * (len(rendered) // 2))
    with pytest.raises(ValueError, match=f"{table.subject[0]} is in train and in test: one split a person"):
        datasets.split(table, seed=0)


def test_too_few_faces_are_counted(rendered):
    with pytest.raises(ValueError, match="^6 faces are too few: of one label at least, 10 are needed in a split"):
        datasets.split(rendered.head(6).assign(split="train"), seed=0)


@pytest.mark.parametrize("suffix, said", [
    ("txt", "faces: no face can be used; 20 were rejected, the first: happy/0.txt is not named as a picture"),
    ("png", "no usable face of class 'angry' for the train split; .*; 20 were rejected, the first: no face")])
def test_no_usable_face_says_what_the_faces_were_rejected_for(suffix, said, tmp_path):
    (tmp_path / "faces/happy").mkdir(parents=True)
    for shade in range(20):
        Image.new("L", (48, 48), 10 * shade).save(tmp_path / f"faces/happy/{shade}.{suffix}", format="png")
    settings = dict(source="folders", data=str(tmp_path / "faces"), leave_out="", seed=0, classes=FOUR,
                    mu_train=8, mu_test=4, mfer_train=8, mfer_test=4)
    work = shards.work_folder(tmp_path / "run", settings)
    with pytest.raises(ValueError, match=said):
        shards.choose_faces(work, *shards.face_table(work, **settings), **settings)


def test_leave_out(rendered, tmp_path):
    listed = tmp_path / "unclear.txt"
    listed.write_text("\n".join(rendered.face_id[:5]))
    kept, rejects = datasets.drop_listed(rendered, listed)
    assert len(kept) == len(rendered) - 5
    assert list(rejects.face_id) == list(rendered.face_id[:5]) and set(rejects.reason) == {"listed in unclear.txt"}
    listed.write_text("nobody")
    with pytest.raises(ValueError, match="unclear.txt: not a face of this source: nobody"):
        datasets.drop_listed(rendered, listed)


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
        bare, cloth = masked.alpha == 0, masked.alpha > 0.99
        assert (masked.image[bare] <= image[bare]).all()  # but for the mask's shadow
        assert (masked.image[:8] == image[:8]).all()
        light = (image.mean(2)[cloth].mean() / 140) ** 0.5
        assert abs(masked.image[cloth].mean() / np.mean(masks.TEXTURES[texture][1]) / min(light, 1) - 0.9) < 0.14
        eyes = np.round(row.landmarks[36:48]).astype(int)
        assert masked.alpha[eyes[:, 1], eyes[:, 0]].max() == 0
        nose_tip, chin = (np.round(point).astype(int) for point in (row.landmarks[33], row.landmarks[8] - [0, 3]))
        assert masked.alpha[nose_tip[1], nose_tip[0]] == 1 and masked.alpha[chin[1], chin[0]] > 0.5
