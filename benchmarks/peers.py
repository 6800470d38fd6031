"""Expressions behind masks, beside what people install: balanced accuracy over angry, happy, normal and surprised.

    python benchmarks/peers.py FERPLUS [--fer PYTHON] [--face-api FOLDER] [--n N] [--json FILE]

FERPLUS is FER+ as a folder or a zip; asked are those PublicTest faces that results/best/predictions.parquet names, bare
and under the paper's masks by either fit, the same pictures for all. PYTHON is one that has the package `fer`
(mini-XCEPTION, 58,423 weights, MIT); FOLDER is where `npm install @vladmandic/face-api @tensorflow/tfjs
@tensorflow/tfjs-backend-wasm` was run (MIT). Each is given the picture itself as the face, which is how FER's pictures
are cut, and judged by the likeliest of the four. Whoever is not given is left out."""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import balanced_accuracy_score

from maskfer_nb import fabrics, landmarks, masks, sources
from maskfer_nb.files import root, write_json
from maskfer_nb.predictor import MaskedFER

FOUR = ["angry", "happy", "normal", "surprised"]
VIEWS = ["unmasked", *masks.FITS]
# each reads (N, 48, 48) uint8 from the first file named and writes FOUR's probabilities, N lists, as JSON to the next
FER = """
import json, sys
import cv2, numpy as np
from fer.fer import FER
pictures = np.fromfile(sys.argv[1], np.uint8).reshape(-1, 48, 48)
faces = np.float32([cv2.resize(picture, (64, 64)) for picture in pictures]) / 255 * 2 - 1
names, detector = FER._get_labels(), FER(use_tflite=False)
columns = [k for name in ("angry", "happy", "neutral", "surprise") for k in names if names[k] == name]
batches = np.array_split(faces, -(-len(faces) // 256))
answers = np.concatenate([np.asarray(detector._classify_emotions(batch)) for batch in batches])
json.dump(answers[:, columns].tolist(), open(sys.argv[2], "w"))
"""
FACE_API = """
const fs = require('fs'), path = require('path');
const tf = require('@tensorflow/tfjs'), wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const folder = name => path.dirname(require.resolve(name));
(async () => {
  wasm.setWasmPaths(folder('@tensorflow/tfjs-backend-wasm') + '/');
  await tf.setBackend('wasm'); await tf.ready();
  const weights = path.join(folder('@vladmandic/face-api/package.json'), 'model');
  await faceapi.nets.faceExpressionNet.loadFromDisk(weights);
  const [input, output] = process.argv.slice(-2), bytes = fs.readFileSync(input), answers = [];
  for (let start = 0; start < bytes.length; start += 48 * 48) {
    const picture = Int32Array.from(bytes.subarray(start, start + 48 * 48));
    const face = tf.tidy(() => tf.tensor3d(picture, [48, 48, 1], 'int32').tile([1, 1, 3]));
    const told = await faceapi.nets.faceExpressionNet.predictExpressions(face);
    face.dispose();
    answers.push(['angry', 'happy', 'neutral', 'surprised'].map(name => told[name]));
  }
  fs.writeFileSync(output, JSON.stringify(answers));
})();
"""


def views(path: str, number: int) -> list:
    "A face of FER+ bare and masked by either fit, each (48, 48) uint8."
    image = sources.read_image(path)
    points, texture = landmarks.detect(image), list(fabrics.TEXTURES)[number % 3]
    return [image[..., 0], *(masks.paste(image, points, texture, fit).image[..., 0] for fit in masks.FITS)]


def asked(command: list, pictures: np.ndarray, **options) -> np.ndarray:
    "What another program answers, (N, 4)."
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "pictures", Path(folder) / "answers.json"
        pictures.tofile(given)
        subprocess.run([*command, str(given), str(answers)], check=True, **silent, **options)
        return np.array(json.loads(answers.read_text()))


def ours(pictures: np.ndarray) -> np.ndarray:
    "What the network of this repository answers, (N, 4)."
    model, batches = MaskedFER.from_pretrained(), np.array_split(pictures, -(-len(pictures) // 64))
    return np.concatenate([model.answer(batch)[0] for batch in batches])


def faces_of(ferplus: str, n: int | None) -> pd.DataFrame:
    "The faces that are asked about: face_id, label, path. Ends where FERPLUS has none of them."
    answered = pd.read_parquet(root() / "results/best/predictions.parquet").drop_duplicates("face_id")
    faces, _ = sources.load(ferplus, "ferplus")
    tested = answered[["face_id", "label"]].merge(faces[["face_id", "path"]])
    if tested.empty: sys.exit(f"{ferplus}: none of the faces in results/best/predictions.parquet")
    return tested.sample(min(n, len(tested)), random_state=0) if n else tested


def measured(name: str, ask, pictures: np.ndarray, labels: pd.Series) -> dict:
    "Balanced accuracy by view of one system, and the seconds it took; `pictures` is (N, views, 48, 48)."
    start, (n, n_views) = time.perf_counter(), pictures.shape[:2]
    probabilities = ask(np.ascontiguousarray(pictures.reshape(-1, *pictures.shape[2:])))
    seconds = round(time.perf_counter() - start, 1)
    told = np.array(FOUR)[probabilities.argmax(1)].reshape(n, n_views)
    accuracies = {view: balanced_accuracy_score(labels, told[:, k]) for k, view in enumerate(VIEWS)}
    return dict(system=name, faces=n, **accuracies, seconds=seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", help="FER+, folder or zip")
    parser.add_argument("--fer", metavar="PYTHON", help="a Python that has the package fer")
    parser.add_argument("--face-api", metavar="FOLDER", help="a folder with @vladmandic/face-api")
    parser.add_argument("--n", type=int, help="so many of the faces, drawn by seed 0 (default: all)")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    systems = {"MaskedFER": ours}
    if args.fer: systems["fer"] = lambda pictures: asked([args.fer, "-c", FER], pictures)
    if args.face_api:
        systems["face-api"] = lambda pictures: asked(["node", "-e", FACE_API, "--"], pictures, cwd=args.face_api)
    faces = faces_of(args.ferplus, args.n)
    pictures = np.stack(Parallel(-1)(delayed(views)(path, number) for number, path in enumerate(faces.path)))
    rows = []
    for name, ask in systems.items():
        rows.append(measured(name, ask, pictures, faces.label))
        print(f"{name}: " + ", ".join(f"{view} {100 * rows[-1][view]:.1f} %" for view in VIEWS))
    if args.json: write_json(args.json, dict(masks=masks.LOOK, systems=rows))


if __name__ == "__main__":
    main()
