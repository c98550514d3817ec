"""ProGAN's pipeline: pictures, labels, paths between latents, and what it refuses."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import save_progan

from gan_models import images
from gan_models.errors import UserError
from gan_models.progan import Generator, ProGANPipeline
from gan_models.progan.folded import FoldedGenerator
from gan_models.progan.pipeline import smoothed, spherical

LATENT_SIZE = 8


def network(**options):
    """A tiny generator whose biases are not zero, so that a lost one shows."""
    torch.manual_seed(0)
    options = {"resolution": 32, "latent_size": LATENT_SIZE, "channels": (8, 8, 6, 4), **options}
    generator = Generator(**options)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.2)
    return generator


@pytest.fixture(scope="module")
def generator():
    return network()


@pytest.fixture(scope="module")
def pipeline(generator):
    return ProGANPipeline(generator, {"name": "tiny"}, device="cpu")


@pytest.fixture(scope="module")
def conditional():
    config = {"name": "pets", "classes": ["cat", "dog", "robot"]}
    return ProGANPipeline(network(label_size=3), config, device="cpu")


# ---------------------------------------------------------------- pictures


def test_pictures_are_the_networks_images(generator, pipeline):
    latents = pipeline.latents(1, 3)
    for resolution, alpha in itertools.product((4, 8, 16, 32), (0.0, 0.3, 1.0)):
        with torch.no_grad():
            outputs = generator(torch.from_numpy(latents), None, resolution, alpha)
        pictures = pipeline.sample(latents, resolution=resolution, alpha=alpha)
        assert pictures.shape == (3, resolution, resolution, 3)
        assert pictures.dtype == np.uint8
        difference = pictures.astype(int) - images.to_pictures(outputs)
        assert np.abs(difference).max() <= 1
    assert pictures.std() > 20  # not one flat colour


@pytest.mark.parametrize(
    "options",
    [
        {"first_bias": "position", "normalize_first": False, "scale_bias": True, "rgb_gain": 1.4},
        {"labels_first": False, "label_size": 2},
        {"equalized": False, "normalize_latents": False},
        {"num_channels": 1, "channels": (8, 1, 1, 1)},
        {"resolution": 4, "channels": (3,)},
    ],
)
def test_folding_changes_no_layout(options):
    generator = network(**options)
    folded = FoldedGenerator(generator, generator.resolution)
    latents = torch.randn(3, LATENT_SIZE)
    labels = torch.eye(2)[[0, 1, 1]] if generator.label_size else None
    with torch.no_grad():
        expected = generator(latents, labels, alpha=0.4)
    error = (folded(latents, labels, alpha=0.4) - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()


def test_the_given_network_stays_as_it_is():
    generator = network()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    pipeline = ProGANPipeline(generator, {}, device="cpu", precision="bfloat16")
    pipeline.sample(pipeline.latents(0))
    assert generator.training
    assert all(parameter.requires_grad for parameter in generator.parameters())
    for name, tensor in generator.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name])


def test_training_on_does_not_reach_an_older_pipeline():
    generator = network()
    pipeline = ProGANPipeline(generator, {}, device="cpu")
    latents = pipeline.latents(0, 2)
    before = pipeline.sample(latents)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(1.0)
    assert np.array_equal(pipeline.sample(latents), before)


def test_low_precision_differs_by_less_than_one_of_255(generator, pipeline):
    reduced = ProGANPipeline(generator, {}, device="cpu", precision="bfloat16")
    latents = pipeline.latents(3, 8)
    difference = np.abs(reduced.sample(latents).astype(int) - pipeline.sample(latents))
    assert 0 < difference.mean() < 1  # 0 would mean that the option does nothing


def test_matched_colours_are_those_of_the_last_resolution(pipeline):
    """Lower levels get its mean and spread, channel by channel, and nothing else changes."""
    latents = torch.from_numpy(pipeline.latents(5, 512))

    def drawn(resolution, matched):
        images = pipeline.generator(latents, resolution=resolution, matched=matched)
        return images.double().transpose(0, 1).flatten(1)  # (3, N H W)

    assert torch.equal(drawn(32, True), drawn(32, False))
    full = pipeline.generator(latents)
    for resolution in (4, 8, 16):
        wanted = torch.nn.functional.adaptive_avg_pool2d(full, resolution).transpose(0, 1)
        wanted, ours, raw = wanted.flatten(1), drawn(resolution, True), drawn(resolution, False)
        for channel in range(3):
            spread = wanted[channel].std()
            assert abs(ours[channel].mean() - wanted[channel].mean()) < 0.1 * spread
            assert ours[channel].std() == pytest.approx(float(spread), rel=0.1)
            both = torch.stack([raw[channel], ours[channel]])
            assert torch.corrcoef(both)[0, 1] > 1 - 1e-6  # one straight line for a channel


def test_truncation_goes_from_every_picture_to_their_average(pipeline, conditional):
    for one, labels in ((pipeline, [None]), (conditional, [None, "cat", "dog"])):
        latents, averages = one.latents(3, 64), []
        for label in labels:
            drawn = [one.sample(latents, label, truncation=psi) for psi in (1.0, 0.7, 0.3, 0.0)]
            spreads = [pictures.std(axis=0).mean() for pictures in drawn]
            assert spreads == sorted(spreads, reverse=True) and spreads[1] > spreads[3] == 0
            assert np.array_equal(drawn[0], one.sample(latents, label))
            averages.append(drawn[3][0].tobytes())
        assert len(set(averages)) == len(labels)  # each class has its own
    mixed = conditional.sample(latents[:2], ["cat", "dog"], truncation=0.0)
    assert [picture.tobytes() for picture in mixed] == averages[1:]
    with pytest.raises(UserError, match="Truncation goes from 0 to 1"):
        pipeline.sample(latents, truncation=1.5)


def test_grey_networks_draw_rgb_pictures():
    pipeline = ProGANPipeline(network(num_channels=1), {}, device="cpu")
    pictures = pipeline.sample(pipeline.latents(0))
    assert pictures.shape == (1, 32, 32, 3)
    assert np.array_equal(pictures[..., 0], pictures[..., 2])


def test_the_batch_size_does_not_change_the_pictures(pipeline):
    latents = pipeline.latents(5, 7)
    together = pipeline.sample(latents, batch_size=7).astype(int)
    assert np.abs(pipeline.sample(latents, batch_size=2) - together).max() <= 1
    one_by_one = np.concatenate([pipeline.sample(latent) for latent in latents])
    assert np.abs(one_by_one - together).max() <= 1


def test_frames_hold_no_more_than_a_batch(pipeline):
    taken = 0

    def endless():
        nonlocal taken
        for seed in itertools.count():
            taken += 1
            yield pipeline.latents(seed)[0]

    frames = pipeline.frames(endless(), batch_size=4)
    assert taken == 0
    first = list(itertools.islice(frames, 5))
    assert taken == 8
    expected = pipeline.sample(np.concatenate([pipeline.latents(seed) for seed in range(5)]))
    assert np.abs(np.stack(first).astype(int) - expected).max() <= 1


def test_the_network_runs_only_while_a_batch_is_asked_for(pipeline, monkeypatch):
    calls = []

    def counted(*args, run=pipeline.generator):
        calls.append(len(args[0]))
        return run(*args)

    monkeypatch.setattr(pipeline, "generator", counted)
    batches = pipeline.batches(pipeline.latents(0, 5), batch_size=2)
    assert calls == []
    assert len(next(batches)) == 2
    assert calls == [2]
    assert [len(batch) for batch in batches] == [2, 1]


def test_threads_may_share_a_pipeline(conditional):
    latents = conditional.latents(0, 6)
    jobs = list(itertools.product(("cat", "dog", None), (8, 32)))

    def draw(job):
        return conditional.sample(latents, job[0], resolution=job[1], batch_size=1)

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(draw, jobs))
    for job, pictures in zip(jobs, together, strict=True):
        assert np.array_equal(draw(job), pictures)


# ---------------------------------------------------------------- labels and weights folders


def test_labels_go_by_name_by_number_and_one_for_each_latent(conditional):
    latents = conditional.latents(0, 3)
    dogs = conditional.sample(latents, "dog")
    assert np.array_equal(conditional.sample(latents, 1), dogs)
    assert not np.array_equal(conditional.sample(latents, "cat"), dogs)
    mixed = conditional.sample(latents, ["cat", 1, np.int64(2)], batch_size=2)
    assert np.abs(mixed[1].astype(int) - dogs[1]).max() <= 1
    numbers = np.array([1, 1, 1])
    assert np.array_equal(conditional.sample(latents, numbers), dogs)


def test_classes_without_names_are_numbered():
    pipeline = ProGANPipeline(network(label_size=2), {}, device="cpu")
    assert pipeline.classes == ["0", "1"]


def test_from_weights_reads_a_folder(tmp_path):
    pipeline = ProGANPipeline.from_weights(save_progan(tmp_path / "pets", classes=["cat", "dog"]))
    assert (pipeline.name, pipeline.size, pipeline.latent_size) == ("pets", 16, 8)
    assert pipeline.classes == ["cat", "dog"]
    assert pipeline.resolutions == [4, 8, 16]
    assert pipeline.sample(pipeline.latents(0), "dog").shape == (1, 16, 16, 3)
    with pytest.raises(UserError, match="model.safetensors is missing"):
        ProGANPipeline.from_weights(tmp_path / "nothing")


def test_a_run_that_still_grows_gives_the_size_it_has_reached(generator):
    pipeline = ProGANPipeline(generator, {"size": 16, "first_size": 8}, device="cpu")
    assert pipeline.resolutions == [8, 16]
    assert pipeline.sample(pipeline.latents(0)).shape == (1, 16, 16, 3)


# ---------------------------------------------------------------- latents


def test_a_seeds_latents_are_fixed_for_good(pipeline):
    latents = pipeline.latents(0, 3)
    assert latents.dtype == np.float32
    assert latents.shape == (3, LATENT_SIZE)
    assert latents[0, :3].tolist() == pytest.approx([1.7640524, 0.4001572, 0.978738])
    assert np.array_equal(pipeline.latents(0, 1), latents[:1])
    assert not np.array_equal(pipeline.latents(1, 3), latents)


def test_linear_interpolation_is_a_straight_line(pipeline):
    a, b = pipeline.latents(0)[0], pipeline.latents(1)[0]
    steps = pipeline.interpolate(a, b, 5, "linear")
    assert steps.shape == (5, LATENT_SIZE)
    assert np.allclose(steps[1], 0.75 * a + 0.25 * b, atol=1e-6)
    assert np.array_equal(steps[0], a)
    assert np.array_equal(steps[-1], b)


def test_spherical_interpolation_turns_evenly_between_the_lengths(pipeline):
    a, b = pipeline.latents(0)[0], 3 * pipeline.latents(1)[0]
    steps = pipeline.interpolate(a, b, 9, "spherical")
    lengths = np.linalg.norm(steps, axis=1)
    assert np.allclose(np.diff(lengths), np.diff(lengths)[0], atol=1e-4)
    directions = steps / lengths[:, None]
    turns = np.arccos((directions[1:] * directions[:-1]).sum(1))
    assert np.allclose(turns, turns[0], atol=1e-3)
    assert np.allclose(steps[0], a, atol=1e-6)
    assert np.allclose(steps[-1], b, atol=1e-5)
    middle = pipeline.mix(a, b, 0.5)
    assert np.allclose(middle, steps[4], atol=1e-6)


def test_spherical_interpolation_where_there_is_no_plane():
    a = np.array([3.0, 0.0, 4.0])
    assert np.allclose(spherical(a, a, 0.3), a)
    assert np.allclose(spherical(a, 2 * a, 0.5), 1.5 * a)
    half_way = spherical(a, -a, 0.5)
    assert np.linalg.norm(half_way) == pytest.approx(5)
    assert np.dot(half_way, a) == pytest.approx(0, abs=1e-9)
    assert np.allclose(spherical(a, -a, 1.0), -a)
    assert np.allclose(spherical(a, 0 * a, 0.25), 0.75 * a)
    assert np.isfinite(spherical(np.array([1.0]), np.array([-2.0]), 0.5)).all()


def test_paths_pass_their_waypoints_and_loops_close(pipeline):
    stops = pipeline.latents(0, 3)
    way = np.stack(list(pipeline.path(stops, 9)))
    assert np.allclose(way[[0, 4, 8]], stops, atol=1e-5)
    loop = np.stack(list(pipeline.path(stops, 12, "linear", loop=True)))
    assert np.allclose(loop[[0, 4, 8]], stops, atol=1e-5)
    assert np.allclose(loop[11], 0.25 * stops[2] + 0.75 * stops[0], atol=1e-5)
    assert len(list(pipeline.path(stops, 1))) == 1


def test_a_random_walk_loops_smoothly(pipeline):
    walk = pipeline.random_walk(7, 60, smoothing=6.0)
    assert walk.shape == (60, LATENT_SIZE)
    assert np.sqrt(np.mean(walk**2)) == pytest.approx(1, abs=1e-5)
    steps = np.linalg.norm(np.roll(walk, -1, axis=0) - walk, axis=1)
    assert steps[-1] < 2 * np.median(steps)  # from the last frame on to the first
    assert steps.max() < 0.5 * np.linalg.norm(walk, axis=1).mean()
    assert np.array_equal(walk, pipeline.random_walk(7, 60, smoothing=6.0))


def test_smoothing_is_a_gaussian_that_wraps():
    noise = np.random.RandomState(0).randn(40, 2)
    offsets = np.arange(-20, 20)
    weights = np.exp(-0.5 * (offsets / 3.0) ** 2)
    rolled = [w * np.roll(noise, -o, axis=0) for w, o in zip(weights, offsets, strict=True)]
    expected = np.sum(rolled, axis=0)
    expected /= np.sqrt(np.mean(expected**2))
    assert np.allclose(smoothed(noise, 3.0), expected, atol=1e-3)
    assert np.allclose(smoothed(noise, 0.0) * np.sqrt(np.mean(noise**2)), noise)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p, z: p.sample(z[:, :3]), "tiny takes latents of 8 numbers"),
        (lambda p, z: p.sample(z[:0]), "tiny takes latents of 8 numbers"),
        (lambda p, z: p.sample(z * np.nan), "inf or nan"),
        (lambda p, z: p.sample(z, "dog"), "knows no classes"),
        (lambda p, z: p.frames(z, resolution=64), "no resolution 64: choose 4, 8, 16, 32"),
        (lambda p, z: p.frames(z, alpha=1.5), "Alpha goes from 0 to 1"),
        (lambda p, z: p.frames(z, alpha=float("nan")), "Alpha goes from 0 to 1"),
        (lambda p, z: p.batches(z, batch_size=0), "at least 1 picture"),
        (lambda p, z: next(p.frames(iter(z[:, :3]))), "tiny takes latents of 8 numbers"),
        (lambda p, z: p.latents(-1), "A seed is a whole number"),
        (lambda p, z: p.latents(2**32), "A seed is a whole number"),
        (lambda p, z: p.latents(0.5), "A seed is a whole number"),
        (lambda p, z: p.mix(z, z, 0.5), "one latent and one latent"),
        (lambda p, z: p.mix(z[0], z[1], 0.5, "cubic"), "spherical or linear, not 'cubic'"),
        (lambda p, z: p.path(z, 9, "cubic"), "spherical or linear, not 'cubic'"),
        (lambda p, z: p.random_walk(0, 10, -1.0), "The smoothing is"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(pipeline, call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call(pipeline, pipeline.latents(0, 2))
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("label", ["bird", 3, -1, 1.5])
def test_unknown_labels_are_refused(conditional, label):
    with pytest.raises(ValueError, match="choose one of cat, dog, robot"):
        conditional.sample(conditional.latents(0), label)


def test_a_wrong_number_of_labels_is_refused(conditional):
    with pytest.raises(ValueError, match="2 labels for 3 latents"):
        conditional.sample(conditional.latents(0, 3), ["cat", "dog"])


@pytest.mark.parametrize(
    ("config", "options", "sentence"),
    [
        ({}, {"precision": "float64"}, "Precision 'float64'"),
        ({}, {"precision": "float16"}, "float16 needs a GPU"),
        ({}, {"device": "toaster"}, "Device 'toaster' cannot be used here"),
        ({"size": 64}, {}, "size 64 is not one of 4, 8, 16, 32"),
        ({"classes": ["cat"]}, {}, "1 names for 0 classes"),
    ],
)
def test_a_pipeline_that_cannot_be_made(generator, config, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ProGANPipeline(generator, config, **{"device": "cpu", **options})


def test_a_smooth_walk_passes_its_waypoints_and_closes(pipeline):
    waypoints = pipeline.latents(4, 5) * [[1], [2], [1], [1], [1]]
    walk = np.stack([pipeline.glide(waypoints, position) for position in np.arange(0, 5, 0.01)])
    for number, waypoint in enumerate(waypoints):
        assert np.allclose(walk[100 * number], waypoint, atol=1e-6)
    assert np.allclose(pipeline.glide(waypoints, 5), waypoints[0], atol=1e-6)
    steps = np.linalg.norm(np.diff(np.concatenate([walk, walk[:2]]), axis=0), axis=1)
    bends = np.abs(np.diff(steps)) / steps.mean()
    assert bends.max() < 0.2 and steps.min() > 0.2 * steps.mean()  # no corner and no halt
    lengths = np.linalg.norm(walk, axis=1)
    ends = np.linalg.norm(waypoints, axis=1)
    assert lengths.min() > 0.999 * ends.min() and lengths.max() < 1.001 * ends.max()
