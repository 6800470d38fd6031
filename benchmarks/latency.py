"""Milliseconds of the shipped network, on one thread: a face crop in, probabilities and map out, by torch and by onnxruntime; and a whole picture, faces found first.

    python benchmarks/latency.py [--pictures DIR] [--n 200] [--fer PYTHON] [--json FILE]

Without --pictures the whole pictures are rendered faces, 350 pixels across. PYTHON is one that has the package `fer`, whose mini-XCEPTION (no map, one
way round) is then timed on the same pictures, as it comes (TensorFlow Lite) and as Keras. Medians after a warm-up."""
import argparse
import inspect
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from maskfer_nb import faces
from maskfer_nb.files import write_json
from maskfer_nb.export import export
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


FER = """
import json, sys, time
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from fer.fer import FER
""" + inspect.getsource(median_ms) + """
pictures = np.load(sys.argv[1])["pictures"]
faces = np.random.default_rng(0).uniform(-1, 1, (len(pictures), 1, 64, 64)).astype(np.float32)
lite, keras = FER(), FER(use_tflite=False)
print(json.dumps(dict(fer_crop_ms=median_ms(lite._classify_emotions, faces), fer_keras_crop_ms=median_ms(keras._classify_emotions, faces), fer_picture_ms=median_ms(lite.detect_emotions, pictures))))
"""


def onnx_session() -> onnxruntime.InferenceSession:
    "The exported network, on one thread."
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder) / "masked_fer.onnx")
        return onnxruntime.InferenceSession(Path(folder) / "masked_fer.onnx", options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures; by default rendered faces")
    parser.add_argument("--n", type=int, default=200, help="crops and pictures (default: 200)")
    parser.add_argument("--fer", metavar="PYTHON", help="a Python that has the package fer")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = MaskedFER.from_pretrained()
    with torch.inference_mode(): crop = median_ms(model.answer, [torch.rand(1, 1, SIDE, SIDE) for _ in range(args.n)])
    session, rng = onnx_session(), np.random.default_rng(0)
    onnx = median_ms(lambda face: session.run(None, {"faces": face}), [rng.integers(0, 256, (1, SIDE, SIDE, 3), np.uint8) for _ in range(args.n)])
    if args.pictures: pictures = [read_image(path) for path in sorted(args.pictures.rglob("*")) if path.suffix.lower() in SUFFIXES][: args.n]
    else: pictures = [faces.photograph(row, 350)[0] for _, row in faces.recipes(8, seed=0, classes=("happy", "surprised")).iterrows()] * -(-args.n // 8)
    whole = median_ms(model, pictures[: args.n])
    print(f"one face crop, both ways round: torch {crop:.1f} ms, onnxruntime {onnx:.1f} ms; one picture of {pictures[0].shape[1]}x{pictures[0].shape[0]} pixels, from array to answers: {whole:.1f} ms, {1000 / whole:.0f} a second; one thread")
    found = dict(crop_ms=crop, onnx_crop_ms=onnx, picture_ms=whole)
    if args.fer:
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "pictures.npz", pictures=np.stack(pictures[: args.n])[..., ::-1])
            found |= json.loads(subprocess.run([args.fer, "-c", FER, str(Path(folder) / "pictures.npz")], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"fer: one face crop {found['fer_crop_ms']:.1f} ms, by Keras {found['fer_keras_crop_ms']:.1f} ms; one picture {found['fer_picture_ms']:.1f} ms")
    if args.json: write_json(args.json, dict(**found, pictures=min(args.n, len(pictures)), threads=1))


if __name__ == "__main__":
    main()
