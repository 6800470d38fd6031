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
            for k in range(n): Image.fromarray(rng.integers(level, level + 60, (48, 48, 3), np.uint8)).save(tmp_path / f"squares/{split}/{name}/{k}.png")
    train = lambda name, *options: subprocess.run([TORCHRUN, "--nproc-per-node", "2", MASKFER, "train", tmp_path / "squares", tmp_path / name, "--batch-size", "16", "--epochs", "8", *options],
                                                  capture_output=True, text=True, env=CPU)
    for name, options in (("mcn", ["--network", "abn", "--width", "0.125"]), ("fecn", ["--network", "fecn", "--mcn", tmp_path / "mcn"])):
        result = train(name, *options)
        assert result.returncode == 0 and result.stdout.count(f"{tmp_path / name}: epoch") == 1, result.stderr[-2000:]
        answers = pd.read_parquet(tmp_path / name / "predictions.parquet")
        assert len(answers) == 32 and len(pd.read_csv(tmp_path / name / "history.csv")) == 8
        assert (answers.filter(like="p_").idxmax(axis=1).str[2:] == answers.label).mean() > 0.9
    before = (tmp_path / "fecn/predictions.parquet").read_bytes()
    assert train("fecn", *options).returncode == 0 and (tmp_path / "fecn/predictions.parquet").read_bytes() == before
