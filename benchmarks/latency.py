"""Milliseconds of the shipped network, on one thread, by onnxruntime as the library runs it, and by torch.

    python benchmarks/latency.py [--pictures DIR] [--n 200] [--fer PYTHON] [--json FILE]

Timed are a face crop in, probabilities and map out, and a whole picture, faces found first. Without --pictures the
whole pictures are rendered faces, 350 pixels across. PYTHON is one that has the package `fer`, whose mini-XCEPTION (no
map, one way round) is then timed on the same pictures, as it comes (TensorFlow Lite) and as Keras. Medians after a
warm-up; with --n 2 all of it takes seconds."""
import argparse
import inspect
import json
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from maskfer_nb import faces
from maskfer_nb.export import CropFER
from maskfer_nb.files import write_json
from maskfer_nb.pictures import SUFFIXES, read_image
from maskfer_nb.predictor import SIDE, MaskedFER


def median_ms(call, arguments) -> float:
    "Median over the arguments, the first tenth left out."
    seconds = []
    for argument in arguments:
        start = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[len(seconds) // 10 :]))


FER = f"""
import json, sys, time
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from fer.fer import FER
{inspect.getsource(median_ms)}
pictures = np.load(sys.argv[1])["pictures"]
faces = np.random.default_rng(0).uniform(-1, 1, (len(pictures), 1, 64, 64)).astype(np.float32)
lite, keras = FER(), FER(use_tflite=False)
print(json.dumps(dict(
    fer_crop_ms=median_ms(lite._classify_emotions, faces),
    fer_keras_crop_ms=median_ms(keras._classify_emotions, faces),
    fer_picture_ms=median_ms(lite.detect_emotions, pictures))))
"""


def fer_times(python: str, pictures: list) -> dict:
    "What the package `fer` of another Python takes on the same pictures."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        np.savez(path, pictures=np.stack(pictures)[..., ::-1])
        done = subprocess.run([python, "-c", FER, str(path)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def whole_pictures(folder: Path | None, n: int) -> list:
    "At most n pictures of a folder, or eight rendered faces, again and again until they are n."
    if folder:
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
        return [read_image(path) for path in paths[:n]]
    rows = faces.recipes(8, seed=0, classes=("happy", "surprised")).head(n)
    rendered = [faces.photograph(row, 350)[0] for _, row in rows.iterrows()]
    return (rendered * -(-n // len(rendered)))[:n]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures; by default rendered faces")
    parser.add_argument("--n", type=int, default=200, help="crops and pictures (default: 200)")
    parser.add_argument("--fer", metavar="PYTHON", help="a Python that has the package fer")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    by_torch, model, rng = CropFER.from_pretrained().eval(), MaskedFER.from_pretrained(), np.random.default_rng(0)
    crops = [torch.rand(1, 1, SIDE, SIDE) for _ in range(args.n)]
    with torch.inference_mode(): crop = median_ms(by_torch.answer, crops)
    onnx = median_ms(model.answer, [rng.integers(0, 256, (1, SIDE, SIDE), np.uint8) for _ in range(args.n)])
    pictures = whole_pictures(args.pictures, args.n)
    whole = median_ms(model, pictures)
    height, width = pictures[0].shape[:2]
    print(f"one face crop, both ways round: torch {crop:.1f} ms, onnxruntime {onnx:.1f} ms; one picture of "
          f"{width}x{height} pixels, from array to answers: {whole:.1f} ms, {1000 / whole:.0f} a second; one thread")
    found = dict(crop_ms=crop, onnx_crop_ms=onnx, picture_ms=whole)
    if args.fer:
        found |= fer_times(args.fer, pictures)
        print(f"fer: one face crop {found['fer_crop_ms']:.1f} ms, by Keras {found['fer_keras_crop_ms']:.1f} ms; "
              f"one picture {found['fer_picture_ms']:.1f} ms")
    if args.json: write_json(args.json, dict(**found, pictures=len(pictures), threads=1))


if __name__ == "__main__":
    main()
