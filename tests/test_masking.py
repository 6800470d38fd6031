"""`maskfer mask`: every format in, nothing lost, nothing overwritten."""
import json
import os
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

from maskfer_nb import command, faces, files, masking, sources
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


def plain(face, path):
    face.save(path)


def grey(face, path):
    face.convert("L").save(path)


def cmyk(face, path):
    face.convert("CMYK").save(path)


def palette(face, path):
    face.quantize(128).save(path)


WRITERS = {
    "plain": (plain, ["jpg", "JPEG", "png", "webp", "bmp", "tiff"]),
    "grey": (grey, ["jpg"]),
    "cmyk": (cmyk, ["jpg", "tif"]),
    "palette": (palette, ["png"]),
    "turned": (turned, ["jpg"]),
    "deep": (deep, ["png", "tif"]),
    "transparent": (transparent, ["png", "webp"]),
}
FORMATS = {"jpg": "JPEG", "JPEG": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF"}


@pytest.mark.parametrize("name, suffix", [(name, suffix) for name, (_, kinds) in WRITERS.items() for suffix in kinds])
def test_every_format(face, tmp_path, name, suffix):
    source, out = tmp_path / f"{name}.{suffix}", tmp_path / "out" / f"{name}.{suffix}"
    WRITERS[name][0](face, source)
    before = source.read_bytes()
    assert masking.mask_file(source, out, "surgical", "#9fcbe8") == []
    assert source.read_bytes() == before
    bare, masked = sources.read_image(str(source)), sources.read_image(str(out))
    assert bare.shape == masked.shape == (200, 200, 3)
    difference = np.abs(bare.astype(int) - masked).mean(2)
    assert difference[110:170, 70:130].mean() > 15 and difference[:60].mean() < 6
    with Image.open(out) as image:
        assert image.format == FORMATS[suffix]
        assert (image.mode == "L") == (name in ("grey", "deep")) and ("A" in image.mode) == (name == "transparent")
        assert not image.getexif().get(0x0112, 0) > 1
        if image.mode == "RGBA":
            before, after = (np.asarray(picture)[..., 3].astype(int) for picture in (Image.open(source), image))
            assert np.abs(after - before).max() < 3


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
    assert {name for name, _ in rejects} == {"blank.png", "broken.jpg", "empty.webp", "notes.txt"}
    assert all(len(reason) > 5 for _, reason in rejects)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert written == {"one.png", "deeper/two.jpg", "rejects.csv", "mask.json"}
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
    masked, reasons = masking.mask_picture(picture, find(picture), masking.asked_mask("kn95", "white", 0))
    assert len(masked.polygon) == 3 and not reasons
    assert all(masked.alpha[:, start : start + 200].sum() > 3000 for start in (10, 220, 430))


@pytest.mark.parametrize("words, message", [
    (["nowhere", "out"], "no such file"),
    ([".", "."], "overwrite"),
    (["IN", "out", "--kind", "scarf"], "there are surgical"),
    (["IN", "out", "--color", "rainbow"], "no colour"),
    (["IN", "out", "--kind", "IN:gas"], "masks.cfg"),
    (["EMPTY", "out"], "no pictures"),
])
def test_errors_are_one_line(folder, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    words = [word.replace("IN", str(folder)) for word in words]
    with pytest.raises(SystemExit) as stop: command.main(["mask", *words])
    assert message in str(stop.value) and "\n" not in str(stop.value) and str(stop.value).startswith("maskfer: ")


def test_unknown_landmarks_are_refused_from_python_too(folder, tmp_path):
    with pytest.raises(ValueError, match="no landmarks 'nobody'; there are dlib, rendered"):
        masking.mask_folder(folder, tmp_path / "out", backend="nobody")
    assert not (tmp_path / "out").exists()


def test_the_command(folder, tmp_path):
    program = [str(Path(sys.executable).parent / "maskfer")]
    words = ["mask", str(folder), str(tmp_path / "out"), "--kind", "cloth", "--color", "navy", "--jobs", "2"]
    done = subprocess.run([*program, *words], capture_output=True, text=True)
    assert done.returncode == 0 and "4 faces or pictures not masked" in done.stderr, done.stderr
    assert json.loads((tmp_path / "out/mask.json").read_text())["color"] == "navy"
    manual = subprocess.run([*program, "mask", "--help"], capture_output=True, text=True).stdout
    for word in ("--kind", "--color", "--fit", "--seed", "--jobs", "rejects.csv", "examples:"): assert word in manual


MASK = [sys.executable, "-c", "from maskfer_nb.command import main; main()", "mask"]


def test_a_torn_line_is_cut_off_before_others_follow(tmp_path):
    "A run that is killed a second time reads what the first and the second have written."
    record = tmp_path / ".masked.jsonl"
    record.write_text('["one.png", []]\n["två.p', encoding="utf-8")
    assert masking._finished(record, tmp_path, []) == {"one.png": []}
    assert record.read_bytes() == b'["one.png", []]\n'


def wait_until(reached, process, log, seconds=240):
    "Wait while a process works; fails with what it wrote to its log where it ends or takes too long before that."
    end = time.monotonic() + seconds
    while not reached():
        ended = process.poll() is not None
        if ended or time.monotonic() > end:
            process.kill()
            what = f"ended with {process.returncode}" if ended else f"was not there after {seconds} s"
            pytest.fail(f"the process {what}: {log.read_text()}")
        time.sleep(0.005)


def test_waiting_ends_with_the_process(tmp_path):
    log = tmp_path / "log"
    for words, seconds, said in (("raise SystemExit('no room')", 60, "ended with 1: no room"),
                                 ("import time; time.sleep(60)", 0.2, "was not there after 0.2 s")):
        with open(log, "w") as errors: process = subprocess.Popen([sys.executable, "-c", words], stderr=errors)
        with pytest.raises(pytest.fail.Exception, match=said): wait_until(lambda: False, process, log, seconds)
        process.wait()


def test_a_killed_run_goes_on_with_the_same_bytes_and_keeps_its_reasons(face, tmp_path):
    "Twenty faces and four pictures of nobody, killed when some are written."
    here = tmp_path / "in"
    here.mkdir()
    for number in range(20): face.rotate(number / 4).save(here / f"{number:02}.png")
    for number in range(4): Image.new("RGB", (150, 150), (number, 90, 90)).save(here / f"{5 * number:02}-blank.png")
    undisturbed = masking.mask_folder(here, tmp_path / "undisturbed", "random", "random", jobs=1)
    assert len(undisturbed) == 4
    out, log = tmp_path / "out", tmp_path / "log"
    words = [here, out, "--kind", "random", "--color", "random", "--jobs", "1"]
    with open(log, "w") as errors: run = subprocess.Popen([*MASK, *words], stderr=errors)
    wait_until(lambda: len(list(out.glob("[0-9]*"))) >= 7, run, log)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / "rejects.csv").exists()
    whole = (out / ".masked.jsonl").read_text().rpartition("\n")[0].splitlines()
    with open(out / ".masked.jsonl", "a") as record: record.write('["torn')
    before = {path: path.stat().st_mtime_ns for name, _ in map(json.loads, whole) if (path := out / name).exists()}
    assert masking.mask_folder(here, out, "random", "random", jobs=1) == undisturbed and before
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    content = lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}
    assert content(out) == content(tmp_path / "undisturbed")
    assert masking.mask_folder(here, out, "random", "random", jobs=1) == undisturbed


@pytest.mark.parametrize("there", ["one.png", "deeper/two.jpg", "other.png", "rejects.csv"])
def test_a_folder_with_files_of_others_is_refused(folder, tmp_path, there):
    out = tmp_path / "out"
    (out / there).parent.mkdir(parents=True)
    (out / there).write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="out: holds files that are not of `maskfer mask`; name another folder"):
        masking.mask_folder(folder, out, jobs=1)
    assert [path for path in out.rglob("*") if path.is_file()] == [out / there]
    assert (out / there).read_bytes() == b"somebody's"


def test_pictures_of_another_folder_are_not_taken_for_masked(face, folder, tmp_path):
    "Cameras repeat their names."
    masking.mask_folder(folder, tmp_path / "out", jobs=1)
    other = tmp_path / "other"
    other.mkdir()
    face.rotate(9).save(other / "one.png")
    with pytest.raises(ValueError, match="other options, {'source': '.*/in'"):
        masking.mask_folder(other, tmp_path / "out", jobs=1)


def test_a_folder_above_its_input_is_refused(folder, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    before = (tmp_path / "one.png").read_bytes()
    with pytest.raises(ValueError, match="name another folder"): masking.mask_folder(folder, tmp_path, jobs=1)
    assert (tmp_path / "one.png").read_bytes() == before and not (tmp_path / "mask.json").exists()


def test_a_replaced_picture_is_masked_again(face, folder, tmp_path):
    out, later = tmp_path / "out", time.time() + 9
    rejects = masking.mask_folder(folder, out, jobs=1)
    before = {path: path.read_bytes() for path in (out / "one.png", out / "deeper/two.jpg")}
    face.rotate(9).save(folder / "one.png")
    os.utime(folder / "one.png", (later, later))
    assert masking.mask_folder(folder, out, jobs=1) == rejects
    assert [path.name for path in before if path.read_bytes() != before[path]] == ["one.png"]
    masking.mask_file(folder / "one.png", tmp_path / "again.png", seed=masking._seed(0, Path("one.png")),
                      backend=masking.landmarks.backend_here())
    assert (out / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    Image.new("RGB", (150, 150), "grey").save(folder / "one.png")
    os.utime(folder / "one.png", (later, later))
    again = masking.mask_folder(folder, out, jobs=1)
    assert {name for name, _ in again} == {name for name, _ in rejects} | {"one.png"}
    assert not (out / "one.png").exists()


@pytest.mark.parametrize("into", ["there.png", "."])
def test_one_picture_replaces_none(folder, tmp_path, into):
    for name in ("there.png", "one.png"): (tmp_path / name).write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="png: is there already; name another"):
        masking.mask_folder(folder / "one.png", tmp_path / into)
    assert {(tmp_path / name).read_bytes() for name in ("there.png", "one.png")} == {b"somebody's"}


@pytest.mark.parametrize("name", ["顔" * 80 + ".png", "x" * 250 + ".webp", "x" * 255, "a." + "y" * 253])
def test_names_as_long_as_they_may_be(face, tmp_path, name):
    (tmp_path / "in").mkdir()
    face.save(tmp_path / "in" / name, "PNG")
    face.save(tmp_path / "in/short.png")
    assert masking.mask_folder(tmp_path / "in", tmp_path / "out", jobs=1) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name, "short.png", "mask.json", "rejects.csv"}


def test_what_a_killed_process_left_under_a_long_name_is_swept(tmp_path):
    "And what a living one writes is not."
    code = ("import os, sys; from maskfer_nb.files import write_whole\n"
            "write_whole(sys.argv[1], lambda partial: partial.touch() or os._exit(0))")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / ("x" * 255))], check=True)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    def write(partial):
        partial.touch()
        files.sweep(tmp_path)
        assert [*tmp_path.iterdir()] == [partial]
        partial.write_text("whole")
    files.write_whole(tmp_path / ("y" * 255), write)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_a_killed_worker_is_one_line_and_the_run_goes_on(folder, tmp_path, is_told_of_a_killed_process):
    words = ["mask", str(folder), str(tmp_path / "out"), "--jobs", "2"]
    is_told_of_a_killed_process(words, masking, "_mask_group")
    command.main(words)
    assert (tmp_path / "out/one.png").exists() and (tmp_path / "out/rejects.csv").exists()
