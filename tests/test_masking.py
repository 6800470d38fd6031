"""`maskfer mask`: every format in, nothing lost, nothing overwritten."""
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskfer_nb import command, faces, masking, sources
from maskfer_nb.landmarks import find


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    return Image.open(faces.render(tmp_path_factory.mktemp("faces"), n=4, seed=3, size=200).path[2])


def turned(face, path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to see it upright
    face.rotate(90, expand=True).save(path, exif=exif, quality=95)


def deep(face, path):
    grey = np.asarray(face.convert("L")).astype(np.uint16) * 257
    cv2.imwrite(str(path), grey)


def transparent(face, path):
    face = face.copy()
    face.putalpha(Image.linear_gradient("L").resize(face.size))
    face.save(path)


WRITERS = {
    "plain.jpg": lambda face, path: face.save(path), "plain.JPEG": lambda face, path: face.save(path, "JPEG"), "plain.png": lambda face, path: face.save(path),
    "plain.webp": lambda face, path: face.save(path), "plain.bmp": lambda face, path: face.save(path), "plain.tiff": lambda face, path: face.save(path),
    "grey.jpg": lambda face, path: face.convert("L").save(path), "cmyk.jpg": lambda face, path: face.convert("CMYK").save(path), "cmyk.tif": lambda face, path: face.convert("CMYK").save(path),
    "palette.png": lambda face, path: face.quantize(128).save(path), "turned.jpg": turned, "deep.png": deep, "deep.tif": deep, "transparent.png": transparent, "transparent.webp": transparent,
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format(face, tmp_path, name):
    source, out = tmp_path / name, tmp_path / "out" / name
    WRITERS[name](face, source)
    before = source.read_bytes()
    assert masking.mask_file(source, out, "surgical", "#9fcbe8") == []
    assert source.read_bytes() == before
    bare, masked = sources.read_image(str(source)), sources.read_image(str(out))
    assert bare.shape == masked.shape == (200, 200, 3)
    difference = np.abs(bare.astype(int) - masked).mean(2)
    assert difference[110:170, 70:130].mean() > 15 and difference[:60].mean() < 6
    with Image.open(out) as image:
        assert image.format == {"jpg": "JPEG", "JPEG": "JPEG", "tif": "TIFF"}.get(source.suffix[1:], source.suffix[1:].upper())
        assert (image.mode == "L") == name.startswith(("grey", "deep")) and ("A" in image.mode) == name.startswith("transparent")
        assert not image.getexif().get(0x0112, 0) > 1
        if image.mode == "RGBA": assert np.abs(np.asarray(image)[..., 3].astype(int) - np.asarray(Image.open(source))[..., 3]).max() < 3


@pytest.fixture
def folder(face, tmp_path):
    here = tmp_path / "in"
    (here / "deeper").mkdir(parents=True)
    face.save(here / "one.png")
    face.transpose(Image.FLIP_LEFT_RIGHT).save(here / "deeper" / "two.jpg")
    Image.new("RGB", (150, 150), "grey").save(here / "blank.png")
    (here / "broken.jpg").write_bytes((here / "deeper/two.jpg").read_bytes()[:300])
    (here / "empty.webp").touch()
    (here / "notes.txt").write_text("not a picture")
    return here


def test_a_folder_accepts_or_rejects_everything(folder, tmp_path):
    out = tmp_path / "out"
    rejects = masking.mask_folder(folder, out, "random", "random", "rigid", seed=3, jobs=1)
    assert {name for name, _ in rejects} == {"blank.png", "broken.jpg", "empty.webp"} and all(len(reason) > 5 for _, reason in rejects)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.*")} == {"one.png", "deeper/two.jpg", "rejects.csv", "mask.json"}
    assert [tuple(row) for row in pd.read_csv(out / "rejects.csv").itertuples(index=False)] == rejects
    first = (out / "one.png").read_bytes()
    again = masking.mask_folder(folder, tmp_path / "again", "random", "random", "rigid", seed=3, jobs=2)
    assert again == rejects and (tmp_path / "again/one.png").read_bytes() == first
    masking.mask_folder(folder, tmp_path / "other", "random", "random", "rigid", seed=4, jobs=1)
    assert (tmp_path / "other/one.png").read_bytes() != first


def test_it_goes_on_where_it_stopped(folder, tmp_path):
    out = tmp_path / "out"
    masking.mask_folder(folder, out, jobs=1)
    whole = (out / "deeper/two.jpg").read_bytes()
    (out / "deeper/two.jpg").unlink()
    kept = (out / "one.png").stat().st_mtime_ns
    masking.mask_folder(folder, out, jobs=1)
    assert (out / "deeper/two.jpg").read_bytes() == whole and (out / "one.png").stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="other options"): masking.mask_folder(folder, out, "cloth", jobs=1)


def test_inputs_are_never_overwritten(folder, tmp_path):
    for into in (folder, folder / "deeper" / ".."):
        with pytest.raises(ValueError, match="overwrite"): masking.mask_folder(folder, into)
    with pytest.raises(ValueError, match="overwrite"): masking.mask_folder(folder / "one.png", folder)
    # a folder within the folder is not taken for more input
    masking.mask_folder(folder, folder / "masked", jobs=1)
    masking.mask_folder(folder, folder / "masked", jobs=1)
    assert not (folder / "masked/masked").exists()


def test_several_faces_in_one_picture(face, tmp_path):
    wide = Image.new("RGB", (640, 240), "grey")
    for number in range(3): wide.paste(face, (10 + 210 * number, 20))
    picture = np.asarray(wide)
    assert len(find(picture)) == 3
    masked, reasons = masking.mask_picture(picture, find(picture), masking.choose("kn95", "white", 0))
    assert len(masked.polygon) == 3 and not reasons
    assert all(masked.alpha[:, start : start + 200].sum() > 3000 for start in (10, 220, 430))


@pytest.mark.parametrize("words, message", [
    (["nowhere", "out"], "no such file"), ([".", "."], "overwrite"), (["IN", "out", "--kind", "scarf"], "there are surgical"),
    (["IN", "out", "--color", "rainbow"], "no colour"), (["IN", "out", "--kind", "IN:gas"], "masks.cfg"), (["EMPTY", "out"], "no pictures")])
def test_errors_are_one_line(folder, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    with pytest.raises(SystemExit) as stop: command.main(["mask", *(word.replace("IN", str(folder)) for word in words)])
    assert message in str(stop.value) and "\n" not in str(stop.value) and str(stop.value).startswith("maskfer: ")


def test_the_command(folder, tmp_path):
    program = [str(Path(sys.executable).parent / "maskfer")]
    done = subprocess.run([*program, "mask", str(folder), str(tmp_path / "out"), "--kind", "cloth", "--color", "navy", "--jobs", "2"], capture_output=True, text=True)
    assert done.returncode == 0 and "3 faces or pictures not masked" in done.stderr, done.stderr
    assert json.loads((tmp_path / "out/mask.json").read_text())["color"] == "navy"
    manual = subprocess.run([*program, "mask", "--help"], capture_output=True, text=True).stdout
    assert all(word in manual for word in ("--kind", "--color", "--fit", "--seed", "--jobs", "rejects.csv", "examples:"))


MASK = [sys.executable, "-c", "from maskfer_nb.command import main; main()", "mask"]


def test_a_killed_run_goes_on_with_the_same_bytes_and_keeps_its_reasons(face, tmp_path):
    "Twenty faces and four pictures of nobody, killed when some are written."
    here = tmp_path / "in"
    here.mkdir()
    for number in range(20): face.rotate(number / 4).save(here / f"{number:02}.png")
    for number in range(4): Image.new("RGB", (150, 150), (number, 90, 90)).save(here / f"{5 * number:02}-blank.png")
    undisturbed = masking.mask_folder(here, tmp_path / "undisturbed", "random", "random", jobs=1)
    assert len(undisturbed) == 4
    out = tmp_path / "out"
    run = subprocess.Popen([*MASK, here, out, "--kind", "random", "--color", "random", "--jobs", "1"], stderr=subprocess.DEVNULL)
    while len(list(out.glob("[0-9]*"))) < 7: time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "rejects.csv").exists()
    whole = (out / ".masked.jsonl").read_text().rpartition("\n")[0].splitlines()
    with open(out / ".masked.jsonl", "a") as record: record.write('["torn')
    before = {path: path.stat().st_mtime_ns for name, _ in map(json.loads, whole) if (path := out / name).exists()}
    assert masking.mask_folder(here, out, "random", "random", jobs=1) == undisturbed and before
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {path.name: path.read_bytes() for path in (tmp_path / "undisturbed").iterdir()}
    assert masking.mask_folder(here, out, "random", "random", jobs=1) == undisturbed
