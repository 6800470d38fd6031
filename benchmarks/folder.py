"""Pictures a second that `maskfer predict` answers in a folder, its start included, and the memory that it takes.

    python benchmarks/folder.py [--pictures DATA] [--n 2000] [--fer PYTHON] [--json FILE]

DATA is a folder or zip of pictures; they are brought to 400x300 and repeated until they are n. By default they are
rendered faces, one a picture. Memory is that of the largest process, for a quarter of the pictures and for all of them:
it should be the same. PYTHON is one that has the package `fer`, which is then given the first hundred of the same
files, its start not counted."""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from itertools import cycle, islice
from pathlib import Path

import cv2

from maskfer_nb import faces
from maskfer_nb.files import write_json
from maskfer_nb.pictures import SUFFIXES, read_image

SIZE = (400, 300)
FER = """
import json, sys, time
import cv2
from fer.fer import FER
detector, paths = FER(), sys.argv[1:]
detector.detect_emotions(cv2.imread(paths[0]))
start = time.perf_counter()
found = sum(len(detector.detect_emotions(cv2.imread(path))) for path in paths)
print(json.dumps(dict(pictures_a_second=len(paths) / (time.perf_counter() - start), faces=found)))
"""


def pictures_of(data: Path | None) -> list:
    "Some pictures, 400 pixels across and 300 high, uint8 RGB."
    if data is None:
        rows = [row for _, row in faces.recipes(8, seed=0).iterrows()]
        pictures = [faces.photograph(row, 300)[0] for row in rows]
        return [cv2.copyMakeBorder(picture, 0, 0, 50, 50, cv2.BORDER_REPLICATE) for picture in pictures]
    if data.suffix == ".zip":
        with zipfile.ZipFile(data) as members: names = [f"zip://{name}::{data}" for name in members.namelist()]
    else:
        names = [str(path) for path in data.rglob("*")]
    wanted = sorted(name for name in names if Path(name.split("::")[0]).suffix.lower() in SUFFIXES)
    return [cv2.resize(read_image(name), SIZE, interpolation=cv2.INTER_AREA) for name in wanted]


def written(folder: Path, pictures: list, n: int) -> list:
    "n JPEGs in a folder."
    folder.mkdir()
    paths = [folder / f"{number:05}.jpg" for number in range(n)]
    for path, picture in zip(paths, islice(cycle(pictures), n)): cv2.imwrite(str(path), picture[..., ::-1])
    return paths


def predicted(folder: Path) -> dict:
    "Seconds and faces of `maskfer predict`, and the megabytes of its largest process."
    out = folder.with_suffix(".jsonl")
    command = "from maskfer_nb.command import main; main()"
    start = time.perf_counter()
    arguments = ["predict", str(folder), "--out", str(out)]
    subprocess.run([sys.executable, "-c", command, *arguments], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    found = sum(len(json.loads(line)["faces"]) for line in out.read_text().splitlines())
    return dict(seconds=seconds, faces=found, mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder or zip of pictures; by default rendered faces")
    parser.add_argument("--n", type=int, default=2000, help="pictures (default: 2000)")
    parser.add_argument("--fer", metavar="PYTHON", help="a Python that has the package fer")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    pictures = pictures_of(args.pictures)
    with tempfile.TemporaryDirectory() as work:
        written(Path(work) / "quarter", pictures, max(1, args.n // 4))
        paths = written(Path(work) / "all", pictures, args.n)
        quarter, whole = predicted(Path(work) / "quarter"), predicted(Path(work) / "all")
        rate = args.n / whole["seconds"]
        print(f"{args.n} pictures of {SIZE[0]}x{SIZE[1]}, {whole['faces'] / args.n:.1f} faces each: "
              f"{rate:.0f} pictures/s; largest process {quarter['mb']:.0f} MB for a quarter of them, "
              f"{whole['mb']:.0f} MB for all")
        found = dict(pictures=args.n, faces=whole["faces"], pictures_a_second=rate, quarter_mb=quarter["mb"],
                     mb=whole["mb"])
        if args.fer:
            command = [args.fer, "-c", FER, *map(str, paths[:100])]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found["fer"] = json.loads(done.stdout.splitlines()[-1])
            print(f"fer: {found['fer']['pictures_a_second']:.1f} pictures/s, "
                  f"{found['fer']['faces'] / min(100, args.n):.1f} faces each")
    if args.json: write_json(args.json, found)


if __name__ == "__main__":
    main()
