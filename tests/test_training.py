"One loop on one process and on two."
import os
import subprocess
import sys

CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
PROGRAM = """
import sys
import torch
from maskfer_nb.networks import AttentionBranchNetwork
from maskfer_nb.training import Faces, accuracy_and_loss, fit, seed_everything

generator = torch.Generator().manual_seed(0)
labels = torch.arange(160) % 2
images = (torch.rand(160, 3, 32, 32, generator=generator) * 120).to(torch.uint8)
images[labels == 1, :, 8:24, 8:24] += 90
split = lambda a, b: Faces(images[a:b], labels[a:b], [str(i) for i in range(a, b)], ["dark", "bright"])
seed_everything(0, verbose=False)
network = AttentionBranchNetwork(2, width=0.125, stage=2)
fit(network, split(0, 96), split(96, 128), sys.argv[1], epochs=5, batch_size=16, peak=3e-3, devices=int(sys.argv[2]))
sys.stdout.write(f"accuracy {accuracy_and_loss(network, split(128, 160))[0]}\\n")  # in one piece, for two processes write
"""


def train(folder, devices):
    program = folder / "train.py"
    program.write_text(PROGRAM)
    result = subprocess.run([sys.executable, program, folder / "run", str(devices)], capture_output=True, text=True, timeout=300, env=CPU)
    assert result.returncode == 0, result.stderr[-2000:]
    return [float(line.split()[1]) for line in result.stdout.splitlines() if line.startswith("accuracy")]


def test_one_process_learns(tmp_path):
    assert min(train(tmp_path, 1)) > 0.9


def test_two_processes_learn_together(tmp_path):
    accuracies = train(tmp_path, 2)
    assert len(accuracies) == 2 and accuracies[0] == accuracies[1] > 0.9
