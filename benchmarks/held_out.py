"""The shipped network on faces and under masks that it had no part in, beside what people install.

    python benchmarks/held_out.py FERPLUS [--facial-expressions DATA] [--masktheface FOLDER] [--fer PYTHON]
        [--vladmandic FOLDER] [--n N] [--out FOLDER]

FERPLUS is FER+ as a folder or a zip, of which PublicTest is asked about; DATA is muxspace/facial_expressions, of which
all is. Nobody is left out: a face whose landmarks let no mask be laid wears it where an average face of that set would.
Every face is shown bare, under the paper's masks by either fit, and under those that MaskTheFace pastes, whose program
is run from FOLDER, a clone of github.com/aqeelanwar/MaskTheFace (MIT; it needs imutils, dotmap and requests). It is
given our landmarks, since its own detector leaves a part of the faces out. MaskedFER gets the picture as a user would
give it and finds the landmarks itself, under the mask. The others get the same face cut out: PYTHON is one that has the
package `fer` (mini-XCEPTION, MIT), the other FOLDER is where `npm install @vladmandic/face-api @vladmandic/human
@tensorflow/tfjs @tensorflow/tfjs-backend-wasm` was run (MIT). All are judged by the likeliest of the four. Intervals
are of 95 %, over people where the collection says who is who, else over faces. --out gets held_out.csv and
held_out.parquet."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from maskfer_nb import fabrics, landmarks, masks, sources
from maskfer_nb.files import write_whole
from maskfer_nb.predictor import FOUR, SIDE, MaskedFER, crop

P = [f"p_{label}" for label in FOUR]
OURS = ["unmasked", *masks.FITS]
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
# its emotion network is given what its own program gives it: grey, 64 x 64, from -1 to 1
HUMAN = """
const fs = require('fs'), path = require('path');
const tf = require('@tensorflow/tfjs'), wasm = require('@tensorflow/tfjs-backend-wasm');
const folder = name => path.dirname(require.resolve(name));
(async () => {
  wasm.setWasmPaths(folder('@tensorflow/tfjs-backend-wasm') + '/');
  await tf.setBackend('wasm'); await tf.ready();
  const models = path.join(folder('@vladmandic/human'), '../models');
  const model = JSON.parse(fs.readFileSync(path.join(models, 'emotion.json')));
  const weights = fs.readFileSync(path.join(models, model.weightsManifest[0].paths[0]));
  const net = await tf.loadGraphModel(tf.io.fromMemory({
    modelTopology: model.modelTopology, weightSpecs: model.weightsManifest[0].weights,
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength) }));
  const [input, output] = process.argv.slice(-2), bytes = fs.readFileSync(input), answers = [];
  for (let start = 0; start < bytes.length; start += 48 * 48) {
    const picture = Int32Array.from(bytes.subarray(start, start + 48 * 48));
    const told = tf.tidy(() => {
      const face = tf.image.resizeBilinear(tf.tensor4d(picture, [1, 48, 48, 1], 'int32'), [64, 64]);
      return net.execute(face.div(255).sub(0.5).mul(2)).dataSync();
    });
    answers.push([0, 3, 6, 5].map(k => told[k]));  // of angry, disgust, fear, happy, sad, surprise, neutral
  }
  fs.writeFileSync(output, JSON.stringify(answers));
})();
"""


def masktheface(folder: str):
    "MaskTheFace's functions, made to find its files from anywhere, and the kinds of its masks."
    if folder not in sys.path: sys.path.insert(0, folder)
    from utils import aux_functions, read_cfg  # MaskTheFace's

    def configured(config_filename, mask_type, verbose):
        found = read_cfg.read_cfg(f"{folder}/{config_filename}", mask_type, verbose)
        found.template = f"{folder}/{found.template}"
        return found

    aux_functions.read_cfg = configured
    kinds = aux_functions.get_available_mask_types(f"{folder}/masks/masks.cfg")
    return aux_functions, [kind for kind in kinds if kind not in ("empty", "inpaint")]


def theirs(image: np.ndarray, points: np.ndarray, number: int, folder: str) -> np.ndarray:
    "A grey face under a mask of MaskTheFace's; raises whatever its program raises where it cannot lay one."
    program, kinds = masktheface(folder)
    shape = np.int32(np.round(points))
    six, angle = program.get_six_points(program.shape_to_landmarks(shape), image)
    (left, top), (right, bottom) = shape.min(0), shape.max(0)
    how = SimpleNamespace(pattern="", color="", pattern_weight=0, color_weight=0)
    bgr, kind = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), kinds[number % len(kinds)]
    masked, _ = program.mask_face(bgr, (top, right, bottom, left), six, angle, how, type=kind)
    return cv2.cvtColor(masked, cv2.COLOR_BGR2GRAY)


def seen(path: str) -> tuple:
    "A picture (H, W) uint8 and the landmarks that the library finds in it."
    image = sources.read_image(path)
    if image.ndim == 3: image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image, landmarks.points_in(image, None, "rendered")[0]


def views(image: np.ndarray, points: np.ndarray, number: int, average: np.ndarray, folder: str | None) -> tuple:
    """By view (V, 48, 48) uint8 the crop that `MaskedFER` cuts and the one the others get, and whether no mask fitted.

    With them goes what the face is like: the paper's texture on it, degrees of yaw, pixels between the eyes, and the
    median grey level.
    `average` are the landmarks of an average face, (68, 2), as shares of the picture's side."""
    cv2.setNumThreads(1)
    texture = list(fabrics.TEXTURES)[number % 3]
    pastes = [lambda at, fit=fit: masks.paste(image, at, texture, fit).image for fit in masks.FITS]
    if folder: pastes.append(lambda at: theirs(image, at, number, folder))
    pictures, no_mask = [image], [False]
    for paste in pastes:
        try: masked, fits = paste(points), True
        except Exception: masked, fits = paste(average * max(image.shape)), False  # another program may raise anything
        pictures.append(masked)
        no_mask.append(not fits)
    own = [crop(picture, landmarks.points_in(picture, None, "rendered")[0])[0] for picture in pictures]
    whole = image.shape == (SIDE, SIDE)  # FER's pictures are cut as the others were taught
    others = [picture if whole else crop(picture, points)[0] for picture in pictures]
    eyes = np.hypot(*(points[36:42].mean(0) - points[42:48].mean(0)))
    about = dict(texture=texture, yaw=np.degrees(masks.pose(points).yaw), eyes=eyes, light=np.median(others[0]))
    return np.stack(own), np.stack(others), no_mask, about


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


def faces_of(data: str, source: str, n: int | None) -> pd.DataFrame:
    "The faces that are asked about."
    faces, _ = sources.load(data, source)
    faces = faces[faces.label.isin(FOUR)]
    if source == "ferplus": faces = faces[faces.split == "test"]
    if faces.empty: sys.exit(f"{data}: no face of PublicTest with one of {', '.join(FOUR)}")
    return faces.sample(min(n, len(faces)), random_state=0) if n else faces


def pictures_of(faces: pd.DataFrame, folder: str | None) -> tuple:
    "Of each face what `views` gives, (N, V, …) each."
    each = Parallel(-1, return_as="generator")
    found = list(tqdm(each(delayed(seen)(path) for path in faces.path), "landmarks", len(faces), mininterval=5))
    average = np.mean([points / max(image.shape) for image, points in found], axis=0)
    work = (delayed(views)(*face, number, average, folder) for number, face in enumerate(found))
    return tuple(map(np.array, zip(*tqdm(each(work), "masks", len(faces), mininterval=5))))


def answered(faces: pd.DataFrame, system: str, probabilities: np.ndarray, shown: list) -> pd.DataFrame:
    "A row a face and view: who it is, what it is, and the probabilities of FOUR, which (N, V, 4) are."
    tables = [pd.DataFrame(probabilities[:, k], faces.index, P).assign(view=view)
              for k, view in enumerate(shown)]
    who = faces[["source", "face_id", "subject", "label", "texture", "yaw", "eyes", "light"]].assign(system=system)
    return pd.concat([who.join(table) for table in tables])


def scores(rows: pd.DataFrame, draws: int = 1000) -> pd.Series:
    "Of one system and view: balanced accuracy with its interval over people, each expression's recall, and ECE."
    sure, told = rows[P].max(axis=1), rows[P].to_numpy().argmax(1)
    right = np.array(FOUR)[told] == rows.label
    people = pd.factorize(rows.subject.fillna(rows.face_id))[0]
    counts = np.zeros((2, people.max() + 1, len(FOUR)))  # asked and right, by person and expression
    np.add.at(counts, (0, people, rows.label.map(FOUR.index)), 1)
    np.add.at(counts, (1, people, rows.label.map(FOUR.index)), right)
    drawn = np.random.default_rng(0).multinomial(counts.shape[1], np.full(counts.shape[1], 1 / counts.shape[1]), draws)
    asked_of, right_of = np.einsum("dp,kpc->kdc", drawn, counts)
    low, high = np.nanpercentile((right_of / np.maximum(asked_of, 1)).mean(1), [2.5, 97.5])
    recall = counts[1].sum(0) / np.maximum(counts[0].sum(0), 1)
    error = pd.DataFrame(dict(sure=sure, right=right)).groupby(np.ceil(15 * sure))
    ece = ((error.right.mean() - error.sure.mean()).abs() * error.size()).sum() / len(rows)
    return pd.Series(dict(faces=len(rows), balanced_accuracy=recall.mean(), low=low, high=high,
                          **dict(zip(FOUR, recall)), ece=ece))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", help="FER+, folder or zip")
    parser.add_argument("--facial-expressions", metavar="DATA", help="muxspace/facial_expressions, folder or zip")
    parser.add_argument("--masktheface", metavar="FOLDER", help="a clone of MaskTheFace")
    parser.add_argument("--fer", metavar="PYTHON", help="a Python that has the package fer")
    parser.add_argument("--vladmandic", metavar="FOLDER", help="a folder with its face-api and human")
    parser.add_argument("--n", type=int, help="so many of each collection's faces, drawn by seed 0 (default: all)")
    parser.add_argument("--out", type=Path, help="the folder where the numbers are kept")
    args = parser.parse_args()
    others = {}
    if args.fer: others["fer"] = lambda pictures: asked([args.fer, "-c", FER], pictures)
    if args.vladmandic:
        for name, program in (("face-api", FACE_API), ("human", HUMAN)):
            command = ["node", "-e", program, "--"]
            others[name] = lambda pictures, command=command: asked(command, pictures, cwd=args.vladmandic)
    for name, ask in others.items():  # rather now than after all faces have been masked
        try: ask(np.zeros((1, SIDE, SIDE), np.uint8))
        except (OSError, subprocess.CalledProcessError): sys.exit(f"{name} does not run: see --help for what it needs")
    shown, rows = [*OURS, *["MaskTheFace"] * bool(args.masktheface)], []
    sets = {"ferplus": args.ferplus, "facial_expressions": args.facial_expressions}
    for source, data in sets.items():
        if not data: continue
        faces = faces_of(data, source, args.n).reset_index(drop=True)
        own, cut, no_mask, about = pictures_of(faces, args.masktheface)
        faces = faces.join(pd.DataFrame(about.tolist()))
        none = dict(zip(shown, no_mask.sum(0).tolist()))
        print(f"{source}: {len(faces)} faces; masks laid as on an average face: {none}")
        for system, ask in dict(MaskedFER=ours, **others).items():
            pictures = own if system == "MaskedFER" else cut
            probabilities = ask(np.ascontiguousarray(pictures.reshape(-1, SIDE, SIDE)))
            rows.append(answered(faces, system, probabilities.reshape(len(faces), len(shown), 4), shown))
    rows = pd.concat(rows, ignore_index=True)
    measured = rows.groupby(["source", "system", "view"], sort=False)[rows.columns.tolist()].apply(scores).reset_index()
    for row in measured.itertuples():
        print(f"{row.source}, {row.system}, {row.view}: {100 * row.balanced_accuracy:.1f} %, ECE {row.ece:.3f}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        write_whole(args.out / "held_out.csv", lambda partial: measured.to_csv(partial, index=False))
        write_whole(args.out / "held_out.parquet", rows[rows.system == "MaskedFER"].to_parquet)


if __name__ == "__main__":
    main()
