"""Sliders for head and face: the arithmetic, the fit, the files, and the commands."""

import numpy as np
import pytest
import safetensors
import torch
from tiny import save_fomm
from tiny_fomm import networks

from gan_models import images
from gan_models.errors import UserError
from gan_models.fomm.__main__ import main
from gan_models.fomm.motion import Motion
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.retargeting import Directions, described
from gan_models.names import SHIPPED
from gan_models.weights import FILE, read_config
from trainers.fomm import retargeting
from trainers.puppets import ACTION_UNITS, random_parameters

ENDS = {"yaw": (-30, 30), "pitch": (-15, 15), "mouth": (0, 1)}
ABOUT = {"weights": "none", "settings": {}}


def planted(ends=ENDS, keypoints=4, seed=0):
    """Directions made up, none of them 0."""
    directions, random = Directions(ends, keypoints), torch.Generator().manual_seed(seed)
    for buffer in directions.buffers():
        buffer.normal_(std=0.08, generator=random)
    return directions


def portraits(count, keypoints=4, seed=1):
    random = np.random.default_rng(seed)
    jacobian = np.eye(2) + random.normal(0, 0.2, (count, keypoints, 2, 2))
    return Motion(random.uniform(-0.7, 0.7, (count, keypoints, 2)), jacobian)


# ---------------------------------------------------------------- the arithmetic


def test_nothing_changes_bit_for_bit_where_all_values_are_0():
    source, directions = portraits(1), planted()
    for values in ({}, dict.fromkeys(ENDS, 0.0), {"yaw": 0}):
        posed = directions.pose(source, values)
        assert np.array_equal(posed.value, source.value)
        assert np.array_equal(posed.jacobian, source.jacobian)


def test_a_pose_is_the_formula():
    source, directions = portraits(1), planted()
    own = directions.own(source)
    row = described(source)
    assert np.allclose(own, row @ directions.reading.numpy()) and 0 < np.abs(own).max() < 1
    steps = directions.steps({"yaw": -15, "mouth": 0.25}, own)
    above_and_below = [0, 0.5, 0, 0, 0.25, 0]  # yaw, pitch, mouth
    turns = [0.25, 0, 0]  # yaw yaw, yaw pitch, pitch pitch
    assert np.allclose(steps, [*above_and_below, *turns, *-0.5 * own, 0, 0, 0, *0.25 * own])
    posed = directions.pose(source, {"yaw": -15, "mouth": 0.25})
    shift = np.einsum("f,fkx->kx", steps, directions.value)
    change = np.eye(2) + np.einsum("f,fkxy->kxy", steps, directions.jacobian)
    moved = posed.value[0] - source.value[0]
    assert np.allclose(moved / shift, (moved / shift)[0, 0], rtol=1e-3)  # the portrait's size
    assert np.allclose(posed.jacobian[0], change @ source.jacobian[0], atol=1e-6)
    larger = Motion(2 * source.value, source.jacobian)
    twice = directions.pose(larger, {"yaw": -15, "mouth": 0.25}).value - larger.value
    assert np.allclose(twice[0], 2 * moved, atol=1e-5)


def test_a_portrait_beyond_what_was_seen_is_read_as_its_end():
    directions, source = planted(), portraits(1)
    odd = Motion(source.value, 100 * source.jacobian)
    assert set(np.abs(directions.own(odd))) == {1.0}


def test_a_picture_in_which_all_points_coincide_is_left_alone():
    source = Motion(np.zeros((1, 4, 2)), np.tile(np.eye(2), (1, 4, 1, 1)))
    assert np.array_equal(planted().pose(source, {"yaw": 9}).value, source.value)


def test_weights_without_jacobians_are_posed_as_well():
    directions, source = Directions({"yaw": (-1, 1)}, 4, jacobians=False), portraits(1)
    assert [name for name, _ in directions.named_buffers()] == ["reading", "value"]
    assert directions.pose(Motion(source.value), {"yaw": 1}).jacobian is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"smile": 1}, "no control called smile, only yaw, pitch, mouth"),
        ({"yaw": 31}, "yaw goes from -30 to 30 degrees, not to 31"),
        ({"mouth": -0.1}, "mouth goes from 0 to 1, not to -0.1"),
        ({"mouth": float("nan")}, "not to nan"),
        ({"mouth": None}, "not to None"),
        ({"mouth": "1"}, "not to '1'"),
        ({"mouth": [1]}, "not to"),
    ],
)
def test_a_bad_value_is_a_sentence(values, told):
    with pytest.raises(UserError, match=".") as error:
        planted().check(values)
    assert told in str(error.value)


# ---------------------------------------------------------------- the fit


def test_the_fit_finds_the_directions_that_were_planted(monkeypatch):
    monkeypatch.setattr(retargeting, "RIDGE", 1e-6)
    truth, before = planted(), portraits(600)
    random = np.random.default_rng(3)
    ends = np.array([high for _, high in ENDS.values()])
    pairs, after = [], []
    for frame in retargeting.frames_of(before):
        changes = {name: random.uniform(low, high) for name, (low, high) in ENDS.items()}
        own = dict(zip(ENDS, truth.own(frame) * ends, strict=True))
        pairs.append(retargeting.Pair(None, None, own, changes))
        after.append(truth.pose(frame, changes).rows)
    found = Directions(ENDS, 4)
    retargeting.fit(found, pairs, before, Motion.from_rows(np.concatenate(after)))
    for frame in retargeting.frames_of(before)[:9]:
        assert np.allclose(found.own(frame), truth.own(frame), atol=1e-3)
    used = [place for place in range(len(truth.value)) if place != 5]  # mouth is never below 0
    for name in ("value", "jacobian"):
        got, planted_there = getattr(found, name), getattr(truth, name)
        assert torch.allclose(got[used], planted_there[used], atol=2e-3) and not got[5].any()


def test_pairs_of_puppets_differ_by_what_they_say():
    indices = {unit: place for place, unit in enumerate(ACTION_UNITS)}
    pairs = [retargeting.pair(seed) for seed in range(40)]
    for one in pairs:
        before, after, changes = one.before, one.after, one.changes
        assert before.identity == after.identity
        assert list(changes) == list(one.own) == list(retargeting.CONTROLS)
        assert np.isclose(after.pose.yaw - before.pose.yaw, np.radians(changes["yaw"]))
        assert np.isclose(before.pose.yaw, np.radians(one.own["yaw"]))
        assert np.isclose(after.pose.gaze_x - before.pose.gaze_x, changes["gaze_x"])
        assert before.pose.gaze_x == one.own["gaze_x"]
        at = [[p.action_units[indices[unit]] for unit in (45, 5)] for p in (before, after)]
        closed, wide = np.transpose(at)
        assert np.allclose(wide - closed, [one.own["eyes"], one.own["eyes"] + changes["eyes"]])
        assert not (closed * wide).any()  # eyes are not both
    changed = np.mean([change != 0 for one in pairs for change in one.changes.values()])
    assert 0.25 < changed < 0.45
    closed = retargeting.with_control(random_parameters(0), "eyes", -0.5)
    assert closed.action_units[indices[45]] == 0.5


# ---------------------------------------------------------------- files and commands


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """(a weights folder before, the same after the command)."""
    root = tmp_path_factory.mktemp("weights")
    before, after = (save_fomm(root / name, data="puppets:9") for name in ("before", "tiny"))
    retargeting.main([str(after), "--count", "40", "--scored", "0", "--device", "cpu"])
    return before, after


def numbers(folder):
    """Type and bytes of each tensor of the networks."""
    with safetensors.safe_open(folder / FILE, "np") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    return {
        key: (tensor.dtype, tensor.tobytes())
        for key, tensor in tensors.items()
        if not key.startswith("retargeting.")
    }


def test_sliders_are_added_and_nothing_else_changes(fitted):
    before, after = fitted
    assert numbers(before) == numbers(after)
    for folder in fitted:
        config = read_config(folder)
        config["networks"].pop("retargeting", None)
        assert config | {"name": ""} == read_config(before) | {"name": ""}
    assert (before / "README.md").read_bytes() == (after / "README.md").read_bytes()
    assert FOMMPipeline.from_weights(before, "cpu").controls == {}
    again = FOMMPipeline.from_weights(after, "cpu")
    assert again.controls == retargeting.CONTROLS
    assert again.directions.value.abs().max() > 0
    size = (after / FILE).stat().st_size
    retargeting.write(after, again.directions)  # in place of the earlier ones
    assert (after / FILE).stat().st_size == size


def test_float16_stays_float16(tmp_path):
    folder = save_fomm(tmp_path / "half", half=True)
    before = numbers(folder)
    retargeting.write(folder, Directions(ENDS, 4))
    assert numbers(folder) == before
    assert {str(dtype) for dtype, _ in before.values()} == {"float16", "int64"}


def test_the_shipped_weights_have_every_slider():
    config = read_config(SHIPPED / "fomm-puppets", "fomm")
    stored = config["networks"]["retargeting"]["controls"]
    assert {name: tuple(ends) for name, ends in stored.items()} == retargeting.CONTROLS


def test_a_pose_moves_the_portrait(fitted):
    pipeline = FOMMPipeline.from_weights(fitted[1], "cpu")
    crop = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    source = pipeline.encode(crop)
    still, moved = (pipeline.pose(source, values) for values in ({}, {"yaw": 20}))
    assert np.array_equal(still.rows, source.motion.rows)
    assert not np.array_equal(moved.rows, source.motion.rows)
    expected = pipeline.render(source, source.motion, relative=False)
    assert np.array_equal(pipeline.render(source, still, relative=False), expected)
    with pytest.raises(UserError, match="yaw goes from"):
        pipeline.pose(source, {"yaw": 90})


def test_weights_without_sliders_say_how_to_get_them():
    pipeline = FOMMPipeline(*networks(), {"name": "tiny", "size": 32}, device="cpu")
    source = pipeline.encode(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UserError, match="python -m trainers.fomm.retargeting"):
        pipeline.pose(source, {})


def test_the_score_is_a_table_of_every_step(fitted, capsys):
    retargeting.main([str(fitted[1]), "--no-fitting", "--scored", "1", "--device", "cpu"])
    head, line, *rows = capsys.readouterr().out.splitlines()
    assert head == "| control | value | unchanged | ours | true keypoints | skill | followed |"
    steps = [row.split(" | ")[:2] for row in rows]
    assert steps[:2] == [["| yaw", "-45"], ["| yaw", "-30"]] and ["| mouth", "1"] in steps
    assert len(rows) == 3 * 6 + 5 * 4 + 2
    unchanged = [float(row.split(" | ")[2]) for row in rows]
    assert min(unchanged) > 0.01  # each step changes the drawn truth


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--count", "3"], "--count is from 32"),
        (["--no-fitting"], "has no sliders"),
    ],
)
def test_a_fit_that_cannot_be_is_a_sentence(fitted, options, told):
    with pytest.raises(SystemExit, match=told):
        retargeting.main([str(fitted[0]), *options, "--device", "cpu"])


def test_photographs_have_no_drawn_truth(tmp_path):
    folder = save_fomm(tmp_path / "filmed", data="VoxCeleb")
    with pytest.raises(SystemExit, match="was trained on VoxCeleb: sliders"):
        retargeting.main([str(folder)])


def test_the_command_poses_a_picture(fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    images.save_picture(tmp_path / "portrait.png", picture, **ABOUT)
    where = ["--weights", str(fitted[1]), "--device", "cpu"]
    for out, more in (("a.png", []), ("b.png", ["--yaw", "20", "--mouth", "1"])):
        main(["pose", "portrait.png", "--out", out, *more, *where])
    still, moved = (images.read_picture(tmp_path / name) for name in ("a.png", "b.png"))
    assert still.shape == moved.shape and not np.array_equal(still, moved)
    about = images.read_settings(tmp_path / "b.png")
    assert (about["settings"]["yaw"], about["settings"]["mouth"]) == (20, 1)
    assert "b.png: " in capsys.readouterr().out
    main(["pose", "portrait.png", "--out", "c.png", "--yaw", "20", "--paste-back", *where])
    assert images.read_picture(tmp_path / "c.png").shape == picture.shape
    for wrong, told in (
        (["--yaw", "99"], "yaw goes from -30 to 30"),
        (["--out", "r.mp4"], "must end in one of"),
        (["--out", "portrait.png"], "would replace"),
    ):
        with pytest.raises(SystemExit, match=told):
            main(["pose", "portrait.png", *wrong, *where])
