"""GANimationPipeline: faces found, measured, edited at full size, pasted back, animated."""

import tracemalloc
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from tiny_ganimation import save_ganimation

from gan_models import faces, images
from gan_models.errors import UserError
from gan_models.ganimation import (
    CODES,
    Critic,
    GANimationPipeline,
    Generator,
    NoFace,
    between,
    emotion,
)
from gan_models.ganimation import pipeline as module
from gan_models.ganimation.full_size import full_size
from gan_models.ganimation.networks import compose, saturated
from gan_models.weights import build_network, load_weights

SIZE = 32


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_ganimation(tmp_path_factory.mktemp("weights") / "dolls", SIZE)


@pytest.fixture(scope="module")
def pipeline(weights):
    return GANimationPipeline.from_weights(weights, device="cpu")


@pytest.fixture(scope="module")
def of_faces(tmp_path_factory):
    """A pipeline whose weights look for faces."""
    folder = save_ganimation(tmp_path_factory.mktemp("weights") / "w", SIZE, framing="face")
    return GANimationPipeline.from_weights(folder, device="cpu")


def photograph(height=360, width=480):
    """(height, width, 3) uint8: a gradient, ovals, noise of a sensor. No two pixels are alike."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([60 + x / 4, 90 + y / 3, 160 - x / 5], axis=2)
    for place in ((170, 180), (310, 190)):
        cv2.ellipse(picture, place, (40, 52), 0, 0, 360, (205, 160, 130), -1, cv2.LINE_AA)
    return (picture + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def two_faces(monkeypatch):
    """Two faces of the photograph, the larger one first, beside each other."""
    found = [faces.Box(130.3, 128.2, 210.8, 232.1), faces.Box(270.4, 138, 350.1, 241.5)]
    monkeypatch.setattr(faces, "find_faces", lambda picture, quick=False: found)
    monkeypatch.setattr(faces.framing, "find_faces", lambda picture, quick=False: found)
    return found


def inside(shape, squares):
    """(H, W) bool: the pixels of the squares."""
    mask = np.zeros(shape[:2], bool)
    for box in squares:
        mask[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right] = True
    return mask


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("saturate", [False, True])
def test_at_the_networks_size_an_edit_is_the_papers_equation(tmp_path, saturate):
    weights = save_ganimation(tmp_path / "w", SIZE, saturate=saturate)
    pipeline = GANimationPipeline.from_weights(weights, device="cpu")
    picture = images.resize(photograph(64, 64), SIZE)
    units = emotion("fear")
    generator = build_network(Generator, load_weights(weights), "generator")
    seen = images.to_tensor(picture)
    color, attention = generator(seen, torch.from_numpy(units)[None])
    attention = saturated(attention) if saturate else attention
    expected = images.to_pictures(compose(seen, color, attention))[0].astype(int)
    squares, notice = pipeline.squares(picture)
    edit = pipeline.edit(picture, squares, units)
    assert notice == "" and [tuple(vars(box).values()) for box in squares] == [(0, 0, SIZE, SIZE)]
    assert np.abs(edit.picture - expected).max() <= 2
    assert np.abs(edit.attention[0] - attention[0, 0].numpy()).max() < 1e-4
    assert np.abs(edit.color[0] - images.to_pictures(color)[0].astype(int)).max() <= 1
    assert np.abs(expected - picture).mean() > 5  # else this would show nothing


def test_measure_is_the_critics_reading_in_0_to_1_and_remembered(weights, monkeypatch):
    pipeline = GANimationPipeline.from_weights(weights, device="cpu")
    critic = build_network(Critic, load_weights(weights), "critic")
    picture = photograph()
    squares, _ = pipeline.squares(picture)
    small = images.to_tensor(faces.crop(picture, squares[0], SIZE))
    expected = critic(small)[1].clamp(0, 1).numpy()
    found = pipeline.measure(picture, squares)
    assert found.shape == (1, 17) and np.allclose(found, expected, atol=1e-6) and found.any()
    monkeypatch.setattr(pipeline, "critic", "not asked again")
    found[:] = 7  # and what was given away may be written to
    assert np.allclose(pipeline.measure(picture, squares), expected, atol=1e-6)
    with pytest.raises(TypeError):
        pipeline.measure(255 - picture, squares)
    assert pipeline.measure(picture, []).shape == (0, 17)


def test_wanted_sets_some_units_and_keeps_a_share_of_the_others(pipeline):
    measured = np.full((2, 17), 0.5, np.float32)
    wanted = pipeline.wanted(measured, {12: 0.9, 1: 0}, keep=0.4)
    assert wanted.shape == (2, 17) and np.allclose(wanted[:, CODES.index(12)], 0.9)
    assert not wanted[:, 0].any() and np.allclose(wanted[:, 1], 0.2)
    assert np.allclose(pipeline.wanted(measured, {}), measured)


# ---------------------------------------------------------------- the whole picture


def test_pixels_outside_the_squares_stay_equal_and_the_border_is_soft(of_faces, two_faces):
    picture = photograph()
    before = picture.copy()
    squares, _ = of_faces.squares(picture, all_faces=True)
    edit = of_faces.edit(picture, squares, emotion("surprise"))
    changed = (edit.picture != picture).any(2)
    mask = inside(picture.shape, squares)
    assert len(squares) == 2 and mask.mean() < 0.9
    assert not changed[~mask].any() and changed[mask].mean() > 0.9
    assert np.array_equal(picture, before)
    box = squares[0]  # from its left edge inwards
    row = np.abs(edit.picture.astype(int) - picture)[box.top + 40 : box.bottom - 40].mean((0, 2))
    assert row[box.left] < 0.1 * row[box.left + 20 : box.right - 20].mean()
    assert [crop.shape for crop in edit.crops] == [(round(box.side),) * 2 + (3,) for box in squares]


def test_what_attention_keeps_are_the_pictures_own_pixels():
    large = photograph(300, 300)
    small = images.resize(large, SIZE)
    attention = np.ones((SIZE, SIZE), np.float32)
    attention[:, : SIZE // 2] = 0
    color = np.full((SIZE, SIZE, 3), 20, np.float32)
    result = full_size(large, small, color, attention)
    assert np.array_equal(result[:, 185:], large[:, 185:])
    assert np.abs(result[:, :115].astype(int) - 20).max() <= 1
    middle = result[:, 115:185].astype(int).mean((0, 2))  # from painted to kept, without a halo
    assert middle.min() >= 19 and np.diff(middle).min() > -6


def test_a_colour_that_is_the_pictures_own_does_not_blur_it():
    large = photograph(300, 300)
    small = images.resize(large, SIZE)
    attention = np.full((SIZE, SIZE), 0.3, np.float32)
    result = full_size(large, small, small.astype(np.float32), attention).astype(int)
    assert np.abs(result - large).max() <= 1
    brighter = full_size(large, small, small + np.float32(20), attention).astype(int)
    assert abs((brighter - large).mean() - 14) < 1  # (1 - 0.3) 20
    blurred = cv2.resize(small, (300, 300), interpolation=cv2.INTER_CUBIC)
    assert np.abs(brighter - large - 14).mean() < 0.3 * np.abs(blurred.astype(int) - large).mean()


def test_a_small_change_reaches_the_ends_of_the_range():
    large = np.full((90, 90, 3), 250, np.uint8)
    small, attention = large[:SIZE, :SIZE], np.zeros((SIZE, SIZE), np.float32)
    for color in (255, 245):
        painted = np.full((SIZE, SIZE, 3), color, np.float32)
        assert (full_size(large, small, painted, attention) == color).all()


@pytest.mark.parametrize("place", [(10, 20, 90, 100), (-15, 300, 85, 400), (400, -7, 520, 113)])
def test_what_was_cut_out_on_whole_pixels_goes_back_bit_for_bit(place):
    picture, box = photograph(), faces.Box(*place)
    cut = faces.crop(picture, box, box.width)
    assert np.array_equal(faces.Paster(picture, box).paste(cut), picture)
    rows = slice(max(box.top, 0) + 30, min(box.bottom, 360) - 30)
    inner = rows, slice(max(box.left, 0) + 30, min(box.right, 480) - 30)
    assert np.array_equal(faces.Paster(picture, box).paste(255 - cut)[inner], 255 - picture[inner])


def test_faces_are_chosen_as_is_asked_and_lie_on_whole_pixels(of_faces, two_faces):
    picture = photograph()
    (largest,), notice = of_faces.squares(picture)
    assert notice == "" and largest.holds(170, 180) and not largest.holds(310, 190)
    (clicked,), _ = of_faces.squares(picture, click=(311, 189))
    assert clicked.holds(310, 190)
    every, _ = of_faces.squares(picture, all_faces=True)
    assert every[0] == largest and every[1] == clicked
    assert all(type(edge) is int for box in every for edge in vars(box).values())
    (middle,), _ = of_faces.squares(picture, whole=True)
    assert tuple(vars(middle).values()) == (60, 0, 420, 360)


def test_several_faces_are_one_batch_and_neighbours_do_not_undo_each_other(of_faces, two_faces):
    picture = photograph()
    squares, _ = of_faces.squares(picture, all_faces=True)
    assert squares[0].right > squares[1].left  # they overlap
    units = np.stack([emotion("anger"), emotion("happiness")])
    sizes, run = [], of_faces.generator
    of_faces.generator = lambda seen, wanted: sizes.append(len(seen)) or run(seen, wanted)
    try:
        both = of_faces.edit(picture, squares, units).picture.astype(int)
        assert sizes == [2]
        alone = [of_faces.edit(picture, squares[i : i + 1], units[i]) for i in range(2)]
        of_faces.generator = run
    finally:
        of_faces.generator = run
    changes = sum(one.picture.astype(int) - picture for one in alone)
    assert np.abs(both - (picture + changes).clip(0, 255)).max() <= 1


def test_a_large_face_is_edited_whole_and_shown_smaller(pipeline, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    picture = photograph()
    squares, _ = pipeline.squares(picture)
    edit = pipeline.edit(picture, squares, emotion("fear"))
    assert edit.picture.shape == picture.shape and edit.crops[0].shape == (100, 100, 3)
    assert edit.attention[0].shape == (100, 100) and edit.color[0].shape == (100, 100, 3)
    assert 0 <= edit.attention[0].min() < edit.attention[0].max() <= 1
    monkeypatch.undo()
    assert np.array_equal(edit.picture, pipeline.edit(picture, squares, emotion("fear")).picture)


def test_a_photograph_of_megapixels_needs_a_few_times_its_own_memory(pipeline):
    picture = np.zeros((1600, 1600, 3), np.uint8)
    squares, _ = pipeline.squares(picture)
    tracemalloc.start()
    pipeline.edit(picture, squares, emotion("fear"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * picture.nbytes  # all colours at once in floating point: 16


# ---------------------------------------------------------------- movement


def test_an_animation_is_a_stream_of_edits(pipeline, monkeypatch):
    picture, sizes = photograph(), []
    squares, _ = pipeline.squares(picture)
    track = between(emotion("neutral"), emotion("fear"), 5, "linear")
    monkeypatch.setattr(pipeline, "batch_size", 2)
    run = pipeline.generator
    monkeypatch.setattr(
        pipeline, "generator", lambda seen, units: sizes.append(len(seen)) or run(seen, units)
    )
    frames = pipeline.animate(picture, squares, track)
    first = list(islice(frames, 2))
    assert sizes == [2]  # nothing is made early
    frames = first + list(frames)
    assert sizes == [2, 2, 1]
    for frame, units in zip(frames, track, strict=True):
        edit = pipeline.edit(picture, squares, units)
        assert np.abs(edit.picture.astype(int) - frame).max() <= 1
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 20


def test_every_face_may_have_a_track_of_its_own(of_faces, two_faces):
    picture = photograph()
    squares, _ = of_faces.squares(picture, all_faces=True)
    start = np.stack([emotion("neutral"), emotion("anger")])
    end = np.stack([emotion("fear"), emotion("anger")])
    frames = list(of_faces.animate(picture, squares, between(start, end, 3)))
    change = (frames[0] != frames[2]).any(2)
    first, second = (inside(picture.shape, [box]) for box in squares)
    assert change[first].any() and not change[second & ~first].any()


@pytest.mark.parametrize("easing", ["linear", "ease-in", "ease-out", "ease-in-out"])
def test_between_leads_from_start_to_end_and_back(easing):
    start, end = np.zeros((2, 17)), np.ones((2, 17))
    track = between(start, end, 9, easing)
    assert track.shape == (9, 2, 17) and track.dtype == np.float32
    assert np.array_equal(track[0], start) and np.array_equal(track[-1], end)
    assert (np.diff(track[:, 0, 0]) >= 0).all()
    loop = between(start, end, 9, easing, back=True)
    assert np.array_equal(loop[4], end) and np.allclose(loop, loop[::-1])
    assert between(start[0], end[0], 4).shape == (4, 17)


# ---------------------------------------------------------------- mistakes


def test_no_face_is_told_with_what_helps(of_faces, monkeypatch):
    picture = photograph()
    asked = []

    def find(image, quick=False):  # a face where the picture is turned by 90 degrees
        asked.append(image.shape[:2])
        upright = image.shape[0] > image.shape[1] and quick
        return [faces.Box(10, 10, 60, 60)] if upright else []

    monkeypatch.setattr(faces, "find_faces", find)
    monkeypatch.setattr(faces.framing, "find_faces", lambda image, quick=False: [])
    with pytest.raises(NoFace, match="No face was found .* after a turn of 90 degrees to the left"):
        of_faces.squares(picture)
    assert max(max(size) for size in asked) < 300  # a quick look at a small picture
    monkeypatch.setattr(faces, "find_faces", lambda image, quick=False: [])
    for all_faces in (False, True):
        with pytest.raises(NoFace, match="or take its middle square"):
            of_faces.squares(picture, all_faces=all_faces)
    (box,), notice = of_faces.squares(picture, click=(100, 50))
    assert box.holds(100, 50) and "where you clicked" in notice


def test_a_tiny_face_is_told_and_edited(of_faces, monkeypatch):
    found = [faces.Box(100, 100, 106, 107)]
    monkeypatch.setattr(faces.framing, "find_faces", lambda picture, quick=False: found)
    picture = photograph()
    squares, notice = of_faces.squares(picture)
    assert "small here (13 pixels" in notice and "coarse" in notice
    edit = of_faces.edit(picture, squares, emotion("fear"))
    changed = (edit.picture != picture).any(2)
    assert changed.any() and not changed[~inside(picture.shape, squares)].any()
    assert edit.crops[0].shape == (13, 13, 3)


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        (np.full(17, 1.2), "from 0 to 1"),
        (np.full(17, np.nan), "from 0 to 1"),
        (np.zeros(16), "17 action units"),
        (np.zeros((3, 17)), "1 faces take 17"),
    ],
)
def test_action_units_that_are_none_are_told(pipeline, units, sentence):
    picture = photograph()
    squares, _ = pipeline.squares(picture)
    with pytest.raises(UserError, match=sentence):
        pipeline.edit(picture, squares, units)


def test_other_mistakes_are_told(pipeline, weights):
    measured = np.zeros((1, 17))
    for keep in (-0.1, 1.1, np.nan):
        with pytest.raises(UserError, match="keep is a share"):
            pipeline.wanted(measured, {}, keep)
    with pytest.raises(UserError, match="no action unit 3"):
        pipeline.wanted(measured, {3: 0.5})
    with pytest.raises(UserError, match="choose linear, ease-in"):
        between(measured, measured, 5, "bounce")
    with pytest.raises(UserError, match="2 frames or more"):
        between(measured, measured, 1)
    with pytest.raises(UserError, match="17 action units"):
        pipeline.animate(photograph(), [faces.Box(0, 0, 9, 9)], np.zeros((4, 5)))


def test_networks_that_do_not_fit_the_description_are_told(weights):
    stored = load_weights(weights)
    generator = build_network(Generator, stored, "generator")
    critic = build_network(Critic, stored, "critic")
    for changes, sentence in (
        ({"size": 64}, "size is 64, its critic's 32"),
        ({"action_units": [1, 2]}, "knows the action units 1, 2;"),
    ):
        with pytest.raises(UserError, match=sentence):
            GANimationPipeline(generator, critic, stored.config | changes, "cpu")
    fewer = Generator(channels=4, action_units=11, blocks=1)
    with pytest.raises(UserError, match="11 and 17"):
        GANimationPipeline(fewer, critic, stored.config, "cpu")
