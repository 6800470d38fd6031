"""Masks: what they cover, what they leave alone, and what their outline may and may not know."""
import cv2
import numpy as np
import pytest
from PIL import Image

from maskfer_nb import fabrics, faces, masks, sources

MOVED = [*range(17), *range(31, 36), *range(48, 68)]  # jaw, nostrils, mouth


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return faces.render(tmp_path_factory.mktemp("faces"), n=24, seed=2)


def each(rendered, n=24):
    for row in rendered.iloc[:n].itertuples(): yield sources.read_image(row.path), row.landmarks


@pytest.mark.parametrize("fit", list(masks.FITS))
@pytest.mark.parametrize("kind", fabrics.KINDS)
def test_nose_and_mouth_are_covered_and_eyes_are_not(rendered, kind, fit):
    mask = fabrics.mask(kind, "random", 3)
    for image, landmarks in each(rendered):
        masked = masks.paste(image, landmarks, mask, fit)
        at = lambda points: masked.alpha[tuple(np.round(points).astype(int).clip(0, 111).T[::-1])]
        assert at(landmarks[36:48]).max() < 0.05 and at(landmarks[[30, 33, 51]]).min() > 0.9
        assert masked.image.dtype == np.uint8 and masked.alpha.dtype == np.float32
        assert 0 <= masked.alpha.min() and masked.alpha.max() <= 1 + 1e-5


def test_outside_only_a_shadow_falls(rendered):
    for image, landmarks in each(rendered):
        masked = masks.paste(image, landmarks, "black")
        away = np.abs(masked.alpha) == 0
        assert (masked.image[away] <= image[away]).all()
        assert (masked.image[:20] == image[:20]).all()


@pytest.mark.parametrize("fit", list(masks.FITS))
def test_polygon_and_alpha_are_the_same_region(rendered, fit):
    "Alpha fades at the outline over a pixel or two, as the picture's own edges do; further off it is all or nothing."
    middles = np.stack(np.meshgrid(np.arange(112.0), np.arange(112.0)), -1)
    for image, landmarks in each(rendered):
        masked = masks.paste(image, landmarks, fabrics.mask("surgical", "grey"), fit)
        outline = masked.polygon.clip(-0.5, 111.5)  # the picture ends there
        x, y = outline.T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        inside = masks._inside(middles.reshape(-1, 2), masked.polygon.astype(float)).reshape(112, 112)
        assert abs(masked.alpha[inside].sum() / area - 1) < 0.06
        assert masked.alpha[inside].mean() > 0.94
        off = np.abs([[cv2.pointPolygonTest(masked.polygon, point.tolist(), True) for point in row] for row in middles])
        blur, _ = masks._blur_and_grain(image[..., 1])
        near = 1 + 3 * blur
        assert masked.alpha[inside & (off > near)].min() > 0.99
        # loops are beside the mask too, but they are thin
        beside = (masked.alpha > 0.01) & ~inside & (off > near)
        assert not cv2.erode(np.uint8(beside), np.ones((6, 6))).any()


def test_rigid_does_not_know_the_lower_face(rendered):
    rng = np.random.default_rng(0)
    for _, landmarks in each(rendered):
        other = landmarks.copy()
        other[MOVED] += rng.normal(0, 5, (len(MOVED), 2))
        other[17:27] += rng.normal(0, 5, (10, 2))
        assert (masks.lay(landmarks, "rigid").outline == masks.lay(other, "rigid").outline).all()
        opened = landmarks + np.where(np.arange(68) == 8, 1, 0)[:, None] * [0, 4]
        assert (masks.lay(landmarks, "jaw").outline != masks.lay(opened, "jaw").outline).any()


@pytest.mark.parametrize("fit", list(masks.FITS))
@pytest.mark.parametrize("turn", [-0.7, -0.35, 0, 0.35, 0.7])
def test_turned_and_tilted_heads_keep_a_mask_in_one_piece(fit, turn):
    table = faces.recipes(8, seed=4)
    table["picture_yaw"] = turn
    for _, row in table.iterrows():
        landmarks = faces.landmarks(row)
        for roll in (0, 0.6):
            turned = (landmarks - 56) @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) + 56
            outline = masks.lay(turned, fit).outline
            after, before = np.roll(outline, -1, 0) - outline, outline - np.roll(outline, 1, 0)
            turning = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1))
            assert abs(turning.sum() - 2 * np.pi) < 0.1  # goes round once, without a loop
            assert masks._inside(turned[[30, 51]], outline).all()


def test_a_mask_turns_and_grows_with_its_face(rendered):
    _, landmarks = next(each(rendered))
    roll = np.array([[0.8, 0.6], [-0.6, 0.8]])
    for fit in masks.FITS:
        moved = masks.lay(landmarks, fit).outline @ roll * 3 + 7
        assert np.allclose(masks.lay(landmarks @ roll * 3 + 7, fit).outline, moved, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes(rendered):
    image, landmarks = next(each(rendered))
    mask = fabrics.mask("cloth", "random", 5)
    one, two, other = (masks.paste(image, landmarks, mask, seed=seed).image for seed in (1, 1, 2))
    assert (one == two).all() and (one != other).any()


def test_light_falls_on_the_mask_too(rendered):
    image, landmarks = next(each(rendered))
    x = np.linspace(0.4, 1.3, 112)[None, :, None]
    lit = lambda light: masks.paste((image * light).clip(0, 255).astype(np.uint8), landmarks, "grey")
    even, dark, side = lit(1), lit(0.4), lit(x)
    mean = lambda masked, where=slice(None): masked.image[:, where][masked.alpha[:, where] > 0.99].mean()
    assert mean(dark) < 0.8 * mean(even)
    right_to_left = lambda masked: mean(masked, slice(60, None)) / mean(masked, slice(0, 50))
    assert right_to_left(side) > 1.2 * right_to_left(even)


@pytest.mark.parametrize("fit", list(masks.FITS))
def test_nothing_of_the_covered_mouth_shows(rendered, fit):
    for image, landmarks in each(rendered):
        masked = masks.paste(image, landmarks, "white", fit)
        other, covered = image.copy(), masked.alpha == 1
        covered[: int(landmarks[33, 1]) + 2] = False
        assert covered.sum() > 500
        other[covered] = np.random.default_rng(0).integers(0, 256, (covered.sum(), 3))
        again = masks.paste(other, landmarks, "white", fit).image
        assert np.abs(again.astype(int) - masked.image).max() <= 1  # sums round


def test_grain_and_blur_are_the_picture_s(rendered):
    image, landmarks = next(each(rendered))
    noisy = (image + np.random.default_rng(0).normal(0, 10, image.shape)).clip(0, 255).astype(np.uint8)
    steps = lambda picture: np.diff(masks.paste(picture, landmarks, "grey").image.astype(float), axis=1)
    roughness = lambda picture: np.abs(steps(picture))[70:90, 45:65].mean()
    assert roughness(noisy) > 2 * roughness(image)


def test_a_grey_picture_stays_grey(rendered):
    image, landmarks = next(each(rendered))
    grey = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    masked = masks.paste(grey, landmarks, fabrics.mask("surgical", "red")).image
    assert np.ptp(masked.astype(int), axis=2).max() == 0


def test_what_cannot_be_masked_is_refused_with_a_reason(rendered):
    _, landmarks = next(each(rendered))
    profile = np.where(np.arange(68)[:, None] < 8, landmarks[30], landmarks)
    with pytest.raises(ValueError, match="turned too far"): masks.lay(profile)
    eyes = np.isin(np.arange(68), range(36, 48))[:, None]
    with pytest.raises(ValueError, match="one point"): masks.lay(np.where(eyes, landmarks[36], landmarks))


@pytest.fixture
def templates(tmp_path):
    folder = tmp_path / "pack" / "masks"
    (folder / "templates").mkdir(parents=True)
    lines = []
    for name, colour in (("plain", (200, 0, 0)), ("plain_left", (0, 200, 0)), ("plain_right", (0, 0, 200))):
        pixels = np.zeros((120, 200, 4), np.uint8)
        pixels[10:110, 5:195] = (*colour, 255)
        Image.fromarray(pixels).save(folder / "templates" / f"{name}.png")
        lines += [f"[{name}]", f"template: masks/templates/{name}.png"]
        lines += ["mask_a: 5,10", "mask_b: 100,10", "mask_c: 195,10"]
        lines += ["mask_d: 25,90", "mask_e: 100,110", "mask_f: 175,90", ""]
    (folder / "masks.cfg").write_text("\n".join(lines))
    return folder


def test_a_folder_of_templates_as_masktheface_has(templates):
    found = fabrics.read_templates(templates)
    assert list(found) == ["plain"] and len(found["plain"].turned) == 2
    table = faces.recipes(4, seed=4)
    for turn, channel in ((0, 0), (-0.5, 1), (0.5, 2)):
        table["picture_yaw"] = turn
        row = table.iloc[2]
        image, _ = faces.photograph(row, 112)
        for fit in masks.FITS:
            masked = masks.paste(image, faces.landmarks(row), found["plain"], fit)
            assert masked.image[masked.alpha > 0.99].mean(0).argmax() == channel
            covered = np.argwhere(masked.alpha > 0.99)[:, ::-1].astype(float)
            inside = masks._inside(covered, masked.polygon.astype(float))
            assert inside.mean() > 0.95


def test_templates_that_are_none(templates):
    (templates / "templates/plain.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="plain.png: not a picture"): fabrics.read_templates(templates)
    Image.new("RGB", (9, 9)).save(templates / "templates/plain.png")
    with pytest.raises(ValueError, match="alpha channel"): fabrics.read_templates(templates)
    with pytest.raises(ValueError, match="six control points"):
        fabrics.template(templates / "templates/plain_left.png", [[0, 0]])
