"Mutated pictures, label files and zips: everything given is accepted, rejected in one line, or refused whole in one."
import csv
import io
import shutil
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskfer_nb import datasets, faces, layouts, masking, sources
from maskfer_nb.pictures import SUFFIXES, leads_out, open_zip
from maskfer_nb.predictor import MaskedFER

PICTURES = settings().max_examples  # of the profile, see conftest.py
TABLES = max(20, PICTURES // 5)


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    return Image.open(faces.render(tmp_path_factory.mktemp("faces"), n=2, seed=3, size=96).path[0]).convert("RGB")


@pytest.fixture(scope="module")
def model():
    return MaskedFER.from_pretrained()


def one_line(text):
    return bool(text.strip()) and text.isprintable()


# Mutations of bytes
BIG = [
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xc3\x50", b"\x50\xc3\0\0", b"\0\0\0\0", b"\0\0\x27\x10",
    b"\xff\xff", b"\0\1"]
place = st.one_of(  # ten-thousandths of the file
    st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 300), st.integers(9000, 9999))
changes = st.tuples(
    st.sampled_from(["cut", "flip", "insert", "delete", "double", "header"]), place, st.integers(1, 400),
    st.binary(min_size=1, max_size=8), st.sampled_from(BIG))


def mutated(content, change):
    "Bytes after one change."
    kind, share, length, some, big = change
    at = share * len(content) // 10_000
    if kind == "cut": return content[:at]
    if kind == "flip":
        flipped = bytes(old ^ new for old, new in zip(content[at:], some))
        return content[:at] + flipped + content[at + len(some) :]
    if kind == "insert": return content[:at] + some + content[at:]
    if kind == "delete": return content[:at] + content[at + length :]
    if kind == "double": return content[: at + length] + content[at:]
    at = share * 64 // 10_000
    return content[:at] + big + content[at + len(big) :]


def packed(folder, change=None):
    "The folder as a zip, with a change to the zip's own bytes."
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")): archive.write(file, file.relative_to(folder))
    if change: path.write_bytes(mutated(path.read_bytes(), change))
    return path


def examined(data):
    "Faces and rejects of a data set, and a reason for each unusable face; or the one reason why it cannot be loaded."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try: listed, rejects = sources.load(data)
        except ValueError as error: return str(error)
        reasons = [result["reason"] for path in listed.path if "reason" in (result := datasets.examine(path, None))]
    assert all(map(one_line, [*rejects.reason, *reasons])), (rejects.reason, reasons)
    return listed, rejects, reasons


# Pictures
def deep(face):
    return Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257)


def turned(face):
    exif = Image.Exif()
    exif[0x0112] = 6
    return dict(exif=exif)


FORMS = {
    "png": lambda face: (face, "PNG", {}),
    "jpg": lambda face: (face, "JPEG", {}),
    "progressive.jpg": lambda face: (face, "JPEG", dict(progressive=True)),
    "webp": lambda face: (face, "WEBP", {}),
    "lossless.webp": lambda face: (face, "WEBP", dict(lossless=True)),
    "bmp": lambda face: (face, "BMP", {}),
    "tif": lambda face: (face, "TIFF", {}),
    "packed.tiff": lambda face: (face, "TIFF", dict(compression="tiff_lzw")),
    "jpeg.tif": lambda face: (face, "TIFF", dict(compression="jpeg")),
    "gif.png": lambda face: (face, "GIF", {}),
    "deep.png": lambda face: (deep(face), "PNG", {}),
    "deep.tif": lambda face: (deep(face), "TIFF", {}),
    "cmyk.jpg": lambda face: (face.convert("CMYK"), "JPEG", {}),
    "cmyk.tif": lambda face: (face.convert("CMYK"), "TIFF", {}),
    "palette.png": lambda face: (face.quantize(64), "PNG", dict(transparency=3)),
    "turned.jpg": lambda face: (face.rotate(90), "JPEG", turned(face)),
    "turned.webp": lambda face: (face.rotate(90), "WEBP", turned(face)),
    "clear.png": lambda face: (face.convert("LA"), "PNG", {}),
    "moving.png": lambda face: (face, "PNG", dict(save_all=True, append_images=[face.rotate(9)])),
    "phone.jpg": lambda face: (face, "MPO", dict(save_all=True, append_images=[face.resize((32, 32))])),
}


@pytest.fixture(scope="module")
def forms(face):
    written = {}
    for name, form in FORMS.items():
        image, kind, options = form(face)
        image.save(buffer := io.BytesIO(), kind, **options)
        written[name] = buffer.getvalue()
    return written


def test_mutated_pictures(forms, model, tmp_path):
    tally = Counter()

    @settings(max_examples=PICTURES)
    @given(form=st.sampled_from(list(FORMS)), some=st.lists(changes, max_size=2),
           suffix=st.one_of(st.none(), st.sampled_from(list(SUFFIXES))), in_zip=st.sampled_from([False, False, True]))
    def attempt(form, some, suffix, in_zip):
        here, content = tmp_path / str(tally["tried"]), forms[form]
        for change in some: content = mutated(content, change)
        path = (here / f"data/happy/face.{form}").with_suffix(suffix or Path(form).suffix or f".{form}")
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        tally["tried"] += 1
        listed, rejects, reasons = examined(packed(here / "data") if in_zip else here / "data")
        assert len(listed) + len(rejects) == 1
        tally["rejected" if reasons else "accepted"] += 1
        said = masking.mask_file(path, here / "out" / path.name)
        assert all(map(one_line, said)) and (said or (here / "out" / path.name).exists())
        try:
            assert isinstance(model(path), list)
        except ValueError as error:
            assert one_line(str(error)) and reasons
        shutil.rmtree(here)

    attempt()
    print("\npictures:", dict(tally))
    assert tally["tried"] >= PICTURES and tally["accepted"] > PICTURES / 10 and tally["rejected"] > PICTURES / 10
    assert tally["accepted"] + tally["rejected"] == tally["tried"]


# Label files
HEADER = ["Usage", "Image name", *sources.VOTES]
TEXTS = [
    "", " ", ".", "..", "../x.png", "../../legend/images/1.jpg", "/etc/passwd.png", "..\\x.png", "C:/x.png",
    "zip://a::b.png", "a//b.png", "\0", "a" * 300, "a" * 5000, "nan", "inf", "-1", "1e400", "9" * 30, "1.5", "10", "4",
    "8", "٣", "é", "😀", "\u2028", "\n", "\r", '"', "'", ",", ";", "\ufeff", "=1+1", "Training", "PrivateTest", "happy",
    "Anger", "image", "train_1.jpg", "fer0.png", "1.jpg"]
EDITS = ["rename", "drop column", "drop row", "double row", "swap columns", "longer", "all longer", "shorter"]
text = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=6))
number = st.integers(0, 30)
edits = st.tuples(st.sampled_from(["cell"] * 8 + EDITS), number, number, text)
LAYOUTS = {  # where the images are, the label file, its rows
    "ferplus": (
        [*(f"FER2013Train/fer{i}.png" for i in range(3)), "FER2013Valid/fer3.png"],
        "fer2013new.csv",
        [HEADER,
         *(["Training", f"fer{i}.png", 0, 9, 1, *[0] * 7] for i in range(3)),
         ["PublicTest", "fer3.png", 0, 9, 1, *[0] * 7],
         ["PrivateTest", "fer4.png", 0, 9, 1, *[0] * 7],
         ["Training", "", *[0] * 9, 10]]),
    "rafdb": (
        [*(f"Image/aligned/train_{i}_aligned.jpg" for i in range(3)), "Image/aligned/test_3_aligned.jpg"],
        layouts.RAFDB_LIST,
        [*([f"train_{i}.jpg", i + 1] for i in range(3)), ["test_3.jpg", 4], ["test_4.jpg", 5]]),
    "rafdb-folders": (
        [*(f"train/{i + 1}/train_{i}_aligned.jpg" for i in range(3)), "test/8/test_3_aligned.jpg"],
        "train_labels.csv",
        [["image", "label"], *([f"train_{i}_aligned.jpg", i + 1] for i in range(5))]),
    "facial_expressions": (
        [f"images/{i}.jpg" for i in range(4)],
        "legend.csv",
        [["user.id", "image", "emotion", "person", "split"],
         *([7, f"{i}.jpg", "anger", f"Ann{i}", "train"] for i in range(5))]),
    "fer2013": (
        [],
        "fer2013.csv",
        [["emotion", "pixels", "Usage"],
         *([3, " ".join([str(i)] * 48**2), "Training"] for i in range(3)), [6, "70 80", "PublicTest"]]),
}


def edited(rows, edit):
    "Rows after one edit."
    kind, row, column, word = edit
    rows = [list(row) for row in rows]
    if not rows or not rows[0]: return rows
    row, column = row % len(rows), column % len(rows[0])
    if kind == "cell" and column < len(rows[row]): rows[row][column] = word
    if kind == "rename": rows[0][column] = word
    if kind == "drop column": rows = [cells[:column] + cells[column + 1 :] for cells in rows]
    if kind == "swap columns": rows = [cells[column:] + cells[:column] for cells in rows]
    if kind == "drop row": rows = rows[:row] + rows[row + 1 :]
    if kind == "double row": rows.append(rows[row])
    if kind == "longer": rows[row] = rows[row] + [word]
    if kind == "all longer": rows = rows[:1] + [cells + [word] for cells in rows[1:]]
    if kind == "shorter": rows[row] = rows[row][:column]
    return rows


def is_given(name):
    "Whether a zip's member is accepted or rejected by name: a picture, or what lies in a folder."
    return not layouts._is_hidden(name) and not name.endswith("/") and (layouts._is_image(name) or "/" in name)


def as_bytes(rows, layout, separator, encoding):
    if layout == "rafdb":
        written = "\n".join(" ".join(map(str, cells)) for cells in rows)
    else:
        csv.writer(buffer := io.StringIO(newline=""), delimiter=separator).writerows(rows)
        written = buffer.getvalue()
    return written.encode(encoding, "replace")


def expected(layout, content, images):
    "How many rows and images a layout is given by a label file that could be read, and by these images."
    written = content.decode("utf-8-sig")
    climbing = [image for image in images if leads_out(image)]
    if layout == "rafdb": return len(climbing) + sum(bool(line.strip()) for line in written.splitlines())
    header, *rows = csv.reader(io.StringIO(written, newline=""), skipinitialspace=True, strict=True)
    rows = [dict(zip(header, row + [""] * len(header))) for row in rows if row not in ([], [""])]
    if layout == "ferplus": rows = [row for row in rows if row["Usage"] != "PrivateTest"]
    if layout == "rafdb-folders":
        inside = [image for image in images if not leads_out(image)]
        found = {image.rpartition("/")[2] for image in inside if image.startswith("train/")}
        return len(images) + sum(row["image"] not in found for row in rows)
    return len(climbing) + len(rows)


def test_mutated_label_files(face, tmp_path):
    tally = Counter()
    small = io.BytesIO()
    face.resize((48, 48)).save(small, "PNG")

    @settings(max_examples=TABLES)
    @given(layout=st.sampled_from(list(LAYOUTS)), some=st.lists(edits, max_size=4), raw=st.lists(changes, max_size=2),
           separator=st.sampled_from([*[","] * 20, ";", "\t"]),
           encoding=st.sampled_from([*["utf-8", "utf-8-sig"] * 10, "utf-16", "latin-1"]),
           mangled=st.sampled_from([False] * 5 + [True]),
           in_zip=st.sampled_from(["folder"] * 4 + ["zip"] * 2 + ["mutated zip"]), change=changes)
    def attempt(layout, some, raw, separator, encoding, mangled, in_zip, change):
        images, name, rows = LAYOUTS[layout]
        data = tmp_path / str(tally["tried"]) / "data"
        for image in [*images, name]: (data / image).parent.mkdir(parents=True, exist_ok=True)
        for image in images: (data / image).write_bytes(small.getvalue())
        for edit in some: rows = edited(rows, edit)
        content = as_bytes(rows, layout, separator, encoding)
        for flip in raw if mangled else []: content = mutated(content, flip)
        (data / name).write_bytes(content)
        tally["tried"] += 1
        if in_zip != "folder":
            data = packed(data, change if in_zip == "mutated zip" else None)
            try: images = list(filter(is_given, open_zip(data).namelist()))
            except Exception: images = None  # which load must refuse
        result = examined(data)
        if isinstance(result, str):
            tally["refused"] += 1
            unknown = in_zip == "mutated zip" and "no faces in a known layout" in result
            assert str(data) in result and (one_line(result) or unknown), result
        else:
            listed, rejects, reasons = result
            tally.update(accepted_rows=len(listed), rejected_rows=len(rejects), unusable=len(reasons), read=1)
            assert len(listed) + len(rejects) == expected(layout, content, images), (listed, rejects)
            if in_zip == "folder":
                files = [Path(path.rpartition("::")[2]).resolve() for path in listed.path]
                assert all(file.is_relative_to(data.resolve()) for file in files)
            if layout == "ferplus": assert len(sources.votes(data)) <= len(listed) + len(rejects)
        shutil.rmtree(tmp_path / str(tally["tried"] - 1))

    attempt()
    print("\nlabel files:", dict(tally))
    assert tally["tried"] >= TABLES and tally["refused"] and tally["accepted_rows"] and tally["rejected_rows"]
    assert tally["read"] + tally["refused"] == tally["tried"]


def test_mutated_zips(face, tmp_path):
    "Zips of class folders: no entry that the zip lists is lost."
    tally = Counter()
    for image in ("happy/a.png", "sad/b.png", "bored/c.png"):
        (tmp_path / "data" / image).parent.mkdir(parents=True, exist_ok=True)
        face.save(tmp_path / "data" / image)

    @settings(max_examples=TABLES)
    @given(some=st.lists(changes, min_size=1, max_size=2), at_the_end=st.booleans())
    def attempt(some, at_the_end):
        path, whole = tmp_path / f"{tally['tried']}.zip", packed(tmp_path / "data").read_bytes()
        start = whole.index(b"PK\1\2") if at_the_end else 0  # most of a zip is pictures, all of its end is structure
        end = whole[start:]
        for change in some: end = mutated(end, change)
        path.write_bytes(whole[:start] + end)
        tally["tried"] += 1
        result = examined(path)
        if isinstance(result, str):
            tally["refused"] += 1
        else:
            listed, rejects, reasons = result
            tally.update(accepted=len(listed) - len(reasons), rejected=len(rejects) + len(reasons), read=1)
            assert len(listed) + len(rejects) == sum(map(is_given, open_zip(path).namelist()))
        path.unlink()

    attempt()
    print("\nzips:", dict(tally))
    assert tally["tried"] >= TABLES and tally["refused"] and tally["accepted"] and tally["rejected"]
