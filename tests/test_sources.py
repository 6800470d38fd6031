"""Every layout from a folder and from a zip, every refusal, and the development data where it is at hand."""
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from photographs import archive

from maskfer_nb import shards, sources
from maskfer_nb.layouts import ALIASES, LABELS, LAYOUTS, VOTES, Layout, Listed, to_label
from maskfer_nb.pictures import read_bytes
from maskfer_nb.sources import FACES, RAFDB_PAGE, REJECTS, detect, load, read_image


NO_SPLIT = "in no split, where others are in train or test"


def write(root, *names, text=None):
    "Images, or one text file, under `root`."
    for name in names:
        path = root/name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None: Image.new("RGB", (6, 4), "tan").save(path)
        else: path.write_text(text, encoding="utf-8")
    return root


def zipped(root, wrap="", separator="/"):
    path = root.with_suffix(".zip" if separator == "/" else ".windows.zip")
    with zipfile.ZipFile(path, "w") as z:
        for file in sorted(root.rglob("*")):
            name = f"{wrap}{file.relative_to(root).as_posix()}".replace("/", separator)
            if file.is_file(): z.write(file, name)
    return path


def reasons(rejects):
    return dict(zip(rejects.face_id, rejects.reason))


def both(root, layout, given, source=None):
    "Load `root` as a folder and as wrapped zips, one with backslashes: the same table, complete and readable."
    in_zip, in_windows = zipped(root, "wrapped/"), zipped(root, "wrapped/", "\\")
    if not source: assert detect(root) == detect(in_zip) == detect(in_windows) == layout
    (faces, rejects), (faces_zip, rejects_zip) = load(root, source), load(in_zip, source)
    faces_windows, rejects_windows = load(in_windows, source)
    assert list(faces) == FACES and list(rejects) == REJECTS
    assert faces.drop(columns="path").equals(faces_zip.drop(columns="path")) and rejects.equals(rejects_zip)
    assert faces.drop(columns="path").equals(faces_windows.drop(columns="path")) and rejects.equals(rejects_windows)
    assert len(faces) + len(rejects) == given
    assert faces.face_id.is_unique and faces.face_id.str.fullmatch(r"[\w.-]+").all() and set(faces.label) <= set(LABELS)
    assert set(rejects.stage) <= {"sources"} and rejects.reason.str.len().gt(0).all()
    assert not rejects.reason.str.contains("\n").any() and faces.landmarks.isna().all()
    assert set(faces.source) == {LAYOUTS[layout].source} and set(faces.licence) == {LAYOUTS[layout].licence}
    for path in [*faces.path, *faces_zip.path, *faces_windows.path]: assert read_image(path).shape == (4, 6, 3)
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
    assert faces.label.tolist() == ["angry", "normal"]
    assert faces.subject.tolist() == ["Jan", "Ann"] and faces.split.tolist() == ["train", "test"]
    assert reasons(rejects) == {"Gone_0001": "images/Gone_0001.jpg is listed but missing",
                                "facial-expressions_2868588k": NO_SPLIT}


@pytest.mark.parametrize("legend", ["legend.csv", "data/legend.csv"])
def test_facial_expressions_as_in_its_repository(tmp_path, legend):
    lines = [
        "user.id,image,emotion",
        "302,Jan_Ullrich_0002.jpg,ANGER",
        "302,Ann_Veneman_0003.jpg,contempt",
        "628,facial-expressions_2868588k.jpg,surprised",
        "628,Jan_Ullrich_0002.jpg,Anger",
        "",
    ]
    root = write(write(tmp_path/"fe", *IMAGES), legend, text="\n".join(lines))
    faces, rejects = both(root, "facial_expressions", given=4)
    assert faces.label.tolist() == ["angry", "surprised"] and faces.subject.tolist() == ["Jan_Ullrich", None]
    assert faces.split.tolist() == [None, None]
    unknown = f"unknown emotion 'contempt', known: {', '.join(LABELS)}"
    assert rejects.reason.tolist() == [unknown, "listed more than once"]


LISTS = {  # rows of a name and a code as a label file, and what the codes are called in it
    "facial_expressions": (
        "legend.csv", "images/{}.jpg", "image,emotion\n", "{}.jpg,{}\n", dict(a="anger", b="fear", c="contempt")),
    "rafdb": (
        LIST, "Image/aligned/{}_aligned.jpg", "", "{}.jpg {}\n", dict(a="6", b="2", c="8")),
    "ferplus": (
        "fer2013new.csv", "FER2013Train/{}.png", "Usage,Image name," + ",".join(VOTES) + "\n", "Training,{}.png,{}\n",
        dict(a=votes(anger=9), b=votes(fear=9), c=votes(contempt=9))),
}


@pytest.mark.parametrize("layout", LISTS)
@pytest.mark.parametrize("codes, accepted, said", [
    ("aa", 1, ["listed more than once"]), ("ab", 0, ["listed with two labels"] * 2),
    ("aba", 0, ["listed with two labels"] * 3), ("aab", 0, ["listed with two labels"] * 3),
    ("ac", 0, ["listed with two labels", "contempt|'8'"]), ("ca", 0, ["contempt|'8'", "listed with two labels"])])
def test_an_image_that_is_listed_again(codes, accepted, said, layout, tmp_path):
    listing, image, header, line, words = LISTS[layout]
    root = write(tmp_path/"data", image.format("train_1"), image.format("train_2"))
    rows = [("train_1", code) for code in codes] + [("train_2", "a")]
    write(root, listing, text=header + "".join(line.format(name, words[code]) for name, code in rows))
    faces, rejects = both(root, layout, given=len(rows))
    assert faces.face_id.tolist() == ["train_1"] * accepted + ["train_2"] and set(faces.label) == {"angry"}
    assert len(rejects) == len(said) and all(map(re.search, said, rejects.reason))
    assert set(rejects.face_id) == {"train_1"}


# Class-named folders
def test_folders_without_splits(tmp_path):
    root = write(tmp_path/"own", "Happy/a.png", "Happy/deeper/a.png", "neutral/b.JPG", "bored/c.png", "bored/d.png")
    write(root, "loose.bmp", ".hidden/e.png", "Happy/._a.png")
    write(root, "Happy/notes.txt", text="not an image")
    faces, rejects = both(root, "folders", given=7)
    assert faces.face_id.tolist() == ["Happy-a", "Happy-deeper-a", "neutral-b"]
    assert faces.label.tolist() == ["happy", "happy", "normal"]
    assert faces.split.tolist() == faces.subject.tolist() == [None]*3
    unknown = f"unknown class folder 'bored', known: {', '.join(LABELS)}"
    known = ".png, .jpg, .jpeg, .jfif, .webp, .bmp, .tif, .tiff, .gif, .heic, .heif"
    notes = f"Happy/notes.txt is not named as a picture, known: {known}"
    assert reasons(rejects) == {
        "bored-c": unknown, "bored-d": unknown, "loose": "in no class folder", "Happy-notes": notes}


@pytest.mark.parametrize("names, splits", [
    (["train/happy/a.png", "test/happy/b.png", "Validation/happy/c.png"],
     {"train-happy-a": "train", "test-happy-b": "test", "Validation-happy-c": "train"}),
    (["train/happy/a.png", "val/happy/c.png"], {"train-happy-a": "train", "val-happy-c": "test"}),
    (["TRAIN/sad/a.png", "valid/anger/c.png", "fear/d.png"],
     {"TRAIN-sad-a": "train", "valid-anger-c": "test"}),
    (["training/sad/a.png", "Testing/sad/b.png", "val/sad/c.png"],
     {"training-sad-a": "train", "Testing-sad-b": "test", "val-sad-c": "train"})])
def test_folders_with_splits(tmp_path, names, splits):
    faces, rejects = both(write(tmp_path/"own", *names), "folders", given=len(names))
    assert dict(zip(faces.face_id, faces.split)) == splits and set(rejects.reason) <= {NO_SPLIT}


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


@pytest.mark.parametrize("layout, files, source", [
    ("rafdb", {LIST: "\n", "Image/aligned/train_1_aligned.jpg": None}, None),
    ("rafdb-folders", {"train/1/": None, "train_labels.csv": "image,label\n"}, None),
    ("rafdb-numbers", {"train/1/": None, "test/1/": None}, "rafdb"),
    ("ferplus", {"fer2013new.csv": "Usage,Image name," + ",".join(VOTES), "FER2013Train/a.png": None}, None),
    ("fer2013", {"fer2013.csv": "emotion,pixels,Usage\n"}, None),
    ("facial_expressions", {"legend.csv": "image,emotion\n", "images/a.png": None}, None),
    ("affectnet", {"0/": None}, "affectnet"),
    ("folders", {"happy/": None, "sad/": None}, None),
    ("folders", {"train/happy/.DS_Store": "", "README": ""}, None)])
def test_a_data_set_with_nothing_in_it_is_refused(layout, files, source, tmp_path):
    root = tmp_path/"data"
    for name, content in files.items():
        if name.endswith("/"): (root/name).mkdir(parents=True)
        else: write(root, name, text=content)
    with zipfile.ZipFile(tmp_path/"data.zip", "w") as z:
        for path in sorted(root.rglob("*")): z.write(path, path.relative_to(root))
    said = f"laid out as {layout}, but nothing is listed there; give one with faces"
    for data in (root, tmp_path/"data.zip")[:1 if layout == "fer2013" else 2]:
        assert refusal(data, source) == f"{data}: {said}"


@pytest.mark.parametrize("wrap", ["", "wrapped/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, "encrypted"])
def test_members_that_cannot_be_unpacked_are_rejects(method, wrap, tmp_path):
    picture = write(tmp_path, "a.png")/"a.png"
    with zipfile.ZipFile(tmp_path/"data.zip", "w") as z:
        for member in ("happy/a.png", "happy/b.png", "sad/c.png"): z.write(picture, wrap + member, zipfile.ZIP_DEFLATED)
        for member in z.filelist[1:]:
            if method == "encrypted": member.flag_bits |= 1
            else: member.compress_type = method
    faces, rejects = load(tmp_path/"data.zip")
    assert faces.face_id.tolist() == ["happy-a"] and read_image(faces.path[0]).shape == (4, 6, 3)
    said = method if method == "encrypted" else "packed with another method than deflate"
    assert reasons(rejects) == {"happy-b": said, "sad-c": said}


def test_a_zip_that_cannot_be_unpacked_at_all_gives_only_rejects(tmp_path):
    picture = write(tmp_path, "a.png")/"a.png"
    with zipfile.ZipFile(tmp_path/"data.zip", "w", zipfile.ZIP_LZMA) as z: z.write(picture, "happy/a.png")
    faces, rejects = load(tmp_path/"data.zip")
    assert faces.empty and reasons(rejects) == {"happy-a": "packed with another method than deflate"}


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


# What the table of the chapter says
def pixels(grey):
    return " ".join([str(grey)] * 48**2)


def fer2013(*rows, header="emotion,pixels,Usage", line="{0},{1},{2}"):
    "FER2013's table of rows (code, grey, usage)."
    return "\n".join([header, *(line.format(code, pixels(grey), usage) for code, grey, usage in rows), ""])


def ferplus_rows(*rows):
    "FER+'s table of rows (usage, name, votes)."
    return "\n".join(["Usage,Image name," + ",".join(VOTES), *(",".join(row) for row in rows), ""])


def numbered(codes, *splits, name="{split}_{code}_aligned.jpg"):
    return {f"{split}/{code}/{name.format(split=split, code=code)}": None for split in splits for code in codes}


def labelled(labels, codes, split):
    return {f"{split}_{code}": (label, split) for code, label in zip(codes, labels)}


SEVEN_OF = dict(
    rafdb=("1234567", ["surprised", "fearful", "disgusted", "happy", "sad", "angry", "normal"]),
    affectnet=("0123456", ["normal", "happy", "sad", "surprised", "fearful", "disgusted", "angry"]),
    fer2013=("0123456", ["angry", "disgusted", "fearful", "happy", "sad", "surprised", "normal"]),
)
CODES, RAF_LABELS = SEVEN_OF["rafdb"]
ALIGNED = [f"train_{code}" for code in CODES]
VOTED = [
    ("Training", "fer0000000.png", votes(anger=9, neutral=1)),
    ("Training", "fer0000001.png", votes(anger=5, NF=5)),
    ("PublicTest", "fer0000002.png", votes(happiness=10)),
    ("PrivateTest", "fer0000003.png", votes(happiness=10)),
]
FACES_OF_VOTED = {"fer0000000": ("angry", "train"), "fer0000002": ("happy", "test")}
PICTURES = dict.fromkeys(f"FER2013{name}.png" for name in ("Train/fer0000000", "Train/fer0000001", "Valid/fer0000002"))
EXAMPLES = {  # layout: files (None is a picture), the source to name, the faces that must come out
    "rafdb": [
        ({LIST: "".join(f"{name}{end}.jpg {name[-1]}\n" for name in ALIGNED),
          **{f"Image/aligned/{below}{name}_aligned.jpg": None for name in ALIGNED}}, None,
         labelled(RAF_LABELS, CODES, "train"))
        for end in ("", "_aligned") for below in ("", "aligned/")],
    "rafdb-folders": [
        (numbered(CODES, "train", "test") | {"train_labels.csv": "image,label\n"}, None,
         labelled(RAF_LABELS, CODES, "train") | labelled(RAF_LABELS, CODES, "test"))],
    "rafdb-numbers": [
        (numbered(CODES, "train", "test"), "rafdb",
         labelled(RAF_LABELS, CODES, "train") | labelled(RAF_LABELS, CODES, "test")),
        (numbered(CODES, "train", "valid"), "rafdb-numbers",
         labelled(RAF_LABELS, CODES, "train") | {f"valid_{c}": (label, "test") for c, label in zip(CODES, RAF_LABELS)}),
        (numbered("4", "train", "valid", "test"), "rafdb",
         {"train_4": ("happy", "train"), "valid_4": ("happy", "train"), "test_4": ("happy", "test")})],
    "ferplus": [
        (PICTURES | {"fer2013new.csv": ferplus_rows(*VOTED)}, None, FACES_OF_VOTED),
        ({f"data/{name}": None for name in PICTURES} | {
            "fer2013new.csv": ferplus_rows(*VOTED), "data/FER2013Train/label.csv": "", "src/train.py": ""}, None,
         FACES_OF_VOTED)],
    "fer2013": [],  # has no pictures; see below
    "facial_expressions": [
        ({"images/Ann_Veneman_0003.jpg": None, "images/1.jpg": None,
          "legend.csv": "image,emotion\nAnn_Veneman_0003.jpg,anger\n1.jpg,fear\n"}, None,
         {"Ann_Veneman_0003": ("angry", None), "1": ("fearful", None)})],
    "affectnet": [
        (numbered("0123456", "train", "test", name="{split}{code}.jpg"), "affectnet",
         {f"{split}-{code}-{split}{code}": (label, split)
          for split in ("train", "test") for code, label in zip(*SEVEN_OF["affectnet"])}),
        ({f"{code}/{code}.png": None for code in "0123456"}, "affectnet",
         {f"{code}-{code}": (label, None) for code, label in zip(*SEVEN_OF["affectnet"])})],
    "rendered": [],  # brings more than the others; see below
    "folders": [
        ({"training/Anger/a.png": None, "testing/happy/b.png": None}, None,
         {"training-Anger-a": ("angry", "train"), "testing-happy-b": ("happy", "test")})],
}


def laid(root, files):
    for name, content in files.items(): write(root, name, text=content)
    return root


def rows_of_the_table():
    cells = json.loads((Path(__file__).parents[1]/"nbs/21_sources.ipynb").read_text())["cells"]
    lines = next("".join(cell["source"]) for cell in cells if "\n---|---|" in "".join(cell["source"])).split("\n")
    rows = [line.split(" | ") for line in lines if line.count(" | ") == 3]
    assert rows[0] == ["layout", "where it comes from", "how it is recognised", "what is refused"]
    return [row[0] for row in rows[1:]]


def labels_and_splits(faces):
    return {face.face_id: (face.label, face.split) for face in faces.itertuples()}


def test_the_table_has_a_row_for_each_layout():
    assert rows_of_the_table() == list(LAYOUTS) == list(EXAMPLES) == list(dict.fromkeys(row for row, *_ in REFUSED))


@pytest.mark.parametrize("layout, number", [(row, n) for row in EXAMPLES for n in range(len(EXAMPLES[row]))])
def test_what_a_row_says_is_recognised(layout, number, tmp_path):
    files, source, accepted = EXAMPLES[layout][number]
    rejected = 1 if layout == "ferplus" else 0
    faces, rejects = both(laid(tmp_path/"data", files), layout, len(accepted) + rejected, source)
    assert labels_and_splits(faces) == accepted


FROM_ZERO = "has a code 0, but RAF-DB counts from 1, surprised, to 7, normal; add 1"
FROM_0 = {f"Image/aligned/train_{code}_aligned.jpg": None for code in "0123456"}
REFUSED = [  # layout, files, the source to name, what is said of the whole or of one face
    ("rafdb", FROM_0 | {LIST: "".join(f"train_{code}.jpg {code}\n" for code in "0123456")}, None, FROM_ZERO),
    ("rafdb", FROM_0 | {LIST: "train_1.jpg 1\ntrain_2.jpg 2\ntrain_0.jpg 0\n"}, None, FROM_ZERO),
    ("rafdb", {LIST: "train_1.jpg 1\n", "Image/aligned.zip": ""}, None, "unpack RAF-DB's aligned.zip there"),
    ("rafdb", {LIST: "train_1.jpg 1\n", "Image/aligned/aligned.zip": ""}, None, "unpack RAF-DB's aligned.zip there"),
    ("rafdb-folders", numbered("0123456", "train", "test") | {"train_labels.csv": "image,label\n"}, None, FROM_ZERO),
    ("rafdb-folders", numbered("123456", "train") | {"train_labels.csv": "image,label\nz.jpg,0\n"}, None, FROM_ZERO),
    ("rafdb-folders", numbered("45", "train") | {"train_labels.csv": "image,label\ntrain_4_aligned.jpg,5\n"}, None,
     {"train_4": "in a folder for happy, but train_labels.csv says '5'"}),
    *(("rafdb-folders", numbered("45", "train") | {"train_labels.csv": "image,label\n" + "".join(
        f"train_4_aligned.jpg,{code}\n" for code in codes)}, None,
       {"train_4": "in a folder for happy, but train_labels.csv says '5'"}) for codes in ("45", "54")),
    ("rafdb-numbers", numbered("0123456", "train", "test"), "rafdb", FROM_ZERO),
    ("rafdb-numbers", numbered("0123456", "valid"), "rafdb", FROM_ZERO),
    ("rafdb-numbers", numbered("8", "train") | numbered("1", "test"), "rafdb",
     {"train_8": "unknown code '8', known: 1-7"}),
    ("ferplus", EXAMPLES["ferplus"][0][0], None, {"fer0000001": "no majority: anger has 5 of 10 votes"}),
    ("fer2013", {"fer2013.csv": fer2013((3, 1, "PrivateTest"), (7, 1, "Training"), (3, "x", "Training"))}, None,
     {"fer2013-00001": "PrivateTest is kept aside", "fer2013-00002": "unknown code '7', known: 0-6",
      "fer2013-00003": "the row has no pixels"}),
    ("fer2013", {"fer2013.csv": fer2013((3, 1, "Test"))}, None, {"fer2013-00001": "unknown usage 'Test'"}),
    ("fer2013", {"fer2013.csv": fer2013((3, 1, ""), line="{0},{1}")}, None, {"fer2013-00001": "unknown usage ''"}),
    ("fer2013", {"fer2013.csv": "emotion,Usage\n3,Training\n"}, None, "missing columns: pixels"),
    ("fer2013", {"fer2013.csv": fer2013((3, 1, "Training,1"))}, None, "line 2 has 4 cells, the first line 3"),
    ("facial_expressions", {"images/1.jpg": None, "legend.csv": "image,emotion\n1.jpg,contempt\n"}, None,
     {"1": f"unknown emotion 'contempt', known: {', '.join(LABELS)}"}),
    ("affectnet", numbered("078", "train"), "affectnet",
     {"train-7-train_7_aligned": "code '7' is contempt, which is none of the seven expressions",
      "train-8-train_8_aligned": "unknown code '8', known: 0-7"}),
    *(("affectnet", numbered("1234567", "train", "test") | {name: ""}, "affectnet", f"has RAF-DB's {name}; name source")
      for name in ("train_labels.csv", "test_labels.csv", LIST)),
    ("affectnet", numbered("01234567", "train") | {"train_labels.csv": ""}, "affectnet", "has RAF-DB's train_labels"),
    ("affectnet", numbered("1234567", "train", "test"), "affectnet", "has a folder 7 and none called 0, as RAF-DB"),
    ("affectnet", {f"{code}/a.png": None for code in "1234567"}, "affectnet", "has a folder 7 and none called 0"),
    ("rendered", {"faces.parquet": "face_id,label", "pictures/a.webp": None}, None, "not a readable table"),
    ("folders", {"happy/a.png": None, "joy/b.png": None}, None,
     {"joy-b": f"unknown class folder 'joy', known: {', '.join(LABELS)}"}),
]


@pytest.mark.parametrize("layout, files, source, said", REFUSED)
def test_what_a_row_says_is_refused(layout, files, source, said, tmp_path):
    root = laid(tmp_path/"data", files)
    for data in (root, zipped(root), zipped(root, separator="\\")):
        if not source: assert detect(data) == layout
        if isinstance(said, str) or layout == "fer2013" and data != root:
            refused = refusal(data, source)
            assert (said if isinstance(said, str) and data == root else "") in refused
            assert str(data) in refused and refused.isprintable()
        else:
            assert reasons(load(data, source)[1]) == said


@pytest.mark.parametrize("source, label", [("rafdb", "fearful"), ("affectnet", "sad")])
def test_a_source_that_must_be_named_reaches_the_chain(source, label, tmp_path):
    root = laid(tmp_path/"data", {f"{split}/2/{n}.png": None for split in ("train", "test") for n in range(10)})
    settings = dict(data=str(root), classes=[], leave_out="", seed=0)
    with pytest.raises(ValueError, match="name source=rafdb or source=affectnet"):
        shards.face_table(tmp_path, source="auto", **settings)
    faces, rejects = shards.face_table(tmp_path, source=source, **settings)
    assert set(faces.label) == {label} and faces.split.value_counts().to_dict() == {"test": 10, "train": 9, "val": 1}
    assert "signed agreement" in faces.licence[0] and rejects.empty


def test_a_list_that_counts_from_1_may_lack_any_class(rafdb):
    for code in "1234567":
        (rafdb/LIST).write_text(f"train_{code:0>5}.jpg {code}\n")
        assert load(rafdb)[0].label.tolist() == [SEVEN[code]]


# Rendered faces
def rendered_set(root, **columns):
    "Six faces of two people in the layout of data/rendered.zip, their landmarks counted up from the face's number."
    names = [f"rendered-0-{number:06}" for number in range(6)]
    write(root, *(f"pictures/{name}.webp" for name in names), *(f"regions/{name}.png" for name in names))
    points = [np.arange(136, dtype=np.float32) + number for number in range(6)]
    table = dict(face_id=names, label=["angry", "happy", "normal"] * 2, subject=["0-0"] * 3 + ["0-1"] * 3,
                 split=["train"] * 3 + ["test"] * 3, landmarks=points, person_age=np.float32(0.5))
    pd.DataFrame(table | columns).to_parquet(root/"faces.parquet", index=False)
    return root


def test_rendered_faces_bring_their_landmarks_split_people_and_regions(tmp_path):
    root = rendered_set(tmp_path/"rendered")
    for data in (root, zipped(root), zipped(root, "wrapped/")):
        assert detect(data) == "rendered"
        faces, rejects = load(data)
        assert rejects.empty and list(faces) == [*FACES, "regions"] and len(faces) == 6
        assert faces.split.tolist() == ["train"] * 3 + ["test"] * 3 and faces.subject.nunique() == 2
        assert faces.label.tolist() == ["angry", "happy", "normal"] * 2 and set(faces.source) == {"rendered"}
        assert set(faces.licence) == {"CC0-1.0, rendered by this project from MakeHuman's CC0 head"}
        points = faces.landmarks[4]
        assert points.dtype == np.float32 and np.array_equal(points, np.arange(4, 140).reshape(68, 2))
        assert read_image(faces.path[0]).shape == (4, 6, 3) and len(read_bytes(faces.regions[5])) > 50


def test_rendered_faces_that_cannot_be_taken_are_rejects(tmp_path):
    points = [np.arange(136)] * 5 + [np.arange(4)]
    root = rendered_set(tmp_path/"rendered", label=["angry", "bored", *["happy"] * 4], landmarks=points)
    (root/"pictures/rendered-0-000002.webp").unlink()
    faces, rejects = load(root)
    assert len(faces) == 3 and reasons(rejects) == {
        "rendered-0-000001": f"unknown class 'bored', known: {', '.join(LABELS)}",
        "rendered-0-000002": "pictures/rendered-0-000002.webp is listed but missing",
        "rendered-0-000005": "its landmarks are not 68 points"}


def test_a_split_by_another_word_is_a_reject(tmp_path):
    root = rendered_set(tmp_path/"rendered", split=["train", "train", "Train", "test", None, "test"])
    faces, rejects = load(root)
    assert faces.split.tolist() == ["train", "train", "test", "test"]
    assert rejects.reason.tolist() == ["its split is neither train nor test", NO_SPLIT]


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b"PAR1"), lambda path: pd.DataFrame(dict(face_id=["a"])).to_parquet(path)])
def test_a_damaged_table_of_rendered_faces_is_one_error(tmp_path, spoil):
    root = rendered_set(tmp_path/"rendered")
    spoil(root/"faces.parquet")
    with pytest.raises(ValueError, match="faces.parquet: not a readable table") as error: load(root)
    assert "\n" not in str(error.value)


def test_rendered_faces_reach_the_data_sets_by_the_chains_defaults(tmp_path):
    names = [f"one-{number}" for number in range(33)]
    many = dict(face_id=names, label=["angry", "happy", "normal"] * 11, subject=[f"{n // 3}" for n in range(33)],
                split=["train"] * 30 + ["test"] * 3, landmarks=[np.arange(136)] * 33)
    root = write(tmp_path/"many", *(f"pictures/{name}.webp" for name in names))
    pd.DataFrame(many).to_parquet(root/"faces.parquet")
    faces, rejects = shards.face_table(tmp_path, source="rendered", data=str(zipped(root)), leave_out="", seed=0)
    assert rejects.empty and faces.split.value_counts().to_dict() == dict(train=27, val=3, test=3)
    assert faces.groupby("subject").split.nunique().max() == 1
    assert np.array_equal(faces.landmarks[32], np.arange(136).reshape(68, 2))


# Pixels in a table
ROWS = [*((code, 10 * int(code), "Training") for code in "0123456"), (3, 99, "PublicTest"), (3, 98, "PrivateTest")]


@pytest.mark.parametrize("name, header, line", [
    ("fer2013.csv", "emotion,pixels,Usage", "{0},{1},{2}"),
    ("icml_face_data.csv", "emotion, Usage, pixels", "{0}, {2}, {1}"),
    ("icml_face_data.csv", "emotion, Usage, pixels", "{0},{2},{1}\r"),
    ("fer2013.csv", "\ufeffemotion,pixels,Usage", '"{0}","{1}","{2}"'),
])
def test_faces_that_are_rows_of_numbers(name, header, line, tmp_path):
    write(tmp_path, name, text=fer2013(*ROWS, header=header, line=line))
    assert detect(tmp_path) == "fer2013"
    faces, rejects = load(tmp_path)
    assert faces.label.tolist() == [*SEVEN_OF["fer2013"][1], "happy"] and faces.face_id[0] == "fer2013-00001"
    assert faces.split.tolist() == ["train"] * 7 + ["test"] and set(faces.source) == {"fer2013"}
    assert reasons(rejects) == {"fer2013-00009": "PrivateTest is kept aside"}
    for path, (_, grey, _) in zip(faces.path, ROWS):
        image = read_image(path)
        assert image.shape == (48, 48, 3) and image.dtype == np.uint8 and (image == grey).all()


def test_the_numbers_of_a_row_are_its_picture_row_by_row(tmp_path):
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    write(tmp_path, "fer2013.csv", text=f"emotion,pixels,Usage\n3,{' '.join(map(str, face.ravel()))},Training\n")
    assert (read_image(load(tmp_path)[0].path[0]) == face[..., None]).all()


@pytest.mark.parametrize("numbers, said", [
    (pixels(1) + " 1", "2,305 numbers, not 48 x 48"), (pixels(1)[:-2], "2,303 numbers, not 48 x 48"),
    (pixels(256), "numbers are not from 0 to 255"), (pixels(1)[:-1] + "9" * 5000, "not from 0|unreadable image")])
def test_a_row_that_is_no_picture_is_refused_when_it_is_read(numbers, said, tmp_path):
    write(tmp_path, "fer2013.csv", text=f"emotion,pixels,Usage\n3,{numbers},Training\n")
    with pytest.raises(ValueError, match=said) as error: read_image(load(tmp_path)[0].path[0])
    assert "fer2013.csv: unreadable image (" in str(error.value) and str(error.value).isprintable()


def test_a_place_in_the_table_itself_reads_no_more_than_a_face(tmp_path):
    write(tmp_path, "fer2013.csv", text=f"emotion,pixels,Usage\n3,0+999999999999,Training\n3,{pixels(7)},Training\n")
    with pytest.raises(ValueError, match="fer2013.csv: unreadable image"): read_image(load(tmp_path)[0].path[0])


@pytest.mark.parametrize("name, header, line", [
    ("fer2013.csv", "emotion,pixels,Usage", "{0},{1},{2}"),
    ("icml_face_data.csv", "emotion, Usage, pixels", "{0},{2},{1}")])
def test_votes_beside_a_table_of_pixels(name, header, line, tmp_path):
    root = laid(tmp_path/"pictures", PICTURES | {"fer2013new.csv": ferplus_rows(*VOTED)})
    unnamed = ("Training", "", votes(NF=10))
    rows = [(0, 10 * n, usage) for n, (usage, *_) in enumerate([VOTED[0], unnamed, *VOTED[1:]])]
    both = laid(tmp_path/"table", {name: fer2013(*rows, header=header, line=line),
                                   "fer2013new.csv": ferplus_rows(VOTED[0], unnamed, *VOTED[1:])})
    assert detect(both) == "ferplus" and detect(laid(tmp_path/"alone", {name: fer2013(*rows)})) == "fer2013"
    faces, rejects = load(both, "ferplus")
    assert labels_and_splits(faces) == labels_and_splits(load(root)[0]) == FACES_OF_VOTED
    assert [read_image(path)[0, 0, 0] for path in faces.path] == [0, 30]
    assert reasons(rejects) == {
        "row_2": "the row names no picture", "fer0000001": "no majority: anger has 5 of 10 votes",
        "fer0000003": "PrivateTest is kept aside"}
    voted, of_pictures = sources.votes(both), sources.votes(root)
    assert voted.drop(columns="path").equals(of_pictures.drop(columns="path"))
    assert [read_image(path)[0, 0, 0] for path in voted.path] == [0, 20, 30]
    assert set(load(both, "fer2013")[0].label) == {"angry"}


@pytest.mark.parametrize("usages, said", [
    (["Training", "Training", "PublicTest"], "3 rows here and 4 in fer2013new.csv"),
    (["Training", "Training", "PublicTest", "PrivateTest", "PrivateTest"], "5 rows here and 4 in fer2013new.csv"),
    (["Training", "PublicTest", "Training", "PrivateTest"], "row 2 here has another usage than in fer2013new.csv")])
def test_votes_on_other_rows_are_refused_whole(usages, said, tmp_path):
    table = fer2013(*((0, 10, usage) for usage in usages))
    laid(tmp_path, {"fer2013.csv": table, "fer2013new.csv": ferplus_rows(*VOTED)})
    for read in (load, sources.votes):
        with pytest.raises(ValueError, match=said) as error: read(tmp_path)
        assert str(error.value).startswith(f"{tmp_path}/fer2013.csv: ") and str(error.value).isprintable()


def test_pictures_go_before_a_table_of_pixels(tmp_path):
    laid(tmp_path, PICTURES | {"fer2013.csv": fer2013((0, 1, "Training")), "fer2013new.csv": ferplus_rows(*VOTED)})
    assert not load(tmp_path)[0].path.str.startswith("pixels:").any()


def test_a_table_that_is_given_itself_or_in_a_zip(tmp_path):
    laid(tmp_path/"fer", {"fer2013.csv": fer2013((0, 1, "Training"))})
    assert refusal(tmp_path/"fer/fer2013.csv").endswith("give the folder that it is in, or unpack it")
    assert refusal(zipped(tmp_path/"fer")).endswith("unpack it and give the folder")


# Everything given is accepted or rejected by name
ODD = ["a.pdf", "b.psd", "c", "d.txt", "e.png.part"]


@pytest.mark.parametrize("folder, layout, source", [
    ("happy", "folders", None), ("train/happy", "folders", None), ("happy/deeper", "folders", None),
    ("train/4", "rafdb-numbers", "rafdb"), ("train/1", "affectnet", "affectnet"), ("1", "affectnet", "affectnet")])
def test_odd_files_in_class_folders_are_rejects(folder, layout, source, tmp_path):
    root = write(tmp_path/"own", f"{folder}/face.png")
    write(root, *(f"{folder}/{name}" for name in ODD), text="odd")
    write(root, f"{folder}/Thumbs.db", f"{folder}/desktop.ini", f"{folder}/.DS_Store", "README", "labels.csv", text="")
    faces, rejects = both(root, layout, 1 + len(ODD), source)
    assert faces.label.tolist() == ["happy"] and len(rejects) == len(ODD)
    assert all(any(f"{folder}/{name} is not named as a picture" in said for said in rejects.reason) for name in ODD)


def closed(monkeypatch, *folders):
    "Let folders be such as may not be read, for root too."
    def guarded(function):
        def look(path="."):
            shut = os.fspath(path).rstrip("/") in map(str, folders)
            if shut: raise PermissionError(13, "Permission denied", str(path))
            return function(path)
        return look
    for name in ("scandir", "listdir"): monkeypatch.setattr(os, name, guarded(getattr(os, name)))


@pytest.mark.parametrize("folder", ["happy/private", "sad", "train", "lost+found", "happy/a/b"])
def test_a_folder_below_that_may_not_be_read_is_a_reject(folder, tmp_path, monkeypatch):
    root = write(tmp_path/"own", "happy/face.png", f"{folder}/hidden.png")
    closed(monkeypatch, root/folder)
    faces, rejects = load(root)
    assert faces.face_id.tolist() == ["happy-face"]
    assert rejects.reason.tolist() == [f"{folder}/ cannot be read (Permission denied)"]


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    root = write(tmp_path/"own", "wrapped/happy/face.png")
    closed(monkeypatch, root/"wrapped")
    assert refusal(root) == f"{root}/wrapped: Permission denied"
    closed(monkeypatch, root)
    assert refusal(root) == f"{root}: Permission denied"


def test_a_listed_image_that_may_not_be_looked_at_is_a_reject(rafdb, monkeypatch):
    look = Path.is_file

    def is_file(path):
        if path.name == "train_00001_aligned.jpg": raise PermissionError(13, "Permission denied", str(path))
        return look(path)
    monkeypatch.setattr(Path, "is_file", is_file)
    said = "Image/aligned/train_00001_aligned.jpg cannot be read (Permission denied)"
    assert reasons(load(rafdb)[1])["train_00001"] == said


def test_a_backslash_beside_slashes_is_a_part_of_the_name(tmp_path):
    picture = write(tmp_path/"own", "a.png")/"a.png"
    with zipfile.ZipFile(tmp_path/"a.zip", "w") as z:
        for name in ("happy/a\\b.png", "sad\\c.png"): z.write(picture, name)
    faces, rejects = load(tmp_path/"a.zip")
    assert faces.face_id.tolist() == ["happy-a_b", "sad-c"] and rejects.empty
    assert all(read_image(path).shape == (4, 6, 3) for path in faces.path)


# What came nearest
@pytest.mark.parametrize("files, source, said", [
    ({"Image/aligned/train_1_aligned.jpg": None}, None,
     "nearest is rafdb: it has Image/aligned/, but not EmoLabel/list_patition_label.txt"),
    ({"train/1/a.png": None, "test/7/b.png": None}, None, "name source=rafdb or source=affectnet"),
    ({"train/0/a.png": None}, None, "name source=affectnet"),
    ({"fer2013new.csv": "", "src/a.py": "", "data/FER2013Train/label.csv": ""}, None,
     "nearest is ferplus: it has fer2013new.csv, but not FER2013Train/, FER2013Valid/"),
    ({"fer2013new.csv": "", "FER2013Train/label.csv": "", "FER2013Valid/label.csv": ""}, None,
     "nearest is ferplus: it has fer2013new.csv, FER2013Train/, FER2013Valid/, but not what belongs in them"),
    ({"FER2013Train/fer0000000.png": None}, "ferplus",
     "nearest is ferplus: it has FER2013Train/, but not fer2013new.csv, FER2013Valid/"),
    ({"legend.csv": "", "pictures/a.png": None}, None,
     "nearest is facial_expressions: it has legend.csv, but not images/"),
    ({"train_labels.csv": "", "train/a.png": None}, None,
     "nearest is rafdb-folders: it has train_labels.csv, but not train/1/, test/1/"),
    ({"faces/happy/a.png": None, "more/a.png": None}, None, "nearest is faces/ in it: give that alone"),
    ({"faces/train/0/a.png": None, "more/a.png": None}, "affectnet",
     "nearest is faces/ in it: give that alone, with source=affectnet"),
    ({"cats/a.png": None, "dogs/a.png": None}, None, "none of its folders has such a name: cats, dogs"),
    ({"a.png": None}, None, "there are no folders in it"),
])
def test_what_came_nearest(files, source, said, tmp_path):
    root = laid(tmp_path/"data", files)
    for data in (root, zipped(root), zipped(root, "wrapped/"), zipped(root, "wrapped/", "\\")):
        refused = refusal(data, source).split("\n")
        assert refused[0] == f"{data}: no faces in a known layout; looked for:"
        assert refused[-2].endswith(said), refused


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
