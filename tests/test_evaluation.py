"Runs, tables, figures and report from a run folder that is drawn and made up here, file by file as the contract says."
import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.stats import t

from maskfer_nb import evaluation as ev
from maskfer_nb import report, runs
from maskfer_nb.regions import map_in_words, of_run, patterns, read_regions
from maskfer_nb.sources import LABELS
from maskfer_nb.statistics import difference, gains

FOUR = ["angry", "happy", "normal", "surprised"]
TEXTURES = ["white", "black", "grey"]


def drawn_face(label, masked, tone, size=64):
    "Circles and lines: brows say the class, a grey patch is the mask."
    f = np.full((size, size, 3), 225, np.uint8)
    cv2.ellipse(f, (32, 34), (22, 27), 0, 0, 360, (tone,) * 3, -1)
    tilt = {"angry": 3, "happy": -2, "normal": 0, "surprised": -1}.get(label, 1)
    lift = 6 if label == "surprised" else 2
    for x, inner in ((23, 1), (41, -1)):
        cv2.circle(f, (x, 29), 3, (30, 30, 30), -1)
        cv2.line(f, (x - 5, 24 - lift - tilt * inner), (x + 5, 24 - lift + tilt * inner), (40, 40, 40), 2)
    if masked: cv2.fillPoly(f, [np.array(OUTLINE)], (120, 120, 120))
    else: cv2.ellipse(f, (32, 48), (8, 4), 0, 0, 180, (60, 40, 140), 2)
    return f


def write_predictions(folder, ids, labels, classes, skill, network, seed, rng):
    "A prediction is right with probability `skill`."
    right = rng.random(len(ids)) < skill
    other = lambda label: rng.choice([c for c in classes if c != label])
    guess = [label if is_right else other(label) for label, is_right in zip(labels, right)]
    p = np.array([np.eye(len(classes))[classes.index(g)] for g in guess]) * 0.6 + 0.4 / len(classes)
    folder.mkdir(parents=True)
    columns = {"image_id": ids, "label": labels, **{f"p_{c}": p[:, k] for k, c in enumerate(classes)}}
    pd.DataFrame(columns).assign(network=network, seed=seed).to_parquet(folder / "predictions.parquet")


def blob(y, x, height, rng, size=8):
    "A soft spot of the given height at (y, x), with a little noise, float16 in [0, 1]."
    r = np.hypot(*np.meshgrid(np.arange(size) - x, np.arange(size) - y))
    return np.clip(height * np.exp(-((r / 2.2) ** 2)) + 0.04 * rng.random((size, size)), 0, 1).astype(np.float16)


OUTLINE = [(11, 36), (32, 33), (53, 36), (48, 54), (32, 62), (16, 54)]  # of the mask


def drawn_points():
    "The 68 points of a drawn face, roughly: outline, brows, nose, eyes, mouth."
    jaw = [(32 - 22 * np.cos(a), 34 + 27 * np.sin(a)) for a in np.linspace(0, np.pi, 17)]
    brows = [(x, 22) for x in (*range(18, 29, 2), *range(36, 47, 2)) if x not in (28, 46)]
    nose = [(32, y) for y in (26, 30, 34, 38)] + [(x, 40) for x in (28, 30, 32, 34, 36)]
    eyes = [(x + dx, 29 + dy) for x in (23, 41) for dx, dy in ((-4, 0), (-2, -2), (2, -2), (4, 0), (2, 2), (-2, 2))]
    return [*jaw, *brows, *nose, *eyes, *[(32 + k % 5, 50) for k in range(20)]]


def write_data(run, faces, rng):
    "Pictures with metadata, Table 1, rejects and Figure 5; `faces` are (face_id, class, texture)."
    for split in ("test", "unmasked"):
        lines = []
        for face, label, texture in faces:
            worn = texture if split == "test" else split
            folder = run / "data/mfer" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            tone = int(150 + 50 * rng.random())
            cv2.imwrite(str(folder / f"{face}-{worn}.png"), drawn_face(label, split == "test", tone))
            lines.append(dict(file_name=f"{label}/{face}-{worn}.png", landmarks=json.dumps(drawn_points()),
                              polygon=json.dumps(OUTLINE) if split == "test" else None))
        pd.DataFrame(lines).to_csv(run / "data/mfer" / split / "metadata.csv", index=False)
    classes = list(dict.fromkeys(label for _, label, _ in faces))
    n, each = len(faces), len(faces) // len(classes)
    rows = [*(("MU-dataset", c, 250, 30, 50, None, None) for c in ("masked", "unmasked")),
            *(("M-FER-dataset", c, 1000, 100, each, None, None) for c in classes),
            ("MU-dataset", "all", 500, 60, 100, 500, 100),
            ("M-FER-dataset", "all", 1000 * len(classes), 100 * len(classes), n, 4000, 400)]
    columns = ["dataset", "class", "train", "val", "test", "paper_train", "paper_test"]
    table1 = pd.DataFrame(rows, columns=columns).assign(source="rendered", licence="CC0-1.0")
    table1.astype({"paper_train": "Int64", "paper_test": "Int64"}).to_csv(run / "data/table1.csv", index=False)
    rejects = [("x1", "landmarks", "no face found"), ("x2", "landmarks", "no face found"),
               ("x3", "masks", "<jaw> outside the image: by 7 pixels")]
    pd.DataFrame(rejects, columns=["face_id", "stage", "reason"]).to_csv(run / "data/rejects.csv", index=False)
    (run / "figures").mkdir()
    cv2.imwrite(str(run / "figures/figure5.png"), np.hstack([drawn_face("happy", True, t) for t in (160, 180, 200)]))


def write_provenance(run, seeds):
    made = {"commit": "0123abc", "parameters": {"run": "runs/made-up"}, "inputs": {"faces.zip": "ab" * 32},
            "device": "CPU, 2 threads", "system": "Linux", "cpus": 2, "python": "3.11.7",
            "packages": {"torch": "2.15.0", "numpy": "2.4.6"}, "seconds": 12.5, "finished": "2026-01-01T00:00:00Z"}
    steps = ["01_datasets", *(f"seed{s}/{n}" for s in seeds for n in ("02_mcn", "03_fecn"))]
    found = {name: {**made, "notebook": name.split("/")[-1]} for name in steps}
    (run / "provenance.json").write_text(json.dumps(found))


def write_training(folder, skill, classes):
    "History, configuration and weights of a network whose eighth epoch, counted from 0, validates best."
    epochs = np.arange(12)
    rise = skill - 0.5 * np.exp(-epochs / 3)
    history = {"epoch": epochs, "train_loss": 1 - rise, "train_accuracy": rise + 0.05, "val_loss": 1.1 - rise,
               "val_accuracy": rise - 0.05 * (epochs > 8)}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    (folder / "config.json").write_text(json.dumps({"classes": classes, "size": 64}))
    zeros = lambda *shape: np.zeros(shape, np.float32)
    weights = {"blocks.0.0.weight": zeros(8, 3, 3, 3), "blocks.0.1.running_mean": zeros(8), "head.bias": zeros(4)}
    save_file(weights | {"blocks.0.1.num_batches_tracked": np.zeros((), np.int64)}, folder / "model.safetensors")


SKILL = {"mcn": 0.98, "guided_mcn": 0.97, "vgg11": 0.82, "abn": 0.84, "fecn": 0.87, "guided": 0.86}


def make_run(run, classes=FOUR, seeds=(0, 1), each=15):
    "A whole run folder of made-up results; returns its path."
    rng = np.random.default_rng(0)
    faces = [(f"made-{c}-{k:03d}", c, TEXTURES[k % 3]) for c in classes for k in range(each)]
    write_data(run, faces, rng)
    write_provenance(run, seeds)
    ids, labels = [f"{face}-{texture}" for face, _, texture in faces], [label for _, label, _ in faces]
    bare, one = [f"{face}-unmasked" for face, _, _ in faces], ids[::each]
    pairs = [f"mu-{k}-white" for k in range(100)], ["masked", "unmasked"] * 50, ["masked", "unmasked"]
    save = lambda path, names, maps: np.savez(path, image_id=np.array(names), attention=np.array(maps))
    for seed in seeds:
        for network, skill in SKILL.items():
            folder = run / f"seed{seed}" / network
            asked = pairs if network.endswith("mcn") else (ids, labels, classes)
            write_predictions(folder, *asked, skill, network, seed, rng)
            write_training(folder, skill, classes)
            if network.endswith("mcn"):
                maps = [blob(3, 3.5, height, rng) for names, height in ((ids, 0.8), (bare, 0.0)) for _ in names]
                save(folder / "attention.npz", ids + bare, maps)
            elif network == "abn":
                save(folder / "attention.npz", ids, [blob(2 + classes.index(c) % 4, 5, 0.9, rng) for c in labels])
            else: save(folder / "gradcam.npz", one, [blob(4, 3, 1.0, rng) for _ in one])
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "made-up")


def small_run(path, seeds):
    "Predictions of Table 3's networks only; `seeds`: seed -> list of (label, predicted)."
    for seed, answers in seeds.items():
        for network in ("vgg11", "abn", "fecn", "guided"):
            folder = path / f"seed{seed}" / network
            folder.mkdir(parents=True)
            p = pd.DataFrame({f"p_{c}": [0.4 if guess == c else 0.2 for _, guess in answers] for c in FOUR})
            p.insert(0, "image_id", [f"f{k}-white" for k in range(len(answers))])
            p.insert(1, "label", [label for label, _ in answers])
            p.assign(network=network, seed=seed).to_parquet(folder / "predictions.parquet")
    return path


def test_table3_by_hand(tmp_path):
    # seed 0: angry 1/2, happy 2/2, normal 0/1, surprised 1/1 -> 4/6; seed 3: 2/2, 1/2, 0/1, 1/1 -> 4/6
    labels = ["angry", "angry", "happy", "happy", "normal", "surprised"]
    first = ["angry", "happy", "happy", "happy", "angry", "surprised"]
    second = ["angry", "angry", "happy", "normal", "surprised", "surprised"]
    t = ev.table3(small_run(tmp_path, {0: list(zip(labels, first)), 3: list(zip(labels, second))}))
    assert list(t.network.unique()) == ["vgg11", "abn", "fecn", "guided"]
    assert list(t["class"].unique()) == [*FOUR, "total"]
    of = {network: rows.set_index("class") for network, rows in t.groupby("network")}
    fecn = of["fecn"]
    wanted = {"angry": 75, "happy": 75, "normal": 0, "surprised": 100, "total": round(400 / 6, 6)}
    assert fecn.accuracy.round(6).to_dict() == wanted
    assert fecn["std"]["angry"] == pytest.approx(50 / 2**0.5) and fecn["std"]["total"] == pytest.approx(0)
    assert list(fecn.images) == [2, 2, 1, 1, 6] and (fecn.seeds == 2).all()  # six faces, not twelve
    assert list(fecn.paper) == [69, 98, 90, 90, 86.7]
    assert list(of["vgg11"].paper) == [71, 94, 84, 89, 84.4] and list(of["abn"].paper) == [63, 93, 89, 92, 84.2]
    assert of["guided"].paper.isna().all() and of["vgg11"].gain.isna().all() and (fecn.gain == 0).all()
    one = ev.table3(small_run(tmp_path / "one", {0: list(zip(labels, first))}))
    assert one["std"].isna().all()
    assert "±" not in ev.table3_text(one).to_string() and "±" in ev.table3_text(t).to_string()


def test_what_comes_out_is_said_whichever_network_is_ahead(run, tmp_path):
    said = ev.headline(ev.table3(run))
    assert "FECN (ours)" in said and "(paper 86.7)" in said and "(paper +2.3)" in said and "2 seeds" in said
    right, wrong = FOUR * 10, ["angry"] * 40  # three quarters of the faces
    words = lambda name, **told: ev.gain_in_words(runs.predictions(answered(tmp_path / name, right, **told)))
    assert "30 faces are right with FECN alone, 0 with VGG11 alone" in words("gain", vgg11=wrong, fecn=right)
    assert "The paper's gain shows here" in words("again", vgg11=wrong, fecn=right)
    assert "FECN loses here" in words("loss", vgg11=right, fecn=wrong)
    few = lambda places: [("happy" if label == "angry" else "angry") if k in places else label
                          for k, label in enumerate(right)]
    assert "not shown here, nor is it excluded" in words("same", vgg11=few({1, 2, 3}), fecn=few({4, 5, 6}))
    assert "not shown here, and lies outside the interval" in words("equal", vgg11=right, fecn=right)
    assert "FECN, guided map minus VGG11 is +75.0 points" in words("guided", vgg11=wrong, fecn=wrong)


def test_gains_pair_faces_and_seeds(tmp_path):
    "FECN is right where VGG11 is, and on one face of ten more with seed 0, two with seed 1: +10 and +20 points."
    labels = FOUR * 10
    run = small_run(tmp_path, {seed: list(zip(labels, labels)) for seed in (0, 1)})
    for seed, wrong in ((0, 4), (1, 8)):
        file = run / f"seed{seed}/vgg11/predictions.parquet"
        p = pd.read_parquet(file)
        p.loc[: wrong - 1, [f"p_{c}" for c in FOUR]] = 0.25
        p.loc[: wrong - 1, "p_angry"] = 0.2
        p.loc[p.index[:wrong], "p_happy"] = np.where(p.label[:wrong] == "happy", 0.1, 0.3)
        p.to_parquet(file)
    found = gains(runs.predictions(run)).query("`class` == 'total'").set_index("network")
    fecn = found.loc["fecn"]
    assert fecn.gain == pytest.approx(15) and fecn.gain_std == pytest.approx(10 / 2**0.5)
    freedom = np.array([39, 1, 39])
    squares = np.array([82_000, 2_000, 18_000]) / freedom / 80  # by hand: of faces, of seeds, of the rest
    error, of_error = (squares @ (1, 1, -1)) ** 0.5, (squares @ (1, 1, -1)) ** 2 / (squares**2 / freedom).sum()
    half = t.ppf(0.975, of_error) * error
    assert (fecn.gain_low, fecn.gain_high) == (pytest.approx(15 - half), pytest.approx(15 + half))
    assert fecn.p == pytest.approx(2 * t.sf(15 / error, of_error))
    told = ev.table3_text(ev.table3(run))
    row = told[(told.iloc[:, 1] == "minus VGG11")].iloc[-1]
    assert row.total == "+15.0 ± 7.1" and "over seeds and faces" in ev.gain_in_words(runs.predictions(run))


def test_an_interval_over_faces_and_seeds_holds_its_level():
    "Of two networks that are equally good, faces and trainings varying, about one in twenty intervals excludes zero."
    rng, missed = np.random.default_rng(0), 0
    for _ in range(200):
        hardness, luck = rng.normal(1.5, 1.2, (100, 1)), rng.normal(0, 0.2, (2, 1, 3))
        right = rng.random((2, 100, 3)) < 1 / (1 + np.exp(-(hardness + luck + rng.normal(0, 1, (2, 100, 1)))))
        one, other = (pd.DataFrame(each) for each in right)
        _, low, high, _ = difference(one, other)
        missed += low > 0 or high < 0
    assert missed / 200 < 0.1


def answered(path, labels, **told):
    "A run of one seed in which these networks answer so, and the others rightly."
    small_run(path, {0: list(zip(labels, labels))})
    for network, answers in told.items():
        file = path / f"seed0/{network}/predictions.parquet"
        p = pd.read_parquet(file)
        p.assign(**{f"p_{c}": [0.4 if c == answer else 0.2 for answer in answers] for c in FOUR}).to_parquet(file)
    return path


def test_wilson_at_the_number_of_images():
    # the formula written out: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n)
    z, n, p = 1.959963984540054, 400, 0.844
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = ev.wilson(84.4, 400)
    assert (round(low, 1), round(high, 1)) == (80.5, 87.6)
    by_hand = [100 * end / (1 + z * z / n) for end in (centre - half, centre + half)]
    assert [low, high] == pytest.approx(by_hand)
    assert ev.wilson(100, 10)[1] == pytest.approx(100) and ev.wilson(0, 10)[0] == pytest.approx(0)


def test_more_seeds_do_not_narrow_the_interval(tmp_path):
    answers = [(c, "angry") for c in FOUR for _ in range(5)]
    one, five = (ev.table3(small_run(tmp_path / str(k), {s: answers for s in range(k)})) for k in (1, 5))
    pd.testing.assert_frame_equal(one[["accuracy", "low", "high"]], five[["accuracy", "low", "high"]])


def test_seven_classes_have_no_paper_column(tmp_path):
    t = ev.table3(make_run(tmp_path / "seven", classes=sorted(LABELS), seeds=(0,), each=3))  # ImageFolder's order
    assert list(t["class"].unique()) == [*LABELS, "total"] and t.paper.isna().all()
    assert "the paper" not in ev.table3_text(t).to_string() and "paper" not in ev.headline(t)
    assert list(ev.confusion(runs.predictions(tmp_path / "seven", ("abn",)))) == list(LABELS)
    assert report.write_report(tmp_path / "seven").exists()


def test_confusion_rows_are_the_true_class(tmp_path):
    labels = ["angry", "angry", "happy", "normal", "surprised"]
    first = ["happy", "angry", "happy", "happy", "surprised"]
    second = ["happy", "happy", "happy", "normal", "surprised"]
    path = small_run(tmp_path, {0: list(zip(labels, first)), 1: list(zip(labels, second))})
    p = runs.predictions(path, ("fecn",))
    m = ev.confusion(p)
    assert list(m.index) == list(m.columns) == FOUR and np.allclose(m.sum(axis=1), 1)
    assert m.loc["angry", "happy"] == 0.75 and m.loc["happy", "angry"] == 0 and m.loc["normal", "happy"] == 0.5
    fig = ev.figure7(tmp_path)
    assert [ax.get_title() for ax in fig.axes[:4]] == ["VGG11", "ABN", "FECN (ours)", "FECN, guided map"]
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == FOUR
    assert {ax.collections[0].get_clim() for ax in fig.axes[:4]} == {(0, 1)}
    said = ev.confusion_in_words(p)
    assert "FECN (ours) tells angry in 25% of its faces and takes it for happy in 75%" in said
    assert "as in the paper" in said


def test_table2(run):
    t = ev.table2(run).set_index("network")
    assert list(t.index) == ["vgg11", "abn", "mcn", "guided_mcn", "fecn", "guided"]
    assert list(t.dataset) == ["M-FER", "M-FER", "MU", "MU", "M-FER", "M-FER"]
    assert list(t.train) == [4000, 4000, 500, 500, 4000, 4000]
    assert list(t.attention_map) == [False, True, True, True, False, False]
    assert (t.parameters == 8 * 3 * 3 * 3 + 4).all() and (t.best_epoch == "8, 8").all()  # no running statistics
    for network in ("mcn", "guided_mcn"):
        p = pd.concat([pd.read_parquet(run / f"seed{s}/{network}/predictions.parquet") for s in (0, 1)])
        right = (p.p_masked > p.p_unmasked) == (p.label == "masked")
        assert t.mu_accuracy[network] == pytest.approx(100 * right.mean())
    assert t.mu_accuracy.drop(["mcn", "guided_mcn"]).isna().all()


def test_best_epoch_is_the_first_of_those_that_validate_best():
    accuracy, loss = [0.5, 0.9, 0.9, 0.9, 0.8], [0.1, 0.5, 0.3, 0.3, 0.2]
    history = pd.DataFrame(dict(epoch=range(5), val_accuracy=accuracy, val_loss=loss))
    assert runs.best_epoch(history).epoch == 2 and runs.best_epoch(history.assign(picks="loss")).epoch == 0
    assert runs.best_epoch(history.iloc[::-1]).epoch == 3  # by rows, as they stand


def test_figure6(run):
    fig = ev.figure6(run, 1)
    panels = np.array(fig.axes[:-1]).reshape(4, 9)
    assert [ax.get_ylabel() for ax in panels[:, 0]] == FOUR
    assert [len(ax.images) for ax in panels[0]] == [1, 2, 1, 2, 2, 2, 2, 2, 2]
    assert {ax.images[1].get_clim() for ax in panels[:, [1, 3, 4, 5, 6, 7, 8]].ravel()} == {(0, 1)}
    assert panels[0, 1].images[1].get_cmap().name == "jet"
    saved = np.load(run / "seed1/mcn/attention.npz")
    means = dict(zip(saved["image_id"], saved["attention"].astype(float).mean((1, 2))))
    bare = lambda name: name.endswith("-unmasked")
    happy = np.mean([mean for name, mean in means.items() if "happy" in name and bare(name)])
    masked = np.mean([mean for name, mean in means.items() if not bare(name)])
    numbers = ev.figure6_numbers(run)
    assert list(numbers.loc[1].index) == [*FOUR, "all"] and list(numbers.index.unique("seed")) == [0, 1]
    assert numbers.loc[(1, "happy"), "(b) MCN, unmasked"] == pytest.approx(happy, abs=1e-3)
    assert numbers.loc[(1, "all"), "(a) MCN, masked"] == pytest.approx(masked, abs=1e-3)
    assert panels[1, 3].get_xlabel() == f"class mean {numbers.loc[(1, 'happy'), '(b) MCN, unmasked']:.2f}"
    titles = [ax.get_title().replace("\n", " ") for ax in panels[0]]
    assert titles[5:7] == ["(a) guided MCN", "(b) guided MCN"]
    guided = np.load(run / "seed1/guided_mcn/attention.npz")
    names = guided["image_id"].tolist()
    shown = names.index(next(name for name in names if "happy" in name and not bare(name)))
    large = cv2.resize(guided["attention"][shown].astype(np.float32), (64, 64))
    assert np.allclose(panels[1, 5].images[1].get_array(), large) and panels[1, 6].images[1].get_array().max() < 0.1
    assert panels[1, 6].get_xlabel() == f"class mean {numbers.loc[(1, 'happy'), '(b) guided, unmasked']:.2f}"


@pytest.mark.parametrize("mask, bare, shows", [(0.3, 0.3, 2), (0.31, 0.1, 0), (0.1, 0.31, 0)])
def test_figure_6_is_counted_over_seeds_by_one_rule(tmp_path, mask, bare, shows):
    "Eyes that answer 0.92: the pattern is three times the mask's answer, and three times that of bare eyes."
    run = make_run(tmp_path / "run", each=2)
    areas, without = (read_regions(run / f"data/mfer/{split}", 64) for split in ("test", "unmasked"))
    for seed in (0, 1):
        file = run / f"seed{seed}/guided_mcn/attention.npz"
        names = np.load(file)["image_id"].tolist()
        answer = lambda of, eyes, rest: np.where(of["eyes"], eyes, np.where(of["mask"], rest, 0.5))
        maps = [answer(areas[n], 0.92, mask) if n in areas else answer(without[n], bare, 0) for n in names]
        np.savez(file, image_id=np.array(names), attention=np.float16(maps))
    found = patterns(run, "guided_mcn")
    assert found[["eyes", "mask", "bare"]].to_numpy() == pytest.approx(np.array([[0.92, mask, bare]] * 2), abs=1e-3)
    assert f"guided MCN {shows} of 2 (mean 0.92 on eyes" in ev.figure6_in_words(run)
    a, b = of_run(run, 0, "guided_mcn")
    assert ("That is the pattern" in map_in_words(a, b)) == (shows == 2)  # chapter 2's words


def test_mean_maps_are_the_means_of_the_class(run):
    means = ev.mean_maps(run, 1)
    assert list(means) == ["(a) MCN, masked", "(b) MCN, unmasked", "(c) ABN, masked", "(a) guided, masked",
                           "(b) guided, unmasked"]
    assert list(means["(c) ABN, masked"]) == FOUR
    saved = np.load(run / "seed1/mcn/attention.npz")
    happy = [i for i, name in enumerate(saved["image_id"]) if "-happy-" in name and name.endswith("-unmasked")]
    wanted = saved["attention"][happy].astype(float).mean(0)
    assert np.allclose(means["(b) MCN, unmasked"]["happy"], wanted, atol=1e-3)
    assert len(ev.figure6_mean(run, 1).axes) == 4 * 5 + 1


class Loads(HTMLParser):
    "What a page would load, and which pictures it carries."
    def __init__(self):
        super().__init__()
        self.loads, self.pictures, self.tags = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "data", "poster", "action"):
                inside = tag == "img" and value.startswith("data:image/png;base64,iVBOR")
                if inside: self.pictures.append(dict(attributes)["alt"])
                else: self.loads.append(value)


def test_report_is_self_contained(run):
    path = report.write_report(run)
    text, page = path.read_text(), Loads()
    page.feed(text)
    assert path == run / "report.html" and page.loads == []
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    assert not re.search(r"url\(|@import", text)
    assert {"figure5", "figure6", "figure6_mean", "figure7", "curves"} == set(page.pictures)
    said = ("86.7", "no face found", "&lt;jaw&gt;", "0123abc", "2.15.0", "computer-made", "not agreed", "MU-dataset",
            "ab" * 32)
    for words in said: assert words in text
    for sentence in (ev.headline(ev.table3(run)), ev.gain_in_words(runs.predictions(run))):
        assert html.escape(sentence) in text
    assert text.count("torch 2.15.0") == 1
    for words in ("<jaw>", "&lt;NA&gt;", "7 pixels", "$"): assert words not in text
    assert {p.name for p in (run / "tables").iterdir()} == {"table1.csv", "table2.csv", "table3.csv", "figure6.csv"}
    figures = {"figure5.png", "figure6.png", "figure6_mean.png", "figure7.png", "curves.png"}
    assert {p.name for p in (run / "figures").iterdir()} == figures
    pd.testing.assert_frame_equal(pd.read_csv(run / "tables/table3.csv"), ev.table3(run))


@pytest.mark.parametrize("missing, remedy", [
    ("seed1/fecn/predictions.parquet", "03_fecn"), ("seed1/guided/predictions.parquet", "03_fecn"),
    ("seed0/guided_mcn/attention.npz", "02_mcn"), ("seed0/mcn/predictions.parquet", "02_mcn"),
    ("seed0/abn/attention.npz", "03_fecn"), ("seed1/vgg11/history.csv", "03_fecn"),
    ("data/table1.csv", "01_datasets"), ("figures/figure5.png", "01_datasets")])
def test_missing_file_is_named_with_its_remedy(tmp_path, missing, remedy):
    path = make_run(tmp_path / "run", each=3)
    (path / missing).unlink()
    with pytest.raises(FileNotFoundError) as error: report.write_report(path)
    assert missing in str(error.value) and remedy in str(error.value) and "\n" not in str(error.value)
    assert not (path / "report.html").exists() and not list(path.rglob(".partial-*"))


def test_photographs_are_said_to_be_photographs_and_bare_runs_report(tmp_path):
    run = make_run(tmp_path / "run", seeds=(0,), each=3)
    table = pd.read_csv(run / "data/table1.csv").assign(source="FER+", licence="research <only>")
    table.to_csv(run / "data/table1.csv", index=False)
    (run / "provenance.json").unlink()
    (run / "data/rejects.csv").write_text("face_id,stage,reason\n")
    text = report.write_report(run).read_text()
    assert "photographs of real people" in text and "research &lt;only&gt;" in text
    assert "computer-made" not in text
    assert "no provenance.json" in text and "<p>None.</p>" in text


def test_no_seeds(tmp_path):
    with pytest.raises(FileNotFoundError, match="seed0.*02_mcn"): runs.predictions(tmp_path)


def test_chosen_seeds_alone_are_evaluated(tmp_path):
    path = small_run(tmp_path, {0: [("angry", "angry")], 1: [("angry", "happy")], 2: [("angry", "angry")]})
    assert runs.seeds(path) == [0, 1, 2] and set(runs.predictions(path).seed) == {0, 1, 2}
    (path / "seeds.json").write_text("[2, 0]")
    assert runs.seeds(path) == [0, 2] and set(runs.predictions(path).seed) == {0, 2}
    assert ev.table3(path).accuracy.iloc[0] == 100


def test_damaged_or_mixed_predictions(tmp_path):
    path = small_run(tmp_path, {0: [("angry", "angry"), ("happy", "happy")], 1: [("angry", "angry")]})
    with pytest.raises(ValueError, match="not all of the same test images"): runs.predictions(path)
    file = tmp_path / "seed1/abn/predictions.parquet"
    p = pd.read_parquet(file)
    for damaged in (pd.concat([p, p]), p.assign(label="bored"), p.assign(p_angry=np.nan), p.iloc[:0]):
        damaged.to_parquet(file)
        with pytest.raises(ValueError, match="seed1/abn/predictions.parquet is damaged"):
            runs.predictions(path)


def test_no_torch_needed():
    heavy = {"torch", "nbdev", "fastcore", "papermill"}
    program = f"import sys, maskfer_nb.report; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
