"""Every layout from a folder and from a zip, every refusal, and the development data where it is at hand."""
import zipfile

import numpy as np
import pytest
from PIL import Image
from photographs import archive

from maskfer_nb.sources import (
    ALIASES, FACES, LABELS, LAYOUTS, RAFDB_PAGE, REJECTS, VOTES, Layout, Listed, detect, load, read_image, to_label)


def write(root, *names, text=None):
    "Images, or one text file, under `root`."
    for name in names:
        path = root/name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None: Image.new("RGB", (6, 4), "tan").save(path)
        else: path.write_text(text, encoding="utf-8")
    return root


def zipped(root, wrap=""):
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as z:
        for file in sorted(root.rglob("*")):
            if file.is_file(): z.write(file, f"{wrap}{file.relative_to(root).as_posix()}")
    return path


def reasons(rejects):
    return dict(zip(rejects.face_id, rejects.reason))


def both(root, layout, given):
    "Load `root` as a folder and as a wrapped zip: the same table, complete and readable."
    in_zip = zipped(root, "wrapped/")
    assert detect(root) == detect(in_zip) == layout
    (faces, rejects), (faces_zip, rejects_zip) = load(root), load(in_zip)
    assert list(faces) == FACES and list(rejects) == REJECTS
    assert faces.drop(columns="path").equals(faces_zip.drop(columns="path")) and rejects.equals(rejects_zip)
    assert len(faces) + len(rejects) == given
    assert faces.face_id.is_unique and faces.face_id.str.fullmatch(r"[\w.-]+").all() and set(faces.label) <= set(LABELS)
    assert set(rejects.stage) <= {"sources"} and rejects.reason.str.len().gt(0).all()
    assert not rejects.reason.str.contains("\n").any() and faces.landmarks.isna().all()
    assert set(faces.source) == {LAYOUTS[layout].source} and set(faces.licence) == {LAYOUTS[layout].licence}
    for path in [*faces.path, *faces_zip.path]: assert read_image(path).shape == (4, 6, 3)
    return faces, rejects


# Labels
@pytest.mark.parametrize("word, label", [
    ("anger", "angry"), ("Angry", "angry"), ("HAPPINESS", "happy"), ("neutral", "normal"), ("surprise ", "surprised"),
    ("fear", "fearful"), ("Disgust", "disgusted"), ("sadness", "sad"), ("contempt", None), ("", None)])
def test_a_class_by_any_of_its_names(word, label):
    assert to_label(word) == label


def test_the_papers_four_come_first():
    assert LABELS[:4] == ("angry", "happy", "normal", "surprised") and len(set(LABELS)) == 7 and len(ALIASES) == 14


# RAF-DB
NUMBERED = ["surprised", "fearful", "disgusted", "happy", "sad", "angry", "normal"]  # as RAF-DB numbers them
SEVEN = dict(zip("1234567", NUMBERED))
LIST = "EmoLabel/list_patition_label.txt"


@pytest.fixture
def rafdb(tmp_path):
    names = [*(f"train_{code:0>5}" for code in SEVEN), "test_0001"]
    root = write(tmp_path/"raf", *(f"Image/aligned/{name}_aligned.jpg" for name in names))
    lines = [*(f"train_{code:0>5}.jpg {code}" for code in SEVEN), "test_0001.jpg 6"]
    lines += ["test_0002.jpg 4", "test_0003.jpg 8", "train_00099.jpg", "odd_1.jpg 1", ""]
    return write(root, LIST, text="\ufeff" + "\n".join(lines))


def test_rafdb_official(rafdb):
    faces, rejects = both(rafdb, "rafdb", given=12)
    assert faces.label.tolist() == [*SEVEN.values(), "angry"]
    assert faces.face_id.iloc[0] == "train_00001" and faces.split.tolist() == ["train"]*7 + ["test"]
    assert reasons(rejects) == {
        "test_0002": "Image/aligned/test_0002_aligned.jpg is listed but missing",
        "test_0003": "unknown code '8', known: 1-7",
        "train_00099": "unknown code '', known: 1-7",
        "odd_1": "neither train nor test: 'odd_1.jpg'",
    }
    assert "signed agreement" in faces.licence[0]


def test_rafdb_beside_compound(rafdb, tmp_path):
    (tmp_path/"both/compound").mkdir(parents=True)
    (tmp_path/"both/compound/note.txt").write_text("")
    rafdb.rename(tmp_path/"both/basic")
    assert detect(tmp_path/"both") == detect(zipped(tmp_path/"both")) == "rafdb"
    assert len(load(tmp_path/"both")[0]) == 8


def test_rafdb_with_its_images_still_packed(tmp_path):
    write(tmp_path, LIST, text="train_00001.jpg 5\n")
    with pytest.raises(ValueError, match="unpack RAF-DB's aligned.zip"): load(tmp_path)


@pytest.mark.parametrize("inner", ["", "DATASET/"])
def test_rafdb_folders(tmp_path, inner):
    root = write(tmp_path/"raf", *(f"{inner}train/{code}/train_{code:0>5}_aligned.jpg" for code in SEVEN))
    write(root, f"{inner}test/6/test_0001_aligned.jpg", f"{inner}test/8/test_0002_aligned.jpg")
    write(root, "train_labels.csv", text="\ufeffimage,label\ntrain_00001_aligned.jpg,1\ntrain_00044_aligned.jpg,4\n")
    faces, rejects = both(root, "rafdb-folders", given=10)
    labels = {f"train_{code:0>5}": label for code, label in SEVEN.items()} | {"test_0001": "angry"}
    assert dict(zip(faces.face_id, faces.label)) == labels
    assert faces.split.value_counts().to_dict() == {"train": 7, "test": 1}
    assert reasons(rejects) == {
        "test_0002": "unknown code '8', known: 1-7",
        "train_00044": "train/4/train_00044_aligned.jpg is listed but missing",
    }
    assert load(root, source="rafdb")[0].equals(faces)


def test_numbered_folders_alone_are_not_rafdb(tmp_path):
    write(tmp_path, "train/1/a.jpg", "test/1/b.jpg")
    with pytest.raises(ValueError, match="no faces in a known layout"): detect(tmp_path)


# FER+
def votes(**given):
    return ",".join(str(given.get(name, 0)) for name in VOTES)


@pytest.fixture
def ferplus(tmp_path):
    root = write(tmp_path/"fer", *(f"FER2013Train/fer{i:07}.png" for i in range(6)), "FER2013Valid/fer0000006.png")
    rows = [
        ("Training", 0, votes(anger=6, neutral=4)),
        ("Training", 1, votes(anger=5, neutral=5)),
        ("Training", 2, votes(happiness=5, unknown=3, NF=2)),
        ("Training", 3, votes(contempt=6, neutral=4)),
        ("Training", 4, votes(NF=10)),
        ("Training", 5, votes(surprise=5, neutral=4)),
        ("PublicTest", 6, votes(sadness=9, fear=1)),
        ("PublicTest", 7, votes(neutral=10)),
        ("PrivateTest", 8, votes(neutral=10)),
    ]
    lines = [f"{usage},fer{i:07}.png,{row}" for usage, i, row in rows] + [f"Training,,{votes(NF=10)}"]
    header = "Usage,Image name," + ",".join(VOTES)
    return write(root, "fer2013new.csv", text="\ufeff" + "\n".join([header, *lines]))


def test_ferplus_majority(ferplus):
    faces, rejects = both(ferplus, "ferplus", given=9)  # not PrivateTest, which has no folder
    assert faces.face_id.tolist() == ["fer0000000", "fer0000005", "fer0000006"]
    assert faces.label.tolist() == ["angry", "surprised", "sad"]
    assert faces.split.tolist() == ["train", "train", "test"]
    said = reasons(rejects)
    assert said["fer0000001"].startswith("no majority") and "5 of 10 votes" in said["fer0000001"]
    assert said["fer0000002"] == "no majority: happiness has 5 of 10 votes"
    assert said["fer0000003"] == "the majority says contempt" and said["fer0000004"] == "the majority says not a face"
    assert said["fer0000007"] == "FER2013Valid/fer0000007.png is listed but missing"
    assert said["row_10"] == "the row names no picture" and len(said) == 6


def test_ferplus_private_test_is_kept_aside(ferplus):
    write(ferplus, "FER2013Test/fer0000008.png")
    faces, rejects = both(ferplus, "ferplus", given=10)
    assert len(faces) == 3 and reasons(rejects)["fer0000008"] == "PrivateTest is kept aside"


def test_ferplus_without_a_column(ferplus):
    write(ferplus, "fer2013new.csv", text="Usage,Image name,neutral,happiness\nTraining,fer0000000.png,1,9\n")
    said = r"fer2013new\.csv: missing columns: surprise, sadness.*it has: Usage"
    with pytest.raises(ValueError, match=said) as error: load(ferplus)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "Usage,Image name\nTraining,a.png,1,2,3\n\"open"])
def test_a_label_file_that_is_no_table(ferplus, text):
    write(ferplus, "fer2013new.csv", text=text)
    with pytest.raises(ValueError, match=r"fer2013new\.csv: ") as error: load(ferplus)
    assert "\n" not in str(error.value)


def test_a_label_file_without_rows_gives_empty_tables(ferplus):
    write(ferplus, "fer2013new.csv", text="Usage,Image name," + ",".join(VOTES) + "\n")
    faces, rejects = load(ferplus)
    assert list(faces) == FACES and list(rejects) == REJECTS and len(faces) == len(rejects) == 0


# facial_expressions
NAMES = ["Jan_Ullrich_0002.jpg", "Ann_Veneman_0003.jpg", "facial-expressions_2868588k.jpg"]
IMAGES = [f"images/{name}" for name in NAMES]


def test_facial_expressions_with_person_and_split(tmp_path):
    lines = [
        "\ufeffimage,emotion,person,split",
        "Jan_Ullrich_0002.jpg,anger,Jan,train",
        "Ann_Veneman_0003.jpg,neutral,Ann,test",
        "facial-expressions_2868588k.jpg,surprise,,",
        "Gone_0001.jpg,anger,Gone,train",
        "",
    ]
    root = write(write(tmp_path/"fe", *IMAGES), "legend.csv", text="\n".join(lines))
    faces, rejects = both(root, "facial_expressions", given=4)
    assert faces.label.tolist() == ["angry", "normal", "surprised"]
    assert faces.subject.tolist() == ["Jan", "Ann", None] and faces.split.tolist() == ["train", "test", None]
    assert reasons(rejects) == {"Gone_0001": "images/Gone_0001.jpg is listed but missing"}


@pytest.mark.parametrize("legend", ["legend.csv", "data/legend.csv"])
def test_facial_expressions_as_in_its_repository(tmp_path, legend):
    lines = [
        "user.id,image,emotion",
        "302,Jan_Ullrich_0002.jpg,ANGER",
        "302,Ann_Veneman_0003.jpg,contempt",
        "628,facial-expressions_2868588k.jpg,surprised",
        "628,Jan_Ullrich_0002.jpg,Happiness",
        "",
    ]
    root = write(write(tmp_path/"fe", *IMAGES), legend, text="\n".join(lines))
    faces, rejects = both(root, "facial_expressions", given=4)
    assert faces.label.tolist() == ["angry", "surprised"] and faces.subject.tolist() == ["Jan_Ullrich", None]
    assert faces.split.tolist() == [None, None]
    unknown = f"unknown emotion 'contempt', known: {', '.join(LABELS)}"
    assert rejects.reason.tolist() == [unknown, "listed more than once"]


# Class-named folders
def test_folders_without_splits(tmp_path):
    root = write(tmp_path/"own", "Happy/a.png", "Happy/deeper/a.png", "neutral/b.JPG", "bored/c.png", "bored/d.png")
    write(root, "loose.bmp", ".hidden/e.png", "Happy/._a.png")
    write(root, "Happy/notes.txt", text="not an image")
    faces, rejects = both(root, "folders", given=6)
    assert faces.face_id.tolist() == ["Happy-a", "Happy-deeper-a", "neutral-b"]
    assert faces.label.tolist() == ["happy", "happy", "normal"]
    assert faces.split.tolist() == faces.subject.tolist() == [None]*3
    unknown = f"unknown class folder 'bored', known: {', '.join(LABELS)}"
    assert reasons(rejects) == {"bored-c": unknown, "bored-d": unknown, "loose": "in no class folder"}


@pytest.mark.parametrize("names, splits", [
    (["train/happy/a.png", "test/happy/b.png", "Validation/happy/c.png"],
     {"train-happy-a": "train", "test-happy-b": "test", "Validation-happy-c": "train"}),
    (["train/happy/a.png", "val/happy/c.png"], {"train-happy-a": "train", "val-happy-c": "test"}),
    (["TRAIN/sad/a.png", "valid/anger/c.png", "fear/d.png"],
     {"TRAIN-sad-a": "train", "valid-anger-c": "test", "fear-d": None})])
def test_folders_with_splits(tmp_path, names, splits):
    faces, _ = both(write(tmp_path/"own", *names), "folders", given=len(names))
    assert dict(zip(faces.face_id, faces.split)) == splits


def test_face_ids_stay_apart(tmp_path):
    names = ["happy/a b.png", "happy/a b.jpg", "happy/a_b.png", "happy/a-c.png", "happy/a/c.png"]
    names += ["happy/A.tiff", "happy/a.webp", "happy/é.bmp", "happy/--.jpeg"]
    faces, _ = both(write(tmp_path/"own", *names), "folders", given=len(names))
    assert faces.face_id.str.lower().is_unique
    assert load(write(tmp_path/"twins", "sad/x.png", "sad/x.jpg"))[0].face_id.tolist() == ["sad-x.jpg", "sad-x.png"]


def test_no_face_id_reads_as_an_option_or_hides(tmp_path):
    root = write(tmp_path/"fe", "images/-rf.jpg", "images/.rf.jpg")
    write(root, "legend.csv", text="image,emotion\n-rf.jpg,anger\n.rf.jpg,anger\n")
    faces, _ = both(root, "facial_expressions", given=2)
    assert not faces.face_id.str.startswith((".", "-")).any()


def test_a_linked_class_folder_is_followed(tmp_path):
    write(tmp_path/"elsewhere", "a.png")
    (tmp_path/"own").mkdir()
    (tmp_path/"own/happy").symlink_to(tmp_path/"elsewhere", target_is_directory=True)
    assert load(tmp_path/"own")[0].face_id.tolist() == ["happy-a"]


# What cannot be loaded
def refusal(data, source=None):
    with pytest.raises(ValueError) as error: load(data, source)
    return str(error.value)


def test_wrong_path_empty_folder_and_broken_zip(tmp_path):
    (tmp_path/"empty").mkdir()
    (tmp_path/"broken.zip").write_bytes(zipped(write(tmp_path/"own", "happy/a.png")).read_bytes()[:60])
    zipfile.ZipFile(tmp_path/"nothing.zip", "w").close()
    refused = {
        "nowhere": "no such folder or zip", "empty": "empty", "nothing.zip": "empty",
        "broken.zip": "neither a folder nor a whole zip",
    }
    for name, said in refused.items(): assert refusal(tmp_path/name) == f"{tmp_path/name}: {said}"


def test_nothing_fits(tmp_path):
    root = write(tmp_path/"own", "cats/a.png", "dogs/b.png")
    for data in (root, zipped(root)):
        said = refusal(data)
        assert RAFDB_PAGE in said and str(data) in said and all(f"  {name}: " in said for name in LAYOUTS)
        with pytest.raises(ValueError, match=RAFDB_PAGE): detect(data)


def test_a_named_source_must_fit_and_exist(tmp_path):
    root = write(tmp_path/"own", "happy/a.png")
    assert len(load(root, "folders")[0]) == 1
    said = refusal(root, "ferplus")
    assert "fer2013new.csv" in said and "legend.csv" not in said
    assert refusal(root, "raf-db").startswith("unknown source 'raf-db', known: rafdb")


# Images
@pytest.mark.parametrize("mode, suffix, colour", [
    ("L", "png", 200), ("LA", "png", (200, 90)), ("RGBA", "png", (200, 200, 200, 90)), ("P", "png", 0), ("1", "png", 1),
    ("CMYK", "jpg", (0, 0, 0, 55)), ("CMYK", "tif", (0, 0, 0, 55)), ("I;16", "png", 200 << 8),
    ("I;16", "tiff", 200 << 8)])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode, suffix, colour):
    image = Image.new(mode, (6, 4), colour)
    if mode == "P": image.putpalette([200, 200, 200])
    image.save(tmp_path/f"a.{suffix}")
    pixels = read_image(str(tmp_path/f"a.{suffix}"))
    assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255 if mode == "1" else 200)).max() <= 2


def test_exif_turns_the_image_upright(tmp_path):
    image = Image.new("RGB", (6, 4), "white")
    image.paste("black", (0, 0, 3, 4))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise
    image.save(tmp_path/"a.png", exif=exif)
    upright = read_image(tmp_path/"a.png")
    assert upright.shape == (6, 4, 3) and (upright[:3] == 0).all() and (upright[3:] == 255).all()


def test_unreadable_images_are_one_line_each(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path/"whole.png")
    whole = (tmp_path/"whole.png").read_bytes()
    (tmp_path/"truncated.png").write_bytes(whole[:len(whole)//2])
    (tmp_path/"flipped.png").write_bytes(whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:])
    (tmp_path/"text.png").write_text("a face")
    (tmp_path/"empty.png").touch()
    (tmp_path/"folder.png").mkdir()
    Image.new("F", (4, 4), 0.5).save(tmp_path/"float.tif")
    with zipfile.ZipFile(tmp_path/"a.zip", "w") as z: z.writestr("whole.png", whole)
    packed = (tmp_path/"a.zip").read_bytes()
    (tmp_path/"flipped.zip").write_bytes(packed[:5000] + bytes([packed[5000] ^ 255]) + packed[5001:])
    (tmp_path/"text.zip").write_text("no zip")
    assert (read_image(f"zip://whole.png::{tmp_path}/a.zip") == noise).all()
    names = ["truncated.png", "flipped.png", "text.png", "empty.png", "folder.png", "nowhere.png", "float.tif"]
    paths = [str(tmp_path/name) for name in names] + [f"zip://gone.png::{tmp_path}/a.zip"]
    paths += [f"zip://whole.png::{tmp_path}/{name}.zip" for name in ("flipped", "text", "no")]
    for path in paths:
        with pytest.raises(ValueError) as error: read_image(path)
        said = str(error.value)
        assert said.startswith(f"{path}: unreadable image (") and "\n" not in said and "()" not in said
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="decompression bomb"): read_image(tmp_path/"whole.png")


def test_a_corrupt_face_is_listed_and_refused_when_read(tmp_path):
    root = write(tmp_path/"own", "happy/a.png")
    (root/"happy/b.png").write_bytes((root/"happy/a.png").read_bytes()[:50])
    for data in (root, zipped(root)):
        faces, _ = load(data)
        assert read_image(faces.path[0]).shape == (4, 6, 3)
        with pytest.raises(ValueError, match=r"b\.png"): read_image(faces.path[1])


# A layout of somebody's own
def read_album(root):
    for image in ("glad_ann.png", "glum_bob.png"):
        word, _, person = image.removesuffix(".png").partition("_")
        label = {"glad": "happy"}.get(word)
        yield Listed(image, image[:-4], label, subject=person, reason=None if label else f"unknown word {word!r}")


def test_one_row_adds_a_layout(tmp_path, monkeypatch):
    fits = lambda root: (root/"album.txt").is_file()
    monkeypatch.setitem(LAYOUTS, "album", Layout("album", read_album, fits, "album.txt", "mine"))
    root = write(write(tmp_path/"mine", "glad_ann.png", "glum_bob.png"), "album.txt", text="")
    faces, rejects = both(root, "album", given=2)
    assert faces.label.tolist() == ["happy"] and faces.subject.tolist() == ["ann"]
    assert reasons(rejects) == {"glum_bob": "unknown word 'glum'"}
    assert "  album: album.txt" in refusal(write(tmp_path/"own", "cats/a.png"))


# Photographs
def test_absent_photographs_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKFER_PHOTOGRAPHS", str(tmp_path))
    with pytest.raises(pytest.skip.Exception) as skipped: archive("some.zip")
    assert all(said in str(skipped.value) for said in ("some.zip", str(tmp_path), "MASKFER_PHOTOGRAPHS"))
    (tmp_path/"some.zip").touch()
    assert archive("some.zip") == tmp_path/"some.zip"


def test_ferplus_photographs():
    faces, rejects = load(archive("ferplus_dev.zip"))
    counts = faces.label.value_counts()
    assert [counts[label] for label in LABELS[:4]] == [1877, 7930, 8557, 3120]
    assert len(faces) + len(rejects) == 32137 and faces.face_id.is_unique and set(faces.split) == {"train", "test"}
    assert read_image(faces.path.iloc[-1]).shape == (48, 48, 3)


def test_facial_expressions_photographs():
    faces, rejects = load(archive("facial_expressions_dev.zip"))
    counts = {"angry": 215, "surprised": 329, "happy": 830, "normal": 830}
    assert faces.label.value_counts().to_dict() == counts and rejects.empty
    assert faces.subject.notna().all() and set(faces.split) == {"train", "test"}
    assert faces.groupby("subject").split.nunique().max() == 1
    assert read_image(faces.path.iloc[-1]).ndim == 3
