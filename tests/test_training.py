"One loop on one process and on two."
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from maskfer_nb import training

CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
PROGRAM = """
import sys
import torch
from maskfer_nb.mcn import MCN
from maskfer_nb.training import Faces, accuracy_and_loss, fit, seed_everything

generator = torch.Generator().manual_seed(0)
labels = torch.arange(160) % 2
images = (torch.rand(160, 3, 32, 32, generator=generator) * 120).to(torch.uint8)
images[labels == 1, :, 8:24, 8:24] += 90
split = lambda a, b: Faces(images[a:b], labels[a:b], [str(i) for i in range(a, b)], ["dark", "bright"])
seed_everything(0, verbose=False)
network = MCN(2, width=0.125, block=2)
fit(network, split(0, 96), split(96, 128), sys.argv[1], epochs=5, batch_size=16, peak=3e-3, devices=int(sys.argv[2]))
accuracy = accuracy_and_loss(network, split(128, 160))[0]
sys.stdout.write(f"accuracy {accuracy}\\n")  # in one piece, for two processes write
"""


def train(folder, devices):
    program = folder / "train.py"
    program.write_text(PROGRAM)
    command = [sys.executable, program, folder / "run", str(devices)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=CPU)
    assert result.returncode == 0, result.stderr[-2000:]
    return [float(line.split()[1]) for line in result.stdout.splitlines() if line.startswith("accuracy")]


def test_one_process_learns(tmp_path):
    assert min(train(tmp_path, 1)) > 0.9


def test_two_processes_learn_together(tmp_path):
    accuracies = train(tmp_path, 2)
    assert len(accuracies) == 2 and accuracies[0] == accuracies[1] > 0.9


CURVE = """
import sys
import torch
from maskfer_nb.networks import VGG11
from maskfer_nb.training import Faces, fit, seed_everything

generator = torch.Generator().manual_seed(0)
labels = torch.arange(150) % 3
images = (torch.rand(150, 3, 32, 32, generator=generator) * 150).to(torch.uint8)
images += (50 * labels[:, None, None, None]).to(torch.uint8)
seed_everything(0, verbose=False)
network = VGG11(3, width=0.125, batch_norm=False)
for layer in network.modules():
    if isinstance(layer, torch.nn.Dropout): layer.p = 0
split = lambda a, b: Faces(images[a:b], labels[a:b], [str(i) for i in range(a, b)], ["dark", "grey", "bright"])
history = fit(network, split(0, 115), split(115, 150), sys.argv[1], epochs=int(sys.argv[2]), batch_size=21, peak=1e-3)
if torch.distributed.is_initialized() and torch.distributed.get_rank(): sys.exit()
weights = sum(value.double().abs().sum().item() for value in network.state_dict().values())
history.assign(weights=weights).to_csv(sys.argv[1] + "/curve.csv")
"""


def curve(folder, processes, epochs):
    """The loss curve of a VGG11 without batch normalisation and dropout, in batches that two processes cannot halve.

    Several processes are started by torchrun."""
    folder.mkdir()
    (folder / "curve.py").write_text(CURVE)
    torchrun = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node", str(processes)]
    command = [*(torchrun if processes > 1 else [sys.executable]), folder / "curve.py", folder / "run", str(epochs)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, env=CPU)
    assert result.returncode == 0, result.stderr[-2000:]
    return pd.read_csv(folder / "run/curve.csv")


def compare_curves(folder, epochs):
    one, two = (curve(folder / str(processes), processes, epochs) for processes in (1, 2))
    assert len(one) == epochs and one.train_loss.iloc[-1] < one.train_loss.iloc[0] - 0.05
    np.testing.assert_allclose(two, one, rtol=2e-4, atol=2e-5)
    return np.abs(two / one - 1).max().max()


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    compare_curves(tmp_path, 4)


@pytest.mark.parametrize("flags, precision", [
    ("fpu avx2 avx512f avx512_bf16 amx_tile", "bf16-mixed"), ("fpu avx2 amx_bf16 amx_tile amx_int8", "bf16-mixed"),
    ("fpu avx2 avx512f avx512_vnni", "32-true"), ("fpu avx2 not_avx512_bf16_yet", "32-true"), (None, "32-true")])
def test_the_processor_decides_the_precision(tmp_path, monkeypatch, flags, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = tmp_path / "cpuinfo"
    if flags: path.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\n")
    assert training.precision_here("auto", path) == precision
    assert training.precision_here("32-true", path) == "32-true"
    assert training.precision_here("bf16-mixed", path) == "bf16-mixed"


@pytest.mark.parametrize("has, precision", [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_decides_where_there_is_one(tmp_path, monkeypatch, has, precision):
    "Without emulation, which every GPU has."
    (tmp_path / "cpuinfo").write_text("flags: avx512_bf16 amx_bf16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has)
    assert training.precision_here("auto", tmp_path / "cpuinfo") == precision


def test_a_training_with_auto_is_the_one_with_what_auto_means(tmp_path, monkeypatch):
    told, meant = [], {"auto": "bf16-mixed", "32-true": "32-true"}
    monkeypatch.setattr(training, "precision_here", meant.get)
    fabric = lambda **options: told.append(options["precision"]) or 1 / 0
    monkeypatch.setattr(training, "Fabric", fabric)
    for precision in ("auto", "32-true"):
        with pytest.raises(ZeroDivisionError):
            training.fit(None, None, None, tmp_path, epochs=1, precision=precision)
    assert told == ["bf16-mixed", "32-true"]


@pytest.mark.parametrize("said", [None, "ACTIVE"])
def test_threads_wait_passively_unless_the_user_says_otherwise(said):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if said: environment["OMP_WAIT_POLICY"] = said
    shown = "import os, sys, maskfer_nb; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [said or "PASSIVE", "False"]
