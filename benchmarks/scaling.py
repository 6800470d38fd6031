"""Memory and seconds a face of data-set creation and of prediction, at 1,000 and 20,000 faces: they should be the same.

    python benchmarks/scaling.py [--faces 1000 20000] [--repeats 5] [--jobs 2] [--json FILE]

The faces are rendered ones, each written many times over with other grain and light, so that no two files are alike.
Every measurement is a process of its own, which first does the same with a few faces, so that imports, weights and
worker processes are there; then its time is taken, and the peak of the memory (proportional set size) of itself and its
workers. The order is mixed; medians count."""
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

from maskfer_nb import shards, sources
from maskfer_nb.files import device_name, root, write_json

WARM_UP = 64  # faces
DIFFERENT = 320  # faces at most
CLASSES = ["angry", "happy", "normal", "surprised"]


def write_faces(folder: Path, n: int):
    "`<split>/<class>/<number>.png`, 112 pixels, a fifth of them test."
    table, rng = sources.load(root() / sources.SHIPPED)[0][: min(n, DIFFERENT)], np.random.default_rng(0)
    pictures = [(label, sources.read_image(path)[..., ::-1]) for label, path in zip(table.label, table.path)]
    for k in range(n):
        label, picture = pictures[k % len(pictures)]
        is_test = k // len(pictures) % 5 == 4 or k % 5 == 4
        path = folder / ("test" if is_test else "train") / label / f"{k:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = rng.normal(0, 2, picture.shape)
        cv2.imwrite(str(path), np.clip(picture * rng.uniform(0.9, 1.1) + grain, 0, 255).astype(np.uint8))


def make_dataset(data: Path, n: int) -> dict:
    "Seconds to make MU and M-FER of all faces of a folder, and the bytes they take."
    settings = dict(
        source="folders", data=str(data), classes=CLASSES, size=64, fit="jaw", mu_train=n // 5, mu_test=n // 20,
        mfer_train=n, mfer_test=n, leave_out="", seed=0)
    with tempfile.TemporaryDirectory() as run:
        start = time.perf_counter()
        work = shards.work_folder(Path(run), settings)
        table, rejects = shards.face_table(work, **settings)
        mu, mfer, rejects = shards.choose_faces(work, table, rejects, **settings)
        shards.write_datasets(mu, mfer, rejects, work, Path(run) / "data", settings["size"])
        seconds = time.perf_counter() - start
        assert len(table) == n and len(rejects) < n / 10
        return dict(seconds=seconds, bytes=sum(path.stat().st_size for path in Path(run).rglob("*") if path.is_file()))


def predict(data: Path, n: int) -> dict:
    "Seconds that `maskfer predict` takes for a folder, from its first answer on, for as many faces."
    from maskfer_nb import command
    answers, start = 0, None
    for _ in command.predict(data):
        start = start or time.perf_counter()
        answers += 1
    assert answers == n
    return dict(seconds=(time.perf_counter() - start) * n / (n - 1))


TASKS = {"dataset": make_dataset, "prediction": predict}


def child(task: str, folder: Path, n: int):
    "One measurement, as a line of JSON."
    TASKS[task](folder / str(WARM_UP), WARM_UP)
    with Peak() as peak: found = TASKS[task](folder / str(n), n)
    a_face = {f"{name}_a_face": value / n for name, value in found.items()}
    print(json.dumps(dict(task=task, n=n, megabytes=peak.megabytes) | a_face))


def measure(options) -> list:
    "What every child says."
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": str(options.jobs), "OMP_NUM_THREADS": "1"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for n in {WARM_UP, *options.faces}: write_faces(Path(folder) / str(n), n)
        runs = [(task, n) for _ in range(options.repeats) for task in TASKS for n in sorted(set(options.faces))]
        for task, n in tqdm(runs, desc="measuring", unit="run"):
            command = [sys.executable, __file__, "--child", task, folder, str(n)]
            result = subprocess.run(command, capture_output=True, text=True, env=environment)
            if result.returncode: sys.exit(result.stderr)
            found.append(json.loads(result.stdout.splitlines()[-1]))
    return found


def medians(found: list, task: str, n: int) -> dict:
    names = ["seconds_a_face", "megabytes", *(["bytes_a_face"] if task == "dataset" else [])]
    runs = [run for run in found if (run["task"], run["n"]) == (task, n)]
    return {name: float(np.median([run[name] for run in runs])) for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs=2, default=(1000, 20000), help=f"{WARM_UP} at least")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="worker processes of data-set creation")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    few, many = options.faces
    found = measure(options)
    answer = dict(device=device_name(), cpus=os.cpu_count(), jobs=options.jobs, repeats=options.repeats)
    answer["faces"] = [few, many]
    for task in TASKS:
        at = {n: medians(found, task, n) for n in (few, many)}
        told = [f"{n:,} faces: {1000 * of['seconds_a_face']:.2f} ms a face, {of['megabytes']:.0f} MB at most"
                for n, of in at.items()]
        print(f"{task}: {'; '.join(told)}")
        changes = ", ".join(f"{name} {at[many][name] / at[few][name] - 1:+.1%}" for name in at[few])
        print(f"  {many:,} against {few:,}: {changes}")
        answer[task] = {str(n): of for n, of in at.items()}
    if options.json: write_json(options.json, answer | {"runs": found})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]: child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else: main()
