"""Memory and seconds a face of data-set creation and of prediction, at 1,000 and at 20,000 faces: both should be the same.

    python benchmarks/scaling.py [--faces 1000 20000] [--repeats 5] [--jobs 2] [--json FILE]

The faces are rendered ones, each written many times over with other grain and light, so that no two files are alike. Every measurement is a process of its own, which first does the same with a few
faces, so that imports, weights and worker processes are there; then its time is taken, and the peak of the memory (proportional set size) of itself and its workers. The order is mixed; medians count."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from rendering import Peak
from tqdm import tqdm

from maskfer_nb import datasets, faces
from maskfer_nb.files import root, write_json
from maskfer_nb.training import device_name

WARM_UP = 64  # faces


def write_faces(folder: Path, n: int):
    "`<split>/<class>/<number>.png`, 112 pixels, a fifth of them test."
    table, rng = faces.render(root() / "runs/faces", n=320), np.random.default_rng(0)
    pictures = [(label, cv2.imread(path)) for label, path in zip(table.label, table.path)]
    for k in range(n):
        label, picture = pictures[k % len(pictures)]
        path = folder / ("test" if k // len(pictures) % 5 == 4 or k % 5 == 4 else "train") / label / f"{k:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.clip(picture * rng.uniform(0.9, 1.1) + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8))


def make_dataset(data: Path, n: int) -> dict:
    "Seconds to make MU and M-FER of all faces of a folder, and the bytes they take."
    settings = dict(source="folders", data=str(data), classes=["angry", "happy", "normal", "surprised"], size=64, fit="jaw", mu_train=n // 5, mu_test=n // 20, mfer_train=n, mfer_test=n, n_rendered=0, leave_out="", seed=0)
    with tempfile.TemporaryDirectory() as run:
        start = time.perf_counter()
        work = datasets.work_folder(Path(run), settings)
        table, rejects = datasets.face_table(work, **settings)
        mu, mfer, rejects = datasets.choose(work, table, rejects, **settings)
        datasets.write(mu, mfer, rejects, work, Path(run) / "data", settings["size"])
        assert len(table) == n and len(rejects) < n / 10
        return dict(seconds=time.perf_counter() - start, bytes=sum(path.stat().st_size for path in Path(run).rglob("*") if path.is_file()))


def predict(data: Path, n: int) -> dict:
    "Seconds that `maskfer predict` takes for a folder, from its first answer on, for as many faces."
    from maskfer_nb import command
    answers, start = 0, None
    for _ in command.predict(data):
        start = start or time.perf_counter()
        answers += 1
    assert answers == n
    return dict(seconds=(time.perf_counter() - start) * n / (n - 1))


STAGES = {"dataset": make_dataset, "prediction": predict}


def child(stage: str, folder: Path, n: int):
    "One measurement, as a line of JSON."
    STAGES[stage](folder / str(WARM_UP), WARM_UP)
    with Peak() as peak: found = STAGES[stage](folder / str(n), n)
    print(json.dumps(dict(stage=stage, n=n, megabytes=peak.megabytes) | {f"{name}_a_face": value / n for name, value in found.items()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs=2, default=(1000, 20000))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="worker processes of data-set creation")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": str(options.jobs), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        for n in (WARM_UP, *options.faces): write_faces(Path(folder) / str(n), n)
        runs = [(stage, n) for _ in range(options.repeats) for stage in STAGES for n in options.faces]
        found = []
        for stage, n in tqdm(runs, desc="measuring", unit="run"):
            result = subprocess.run([sys.executable, __file__, "--child", stage, folder, str(n)], capture_output=True, text=True, env=environment)
            if result.returncode: sys.exit(result.stderr)
            found.append(json.loads(result.stdout.splitlines()[-1]))
    answer = dict(device=device_name(), cpus=os.cpu_count(), jobs=options.jobs, repeats=options.repeats, faces=list(options.faces))
    for stage in STAGES:
        at = [{name: float(np.median([run[name] for run in found if (run["stage"], run["n"]) == (stage, n)])) for name in ("seconds_a_face", "megabytes", *(["bytes_a_face"] if stage == "dataset" else []))} for n in options.faces]
        print(f"{stage}: " + "; ".join(f"{n:,} faces: {1000 * median['seconds_a_face']:.2f} ms a face, {median['megabytes']:.0f} MB at most" for n, median in zip(options.faces, at)))
        print(f"  {options.faces[1]:,} against {options.faces[0]:,}: " + ", ".join(f"{name} {at[1][name] / at[0][name] - 1:+.1%}" for name in at[0]))
        answer[stage] = {str(n): median for n, median in zip(options.faces, at)}
    if options.json: write_json(options.json, answer | {"runs": found})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]: child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else: main()
