"""FOMM's pipeline: streaming, references, crops, the source cache, and what it refuses."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import save_progan
from tiny_fomm import SIZE, clip, networks, picture, save_fomm

from gan_models import faces, images, video
from gan_models.errors import Unreadable, UserError
from gan_models.fomm.motion import Motion, smoothed, transfer
from gan_models.fomm.networks import Keypoints
from gan_models.fomm.pipeline import FOMMPipeline

CONFIG = {"name": "tiny", "size": SIZE}


@pytest.fixture(scope="module")
def nets():
    return networks()


@pytest.fixture(scope="module")
def pipeline(nets):
    return FOMMPipeline(*nets, CONFIG, device="cpu")


@pytest.fixture(scope="module")
def frames():
    return np.stack(list(clip(9)))


def animated(pipeline, *arguments, **options):
    return np.stack(list(pipeline.animate(*arguments, **options)))


def differ(one, other):
    """The largest difference of two arrays of pictures."""
    return np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()


# ---------------------------------------------------------------- the formulas


def by_hand(nets, source, frames, relative, initial=0):
    """What the networks give frame by frame, with the official formulas and no scale."""
    detector, generator = nets
    with torch.no_grad():
        source = images.to_tensor(source, (0, 1))
        driving = detector(images.to_tensor(frames, (0, 1)))
        own = detector(source)
        results = []
        for value, jacobian in zip(*driving, strict=True):
            if relative:
                value = value - driving.value[initial] + own.value[0]
                turn = jacobian @ torch.linalg.inv(driving.jacobian[initial])
                jacobian = turn @ own.jacobian[0]
            moved = Keypoints(value[None], jacobian[None])
            results.append(generator(source, moved, own).prediction)
    return images.to_pictures(torch.cat(results), (0, 1))


@pytest.mark.parametrize("relative", [True, False])
def test_frames_are_the_networks_pictures(nets, pipeline, frames, relative):
    expected = by_hand(nets, picture(), frames, relative)
    result = animated(pipeline, picture(), frames, relative=relative, adapt_scale=False)
    assert result.shape == (9, SIZE, SIZE, 3) and result.dtype == np.uint8
    assert differ(result, expected) <= 1
    assert expected.std(axis=0).mean() > 1  # and they do move


def test_the_networks_may_be_zero_order_or_share_a_jacobian(frames):
    for changes in (
        {"detector": {"estimate_jacobian": False}, "generator": {"estimate_occlusion_map": False}},
        {"detector": {"single_jacobian_map": True}, "generator": {"blend": False}},
    ):
        nets = networks(**changes)
        pipeline = FOMMPipeline(*nets, CONFIG, device="cpu")
        moved = animated(pipeline, picture(), frames[:3], adapt_scale=False)
        if pipeline.has_jacobians:
            assert differ(moved, by_hand(nets, picture(), frames[:3], True)) <= 1
        else:
            assert pipeline.detect(frames[:3]).jacobian is None and len(moved) == 3
        assert set(pipeline.explain(picture(), frames[0])) >= {"occlusion", "deformation"}


def test_strength_0_leaves_the_source_in_its_pose(pipeline, frames):
    still = animated(pipeline, picture(), frames, strength=0)
    assert differ(still, still[:1]) <= 1
    itself = animated(pipeline, picture(), picture())  # one picture drives by its own pose
    assert differ(still[0], itself[0]) <= 1
    moving = animated(pipeline, picture(), frames, strength=2)
    assert differ(moving, still) > 5
    absolute = animated(pipeline, picture(), frames, strength=0, relative=False)
    assert differ(absolute, still) <= 1


def test_adapting_the_scale_changes_the_motion(pipeline, frames):
    results = [animated(pipeline, picture(), frames, adapt_scale=adapt) for adapt in (True, False)]
    assert differ(results[0][0], results[1][0]) <= 1
    assert differ(*results) > 0


# ---------------------------------------------------------------- references


@pytest.mark.parametrize("index", [0, 4, 8])
def test_a_chosen_reference_is_the_reference_of_all_frames(nets, pipeline, frames, index):
    result = animated(pipeline, picture(), frames, reference=index, adapt_scale=False)
    assert differ(result, by_hand(nets, picture(), frames, True, index)) <= 1


def test_the_best_reference_is_found(pipeline, frames):
    source = frames[5]
    best = animated(pipeline, source, iter(frames), reference="best")
    assert differ(best, animated(pipeline, source, frames, reference=5)) == 0
    assert differ(best, animated(pipeline, source, frames)) > 1


def test_face_weights_find_the_best_reference_by_landmarks(nets, frames, monkeypatch):
    pipeline = FOMMPipeline(*nets, CONFIG | {"framing": {"kind": "face"}}, device="cpu")
    shapes = np.random.default_rng(0).uniform(0, SIZE, (10, 68, 2))
    shapes[6] = shapes[-1] * 0.5 + 3

    def landmarks(crop):
        known = [*frames, picture()]
        number = next(i for i, one in enumerate(known) if np.array_equal(one, crop))
        return None if number == 2 else shapes[number]

    monkeypatch.setattr(faces, "find_landmarks", landmarks)
    boxes = {"box": (0, 0, SIZE, SIZE), "driving_box": (0, 0, SIZE, SIZE)}
    best = animated(pipeline, picture(), frames, reference="best", **boxes)
    assert differ(best, animated(pipeline, picture(), frames, reference=6, **boxes)) == 0


def test_a_reference_beyond_the_end_is_a_sentence(pipeline, frames):
    result = pipeline.animate(picture(), iter(frames), reference=9)
    with pytest.raises(ValueError, match="reference frame is 9, and the driving has 9 frames"):
        next(result)
    motion = pipeline.motion(frames)
    with pytest.raises(ValueError, match="choose one from 0 to 8"):
        pipeline.animate(picture(), motion, reference=20)


# ---------------------------------------------------------------- streams


def test_batches_do_not_change_the_frames(pipeline, frames):
    for options in ({}, {"smoothing": 1.0, "reference": 3}):
        together = animated(pipeline, picture(), frames, batch_size=9, **options)
        for batch_size in (1, 2, 4):
            apart = animated(pipeline, picture(), frames, batch_size=batch_size, **options)
            assert differ(apart, together) <= 1


def endless(taken):
    for frame in itertools.cycle(clip(5)):
        taken.append(1)
        yield frame


def test_no_more_than_a_batch_is_read_ahead(pipeline):
    taken = []
    frames = pipeline.animate(picture(), endless(taken), batch_size=3)
    assert taken == []
    for number in range(1, 40):
        next(frames)
        assert number <= len(taken) <= number + 3
    frames.close()
    taken.clear()
    for number, _ in enumerate(pipeline.animate(picture(), endless(taken), smoothing=2.0), 1):
        assert len(taken) <= number + 6 + 2 * pipeline.batch_size
        if number == 40:
            break


def test_networks_run_only_while_a_frame_is_asked_for(pipeline, frames, monkeypatch):
    calls = []
    detector = pipeline.detector

    def counted(batch):
        calls.append(len(batch))
        return detector(batch)

    monkeypatch.setattr(pipeline, "detector", counted)
    pipeline.encoded.cache_clear()
    result = pipeline.animate(picture(), frames, batch_size=4)
    assert calls == []
    next(result)
    assert calls == [1, 4]  # the source, and a batch
    list(itertools.islice(result, 3))
    assert calls == [1, 4]
    assert len(list(result)) == 5
    assert calls == [1, 4, 4, 1]


def test_smoothing_smooths_the_keypoints(pipeline, frames):
    motion = pipeline.motion(frames)
    smooth = Motion.from_rows(list(smoothed(motion.rows, 1.5)))
    result = animated(pipeline, picture(), frames, smoothing=1.5)
    assert differ(result, animated(pipeline, picture(), smooth)) == 0
    assert differ(result, animated(pipeline, picture(), frames)) > 0


@pytest.fixture
def reader(frames, tmp_path, monkeypatch):
    """(A clip of those frames, a list that grows when its reading ends)."""
    ended = []
    video.write_clip(tmp_path / "a.mp4", frames, 25, weights="none", settings={})
    reading = video.Clip.frames

    def noted(clip):
        try:
            yield from reading(clip)
        finally:
            ended.append(clip.crop)

    monkeypatch.setattr(video.Clip, "frames", noted)
    return video.open_clip(tmp_path / "a.mp4"), ended


def test_closing_ends_the_reading_of_the_clip(pipeline, reader):
    clip, ended = reader
    result = pipeline.animate(picture(), clip, batch_size=2)
    next(result)
    assert ended == []
    result.close()
    whole = faces.Box(0, 0, SIZE, SIZE)
    assert ended == [whole]  # read once, cropped
    assert len(list(pipeline.animate(picture(), clip))) == 9
    assert ended == [whole, whole]


# ---------------------------------------------------------------- what drives


def test_a_motion_file_replays_what_the_clip_did(pipeline, frames, tmp_path):
    pipeline.motion(frames).save(tmp_path / "motion.safetensors")
    for options in ({}, {"relative": False}, {"reference": "best", "strength": 1.5}):
        direct = animated(pipeline, picture(3), frames, **options)
        replay = animated(pipeline, picture(3), tmp_path / "motion.safetensors", **options)
        assert differ(direct, replay) == 0


def test_files_drive_too(pipeline, frames, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_clip(path, frames, 20, weights="none", settings={})
    opened = video.open_clip(path)
    result = animated(pipeline, picture(), path)
    assert len(result) == 9
    assert differ(result, animated(pipeline, picture(), opened)) == 0
    motion = pipeline.motion(opened)
    assert (motion.fps, motion.weights, len(motion)) == (20, "tiny", 9)


def test_one_picture_drives_by_its_own_pose(nets, pipeline, frames, tmp_path):
    expected = by_hand(nets, picture(), frames[3:4], relative=False)
    (result,) = pipeline.animate(picture(), frames[3])
    assert differ(result, expected[0]) <= 1
    images.save_picture(tmp_path / "pose.png", frames[3], weights="none", settings={})
    assert differ(list(pipeline.animate(picture(), tmp_path / "pose.png")), expected) <= 1
    assert differ(list(pipeline.animate(picture(), pipeline.motion(frames[3]))), expected) <= 1


def test_reconstruction_draws_each_frame_from_the_first(nets, pipeline, frames):
    result = np.stack(list(pipeline.reconstruct(iter(frames))))
    assert differ(result, by_hand(nets, frames[0], frames, relative=False)) <= 1


def test_single_steps_are_the_animation(pipeline, frames):
    source = pipeline.encode(picture())
    neutral = pipeline.detect(frames[0])
    live = [pipeline.render(source, pipeline.detect(frame), neutral)[0] for frame in frames]
    assert differ(live, animated(pipeline, picture(), frames)) <= 1
    whole = pipeline.render(source, pipeline.detect(frames))
    assert differ(live, whole) <= 1


# ---------------------------------------------------------------- full size


@pytest.mark.parametrize(
    ("side", "asked", "expected"),
    [(100, None, 100), (20, None, SIZE), (5000, None, 1024), (20, 96, 96), (20, 8, SIZE),
     (20, 2000, 1024), (99.6, None, 100)],
)  # fmt: skip
def test_frames_have_the_crops_own_size_or_the_one_asked_for(pipeline, side, asked, expected):
    assert pipeline.any_size and pipeline.frame_size(side, asked) == expected


def test_weights_that_keep_no_pixels_have_one_size(frames):
    pipeline = FOMMPipeline(*networks(generator={"blend": False}), CONFIG, device="cpu")
    assert not pipeline.any_size
    large = images.resize(picture(), 3 * SIZE)
    assert animated(pipeline, large, frames, size=90).shape == (9, SIZE, SIZE, 3)
    assert pipeline.encode(large, 90).large is None


@pytest.mark.parametrize("align_corners", [True, False])
def test_full_size_moves_the_large_pixels_and_enlarges_what_is_painted(frames, align_corners):
    """Against the same in floating point, by torch."""
    pipeline = FOMMPipeline(
        *networks(generator={"align_corners": align_corners}), CONFIG, device="cpu"
    )
    large, big = picture(3, 96, 96), 96
    source = pipeline.encode(large)
    found = pipeline.detect(frames)
    driving = Keypoints(torch.from_numpy(found.value), torch.from_numpy(found.jacobian))
    maps = pipeline.generator.maps(source.encoded, driving, source.keypoints)

    def enlarged(x, mode):
        return torch.nn.functional.interpolate(x, size=(big, big), mode=mode)

    places = enlarged(maps.deformation, "bilinear").permute(0, 2, 3, 1)
    places = places * ((SIZE - 1) / SIZE if align_corners else 1)
    whole = images.to_tensor(large, (0, 1)).expand(len(places), -1, -1, -1)
    moved = torch.nn.functional.grid_sample(
        whole, places, padding_mode="border", align_corners=False
    )
    share = (2 * enlarged(maps.share, "bicubic")).sigmoid()
    expected = torch.lerp(moved, enlarged(maps.colour, "bilinear"), share)
    ours = pipeline.render(source, found, relative=False)
    assert 0.1 < share.mean() < 0.9
    assert differ(ours, images.to_pictures(expected, (0, 1))) <= 3  # places in 1/32 of a pixel


def test_a_motionless_source_stays_as_sharp_as_it_was(nets, frames):
    detector, generator = copy.deepcopy(nets)
    with torch.no_grad():
        generator.dense_motion.mask.bias[0] += 1000  # everything is background
        generator.final.bias[3] -= 1000  # nothing is painted
    pipeline = FOMMPipeline(detector, generator, CONFIG, device="cpu")
    large = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    (result,) = animated(pipeline, large, frames[:1])
    middle = slice(120, 136)  # towards the border the networks' own grids shift it by pixels
    assert np.corrcoef(result[middle, middle].ravel(), large[middle, middle].ravel())[0, 1] > 0.9


def test_sizes_share_what_is_remembered_and_single_steps_are_the_animation(pipeline, frames):
    large = picture(3, 80, 80)
    source, small = pipeline.encode(large), pipeline.encode(large, SIZE)
    assert source.encoded is small.encoded and source.large.shape == (80, 80, 3)
    assert small.large is None
    live = pipeline.render(source, pipeline.detect(frames))
    assert live.shape == (9, 80, 80, 3)
    assert differ(live, animated(pipeline, large, frames)) <= 1
    assert animated(pipeline, large, frames, size=48).shape == (9, 48, 48, 3)


def test_large_frames_are_made_one_by_one(pipeline, frames, monkeypatch):
    from gan_models.fomm import full_size

    made = []
    monkeypatch.setattr(full_size, "blended", lambda *given: made.append(1) or given[0])
    result = pipeline.animate(picture(3, 80, 80), frames, batch_size=9)
    next(result)
    assert len(made) == 1
    result.close()


# ---------------------------------------------------------------- crops


def test_sources_and_drivings_of_any_shape_are_cropped_square(pipeline, frames):
    wide = np.pad(picture(), ((0, 0), (10, 10), (0, 0)))
    tall = np.pad(frames, ((0, 0), (7, 7), (0, 0), (0, 0)))
    expected = animated(pipeline, picture(), frames)
    assert differ(animated(pipeline, wide, tall), expected) <= 1
    assert pipeline.frame(wide).box == faces.Box(10, 0, 10 + SIZE, SIZE)
    boxed = animated(pipeline, np.pad(picture(), ((0, 9), (0, 9), (0, 0))),
                     np.pad(frames, ((0, 0), (5, 0), (6, 0), (0, 0))),
                     box=(0, 0, SIZE, SIZE), driving_box=(6, 5, 6 + SIZE, 5 + SIZE))  # fmt: skip
    assert differ(boxed, expected) <= 1


def test_the_result_is_pasted_back_into_the_full_picture(pipeline, frames):
    full = picture(5, 90, 120)
    box = faces.Box(40, 20, 40 + SIZE, 20 + SIZE)
    result = animated(pipeline, full, frames, box=box, paste_back=True)
    assert result.shape == (9, 90, 120, 3)
    outside = np.ones((90, 120), bool)
    outside[20 : 20 + SIZE, 40 : 40 + SIZE] = False
    assert (result[:, outside] == full[outside]).all()
    plain = animated(pipeline, full, frames, box=box)
    larger = animated(pipeline, full, frames, box=(20, 10, 90, 80), paste_back=True, size=SIZE)
    at_full_size = animated(pipeline, full, frames, box=(20, 10, 90, 80))
    assert differ(larger[:, 40:50, 50:60], at_full_size[:, 30:40, 30:40]) <= 1  # never enlarged
    middle = (slice(20 + 14, 20 + 18), slice(40 + 14, 40 + 18))
    assert differ(result[:, middle[0], middle[1]], plain[:, 14:18, 14:18]) <= 3
    assert differ(result[:, middle[0], middle[1]], full[middle]) > 3


def test_face_weights_look_on_until_a_frame_has_a_face(nets, reader, monkeypatch):
    pipeline = FOMMPipeline(*nets, CONFIG | {"framing": {"kind": "face"}}, device="cpu")
    looked = []
    face = faces.Box(4, 4, 28, 28)

    def frame(image, kind, *, click=None, margin=0.0):
        looked.append(kind)
        found = [face] if len(looked) == 2 else []
        return faces.Framing(face if found else faces.Box(0, 0, 32, 32), found, "no face")

    clip, ended = reader
    monkeypatch.setattr(faces, "frame", frame)
    assert pipeline.frame_driving(clip).box == face
    assert looked == ["face", "face"]
    looked.extend(["more"] * 5)
    never = pipeline.frame_driving(clip)
    assert never.box == faces.Box(0, 0, 32, 32) and never.notice == "no face"
    assert len(animated(pipeline, picture(), clip)) == 9


def test_a_finished_crop_is_never_searched_for_a_face(nets, frames, monkeypatch):
    pipeline = FOMMPipeline(*nets, CONFIG | {"framing": {"kind": "face"}}, device="cpu")
    monkeypatch.setattr(faces, "frame", None)
    whole = (0, 0, SIZE, SIZE)
    source = pipeline.encode(picture())
    pipeline.render(source, pipeline.detect(frames[0], whole))
    assert pipeline.encode(images.resize(picture(), 2 * SIZE)).crop.shape == (SIZE, SIZE, 3)
    list(pipeline.animate(picture(), iter(frames), box=whole, driving_box=whole))
    pipeline.explain(picture(), frames[1], box=whole, driving_box=whole)
    with pytest.raises(UserError, match="20 x 32 pixels is no square"):
        pipeline.encode(picture()[:, :20])


# ---------------------------------------------------------------- cache and threads


def test_a_remembered_source_gives_the_same_frames(nets, frames):
    pipeline = FOMMPipeline(*nets, CONFIG, device="cpu")
    first = animated(pipeline, picture(), frames)
    encoded = pipeline.encode(picture()).encoded
    assert pipeline.encode(picture().copy()).encoded is encoded
    assert differ(animated(pipeline, picture(), frames), first) == 0
    other = picture()
    other[0, 0, 0] ^= 1
    assert pipeline.encode(other).encoded is not encoded
    for seed in range(20):
        pipeline.encode(picture(seed))
    assert pipeline.encoded.cache_info().currsize == 8
    assert differ(animated(pipeline, picture(), frames), first) == 0


def test_threads_may_share_a_pipeline(nets, frames):
    pipeline = FOMMPipeline(*nets, CONFIG, device="cpu")
    jobs = list(itertools.product(range(3), (0.5, 1.5)))

    def draw(job):
        return animated(pipeline, picture(job[0]), frames, strength=job[1], batch_size=2)

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(draw, jobs))
    for job, result in zip(jobs, together, strict=True):
        assert differ(draw(job), result) == 0


def test_the_given_networks_stay_as_they_are(frames):
    nets = networks()
    before = [copy.deepcopy(network.state_dict()) for network in nets]
    pipeline = FOMMPipeline(*nets, CONFIG, device="cpu", precision="bfloat16")
    result = animated(pipeline, picture(), frames)
    for network, state in zip(nets, before, strict=True):
        for name, tensor in network.state_dict().items():
            assert tensor.dtype == state[name].dtype and torch.equal(tensor, state[name])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(1.0)
    assert differ(animated(pipeline, picture(), frames), result) == 0


# ---------------------------------------------------------------- explaining


def test_the_explaining_pictures(pipeline, frames):
    shown = pipeline.explain(picture(), frames[4], reference=frames[0], adapt_scale=False)
    assert set(shown) == {
        "keypoints", "driving_keypoints", "deformation", "occlusion", "deformed", "prediction",
    }  # fmt: skip
    for image in shown.values():
        assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    moved = animated(pipeline, picture(), frames, adapt_scale=False)[4]
    assert differ(images.resize(shown["prediction"], SIZE), images.resize(moved, SIZE)) <= 12
    x, y = (pipeline.detect(frames[4]).value[0, 0] + 1) / 2 * 255
    red, green, blue = shown["driving_keypoints"][round(float(y)), round(float(x))]
    assert red > 200 and green < 60 and blue < 60
    assert pipeline.explain(picture(), frames[4], size=64)["occlusion"].shape == (64, 64, 3)


def test_the_grid_is_straight_where_nothing_moves(pipeline):
    from gan_models.fomm.explain import GRID, INK, draw_grid
    from gan_models.fomm.networks import coordinate_grid

    still = coordinate_grid(16, 16, torch.zeros(1))[None]
    drawn = draw_grid(np.full((241, 241, 3), 255, np.uint8), still).astype(int)
    lines = np.flatnonzero((drawn[125] < 200).all(axis=1) | (drawn[125, :, 0] < 100))
    assert lines == pytest.approx(np.arange(GRID + 1) * 20, abs=1)
    assert np.abs(drawn[120, 120] - INK).max() < 60


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strength": 2.5}, "strength of motion goes from 0 to 2"),
        ({"strength": float("nan")}, "strength of motion goes from 0 to 2"),
        ({"smoothing": -1}, "smoothing is a number of frames from 0 to 30"),
        ({"smoothing": float("nan")}, "smoothing is a number of frames from 0 to 30"),
        ({"reference": -1}, "its number from 0, not -1"),
        ({"reference": "last"}, "its number from 0, not 'last'"),
        ({"reference": True}, "its number from 0, not True"),
        ({"batch_size": 0}, "whole number of frames from 1, not 0"),
        ({"box": (1, 2, 3)}, "four numbers"),
        ({"driving_box": (5, 5, 5, 9)}, "from left to right"),
        ({"driving_box": (5, 5, 5.2, 5.2)}, "smaller than a pixel"),
        ({"box": (0, 0, float("nan"), 9)}, "four finite numbers"),
        ({"box": (40, 0, 50, 9)}, "beside the 32 x 32 picture"),
    ],
)
def test_bad_options_are_refused_at_once(pipeline, frames, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        pipeline.animate(picture(), frames, **options)


def test_bad_pictures_frames_and_motions_are_refused(pipeline, frames, tmp_path):
    with pytest.raises(Unreadable, match="does not exist"):
        pipeline.animate(tmp_path / "none.png", frames)
    with pytest.raises(Unreadable, match="float32 is no picture"):
        pipeline.animate(picture().astype(np.float32), frames)
    with pytest.raises(Unreadable, match="does not exist"):
        pipeline.animate(picture(), tmp_path / "none.mp4")
    with pytest.raises(UserError, match="has 5 keypoints, and these weights have 3"):
        pipeline.animate(picture(), Motion(np.zeros((1, 5, 2)), np.zeros((1, 5, 2, 2))))
    with pytest.raises(UserError, match="no jacobians"):
        pipeline.render(pipeline.encode(picture()), Motion(np.zeros((1, 3, 2))))
    with pytest.raises(ValueError, match="has no frames"):
        next(pipeline.animate(picture(), iter([])))
    with pytest.raises(ValueError, match="Frame 1 of the driving is 32 x 31 pixels, the first"):
        list(pipeline.animate(picture(), [frames[0], frames[1][:31]]))
    with pytest.raises(ValueError, match="Frame 2 of the driving is no picture"):
        list(pipeline.animate(picture(), [frames[0], frames[1], frames[2] / 255.0]))


def test_wrong_weights_are_refused(nets, tmp_path):
    folder = save_fomm(tmp_path / "tiny")
    pipeline = FOMMPipeline.from_weights(folder, device="cpu")
    assert (pipeline.name, pipeline.size, pipeline.num_keypoints) == ("tiny", SIZE, 3)
    with pytest.raises(UserError, match="weights of progan, not of fomm"):
        FOMMPipeline.from_weights(save_progan(tmp_path / "pets"))
    more = networks(detector={"num_keypoints": 4})[0]
    with pytest.raises(ValueError, match="finds 4 keypoints, and its generator wants 3"):
        FOMMPipeline(more, nets[1], CONFIG)
    with pytest.raises(ValueError, match="size 36 is no multiple of 8"):
        FOMMPipeline(*nets, CONFIG | {"size": 36})
    with pytest.raises(ValueError, match="without motion"):
        FOMMPipeline(nets[0], networks(generator={"dense_motion": None,
                     "blend": False, "warped_skips": False})[1], CONFIG)  # fmt: skip
    with pytest.raises(ValueError, match="float16 needs a GPU"):
        FOMMPipeline(*nets, CONFIG, device="cpu", precision="float16")


def test_transfer_within_the_pipeline_is_that_of_motion(pipeline, frames):
    motion = pipeline.motion(frames)
    source = pipeline.encode(picture())
    moved = transfer(source.motion, motion, motion[0], strength=1.3)
    expected = pipeline.render(source, moved, relative=False)
    assert differ(animated(pipeline, picture(), frames, strength=1.3), expected) <= 1
