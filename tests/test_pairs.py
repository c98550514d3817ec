"""The two frames of a pair: which they are, and how both are changed alike."""

import numpy as np
import pytest

from tests.test_clips import SIZE, moving
from trainers.data.pairs import Augmentation, augment, draw_times
from trainers.data.repaint import backdrop


def test_frames_are_drawn_without_replacement():
    random = np.random.default_rng(0)
    drawn = {tuple(draw_times(3, random)) for _ in range(60)}
    assert drawn == {(0, 1), (0, 2), (1, 2)}
    assert draw_times(1, random) == [0, 0]


def test_flips_come_as_often_as_in_the_official_code():
    frames = moving(1, 2)
    random, found = np.random.default_rng(0), []
    for _ in range(400):
        changed = augment(frames, Augmentation(), random)
        turned = np.array_equal(changed, frames[::-1])
        mirrored = np.array_equal(changed, frames[:, :, ::-1])
        assert turned or mirrored or np.array_equal(changed, frames)
        found.append((turned, mirrored))
    turned, mirrored = np.mean(found, axis=0)
    assert 0.42 < turned < 0.58 and 0.19 < mirrored < 0.31


@pytest.mark.parametrize(
    "options",
    [
        {"jitter": (0.3, 0.3, 0.3, 0.2)},
        {"jitter": (0.0, 0.0, 0.0, 0.5)},
        {"resize_range": (0.5, 1.5)},
        {"repaint": 1.0},
    ],
)
def test_both_frames_are_changed_alike(options):
    frame = moving(5, 1)[0]
    plain = Augmentation(time_flip=False, mirror=False, **options)
    results = [augment(np.stack([frame, frame]), plain, np.random.default_rng(n)) for n in range(4)]
    for source, driving in results:
        assert source.shape == (SIZE, SIZE, 3)
        np.testing.assert_array_equal(source, driving)
    assert sum(not np.array_equal(source, frame) for source, _ in results) >= 3
    assert not np.array_equal(results[0], results[1])


def test_hue_keeps_grey_and_turns_red():
    colours = np.zeros((2, 4, 4, 3), np.uint8)
    colours[:, :2] = 128
    colours[:, 2:, :, 0] = 255
    changed = augment(
        colours,
        Augmentation(time_flip=False, mirror=False, jitter=(0, 0, 0, 0.5)),
        np.random.default_rng(1),
    )
    assert np.abs(changed[:, :2].astype(int) - 128).max() <= 1
    assert changed[0, 3, 3].max() == 255 and changed[0, 3, 3, 0] < 255


def test_repaint_leaves_the_other_pairs_as_they_are():
    frames = moving(1, 2)
    plain = dict(time_flip=False, mirror=False)
    never, half = Augmentation(**plain), Augmentation(**plain, repaint=0.5)
    assert augment(frames, never, random := np.random.default_rng(0)) is frames
    assert random.random() == np.random.default_rng(0).random()  # off: nothing is drawn
    kept = [
        np.array_equal(augment(frames, half, np.random.default_rng(n)), frames) for n in range(200)
    ]
    assert 0.4 < np.mean(kept) < 0.6


def test_a_backdrop_is_what_lies_behind_the_figure():
    frame = np.full((64, 64, 3), 90, np.uint8)
    frame += np.arange(64, dtype=np.uint8)[:, None]  # a gradient
    frame[20:, 20:44] = (200, 40, 40)
    frame[40:50, 28:36] = frame[0, 0]  # the ground's colour, within the figure
    behind = backdrop(frame)
    assert behind[:18].min() == 1 and behind[:, :18].min() == 1
    assert behind[22:, 22:42].max() == 0
