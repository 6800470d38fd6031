"Every benchmark runs, as small as it goes; what it measures here means nothing."
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from maskfer_nb import faces
from maskfer_nb.sources import VOTES

ROOT = Path(__file__).parents[1]
# What other programs are compared with is left out: they are not installed here.
SMALLEST = {
    "detection": [],
    "folder": ["--n", "4"],
    "held_out": [],
    "latency": ["--n", "2"],
    "load": ["--seconds", "0.1", "--size", "32", "--width", "0.0625"],
    "masking": ["--n", "4"],
    "rendering": ["--faces", "4", "--alone", "1", "--size", "16"],
    "scaling": ["--faces", "64", "64", "--repeats", "1"],
    "video": ["--seconds", "1"],
    "training": ["--n", "32", "--size", "32", "--width", "0.0625", "--batch-size", "16"],
}


@pytest.fixture
def ferplus(tmp_path):
    "A folder laid out as FER+, of two rendered faces of PublicTest."
    table = faces.render(tmp_path / "faces", n=2, size=48, classes=("happy",))
    (tmp_path / "ferplus/FER2013Valid").mkdir(parents=True)
    happy = ",".join("10" if vote == "happiness" else "0" for vote in VOTES)
    lines = [f"Usage,Image name,{','.join(VOTES)}"]
    for path in map(Path, table.path):
        path.rename(tmp_path / "ferplus/FER2013Valid" / path.name)
        lines.append(f"PublicTest,{path.name},{happy}")
    (tmp_path / "ferplus/fer2013new.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "ferplus"


@pytest.fixture
def scenes(tmp_path):
    "Two pictures of a rendered face each, with its box."
    table = faces.render(tmp_path / "faces", n=2, size=200)
    boxes = [(Path(path).name, "unmasked", *points.min(0), *points.max(0))
             for path, points in zip(table.path, table.landmarks)]
    columns = ["file", "label", "left", "top", "right", "bottom"]
    pd.DataFrame(boxes, columns=columns).to_csv(tmp_path / "boxes.csv", index=False)
    for path in table.path: Path(path).rename(tmp_path / Path(path).name)
    return tmp_path


def test_every_benchmark_is_run():
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == set(SMALLEST)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_ends_with_a_number(name, request):
    data = {"held_out": "ferplus", "detection": "scenes"}.get(name)
    options = [request.getfixturevalue(data)] if data else []
    command = [sys.executable, f"benchmarks/{name}.py", *options, *SMALLEST[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    assert re.search(r"\d+(\.\d+)? ?(ms|µs|%|MB|faces/s|images/s|pictures/s)", result.stdout), result.stdout
