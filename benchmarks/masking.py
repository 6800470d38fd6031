"""Masked pictures a second, beside MaskTheFace, each end to end with its own detector, on the same pictures in one run.

    python benchmarks/masking.py [--pictures FOLDER] [--n 1000] [--masktheface FOLDER] [--json FILE]

PICTURES is a folder of face pictures; without one, faces are rendered at 350 pixels. MaskTheFace is a clone of
github.com/aqeelanwar/MaskTheFace, which needs imutils, dotmap and requests beside this project's packages; without it,
its line is left out. It looks for faces with dlib and so uses the 68-point weights of face_recognition_models. Where
the time goes is printed too: one face, one thread. `--n 2` tells quickly whether all of it still runs."""
import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from maskfer_nb import detector, fabrics, faces, landmarks, masking, masks
from maskfer_nb.files import write_json
from maskfer_nb.pictures import SUFFIXES, read_image


def timed(*command, **options) -> float:
    "Seconds of a command; its errors are shown where it fails."
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode: sys.exit(f"{' '.join(command)}: {done.stderr}")
    return time.perf_counter() - start


def median(function, arguments: list, n: int) -> float:
    "Median seconds of n calls, over a list of their arguments, which are taken in turn."
    seconds = []
    for number in range(n):
        start = time.perf_counter()
        function(*arguments[number % len(arguments)])
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def collect(folder: Path | None, n: int, work: Path) -> Path:
    "A folder of n pictures, numbered: some of those in a folder, or rendered ones."
    if folder: found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:n]
    else: found = [Path(path) for path in faces.render(work / "rendered", n, size=350).path]
    pictures = work / "pictures"
    pictures.mkdir()
    for number, path in enumerate(found): shutil.copy(path, pictures / f"{number:05d}{path.suffix.lower()}")
    return pictures


def maskfer(pictures: Path, out: Path) -> float:
    "Seconds that `maskfer mask` takes for a folder of pictures, its own start included."
    return timed(sys.executable, "-c", "from maskfer_nb.command import main; main()", "mask", str(pictures), str(out))


def masktheface(folder: Path | None, pictures: Path, work: Path) -> float | None:
    "Seconds that MaskTheFace takes for a folder of pictures, or None where it or what it needs is missing."
    if not folder: return print("MaskTheFace: not measured, name a clone by --masktheface")
    needed = ("imutils", "dotmap", "requests", "face_recognition_models")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing: return print(f"MaskTheFace: not measured, it needs {', '.join(missing)}")
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns(".git", "images"))
    (work / "dlib_models").mkdir(exist_ok=True)
    package = Path(importlib.util.find_spec("face_recognition_models").origin).parent
    weights = package / "models/shape_predictor_68_face_landmarks.dat"
    (work / "dlib_models" / weights.name).symlink_to(weights)
    command = [sys.executable, "mask_the_face.py", "--path", str(pictures), "--mask_type", "surgical"]
    return timed(*command, cwd=work)


def with_points(images: list) -> list:
    "(image, points) of every face in pictures; those without a face are left out."
    known = []
    for image in images:
        try:
            known += [(image, points) for points in landmarks.find(image)]
        except ValueError:
            continue
    return known


def one_picture(paths: list, work: Path, n: int):
    "Print how long each step takes for one of these pictures."
    images = [read_image(path) for path in paths]
    known, mask = with_points(images), fabrics.mask()
    if not known: sys.exit("no face in any of the pictures")
    written = [(work / "written.jpg", Image.fromarray(image)) for image, _ in known]
    seconds = {
        "read": median(read_image, [(path,) for path in paths], n),
        "detect": median(detector.find, [(image,) for image in images], n),
        "detect and find points": median(landmarks.find, [(image,) for image, _ in known], n),
        "paste": median(masks.paste, [(image, points, mask) for image, points in known], n),
        "write": median(masking.write_picture, written, n),
    }
    print("one picture, ms:", ", ".join(f"{name} {1000 * value:.1f}" for name, value in seconds.items()))


def one_paste(work: Path, n: int):
    "Print how many small faces are pasted a second where landmarks are known, and how long some of the steps take."
    table, mask = faces.render(work / "small", min(n, 40), size=112), fabrics.mask()
    small = [(read_image(path), points) for path, points in zip(table.path, table.landmarks)]
    for fit in masks.FITS:
        seconds = median(masks.paste, [(image, points, mask, fit) for image, points in small], 10 * n)
        print(f"pasting alone, landmarks known, 112 px, {fit}: {1 / seconds:.0f} faces/s a core")
    image, points = small[0]
    grey, alpha = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), masks.paste(image, points, mask).alpha
    steps = {
        "pose": (masks.pose, points),
        "lay by jaw": (masks.lay, points, "jaw"),
        "lay rigid": (masks.lay, points, "rigid"),
        "blur and grain": (masks._blur_and_grain, grey),
        "shadow": (masks._shade, alpha, 0.05 * masks.pose(points).scale),
    }
    seconds = {name: median(function, [arguments], n) for name, (function, *arguments) in steps.items()}
    print("of which, µs:", ", ".join(f"{name} {1e6 * value:.0f}" for name, value in seconds.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of face pictures")
    parser.add_argument("--n", type=int, default=1000, help="how many of them (default: 1000)")
    parser.add_argument("--masktheface", type=Path, help="a clone of MaskTheFace")
    parser.add_argument("--json", type=Path, help="where pictures a second are kept")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        pictures = collect(args.pictures, args.n, work)
        paths = sorted(map(str, pictures.iterdir()))
        n = len(paths)
        sizes = sorted({read_image(path).shape[:2] for path in paths[:20]})[-3:]
        print(f"{n} pictures, {' '.join(f'{width}x{height}' for height, width in sizes)} pixels and the like, "
              f"{os.cpu_count()} cores")

        ours = maskfer(pictures, work / "ours")
        made = sum(path.suffix in SUFFIXES for path in (work / "ours").iterdir())
        print(f"maskfer mask: {n / ours:.1f} pictures/s, processes' start included ({ours:.1f} s), "
              f"{made} of {n} masked")
        theirs = masktheface(args.masktheface, pictures, work / "masktheface")
        if theirs:
            made = len(list((work / "pictures_masked").iterdir()))
            print(f"MaskTheFace: {n / theirs:.1f} pictures/s ({theirs:.1f} s), {made} of {n} masked; "
                  f"ratio {theirs / ours:.1f}")
        speeds = dict(pictures=n, cores=os.cpu_count(), ours=n / ours)
        if args.json: write_json(args.json, speeds | (dict(masktheface=n / theirs) if theirs else {}))

        cv2.setNumThreads(1)
        calls = min(n, 200)
        one_picture(paths[:100], work, calls)
        one_paste(work, calls)


if __name__ == "__main__":
    main()
