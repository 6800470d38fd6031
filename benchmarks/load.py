"""Training and prediction beside another busy process: as a share of what an idle machine does, in one run.

    python benchmarks/load.py [--seconds 8] [--size 48] [--width 0.25] [--json FILE]

Threads of OpenMP wait for one another at every layer, by default by spinning, which takes the core from whoever has
work. The library makes them wait passively where nobody has said otherwise; the naive start is one that loads torch
first. Both train VGG11 in batches of 32, idle and beside a process that counts; then `MaskedFER` answers face crops.
With `--seconds 1` it is done in half a minute."""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from maskfer_nb.files import write_json

STARTS = {"naive": "import torch", "this project": "import maskfer_nb"}
BUSY = "while True: pass"
BATCH = 32


def a_second(call, seconds: float) -> float:
    "Calls a second, after two to warm up."
    for _ in range(2): call()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    return calls / (time.perf_counter() - start)


def idle_and_beside(call, images: int, seconds: float) -> list:
    "Images a second of a call that deals with so many, alone and beside a process that counts."
    alone = images * a_second(call, seconds)
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try: return [alone, images * a_second(call, seconds)]
    finally: busy.kill()


def training(seconds: float, size: int, width: float) -> list:
    "Images a second that VGG11 learns from."
    import torch

    from maskfer_nb.networks import VGG11
    network = VGG11(4, width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    faces, labels = torch.rand(BATCH, 3, size, size), torch.arange(BATCH) % 4

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(faces), labels).backward()
        optimizer.step()
    return idle_and_beside(step, BATCH, seconds)


def prediction(seconds: float) -> list:
    "Face crops a second that the library answers."
    import numpy as np

    from maskfer_nb.predictor import SIDE, MaskedFER
    model, crop = MaskedFER.from_pretrained(), np.zeros((1, SIDE, SIDE), np.uint8)
    return idle_and_beside(lambda: model.answer(crop), 1, seconds)


def measured(first: str, call: str) -> list:
    "What a call of this module gives in a process of its own that imports `first` first."
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    unsaid = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", f"{first}\nimport load\nprint(*load.{call})"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**unsaid, "PYTHONPATH": path})
    return [float(rate) for rate in done.stdout.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="each of six measurements (default: 8)")
    parser.add_argument("--size", type=int, default=48, help="pixels (default: 48)")
    parser.add_argument("--width", type=float, default=0.25, help="of VGG11 (default: 0.25)")
    parser.add_argument("--json", type=Path, help="where the rates are kept")
    args = parser.parse_args()
    calls = {f"training, {name}": (first, f"training({args.seconds}, {args.size}, {args.width})")
             for name, first in STARTS.items()}
    calls["prediction"] = (STARTS["this project"], f"prediction({args.seconds})")
    found = {}
    for name, (first, call) in calls.items():
        idle, loaded = measured(first, call)
        found[name] = dict(idle=idle, beside_a_busy_process=loaded, share=loaded / idle)
        print(f"{name}: {idle:.0f} images/s idle, {loaded:.0f} beside a busy process: {100 * loaded / idle:.0f} %")
    if args.json: write_json(args.json, dict(cores=os.cpu_count(), **found))


if __name__ == "__main__":
    main()
