"""FOMM's trainer: schedules, losses, resuming, kills, several processes, fine-tuning, bad input."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import ConvexHull

from gan_models import images, weights
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.motion import Motion, transfer
from gan_models.fomm.networks import ImagePyramid
from gan_models.fomm.pipeline import FOMMPipeline
from tests import runs, tiny_fomm
from tests.runs import (
    assert_equal,
    final_state,
    killed_after_first_save,
)
from trainers import optim
from trainers.fomm import __main__ as command
from trainers.fomm import config as settings
from trainers.fomm import full_size, objective
from trainers.fomm import train as training

TINY_NETWORKS = dict(
    size=32,
    num_keypoints=3,
    detector_width=4,
    detector_max=8,
    detector_blocks=2,
    motion_width=4,
    motion_max=8,
    motion_blocks=2,
    generator_width=4,
    generator_max=8,
    bottleneck_blocks=1,
    discriminator_width=4,
    discriminator_max=8,
    discriminator_blocks=2,
    scales=(1, 0.5),
)


def flags(**fields):
    words = []
    for name, value in fields.items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


TINY = [
    *flags(**TINY_NETWORKS, data="clips", batch_size=4, total_images=16, decay=0.5),
    *flags(adversarial_start=0.5, device="cpu", precision="float32", sample_interval=1000),
]  # 16 pairs = 4 steps; the discriminator joins at step 3

TRANSFERS = flags(data="puppets:4", transfers=0.5, full_size=64)


def make_clips(folder, count=4, frames=6, size=32, seed=0):
    """A folder of clips, each a folder of frames: a disc that wanders over a gradient."""
    source = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    for number in range(count):
        colour, ground = source.random((2, 3))
        places = source.uniform(0.3, 0.7, (frames, 2))
        (folder / f"{number:03d}").mkdir(parents=True)
        for frame, (px, py) in enumerate(places):
            disc = np.hypot(x - px, y - py)[..., None] < 0.2
            picture = np.where(disc, colour, ground * (0.5 + 0.5 * x[..., None]))
            Image.fromarray((picture * 255).astype(np.uint8)).save(
                folder / f"{number:03d}" / f"{frame:03d}.png"
            )
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_clips(folder / "clips")
    return folder


@pytest.fixture
def train_here(place, monkeypatch):
    """The command in this process, which spares the start of another."""
    monkeypatch.chdir(place)
    return lambda out, *more: command.main(["puppets", *TINY, "--out", out, *more])


def train(out, *more, cwd):
    """The real command in its own process."""
    return runs.run("trainers.fomm", "puppets", *TINY, "--out", out, *more, cwd=cwd)


# --- schedules and presets ---------------------------------------------------------------------


def test_learning_rates_fall_at_milestones_and_at_the_end():
    config = settings.Config(epochs=10, repeats=2, milestones=(4, 8), decay=0.1)
    at = {epoch: epoch * 2 * 5 for epoch in (0, 3.9, 4, 8, 9.5, 10)}  # 5 clips
    factors = {e: settings.learning_rate_factor(config, seen, 5) for e, seen in at.items()}
    expected = {0: 1, 3.9: 1, 4: 0.1, 8: 0.01, 9.5: 0.005, 10: 0.0}
    assert factors == pytest.approx(expected)
    assert settings.total_images(config, 5) == 100
    assert settings.total_images(dataclasses.replace(config, total_images=7), 5) == 7


def test_fine_tuning_starts_at_the_full_rate():
    config = settings.PRESETS["vox-adv"]
    assert settings.learning_rate_factor(config, 0, 20_000) == 1.0
    assert config.learning_rate == 2e-4


def test_the_adversarial_loss_sets_in_when_asked():
    config = settings.Config(adversarial_weight=0.5, adversarial_start=0.5, total_images=200)
    assert [settings.adversarial_weight(config, n, 9) for n in (0, 99, 100)] == [0, 0, 0.5]


@pytest.mark.parametrize("name", list(settings.PRESETS))
def test_every_preset_is_whole(name):
    """Its options fit together, and its networks can be built (on no device)."""
    config = settings.PRESETS[name]
    settings.check(config, 1)
    with torch.device("meta"):
        arguments = settings.network_arguments(config)
        detector = training.KeypointDetector(**arguments["detector"])
        generator = training.Generator(**arguments["generator"])
        discriminator = Discriminator(**arguments["discriminator"])
    assert detector.heatmap.out_channels == config.num_keypoints
    assert generator.dense_motion.mask.out_channels == config.num_keypoints + 1
    assert len(discriminator.scores) == len(config.discriminator_scales)


def test_the_puppet_preset_needs_no_vgg():
    config = settings.PRESETS["puppets"]
    assert not config.perceptual_weight and config.reconstruction_weight > 0
    assert config.adversarial_weight > 0 and config.feature_matching_weight > 0


# --- losses ------------------------------------------------------------------------------------


def test_the_transform_s_jacobian_is_its_derivative():
    draw = torch.Generator().manual_seed(0)
    transform = objective.RandomTransform.draw(2, 0.1, 0.05, 5, draw)
    points = torch.rand(2, 3, 2, generator=draw) * 1.6 - 0.8
    jacobian = transform.jacobian(points)
    for number in range(3):
        whole = torch.autograd.functional.jacobian(
            lambda p, i=number: transform.points(p)[:, i].sum(0), points
        )  # (2 outputs, N, M, 2)
        expected = whole[:, :, number].transpose(0, 1)
        torch.testing.assert_close(jacobian[:, number], expected, rtol=1e-4, atol=1e-5)


def test_equivariance_is_zero_for_a_detector_that_follows():
    """A detector that always answers with T^-1 of its points, and the matching Jacobians."""
    transform = objective.RandomTransform(torch.tensor([[[1.1, 0.1, 0.05], [0.0, 0.9, -0.1]]]))
    value = torch.tensor([[[0.2, -0.3], [0.5, 0.1]]])
    jacobian = torch.eye(2).expand(1, 2, 2, 2)
    matrix, shift = transform.theta[:, :, :2], transform.theta[:, :, 2]
    back = torch.linalg.solve(matrix, (value - shift.unsqueeze(1)).mT).mT
    followed = objective.Keypoints(back, torch.linalg.inv(matrix).unsqueeze(1).expand(1, 2, 2, 2))
    still = objective.Keypoints(value, jacobian)
    picture = torch.rand(1, 3, 16, 16)
    for answer, zero in ((followed, True), (still, False)):
        parts = objective.equivariance(lambda _, a=answer: a, picture, still, transform, True)
        assert (torch.stack(parts) < 1e-5).all() == zero


def test_each_loss_trains_its_own_networks():
    torch.manual_seed(0)
    config = settings.Config(
        **TINY_NETWORKS, perceptual_weight=0.0, reconstruction_weight=1.0, scale_factor=0.5
    )
    parts = training.build(config, torch.device("cpu"))
    detector, generator, discriminator = parts.detector, parts.generator, parts.discriminator
    pyramid = ImagePyramid(config.scales)
    source, driving = torch.rand(2, 2, 3, 32, 32)
    transform = objective.RandomTransform.draw(2, 0.05, 0.005, 5, torch.Generator())
    discriminator.requires_grad_(False)
    loss, losses, prediction, keypoints = objective.generator_loss(
        config, detector, generator, discriminator, None, pyramid, source, driving, transform, 1.0
    )
    loss.backward()
    assert generator.final.weight.grad.abs().sum() > 0
    assert detector.heatmap.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in discriminator.parameters())
    assert set(losses) == {
        "reconstruction", "adversarial", "feature_matching", "equivariance_value",
        "equivariance_jacobian",
    }  # fmt: skip
    detector.zero_grad(), generator.zero_grad()
    discriminator.requires_grad_(True)
    loss, losses = objective.discriminator_loss(
        discriminator, pyramid, driving, prediction, keypoints, 1.0
    )
    loss.backward()
    assert discriminator.scores[0].weight.grad.abs().sum() > 0
    assert all(p.grad is None or not p.grad.any() for p in generator.parameters())
    assert set(losses) == {"real", "fake"}


def test_a_source_led_by_another_moves_as_the_demo_moves_it():
    random = np.random.default_rng(0)

    def drawn(scale):  # keypoints in motion, of two frames
        turn = np.eye(2) + random.normal(0, 0.2, (2, 9, 2, 2))
        return Motion(random.normal(0, scale, (2, 9, 2)), turn)

    ours, other = drawn(0.2), drawn(0.4)
    source, first, then = (
        objective.Keypoints(torch.from_numpy(one.value), torch.from_numpy(one.jacobian))
        for one in (ours[:1], other[:1], other[1:])
    )
    led, wanted = objective.led(source, first, then), transfer(ours[0], other[1], other[0])
    assert np.allclose(led.value, wanted.value, atol=5e-3)  # the hull is one of 64 corners
    assert np.allclose(led.jacobian, wanted.jacobian, atol=1e-6)
    area = objective.hull_area(source.value)
    assert area.item() == pytest.approx(ConvexHull(ours.value[0]).volume, rel=0.01)
    itself = objective.led(first, first, then)
    assert all(torch.allclose(one, other) for one, other in zip(itself, then, strict=True))


def test_frames_at_full_size_are_those_of_the_demo():
    detector, generator = tiny_fomm.networks()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    pictures = [images.resize(picture, 64) for picture in pictures]

    def batch(side):
        sized = np.stack([images.resize(picture, side) for picture in pictures])
        return torch.from_numpy(sized).permute(0, 3, 1, 2) / 255

    large, small = batch(64), batch(32)
    with torch.no_grad():
        points = detector(small)
        one, other = (objective.Keypoints(*(x[i : i + 1] for x in points)) for i in (0, 1))
        output = generator(small[:1], other, one)
        made = full_size.render(large[:1], output, other, one, align_corners=True)
    pipeline = FOMMPipeline(detector, generator, {"size": 32})
    motion = Motion(other.value.numpy(), other.jacobian.numpy())
    shown = pipeline.render(pipeline.encode(pictures[0]), motion, relative=False)
    off = np.abs(made[0].permute(1, 2, 0).numpy() * 255 - shown[0])
    assert shown.shape == (1, 64, 64, 3) and np.abs(shown[0].astype(int) - pictures[0]).mean() > 5
    assert off.mean() < 1 and np.quantile(off, 0.99) < 4


# --- runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [("--repaint", "0.5"), TRANSFERS])
def test_four_steps_are_two_a_kill_and_two(place, more):
    """A killed run, continued by the same command, ends bit for bit where an unbroken one ends."""
    often, four, two = ("--save-interval", "8", *more), f"four{len(more)}", f"two{len(more)}"
    train(four, *often, cwd=place)
    killed_after_first_save("trainers.fomm", "puppets", *TINY, "--out", two, *often, cwd=place)
    assert final_state(place / two)["counters"]["steps"] == 2
    train(two, *often, cwd=place)
    assert final_state(place / two)["counters"]["steps"] == 4
    assert_equal(final_state(place / two), final_state(place / four))


@pytest.mark.parametrize("more", [(), TRANSFERS])
def test_two_processes_see_the_losses_of_one(place, more):
    one = f"one{len(more)}"
    flags = ["puppets", *TINY, *more, "--report-interval", "4", "--ema-decay", "0.9"]
    runs.run("trainers.fomm", *flags, "--out", one, cwd=place)
    # Adam makes full steps of the rounding noise of biases in front of batch norm, and it grows.
    runs.two_see_the_losses_of_one(
        place / one, "trainers.fomm", *flags, steps=4,
        near=lambda step: {"rel": (1e-4, 1e-2, 3e-2, 1e-1)[step], "abs": 1e-4},
    )  # fmt: skip


def test_an_ended_run_leaves_weights_and_a_sheet(place, train_here):
    train_here("ended", "--snapshot-interval", "8")
    folder = place / "ended"
    loaded = weights.load_weights(folder / "weights", system="fomm")
    assert set(loaded.states) == {"detector", "generator"}
    assert loaded.config["value_range"] == [0, 1] and loaded.config["images_seen"] == 16
    assert (folder / "pairs-000000016.png").exists()
    assert "pairs seen | 16" in (folder / "weights" / "README.md").read_text()
    assert len(list((folder / "snapshots").iterdir())) == 2
    state = final_state(folder)
    averaged = state["generator_ema"]["final.weight"]
    assert torch.equal(loaded.states["generator"]["final.weight"], averaged)
    assert not torch.equal(averaged, state["generator"]["final.weight"])


def test_fine_tuning_takes_over_weights(place, train_here, capsys):
    train_here("base", "--adversarial-weight", "0", "--ema-decay", "0")
    base = final_state(place / "base")
    init = ("--init", "base", "--use-keypoints", "--learning-rate", "0")
    train_here("tuned", *init, "--detector-learning-rate", "0", "--ema-decay", "0")
    tuned = final_state(place / "tuned")
    for name in ("generator", "detector"):
        for key, value in base[name].items():
            if "running" not in key and "tracked" not in key:
                assert torch.equal(tuned[name][key], value), key
    assert "discriminator" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--init base: its .* is built otherwise"):
        train_here("other", *init, "--num-keypoints", "4")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--size", "20"], "--size 20"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--reconstruction-weight", "0", "--adversarial-weight", "0"], "No loss would train"),
        (["--discriminator-scales", "0.25"], "--discriminator-scales 0.25"),
        (["--data", "nowhere"], "nowhere"),
        (["--init", "nowhere"], "nowhere"),
        (["--perceptual-weight", "10", "--vgg", "nowhere.pth"], "nowhere.pth"),
        (["--total-images", "0", "--epochs", "0"], "--epochs"),
        (["--reconstruction-weight", "0"], "No loss would train"),
        (["--discriminator-blocks", "6"], "--discriminator-blocks 6"),
        (["--scale-factor", "0"], "--scale-factor"),
        (["--head-size", "4"], "--head-size 4"),
        (["--num-keypoints", "0"], "--num-keypoints 0"),
        (["--seed", "16777216"], "--seed 16777216"),
        (["--learning-rate", "nan"], "--learning-rate nan"),
        (["--ema-decay", "1.5"], "parts of 1"),
        (["--device", "foo"], "foo"),
        (["--device", "cuda"], "no usable CUDA GPU"),
        (["--num-keypoint", "1"], "--num-keypoint"),
        (["--transfers", "0.5"], "only puppets can lend"),
        (["--transfers", "1.5"], "--transfers 1.5 is a part of 1"),
        (["--full-size", "48"], "--full-size 48: give a multiple of --size"),
        (["--full-size", "64", "--no-pixel-path"], "and --pixel-path"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(train_here, place, capsys, more, sentence):
    with pytest.raises(SystemExit) as refused:
        train_here("bad", *more)
    assert sentence in str(refused.value) + capsys.readouterr().err
    assert "Traceback" not in str(refused.value)


def test_a_nan_among_the_keypoints_leaves_an_update_out():
    """It reaches both warps, whose backward would crash on it."""
    config = settings.Config(
        **TINY_NETWORKS, perceptual_weight=0.0, reconstruction_weight=1.0, pixel_path=True
    )
    parts = training.build(config, torch.device("cpu"))
    detector, generator, discriminator = parts.detector, parts.generator, parts.discriminator
    with torch.no_grad():
        detector.heatmap.weight.fill_(torch.nan)
    before = generator.final.weight.clone()
    pictures = torch.rand(2, 2, 3, 32, 32)
    transform = objective.RandomTransform.draw(2, 0.05, 0.005, 5, torch.Generator())
    transform.theta[0] = torch.nan
    loss = objective.generator_loss(
        config, detector, generator, discriminator, None, ImagePyramid(config.scales),
        *pictures, transform, 0.0,
    )[0]  # fmt: skip
    optimizers = [parts.optimizer_generator, parts.optimizer_detector]
    for optimizer in optimizers:
        optimizer.set_rate(1e-3)
    assert optim.update([generator, detector], optimizers, loss)
    assert torch.equal(generator.final.weight, before)


def test_presets_differ_only_in_fields():
    assert all(dataclasses.is_dataclass(preset) for preset in settings.PRESETS.values())
    assert settings.PRESETS["taichi-adv"].detector_learning_rate == 0.0
