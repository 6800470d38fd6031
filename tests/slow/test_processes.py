"Training by torchrun, for longer than the short tests, by the command, and on GPUs where there are two."
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_training import CPU, compare_curves

TORCHRUN, MASKFER = (Path(sys.executable).with_name(name) for name in ("torchrun", "maskfer"))


def test_loss_curves_stay_together(tmp_path):
    print(f"largest relative difference of anything in twelve epochs: {compare_curves(tmp_path, 12):.1e}")


def test_loss_curves_stay_together_on_gpus(tmp_path, monkeypatch):
    if torch.cuda.device_count() < 2: pytest.skip(f"{torch.cuda.device_count()} GPUs here, two are needed")
    monkeypatch.delitem(CPU, "CUDA_VISIBLE_DEVICES")
    compare_curves(tmp_path, 12)


def test_maskfer_train_by_torchrun(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 64), ("val", 16), ("test", 16)):
        for name, level in (("dark", 40), ("bright", 140)):
            (tmp_path / f"squares/{split}/{name}").mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(level, level + 60, (48, 48, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"squares/{split}/{name}/{k}.png")
    command = [TORCHRUN, "--nproc-per-node", "2", MASKFER, "train", tmp_path / "squares"]
    same = ["--batch-size", "16", "--epochs", "8"]

    def train(name, *options):
        return subprocess.run([*command, tmp_path / name, *same, *options], capture_output=True, text=True, env=CPU)

    mcn, fecn = ["--network", "mcn", "--width", "0.125"], ["--network", "fecn", "--mcn", tmp_path / "mcn"]
    for name, options in (("mcn", mcn), ("fecn", fecn)):
        result = train(name, *options)
        assert result.returncode == 0 and result.stdout.count(f"{tmp_path / name}: epoch") == 1, result.stderr[-2000:]
        answers = pd.read_parquet(tmp_path / name / "predictions.parquet")
        assert len(answers) == 32 and len(pd.read_csv(tmp_path / name / "history.csv")) == 8
        assert (answers.filter(like="p_").idxmax(axis=1).str[2:] == answers.label).mean() > 0.9
    before = (tmp_path / "fecn/predictions.parquet").read_bytes()
    assert train("fecn", *fecn).returncode == 0
    assert (tmp_path / "fecn/predictions.parquet").read_bytes() == before
