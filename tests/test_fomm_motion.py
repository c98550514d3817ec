"""gan_models/fomm/motion.py: transfer, scale, smoothing, the best reference, motion files."""

import json
import os
from fractions import Fraction

import numpy as np
import pytest
from safetensors.numpy import save_file

from gan_models.errors import UserError
from gan_models.fomm.motion import (
    Motion,
    check_smoothing,
    hull_area,
    movement_scale,
    pose_distance,
    smoothed,
    transfer,
)


def some_motion(frames, keypoints=4, seed=0, jacobians=True, fps=25):
    numbers = np.random.default_rng(seed)
    value = numbers.uniform(-0.8, 0.8, (frames, keypoints, 2))
    jacobian = np.eye(2) + numbers.normal(0, 0.2, (frames, keypoints, 2, 2))
    return Motion(value, jacobian if jacobians else None, fps, "tiny")


@pytest.fixture
def source():
    return some_motion(1, seed=3)


@pytest.fixture
def driving():
    return some_motion(6, seed=2)


# ---------------------------------------------------------------- transfer


def test_relative_transfer_is_the_papers_formula(source, driving):
    moved = transfer(source, driving, driving[2], adapt_scale=False)
    frame, point = 4, 3
    shift = driving.value[frame, point] - driving.value[2, point]
    assert moved.value[frame, point] == pytest.approx(source.value[0, point] + shift, abs=1e-6)
    turn = driving.jacobian[frame, point] @ np.linalg.inv(driving.jacobian[2, point])
    expected = turn @ source.jacobian[0, point]
    assert moved.jacobian[frame, point] == pytest.approx(expected, abs=1e-5)
    assert moved.value[2] == pytest.approx(source.value[0], abs=1e-6)
    assert moved.jacobian[2] == pytest.approx(source.jacobian[0], abs=1e-5)


def test_scale_adaptation_multiplies_the_shifts_only(source, driving):
    plain = transfer(source, driving, driving[0], adapt_scale=False)
    adapted = transfer(source, driving, driving[0], adapt_scale=True)
    scale = np.sqrt(hull_area(source.value[0]) / hull_area(driving.value[0]))
    assert abs(scale - 1) > 0.05
    shifts = plain.value - source.value
    assert adapted.value - source.value == pytest.approx(scale * shifts, abs=1e-5)
    assert np.array_equal(adapted.jacobian, plain.jacobian)


def test_absolute_transfer_is_the_driving_itself(source, driving):
    moved = transfer(source, driving, driving[0], relative=False)
    assert np.array_equal(moved.value, driving.value)
    assert np.array_equal(moved.jacobian, driving.jacobian)
    shifted = transfer(source, driving, driving[0], relative_jacobian=False)
    assert np.array_equal(shifted.jacobian, driving.jacobian)
    assert not np.array_equal(shifted.value, driving.value)


@pytest.mark.parametrize("relative", [True, False])
def test_strength_goes_from_the_sources_pose_to_twice_the_motion(source, driving, relative):
    def at(strength):
        how = {"relative": relative, "adapt_scale": False, "strength": strength}
        return transfer(source, driving, driving[0], **how)

    still, half, full, double = map(at, (0, 0.5, 1, 2))
    assert still.value == pytest.approx(np.repeat(source.value, 6, 0), abs=1e-6)
    assert still.jacobian == pytest.approx(np.repeat(source.jacobian, 6, 0), abs=1e-6)
    assert half.value == pytest.approx((still.value + full.value) / 2, abs=1e-6)
    assert half.jacobian == pytest.approx((still.jacobian + full.jacobian) / 2, abs=1e-5)
    assert double.value == pytest.approx(2 * full.value - still.value, abs=1e-5)
    once = full.jacobian.astype(float) @ np.linalg.inv(still.jacobian)
    assert double.jacobian == pytest.approx(once @ once @ still.jacobian, rel=1e-3, abs=1e-3)


def test_double_strength_keeps_maps_invertible_where_a_straight_line_would_not():
    source = Motion(np.zeros((1, 1, 2)), np.eye(2)[None, None])
    driving = Motion(np.zeros((1, 1, 2)), 0.5 * np.eye(2)[None, None])  # half the size
    moved = transfer(source, driving, source, strength=2)
    assert moved.jacobian[0, 0] == pytest.approx(0.25 * np.eye(2))


def test_a_singular_reference_gives_finite_numbers(source, driving):
    jacobian = driving.jacobian.copy()
    jacobian[0, 1] = 0
    flat = Motion(driving.value, jacobian)
    assert np.isfinite(transfer(source, flat, flat[0]).jacobian).all()


def test_zero_order_motion_has_no_jacobians():
    source, driving = some_motion(1, 4, 1, False), some_motion(3, 4, 2, False)
    moved = transfer(source, driving, driving[0], adapt_scale=False)
    assert moved.jacobian is None
    expected = driving.value - driving.value[:1] + source.value
    assert moved.value == pytest.approx(expected, abs=1e-6)


def test_other_keypoints_and_strengths_are_refused(source, driving):
    with pytest.raises(UserError, match="has 5 keypoints, and these weights have 4"):
        transfer(source, some_motion(2, 5), some_motion(1, 5))
    with pytest.raises(UserError, match="no jacobians, and these weights have them"):
        transfer(source, some_motion(2, jacobians=False), driving[0])
    for strength in (-0.1, 2.1, float("nan")):
        with pytest.raises(UserError, match="strength of motion goes from 0 to 2"):
            transfer(source, driving, driving[0], strength=strength)


# ---------------------------------------------------------------- areas and poses


def test_hull_area_counts_the_hull_not_the_order():
    square = np.array([[0, 0], [2, 2], [2, 0], [1, 1], [0, 2]])
    assert hull_area(square) == pytest.approx(4)
    assert hull_area([[0, 0], [1, 1], [2, 2], [3, 3]]) == 0
    assert hull_area([[0, 0], [1, 1]]) == 0


def test_scale_of_points_on_a_line_is_their_spreads():
    line = np.array([[0, 0], [0.1, 0.1], [0.4, 0.4]])
    assert movement_scale(3 * line, line) == pytest.approx(3)
    assert movement_scale(line[:1], line[1:2]) == 1
    assert movement_scale(np.zeros((4, 2)), np.ones((4, 2))) == 1
    triangle = np.array([[0, 0], [0.3, 0], [0, 0.5]])
    assert movement_scale(2 * triangle + 0.1, triangle) == pytest.approx(2)


def test_the_distance_of_poses_ignores_place_and_size(source, driving):
    value = driving.value.copy()
    value[4] = 0.3 * source.value[0] + 0.2
    assert np.argmin([pose_distance(source.value[0], points) for points in value]) == 4
    assert pose_distance(source.value[0], 5 * source.value[0] - 1) == pytest.approx(0, abs=1e-9)
    assert pose_distance(source.value[0], driving.value[0]) > 0.01


# ---------------------------------------------------------------- smoothing


def test_no_smoothing_hands_the_same_rows_on_at_once():
    rows = list(np.random.default_rng(0).normal(size=(5, 2, 6)).astype(np.float32))
    taken = iter(rows)
    out = smoothed(taken, 0)
    assert next(out) is rows[0] and next(taken) is rows[1]
    assert [id(row) for row in out] == [id(row) for row in rows[2:]]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_smoothing_is_a_gaussian_mean_within_the_clip(count):
    rows = np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)
    result = np.stack(list(smoothed(rows, 2.0)))
    offsets = np.arange(count)[:, None] - np.arange(count)
    weights = np.exp(-0.5 * (offsets / 2.0) ** 2) * (abs(offsets) <= 6)
    expected = weights / weights.sum(axis=1, keepdims=True) @ rows
    assert result.dtype == np.float32
    assert result == pytest.approx(expected, abs=1e-5)


def test_smoothing_waits_no_longer_than_its_window():
    taken = 0

    def rows():
        nonlocal taken
        while True:
            taken += 1
            yield np.array([float(taken)])

    results = smoothed(rows(), 1.5)
    for number in range(50):
        next(results)
        assert taken == number + 1 + 5  # 3 x 1.5, rounded up


def test_smoothing_outside_its_range_is_refused():
    for sigma in (-1, 31, float("nan")):
        with pytest.raises(UserError, match="number of frames from 0 to 30"):
            check_smoothing(sigma)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("jacobians", [True, False])
def test_a_motion_file_comes_back_bit_for_bit(tmp_path, jacobians):
    path = tmp_path / "new" / "nod.safetensors"
    motion = some_motion(7, jacobians=jacobians, fps=Fraction(30000, 1001))
    motion.save(path)
    back = Motion.load(path)
    assert np.array_equal(back.value, motion.value)
    assert (back.jacobian is None) == (not jacobians)
    assert np.array_equal(back.rows, motion.rows)
    assert (back.fps, back.weights) == (Fraction(30000, 1001), "tiny")
    assert path.stat().st_size < 7 * 4 * 6 * 4 + 500  # keypoints, and no picture
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_frames_of_a_motion_are_motions(driving):
    assert np.array_equal(driving[-1].value, driving.value[5:])
    assert np.array_equal(driving[2:4].jacobian, driving.jacobian[2:4])
    assert len(driving[1]) == 1 and driving[1].fps == driving.fps
    with pytest.raises(IndexError):
        driving[6]
    assert np.array_equal(Motion.from_rows(driving.rows).jacobian, driving.jacobian)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_who_may_read_a_saved_motion_is_as_for_any_file(tmp_path):
    path = tmp_path / "motion.safetensors"
    for mask, mode in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            some_motion(2).save(path)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == mode


GOOD = {"format": "fomm-motion", "version": "1", "fps": "25/1", "weights": "w"}
VALUE = {"value": np.zeros((2, 3, 2), np.float32)}


@pytest.mark.parametrize(
    ("tensors", "header", "sentence"),
    [
        (VALUE, {}, "is not a motion file"),
        (VALUE, GOOD | {"version": "2"}, "motion format 2, and this program reads 1"),
        (VALUE, GOOD | {"fps": "1e999999999"}, "up to 120 frames per second, not 0"),
        (VALUE, GOOD | {"fps": "25/0"}, "up to 120 frames per second, not 0"),
        (VALUE, GOOD | {"fps": "100000/1"}, "up to 120 frames per second, not 100000"),
        (VALUE | {"face": np.zeros(9, np.uint8)}, GOOD, "holds other things than keypoints"),
        ({"value": np.zeros((2, 3, 2), np.int32)}, GOOD, "its value is not of this format"),
        ({"value": np.zeros((2, 6), np.float32)}, GOOD, r"are \(frames, K, 2\) numbers"),
        ({"value": np.zeros((0, 3, 2), np.float32)}, GOOD, r"are \(frames, K, 2\) numbers"),
        (VALUE | {"jacobian": np.zeros((2, 3, 4), np.float32)}, GOOD, "Jacobians of keypoints"),
        ({"value": np.full((2, 3, 2), np.nan, np.float32)}, GOOD, "hold inf or nan"),
    ],
)
def test_other_files_are_refused(tmp_path, tensors, header, sentence):
    path = tmp_path / "motion.safetensors"
    save_file(tensors, path, header)
    with pytest.raises(UserError, match=sentence) as raised:
        Motion.load(path)
    assert str(raised.value).startswith(str(path))


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "motion.safetensors"
    with pytest.raises(UserError, match="does not exist"):
        Motion.load(path)
    header = json.dumps({"value": {"dtype": "F32", "shape": [2**40, 3, 2], "data_offsets": [0, 4]}})
    for data in (b"", b"PK\x03\x04", len(header).to_bytes(8, "little") + header.encode() + b"0000"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged or not a motion file"):
            Motion.load(path)
    some_motion(30).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged or not a motion file"):
        Motion.load(path)
    with pytest.raises(UserError, match="must end in .safetensors"):
        some_motion(1).save(tmp_path / "motion.pkl")


def test_arrays_that_are_no_motion_are_refused():
    with pytest.raises(UserError, match="are .* numbers"):
        Motion(np.zeros((2, 3)))
    with pytest.raises(UserError, match="up to 120 frames per second"):
        Motion(np.zeros((1, 2, 2)), fps=0)
    with pytest.raises(UserError, match="inf or nan"):
        Motion(np.zeros((1, 2, 2)), np.full((1, 2, 2, 2), np.inf))
