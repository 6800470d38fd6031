"Whatever lies in a data set, a folder of weights or of templates and is not what it says: one line, and nothing lost."
import csv
import io
import json
import os
import pickle
import re
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

from maskfer_nb import command, datasets, fabrics, faces, layouts, masking, pictures, sources
from maskfer_nb.networks import VGG11, load_pretrained
from maskfer_nb.pictures import PIXELS
from maskfer_nb.export import CropFER
from maskfer_nb.predictor import MaskedFER

WEIGHTS = Path(__file__).parents[1] / "maskfer_nb/masked_fer"


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    return Image.open(faces.render(tmp_path_factory.mktemp("faces"), n=2, seed=3, size=128).path[0]).convert("RGB")


@pytest.fixture(scope="module")
def model():
    return MaskedFER.from_pretrained()


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def one_line(text):
    return bool(text.strip()) and text.isprintable()


def account(data, source=None):
    "Load and examine everything: the names that can be used, and a reason for each of the others."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed, rejects = sources.load(data, source)
        results = {face.face_id: datasets.examine(face.path, None) for face in listed.itertuples()}
    assert len(results) == len(listed)
    reasons = [(row.face_id, row.reason) for row in rejects.itertuples()]
    reasons += [(name, result["reason"]) for name, result in results.items() if "reason" in result]
    assert all(one_line(reason) for _, reason in reasons), reasons
    return [name for name, result in results.items() if "digest" in result], reasons


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            if file.is_file(): archive.write(file, file.relative_to(folder))
    return path


# Pictures
def resized(bmp, width, height):
    "A BMP whose header says another size."
    return bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]


TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # an EXIF that turns it
moving = lambda face, kind: saved(face, kind, save_all=True, append_images=[face.rotate(90)], duration=40)
noise = lambda face: np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
BAD = {
    "truncated.jpg": (lambda face: saved(face, "JPEG")[:900], "truncated"),
    "truncated.png": (lambda face: saved(face, "PNG")[:9000], "truncated"),
    "empty.jpg": (lambda face: b"", "not an image"),
    "text.png": (lambda face: b"a face", "not an image"),
    "page.eps.png": (lambda face: saved(face, "EPS"), "not an image"),
    "symbol.png": (lambda face: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "moving.png": (lambda face: moving(face, "PNG"), "2 frames"),
    "moving.webp": (lambda face: moving(face, "WEBP"), "2 frames"),
    "moving.gif.jpg": (lambda face: moving(face, "GIF"), "2 frames"),
    "pages.tif": (lambda face: moving(face, "TIFF"), "2 frames"),
    "float.tif": (lambda face: saved(face.convert("F"), "TIFF"), "32-bit"),
    "one.png": (lambda face: saved(face.resize((1, 1)), "PNG"), "no face"),
    "wide.png": (lambda face: saved(face.resize((50_000, 3)), "PNG"), "no face|eyes"),
    "high.png": (lambda face: saved(face.resize((3, 50_000)), "PNG"), "no face|eyes"),
    "bomb.bmp": (lambda face: resized(saved(face, "BMP"), 50_000, 50_000), "bomb"),
    "large.bmp": (lambda face: resized(saved(face, "BMP"), 10_001, 10_000), "more than 100,000,000 pixels"),
    "blank.webp": (lambda face: saved(Image.new("RGB", (128, 128)), "WEBP"), "no face"),
    "noise.png": (lambda face: saved(Image.fromarray(noise(face)), "PNG"), "no face"),
}
GOOD = {
    "deep.png": lambda face: saved(Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257), "PNG"),
    "cmyk.jpg": lambda face: saved(face.convert("CMYK"), "JPEG"),
    "palette.png": lambda face: saved(face.quantize(64), "PNG"),
    "still.gif.png": lambda face: saved(face, "GIF"),
    "phone.jpg": lambda face: saved(face, "MPO", save_all=True, append_images=[face.resize((32, 32))]),
    "renamed.bmp": lambda face: saved(face, "JPEG"),
    "capitals.JPEG": lambda face: saved(face, "JPEG"),
    "turned.jpg": lambda face: saved(face.rotate(90), "JPEG", exif=TURNED),
    "clear.png": lambda face: saved(face.convert("RGBA"), "PNG"),
}


@pytest.fixture
def data(face, tmp_path):
    "A class folder with one face."
    (tmp_path / "data/happy").mkdir(parents=True)
    face.save(tmp_path / "data/happy/whole.png")
    return tmp_path / "data"


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_picture_is_one_reject(name, data, face, model, tmp_path, capfd):
    make, said = BAD[name]
    (data / "happy" / name).write_bytes(make(face))
    for given in (data, zipped(data)):
        accepted, [(_, reason)] = account(given)
        assert accepted == ["happy-whole"] and re.search(said, reason), reason
    [reason] = masking.mask_file(data / "happy" / name, tmp_path / "out" / name)
    assert re.search(said, reason) and one_line(reason) and not (tmp_path / "out").exists()
    try: assert model(data / "happy" / name) == []
    except ValueError as error: assert re.search(said, str(error)) and one_line(str(error))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", list(GOOD))
def test_an_odd_picture_is_none_the_worse(name, data, face, model, tmp_path):
    (data / "happy" / name).write_bytes(GOOD[name](face))
    names = sorted(["happy-whole", f"happy-{Path(name).stem}"])
    for given in (data, zipped(data)): assert account(given) == (names, [])
    assert masking.mask_file(data / "happy" / name, tmp_path / "out" / name) == []
    assert len(model(data / "happy" / name)) == 1


@pytest.mark.parametrize("mode, name", [
    ("RGBA", "a.jpg"), ("LA", "a.jpg"), ("LA", "a.bmp"), ("RGBA", "a.bmp"), ("LA", "a.webp"), ("LA", "a.tif")])
def test_transparency_under_another_suffix(mode, name, face, tmp_path):
    (tmp_path / name).write_bytes(saved(face.convert(mode), "PNG"))
    assert masking.mask_file(tmp_path / name, tmp_path / "out" / name) == []
    assert pictures.read_picture(tmp_path / "out" / name).size == face.size


def test_what_is_no_file(data):
    os.mkfifo(data / "happy/pipe.png")
    (data / "happy/gone.png").symlink_to("nowhere.png")
    (data / "happy/endless.png").symlink_to("/dev/zero")
    (data / "happy/around").symlink_to(data, target_is_directory=True)
    (data / "happy/folder.png").mkdir()
    accepted, rejects = account(data)
    assert accepted == ["happy-whole"] and dict(rejects).keys() == {"happy-pipe", "happy-gone", "happy-endless"}


def test_names_that_break_lines_or_are_no_text(data, face):
    for name in (b"two\nlines.png", b"no\xfftext.png", b"null\x1b[31m.png", b"a" * 200 + b".png"):
        Path(os.fsdecode(os.fsencode(data / "happy") + b"/" + name)).write_bytes(b"")
    (data / "happy" / ("b" * 200 + ".png")).write_bytes(saved(face, "PNG"))
    reasons = {reason for _, reason in masking.mask_folder(data, data.parent / "out", jobs=1)}
    assert reasons == {"unreadable image (not an image)"}
    assert len((data.parent / "out/rejects.csv").read_text("utf-8").splitlines()) == 6  # one name has two lines
    accepted, rejects = account(data)
    assert len(accepted) == 2 and len(rejects) == 4
    assert all(len(name.encode()) < 240 for name in [*accepted, *dict(rejects)])


# Folders
def filmed(face, kind):
    "A second of video in a container of FFmpeg's."
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as output:
        stream = output.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *face.size, "yuv420p"
        output.mux([packet for _ in range(10) for packet in stream.encode(av.VideoFrame.from_image(face))])
        output.mux(stream.encode())
    return buffer.getvalue()


def heif(face):
    pillow_heif.register_heif_opener()
    return saved(face, "HEIF")


STILL = {
    "photo.jfif": lambda face: saved(face, "JPEG"),
    "photo": lambda face: saved(face, "JPEG"),
    "photo.jpg_large": lambda face: saved(face, "JPEG"),
    "photo.png": lambda face: saved(face, "PNG"),
    "photo.jpg": lambda face: saved(face, "JPEG"),
    "photo.heic": heif,
    "phone.jpg": heif,
    "photo.gif": lambda face: saved(face, "GIF"),
    "happy/photo.JPG": lambda face: saved(face, "JPEG"),
    "talk.mov.txt": lambda face: saved(face, "PNG"),
}
MOVING = {
    "talk.mp4": lambda face: filmed(face, "mp4"),
    "talk.mov": lambda face: filmed(face, "mov"),
    "talk.mov.mp4": lambda face: filmed(face, "mp4"),
    "talk.m4v": lambda face: filmed(face, "mp4"),
    "talk.ts": lambda face: filmed(face, "mpegts"),
    "talk": lambda face: filmed(face, "matroska"),
    "dance.gif": lambda face: moving(face, "GIF"),
    "happy/dance.png": lambda face: filmed(face, "mp4"),
}
FILMS = ["talk.mp4", "talk.mov.mp4", "talk.mov.mp4.mp4", "talk.m4v.mp4", "talk.ts.mp4", "talk.mp4.mp4", "dance.gif.mp4",
         "happy/dance.png.mp4"]  # what is drawn of them, no two under one name
NEITHER = {
    "happy/notes.txt": lambda face: b"a text",
    "happy/Thumbs.db": lambda face: bytes(2000),
    "happy/labels.csv": lambda face: b"file,label",
    "empty": lambda face: b"",
    "empty.mp4": lambda face: b"",
    "broken.jpg": lambda face: saved(face, "JPEG")[:900],
    "broken.heic": lambda face: heif(face)[:300],
    "broken": lambda face: saved(face, "PNG")[:900],
    "pages.tif": lambda face: moving(face, "TIFF"),
    "moving.webp": lambda face: moving(face, "WEBP"),
    "code.ts": lambda face: b"export const a = 1",
}
LEFT_ALONE = [".hidden.png", ".folder/photo.png", "mask.json", "happy/rejects.csv"]


@pytest.fixture
def odd(face, tmp_path, monkeypatch):
    "A folder with every odd file, and the names of all that is given in it."
    folder = tmp_path / "odd"
    (folder / "happy").mkdir(parents=True)
    (folder / ".folder").mkdir()
    for name, make in (STILL | MOVING | NEITHER).items(): (folder / name).write_bytes(make(face))
    for name in LEFT_ALONE: (folder / name).write_bytes(saved(face, "PNG"))
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "endless").symlink_to("/dev/zero")
    (folder / "around").symlink_to(folder, target_is_directory=True)
    (folder / "locked").mkdir()
    (folder / "locked/photo.png").write_bytes(saved(face, "PNG"))
    for name in ("scandir", "listdir"): monkeypatch.setattr(os, name, refusing(getattr(os, name), folder / "locked"))
    return folder, {*STILL, *MOVING, *NEITHER, "pipe.mp4", "gone.png", "endless", "around", "locked"}


def refusing(function, folder):
    "What lists a folder, as it is for who may not read one of them, root included."
    def listed(path="."):
        if Path(os.fsdecode(path)) == folder: raise PermissionError(13, "Permission denied", str(path))
        return function(path)
    return listed


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_file_given_is_answered_or_refused_by_name(odd, jobs, tmp_path, capfd):
    folder, given = odd
    lines = list(command.predict(folder, folder=tmp_path / "shown", jobs=jobs))
    answered = {line["file"] for line in lines if "faces" in line}
    refused = {line["file"]: line["error"] for line in lines if "error" in line}
    assert answered == {*STILL, *MOVING} and answered | refused.keys() == given and not answered & refused.keys()
    assert {line["file"] for line in lines if "seconds" in line} == {*MOVING}
    assert all(len(line["faces"]) == 1 for line in lines if line["file"] in STILL)
    assert all(one_line(error) and str(folder / name) in error for name, error in refused.items())
    assert "Permission denied" in refused["locked"] and "not a file" in refused["pipe.mp4"]
    shown = {path.relative_to(tmp_path / "shown").as_posix() for path in (tmp_path / "shown").rglob("*")} - {"happy"}
    assert shown == {*STILL, *FILMS} and not re.search("(?i)warn|error|trace", capfd.readouterr().err)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_file_given_is_masked_or_rejected_by_name(odd, face, jobs, tmp_path, capfd):
    folder, given = odd
    rejects = dict(masking.mask_folder(folder, tmp_path / "out", jobs=jobs))
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    made -= {"mask.json", "rejects.csv"}
    assert made == {*STILL} and made | rejects.keys() == given and not made & rejects.keys()
    assert all(map(one_line, rejects.values())) and "Permission denied" in rejects["locked"]
    for name in made:
        masked, bare = (pictures.read_image(where / name).astype(int) for where in (tmp_path / "out", folder))
        assert np.abs(masked - bare)[70:110, 40:90].mean() > 10, name
    with Image.open(tmp_path / "out/photo.heic", formats=["HEIF"]) as picture: assert picture.size == face.size
    with Image.open(tmp_path / "out/photo.gif") as picture: assert picture.format == "GIF"
    assert dict(masking.mask_folder(folder, tmp_path / "out", jobs=jobs)) == rejects
    assert not re.search("(?i)warn|error|trace", capfd.readouterr().err)


def test_a_phones_picture_without_the_plugin_names_the_remedy(face, tmp_path, monkeypatch):
    for name in ("photo.heic", "phone"): (tmp_path / name).write_bytes(heif(face))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    remedy = "unreadable image (HEIF needs a plugin: pip install pillow-heif)"
    errors = {line["file"]: line["error"] for line in command.predict(tmp_path, jobs=1)}
    assert errors == {name: f"{tmp_path / name}: {remedy}" for name in ("phone", "photo.heic")}
    assert masking.mask_file(tmp_path / "photo.heic", tmp_path / "out.heic") == [remedy]
    face.save(tmp_path / "face.png")
    assert "pip install pillow-heif" in masking.mask_file(tmp_path / "face.png", tmp_path / "out.heic")[0]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("name", ["out.gif", "out.heic", "out.jfif", "out"])
def test_what_is_written_under_an_odd_name_is_a_picture(mode, name, face, tmp_path):
    face.convert(mode).save(tmp_path / "face.png")
    assert masking.mask_file(tmp_path / "face.png", tmp_path / name) == []
    assert pictures.read_picture(tmp_path / name).size == face.size


@pytest.mark.parametrize("command_line", [["predict", "FOLDER"], ["mask", "FOLDER", "OUT"]])
def test_a_folder_that_may_not_be_read_is_one_line(command_line, odd, tmp_path):
    folder, out = str(odd[0] / "locked"), str(tmp_path / "out")
    words = [word.replace("FOLDER", folder).replace("OUT", out) for word in command_line]
    with pytest.raises(SystemExit, match="maskfer: .*Permission denied.*locked") as stop: command.main(words)
    assert one_line(str(stop.value))


# Zips
def test_zip_entries_that_climb(data, face):
    names = ["../up.png", "happy/../../up.png", "/absolute.png", "//twice.png", "..\\windows.png", "C:/drive.png"]
    names += ["happy/", "../", "happy//double.png"]
    with zipfile.ZipFile(archive := zipped(data), "a") as z:
        for name in names: z.writestr(name, b"" if name.endswith("/") else saved(face, "PNG"))
    accepted, rejects = account(archive)
    assert accepted == ["happy-whole"] and len(rejects) == 7
    assert all(reason.endswith("leads out of the data set") for _, reason in rejects)


@pytest.mark.parametrize("members, reasons", [
    (["happy", "happy/a.png"], []),
    (["train", "train/happy/a.png"], []),
    (["basic", "basic/happy/a.png"], []),
    (["happy/a.png", "./happy/b.png"], ["./happy/b.png has a folder named '.'"]),
    (["happy/a.png", "happy/a.png"], ["listed more than once"]),
    (["wrapped/happy/a.png", "../up.png"], ["../up.png leads out of the data set"]),
    (["./happy/a.png"], None),
    (["../a.png"], None),
])
def test_zips_with_odd_names(members, reasons, face, tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "odd.zip", "w") as z:
        warnings.simplefilter("ignore")
        for member in members: z.writestr(member, saved(face, "PNG") if member.endswith(".png") else b"")
    if reasons is None:
        with pytest.raises(ValueError, match=r"odd\.zip: \S+a\.png "): sources.load(tmp_path / "odd.zip")
    else:
        assert [reason for _, reason in account(tmp_path / "odd.zip")[1]] == reasons


def test_zips_that_are_not_what_they_say(data, tmp_path, monkeypatch):
    good = zipped(data).read_bytes()
    for number, content in enumerate((b"", b"PK", good[:-30], good[: len(good) // 2], b"PK\5\6" + 18 * b"\xff")):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{number}.zip: neither a folder nor a whole zip"): sources.load(path)
    locked = bytearray(good)
    for start in (good.index(b"PK\3\4") + 6, good.index(b"PK\1\2") + 8): locked[start] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    assert "encrypted" in account(tmp_path / "locked.zip")[1][0][1]
    with zipfile.ZipFile(tmp_path / "other.zip", "w", zipfile.ZIP_BZIP2) as z:
        z.write(data / "happy/whole.png", "happy/whole.png")
    assert "another method than deflate" in account(tmp_path / "other.zip")[1][0][1]
    monkeypatch.setattr(pictures.read_bytes, "__defaults__", (1000,))
    for given in (data, zipped(data)):
        assert account(given)[1][0][1].partition("(")[2] == "more than 1,000 bytes)"


# Label files
def ferplus(root, face):
    "FER+ of two faces, as rows."
    rows = [["Usage", "Image name", *sources.VOTES]]
    for number in range(2):
        path = root / f"FER2013Train/fer{number:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        face.save(path)
        rows.append(["Training", path.name, 0, 10, *[0] * 8])
    return rows


def table(rows, separator=","):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerows(rows)
    return buffer.getvalue()


@pytest.mark.parametrize("write, said", [
    (lambda rows: b"", "missing columns: Usage"),
    (lambda rows: table(row[:1] + row[2:] for row in rows).encode(), "missing columns: Image name"),
    (lambda rows: table(rows, ";").encode(), "separated by commas"),
    (lambda rows: table(rows, "\t").encode(), "separated by commas"),
    (lambda rows: table(rows).encode("utf-16"), "not a readable table"),
    (lambda rows: table([*rows, ["Training", "\xe9.png"]]).encode("latin-1"), "not a readable table"),
    (lambda rows: table([rows[0], *(row + [1] for row in rows[1:])]).encode(),
     "line 2 has 13 cells, the first line 12"),
    (lambda rows: table(row + row[-1:] for row in rows).encode(), "same name"),
    (lambda rows: table(rows).encode() + b'"open', "not a readable table"),
    (lambda rows: saved(Image.new("L", (9, 9)), "PNG"), "not a readable table"),
    (lambda rows: bytes(5000), "missing columns"),
])
def test_a_bad_label_file_is_one_error(write, said, face, tmp_path):
    root = tmp_path / "fer"
    rows = ferplus(root, face)
    (root / "fer2013new.csv").write_bytes(write(rows))
    for given in (root, zipped(root)):
        for read in (sources.load, sources.votes):
            with pytest.raises(ValueError, match=said) as error: read(given)
            assert one_line(str(error.value)) and "fer2013new.csv" in str(error.value) and len(str(error.value)) < 600
    assert sources.detect(root) == "ferplus"


@pytest.mark.parametrize("change, said", [
    *(({1: name}, "leads out of the data set") for name in ("../outside.png", "/etc/passwd.png", "..\\outside.png")),
    *(({1: name}, "listed but missing") for name in ("a" * 5000, "\0.png", "gone\nline.png", ".")),
    ({1: ""}, "names no picture"),
    ({1: "fer0000000.png"}, "listed more than once"),
    *(({0: usage}, "unknown usage") for usage in ("Trainning", "../Training")),
    *(({3: votes}, "not whole numbers") for votes in ("ten", "inf", "nan", "-10", "9" * 400, "1.5", "")),
    ({3: "0"}, "no majority"),
    ({3: "0", 11: "10"}, "not a face"),
])
def test_a_bad_row_is_one_reject(change, said, face, tmp_path):
    face.save(tmp_path / "outside.png")
    rows = ferplus(tmp_path / "fer", face)
    for place, cell in change.items(): rows[2][place] = cell
    (tmp_path / "fer/fer2013new.csv").write_text(table(rows), encoding="utf-8-sig", newline="")
    for given in (tmp_path / "fer", zipped(tmp_path / "fer")):
        accepted, [(_, reason)] = account(given)
        assert accepted == ["fer0000000"] and said in reason
    assert sources.votes(tmp_path / "fer").face_id.tolist()[0] == "fer0000000"


def test_labels_of_rafdb(face, tmp_path):
    (tmp_path / "raf/Image/aligned").mkdir(parents=True)
    (tmp_path / "raf/EmoLabel").mkdir()
    face.save(tmp_path / "raf/Image/aligned/train_1_aligned.jpg")
    listing = tmp_path / "raf" / layouts.RAFDB_LIST
    lines = "train_1.jpg 4\r\ntrain_1.jpg 4\ntrain_/../../../x.jpg 4\ntrain_2.jpg four\n"
    listing.write_text(lines, encoding="utf-8-sig")
    assert [reason for _, reason in account(tmp_path / "raf")[1]] == [
        "listed more than once", "train_/../../../x.jpg leads out of the data set", "unknown code 'four', known: 1-7"]
    listing.write_bytes(b"train_\xff.jpg 4\n")
    with pytest.raises(ValueError, match="list_patition_label.txt: not a readable table"):
        sources.load(tmp_path / "raf")


def test_paths_in_other_label_files(face, tmp_path):
    (tmp_path / "folders/train/4").mkdir(parents=True)
    face.save(tmp_path / "folders/train/4/a_aligned.jpg")
    (tmp_path / "folders/train_labels.csv").write_text("image,label\na_aligned.jpg,4\n../b.jpg,4\n")
    accepted, [(_, reason)] = account(tmp_path / "folders")
    assert accepted == ["a"] and reason == "../b.jpg leads out of the data set"
    (tmp_path / "legend/images").mkdir(parents=True)
    face.save(tmp_path / "legend/images/a.jpg")
    lines = "image,emotion\na.jpg,anger\n../../folders/train/4/a_aligned.jpg,anger\n,anger\n,\n"
    (tmp_path / "legend/legend.csv").write_text(lines)
    accepted, rejects = account(tmp_path / "legend")
    assert accepted == ["a"] and len(rejects) == 3 and "leads out" in rejects[0][1]


@pytest.mark.parametrize("end", ["", "\n\n\n"])
def test_a_label_file_without_rows(end, face, tmp_path):
    ferplus(tmp_path, face)
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name," + ",".join(sources.VOTES) + end)
    with pytest.raises(ValueError, match="laid out as ferplus, but nothing is listed there"): sources.load(tmp_path)
    assert len(sources.votes(tmp_path)) == 0


# Weights
def copied(folder, config=None, weights=None):
    "The library's weights, changed."
    folder.mkdir()
    for name, content in {"config.json": config, "model.safetensors": weights}.items():
        content = (WEIGHTS / name).read_bytes() if content is None else content
        if content == "missing": continue
        (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def tensors(change):
    "The library's weights after a change, as safetensors."
    state = load_file(WEIGHTS / "model.safetensors")
    change(state)
    return save(state)


def pickled():
    buffer = io.BytesIO()
    torch.save(load_file(WEIGHTS / "model.safetensors"), buffer)
    return buffer.getvalue()


KEY = "network.head.5.bias"
CONFIG = json.loads((WEIGHTS / "config.json").read_text())
whole = (WEIGHTS / "model.safetensors").read_bytes()


def refuses(folder, said):
    "That weights are refused in one line that names their folder and says why."
    with pytest.raises(ValueError, match=said or None) as error: CropFER.from_pretrained(folder)
    refusal = str(error.value)
    assert refusal.startswith(f"{folder}: not the weights of CropFER (") and one_line(refusal), refusal


def first_only(state):
    state.update({key: value[:1].clone() for key, value in state.items() if value.ndim})


def spoilt(state):
    next(value for value in state.values() if value.is_floating_point() and value.ndim).view(-1)[0].fill_(float("nan"))


@pytest.mark.parametrize("config, said", [
    ("missing", "config.json"), (b"{", ""), (b"\xff\xfe", ""), ([], "must give"), ({}, "must give"),
    (b"[" * 100_000, ""),
    (CONFIG | {"expressions": 4}, "different words"),
    (CONFIG | {"expressions": "abcd"}, "different words"),
    (CONFIG | {"expressions": ["a"] * 4}, "different words"),
    (CONFIG | {"expressions": ["a", "b"]}, "by config.json"),
    (CONFIG | {"width": "wide"}, ""),
    (CONFIG | {"width": 1e4}, "by config.json"),
    (CONFIG | {"width": -1}, ""),
    (CONFIG | {"width": None}, ""),
    (CONFIG | {"temperature": "hot"}, ""),
    (CONFIG | {"temperature": 0}, "positive"),
    (CONFIG | {"temperature": float("nan")}, "positive"),
    (CONFIG | {"temperature": 1.0}, "two positive"),
    (CONFIG | {"temperature": [1.0, 0]}, "positive"),
    (CONFIG | {"temperature": [float("nan"), 1.0]}, "positive"),
    (CONFIG | {"temperature": [1.0, "hot"]}, "positive"),
])
def test_a_config_that_is_not_what_it_says(config, said, tmp_path):
    refuses(copied(tmp_path / "weights", config=config), said)


@pytest.mark.parametrize("weights, said", [
    ("missing", "model.safetensors"), (b"", ""), (whole[:-100], ""), (whole[:100], ""), (b"\xff" * 8 + whole[8:], ""),
    (struct.pack("<Q", 10**8 - 1) + whole[8:], ""),
    (pickle.dumps({"weights": 1}), ""),
    (pickled(), ""),
    (tensors(lambda state: state.pop("network.head.1.weight", None) or state.popitem()), "missing from"),
    (tensors(lambda state: state.update(other=torch.zeros(2))), "too much"),
    (tensors(first_only), "by config.json"),
    (tensors(spoilt), "not all numbers"),
])
def test_weights_that_are_not_what_they_say(weights, said, tmp_path):
    refuses(copied(tmp_path / "weights", weights=weights), said)


def test_the_same_weights_elsewhere(tmp_path):
    model, again = CropFER.from_pretrained(), CropFER.from_pretrained(copied(tmp_path / "weights"))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert again.temperature == model.temperature and not again.training
    model.save_pretrained(tmp_path / "saved")
    assert CropFER.from_pretrained(tmp_path / "saved").expressions == model.expressions


def test_imagenet_weights_that_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    missing = r"vgg11_bn-\w+\.safetensors: no such weights; make them once: python -c"
    with pytest.raises(FileNotFoundError, match=missing): load_pretrained(VGG11(2), "imagenet")
    (tmp_path / "vgg11.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"only \.safetensors is read.*python -c"):
        load_pretrained(VGG11(2), tmp_path / "vgg11.pth")
    path = tmp_path / "some.safetensors"
    for content in (b"", whole[:99], pickled(), whole):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="some.safetensors: not ") as error: load_pretrained(VGG11(2), path)
        assert one_line(str(error.value))


# Arrays
@pytest.mark.parametrize("given, kind", [
    (np.zeros((0, 5, 3), np.uint8), ValueError), (np.zeros((5, 5, 2, 3, 1), np.uint8), ValueError),
    (np.zeros(5, np.uint8), ValueError), (np.uint8(3), TypeError), (np.zeros((5, 5, 3)), TypeError),
    (np.zeros((5, 5, 3), bool), TypeError), (np.array([["a"]]), TypeError),
    (np.broadcast_to(np.uint8(0), (10**5, 10**5)), ValueError),
    (torch.zeros(5, 5), ValueError), (torch.zeros(7, 5, 5), ValueError),
    (torch.zeros(3, 5, 5, dtype=torch.int64), TypeError), (torch.zeros(1).expand(3, 10**5, 10**5), ValueError),
    (None, TypeError), ([None], TypeError), (b"\x89PNG", TypeError), ([[np.zeros((5, 5), np.uint8)]], TypeError),
    (Image.new("1", (20_000, 20_000)), ValueError), ("nowhere.png", ValueError)])
def test_what_is_no_picture(given, kind, model):
    with pytest.raises(kind) as error: model(given)
    assert one_line(str(error.value)) and len(str(error.value)) < 300


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1), (3, 50_000, 3), (50_000, 3, 3), (99, 99, 1), (99, 99, 4)])
def test_a_picture_without_a_face(shape, model):
    assert model(np.zeros(shape, np.uint8)) == [] and model([np.full(shape, 200, np.uint8)]) == [[]]


def test_pictures_are_read_one_after_another(model, face, tmp_path):
    face.save(tmp_path / "face.png")
    with pytest.raises(ValueError, match="gone.png"): model([tmp_path / "face.png", tmp_path / "gone.png"])
    assert model([]) == [] and len(model([tmp_path / "face.png"] * 2)) == 2 and PIXELS == 10**8


# Templates
@pytest.mark.parametrize("text, said", [
    ("[a]\ntemplate: ../../a.png\n", "leads out"), ("[a]\ntemplate: /etc/a.png\n", "leads out"),
    ("[a]\ntemplate: gone.png\n", "gone.png"), ("[a]\ntemplate: " + 300 * "a" + ".png\n", "aaa.png: not a picture"),
    ("[a]\ntemplate: text.png\n", "text.png"), ("[a]\ntemplate: clear.png\n", "nothing of it"),
    ("[a]\ntemplate: dot.png\n", "no area"), ("[a]\ntemplate: opaque.png\n", "alpha"),
    ("[a]\ntemplate: dot.png\nmask_a: 1\n", "six control points"),
    ("[a]\ntemplate: dot.png\nmask_a: nan,inf\n", "six control points"),
    ("[a]\ntemplate: dot.png\nmask_a: one,two\n", "masks.cfg"),
    ("[a]\ntemplate: text.png\n[a]\n", "masks.cfg"),
    ("[a\n", "masks.cfg"), ("no section", "masks.cfg"), ("\0\xff", "masks.cfg"), (None, "masks.cfg")])
def test_bad_templates(text, said, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGBA", (20, 20)).save(tmp_path / "clear.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "opaque.png")
    dot = Image.new("RGBA", (20, 20))
    dot.putpixel((4, 4), (9, 9, 9, 255))
    dot.save(tmp_path / "dot.png")
    if text is not None:
        points = "".join(f"mask_{letter}: 1,2\n" for letter in "abcdef" if f"mask_{letter}" not in text)
        whole_section = text.startswith("[a]\ntemplate") and not text.endswith("[a]\n")
        (tmp_path / "masks.cfg").write_text(text + points if whole_section else text)
    with pytest.raises(ValueError, match=said) as error: fabrics.read_templates(tmp_path)
    assert one_line(str(error.value)) and str(tmp_path) in str(error.value)
