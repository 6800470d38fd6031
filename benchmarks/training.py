"""Training images a second: this project's loop beside a plain one of the same network, in one run.

The plain one is ImageFolder, DataLoader and torchvision's transforms.

    python benchmarks/training.py [--n 2048] [--size 64] [--width 0.25] [--batch-size 64]
                                  [--precision 32-true] [--json FILE]

The faces are noise on disk: how fast a network learns does not depend on what it is shown. Both loops train VGG11, by
default at the small profile's size, with the same batches, shifts and flips; one pass to warm up, then the median of
three. Where this project's time goes is printed. With `--n 32 --size 32 --width 0.0625 --batch-size 16` it is done in
seconds, most of which go by until torch is loaded."""
import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from maskfer_nb import training
from maskfer_nb.files import device_name, write_json
from maskfer_nb.networks import VGG11


def write_faces(folder: Path, n: int, size: int):
    "An ImageFolder of four classes."
    rng = np.random.default_rng(0)
    for k in range(n):
        (folder / str(k % 4)).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(folder / str(k % 4) / f"{k}.png")


def plain(folder: Path, width: float, batch_size: int):
    "A function that trains one epoch, as most people would write it."
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shift = transforms.RandomAffine(0, translate=(training.SHIFT, training.SHIFT))
    transform = transforms.Compose([transforms.RandomHorizontalFlip(), shift, transforms.ToTensor()])
    faces = ImageFolder(folder, transform)
    loader = DataLoader(faces, batch_size, shuffle=True, num_workers=os.cpu_count(), persistent_workers=True)
    network = VGG11(4, width).to(device)
    optimizer = torch.optim.AdamW(network.parameters())

    def epoch():
        network.train()
        for images, labels in loader:
            loss = F.cross_entropy(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return epoch


def ours(folder: Path, width: float, batch_size: int, precision: str):
    "A function that trains one epoch by `training.train_epoch`; with the Fabric, faces and network that it uses."
    fabric = Fabric(devices=1, precision=precision)
    faces = training.load_faces(folder)
    faces = faces._replace(images=faces.images.to(fabric.device), labels=faces.labels.to(fabric.device))
    network = VGG11(4, width).to(memory_format=torch.channels_last)
    network, optimizer = fabric.setup(network, torch.optim.AdamW(network.parameters()))
    bar = tqdm(disable=True)
    epoch = lambda: training.train_epoch(fabric, network, optimizer, faces, batch_size, lambda done: 1e-3, bar)
    return epoch, fabric, faces, network


def rate(epoch, n: int) -> float:
    "Images a second, median of three passes after one."
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        epoch()
        if torch.cuda.is_available(): torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return n / np.median(seconds[1:])


def matmul_rate(device: torch.device) -> float:
    "The most that this chip multiplies and adds in bfloat16, 1e9 a second: one large matrix product, the best of five."
    n = 8192 if device.type == "cuda" else 512
    one, other = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return max(n**3 * rate(lambda: one @ other, 1) / 1e9 for _ in range(5))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2048, help="faces (default: 2048)")
    parser.add_argument("--size", type=int, default=64, help="pixels (default: 64)")
    parser.add_argument("--width", type=float, default=0.25, help="of VGG11 (default: 0.25)")
    parser.add_argument("--batch-size", type=int, default=64, help="(default: 64)")
    parser.add_argument("--precision", default="32-true", help="of this loop, or bf16-mixed (default: 32-true)")
    parser.add_argument("--json", type=Path, help="where the rates are kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_faces(Path(folder), args.n, args.size)
        epoch, fabric, faces, network = ours(Path(folder), args.width, args.batch_size, args.precision)
        mine, theirs = rate(epoch, args.n), rate(plain(Path(folder), args.width, args.batch_size), args.n)
    device = device_name()
    print(f"{args.n} faces, {args.size} px, VGG11 x {args.width:g}, batches of {args.batch_size}, on {device}")
    print(f"this project ({args.precision}): {mine:.0f} images/s; plain loop: {theirs:.0f}; ratio {mine / theirs:.1f}")
    batch = faces.images[: args.batch_size]
    forward = lambda: network(training.as_float(batch))
    parts = {
        "augment": lambda: training.augment(training.as_float(batch)),
        "forward": forward,
        "forward and backward": lambda: fabric.backward(forward().sum())}
    milliseconds = {name: 1000 / rate(part, 1) for name, part in parts.items()} | {"all": 1000 * args.batch_size / mine}
    print("one batch, ms:", ", ".join(f"{name} {took:.1f}" for name, took in milliseconds.items()))
    with FlopCounterMode(display=False) as counter: forward()
    a_face = 3 * counter.get_total_flops() / 2 / len(batch)  # backward costs twice forward
    work, most = a_face * mine / 1e9, matmul_rate(batch.device)
    share = work / most
    print(f"{work:.1f} of the chip's {most:.1f} thousand million bf16 multiply-adds a second: {100 * share:.0f} %")
    if args.json:
        settings = dict(device=device, precision=args.precision, faces=args.n, size=args.size, width=args.width)
        write_json(args.json, settings | dict(ours=mine, plain=theirs, share_of_bf16=share))


if __name__ == "__main__":
    main()
