"""What an application relies on that runs the network without torch: the same answers, from one file."""
import subprocess
import sys

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from maskfer_nb import fabrics, faces, masks
from maskfer_nb.export import CropFER, FaceGraph, export
from maskfer_nb.predictor import SIDE


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "masked_fer.onnx"
    export(path)
    return path


WORN = (
    ("surgical", "white", "jaw"),
    ("cloth", "black", "rigid"),
    ("kn95", "lightblue", "jaw"),
    ("cloth", "random", "rigid"),
)


@pytest.fixture(scope="module")
def hundred():
    "Twenty rendered people, bare and under four masks each, as a camera with 72 by 64 pixels sees them."
    people = []
    for _, row in faces.recipes(20, seed=8).iterrows():
        bare, points = faces.photograph(row, 72)[0], faces.landmarks(row, 72)
        people.append(bare)
        people += [masks.paste(bare, points, fabrics.mask(kind, color), fit).image for kind, color, fit in WORN]
    return np.stack(people)[:100, :, 4:-4]


def test_a_hundred_faces_get_the_answers_that_torch_gives(file, hundred):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = np.ascontiguousarray(hundred)
    with torch.inference_mode(): ours = FaceGraph(CropFER.from_pretrained())(torch.from_numpy(given))
    theirs = session.run(None, {"faces": given})
    assert len(hundred) == 100 and hundred.std() > 20
    for torch_says, onnx_says in zip(ours, theirs): assert np.abs(torch_says.numpy() - onnx_says).max() < 1e-4
    assert theirs[1].std() > 0.2 and theirs[0].std() > 0.1  # they are not all the same


def test_the_graph_sees_the_grey_that_the_model_is_given(hundred):
    "Strong colours, so that another grey than OpenCV's is another picture."
    model = CropFER.from_pretrained()
    faces = np.stack([cv2.resize(face, (SIDE, SIDE)) for face in hundred[:10]])
    faces[..., 0] = 255 - faces[..., 0]
    grey = np.stack([cv2.cvtColor(np.float32(face) / 255, cv2.COLOR_RGB2GRAY) for face in faces])  # not rounded
    with torch.inference_mode():
        by_graph, swapped = (FaceGraph(model)(torch.from_numpy(given.copy())) for given in (faces, faces[..., ::-1]))
        by_model = model.answer(torch.from_numpy(grey)[:, None])
    for ours, theirs in zip(by_graph, by_model): assert (ours - theirs).abs().max() < 1e-3
    assert (swapped[0] - by_model[0]).abs().max() > 0.1


def test_the_file_runs_without_torch(file):
    code = f"""
import json, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession({str(file)!r})
expressions, masked, attention = session.run(None, {{"faces": np.zeros((1, 200, 180, 3), np.uint8)}})
assert len(json.loads(session.get_modelmeta().custom_metadata_map["expressions"])) == expressions.shape[1] == 7
assert masked.shape == (1,) and attention.shape == (1, 6, 6) and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["masked_fer.pt", "masked_fer"])
def test_another_ending_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.onnx"): export(tmp_path / name)
    assert not list(tmp_path.iterdir())
