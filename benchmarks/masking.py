"""Masked pictures a second, beside MaskTheFace, each end to end with its own detector, on the same pictures in one run.

    python benchmarks/masking.py [--pictures FOLDER] [--n 1000] [--masktheface FOLDER] [--json FILE]

PICTURES is a folder of face pictures; without one, faces are rendered at 350 pixels. MaskTheFace is a clone of github.com/aqeelanwar/MaskTheFace, which
needs imutils, dotmap and requests beside this project's packages; without it, its line is left out. It looks for faces with dlib and so uses the 68-point weights
of face_recognition_models. Where the time goes is printed: one face, one thread."""
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
import dlib
import numpy as np
from PIL import Image

from maskfer_nb import fabrics, faces, landmarks, masking, masks
from maskfer_nb.files import write_json
from maskfer_nb.pictures import SUFFIXES, read_image


def timed(*command, **options) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    return time.perf_counter() - start


def median(function, *args, n=200) -> float:
    "Median seconds of a call, over its arguments."
    seconds = []
    for arguments in (args * n)[:n]:
        start = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def masktheface(folder: Path, pictures: Path, work: Path) -> float | None:
    "Seconds MaskTheFace takes for a folder of pictures, or None where it or what it needs is missing."
    missing = [name for name in ("imutils", "dotmap", "requests", "face_recognition_models") if importlib.util.find_spec(name) is None]
    if missing: return print(f"MaskTheFace: not measured, it needs {', '.join(missing)}")
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns(".git", "images"))
    (work / "dlib_models").mkdir(exist_ok=True)
    weights = Path(importlib.util.find_spec("face_recognition_models").origin).parent / "models/shape_predictor_68_face_landmarks.dat"
    (work / "dlib_models" / weights.name).symlink_to(weights)
    return timed(sys.executable, "mask_the_face.py", "--path", str(pictures), "--mask_type", "surgical", cwd=work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of face pictures")
    parser.add_argument("--n", type=int, default=1000, help="how many of them (default: 1000)")
    parser.add_argument("--masktheface", type=Path, help="a clone of MaskTheFace")
    parser.add_argument("--json", type=Path, help="where pictures a second are kept")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        if args.pictures: found = sorted(path for path in args.pictures.rglob("*") if path.suffix.lower() in SUFFIXES)[: args.n]
        else: found = [Path(path) for path in faces.render(work / "rendered", args.n, size=350).path]
        pictures = work / "pictures"
        pictures.mkdir()
        for number, path in enumerate(found): shutil.copy(path, pictures / f"{number:05d}{path.suffix.lower()}")
        shapes = {read_image(path).shape for path in found[:20]}
        print(f"{len(found)} pictures, {' '.join(f'{width}x{height}' for height, width, _ in sorted(shapes)[-3:])} pixels and the like, {os.cpu_count()} cores")

        ours = timed(str(Path(sys.executable).parent / "maskfer"), "mask", str(pictures), str(work / "ours"))
        made = sum(path.suffix in SUFFIXES for path in (work / "ours").iterdir())
        print(f"maskfer mask: {len(found) / ours:.1f} pictures/s, processes' start included ({ours:.1f} s), {made} of {len(found)} masked")
        if not args.masktheface: print("MaskTheFace: not measured, name a clone by --masktheface")
        elif theirs := masktheface(args.masktheface, pictures, work / "masktheface"):
            made = len(list((work / "pictures_masked").iterdir()))
            print(f"MaskTheFace: {len(found) / theirs:.1f} pictures/s ({theirs:.1f} s), {made} of {len(found)} masked; ratio {theirs / ours:.1f}")
            if args.json: write_json(args.json, dict(pictures=len(found), cores=os.cpu_count(), ours=len(found) / ours, masktheface=len(found) / theirs))

        cv2.setNumThreads(1)
        mask = fabrics.mask()
        some = [(path, read_image(path)) for path in map(str, found[:100])]
        known = [(image, points) for path, image in some for points in (landmarks.find(image) if _has_face(image) else [])]
        parts = {"read": median(read_image, *[(path,) for path, _ in some]), "detect": median(landmarks.look, *[(image,) for _, image in some]),
                 "detect and find points": median(landmarks.find, *[(image,) for image, _ in known]),
                 "paste": median(masks.paste, *[(image, points, mask) for image, points in known]),
                 "write": median(lambda image: masking._write(work / "written.jpg", image), *[(Image.fromarray(image),) for image, _ in known])}
        print("one picture, ms:", ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in parts.items()))

        table = faces.render(work / "small", 40, size=112)
        small = [(read_image(path), points) for path, points in zip(table.path, table.landmarks)]
        for fit in masks.FITS:
            seconds = median(masks.paste, *[(image, points, mask, fit) for image, points in small], n=2000)
            print(f"pasting alone, landmarks known, 112 px, {fit}: {1 / seconds:.0f} faces/s a core")
        image, points = small[0]
        where = masks.pose(points)
        steps = {"pose": (masks.pose, points), "lay by jaw": (masks.lay, points, "jaw"), "lay rigid": (masks.lay, points, "rigid"),
                 "blur and grain": (masks._blur_and_grain, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)), "shadow": (lambda: cv2.GaussianBlur(np.float32(image[..., 0]), (0, 0), 0.05 * where.scale),)}
        print("of which, µs:", ", ".join(f"{name} {1e6 * median(function, arguments):.0f}" for name, (function, *arguments) in steps.items()))


def _has_face(image) -> bool:
    try: return bool(landmarks.find(image))
    except ValueError: return False


if __name__ == "__main__":
    main()
