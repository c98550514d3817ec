"""The ProGAN trainer: schedule, losses, resuming, kills, several processes, bad input."""

import json

import pytest
import torch

from gan_models.progan import Discriminator, Generator
from tests import commands, runs
from tests.runs import (
    assert_equal,
    final_state,
    killed_after_first_save,
    killed_at_random_moments,
)
from trainers import distributed
from trainers.progan import __main__ as command
from trainers.progan import config as settings
from trainers.progan import train as training

TINY = [
    *(
        "--data",
        "pictures",
        "--resolution",
        "16",
        "--latent-size",
        "8",
        "--channels",
        "8",
        "8",
        "4",
    ),
    *(
        "--start-resolution",
        "4",
        "--stable-images",
        "16",
        "16",
        "0",
        "--fade-images",
        "16",
        "16",
        "0",
    ),
    *("--batch-sizes", "8", "8", "8", "--learning-rates", "1e-3", "1e-3", "1e-3"),
    *("--sample-interval", "1000", "--device", "cpu", "--precision", "float32"),
    *("--decay-images", "0"),
]


def tiny(**fields):
    given = dict(
        resolution=16,
        latent_size=8,
        channels=(8, 8, 4),
        stable_images=(16, 16, 0),
        fade_images=(16, 16, 0),
        batch_sizes=(8, 8, 8),
        learning_rates=(1e-3,) * 3,
    )
    return settings.Config(**{**given, **fields})


def test_schedule_stabilises_then_fades():
    config = tiny(batch_sizes=(32, 16, 8), learning_rates=(1.0, 2.0, 3.0))
    expected = [
        (0, 0, 4, 1.0, 32),
        (15, 0, 4, 1.0, 32),
        (16, 0, 4, 1.0, 32),
        (17, 1, 8, 0.0625, 16),
        (24, 1, 8, 0.5, 16),
        (32, 2, 8, 1.0, 16),
        (48, 2, 8, 1.0, 16),
        (60, 3, 16, 0.75, 8),
        (64, 4, 16, 1.0, 8),
        (10**9, 4, 16, 1.0, 8),
    ]
    for seen, index, resolution, alpha, batch in expected:
        phase = settings.schedule(config, seen)
        assert (phase.index, phase.resolution, phase.alpha, phase.batch_size) == (
            index,
            resolution,
            alpha,
            batch,
        )
        assert phase.learning_rate == {4: 1.0, 8: 2.0, 16: 3.0}[resolution]


def test_the_learning_rate_falls_to_zero_at_the_end():
    config = tiny(total_images=200, decay_images=50)
    rates = [settings.schedule(config, seen).learning_rate for seen in (0, 150, 175, 200)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 0.0])
    assert settings.schedule(tiny(), 10**9).learning_rate == 1e-3


@pytest.mark.parametrize("name", list(settings.PRESETS))
def test_every_preset_is_whole(name):
    config = settings.PRESETS[name]
    settings.check(config, 1)
    end = settings.schedule(config, config.total_images)
    assert (end.resolution, end.alpha) == (config.resolution, 1.0)


def test_reals_fade_like_fakes():
    pictures = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    real = training.fade_reals(pictures, 8, 1.0)
    mean = pictures.float().view(2, 3, 8, 2, 8, 2).mean(dim=(3, 5)) / 127.5 - 1
    torch.testing.assert_close(real, mean)
    blurred = training.fade_reals(pictures, 8, 0.0)
    assert torch.equal(blurred[..., ::2, ::2], blurred[..., 1::2, 1::2])


def test_draws_are_sliced_from_the_global_batch():
    config = tiny()
    whole = training.draws(config, 48, 8, 3, distributed.Processes())
    halves = [training.draws(config, 48, 8, 3, distributed.Processes(r, 2)) for r in (0, 1)]
    assert torch.equal(whole[0][0][1::2], halves[1][0][0])
    assert torch.equal(whole[1][0::2], halves[0][1])
    assert torch.equal(whole[2][1][0::2], halves[0][2][1])
    other = training.draws(config, 56, 8, 3, distributed.Processes())
    assert not torch.equal(whole[0][0], other[0][0])


@pytest.mark.parametrize("loss", ["wgan_gp", "lsgan", "logistic"])
def test_each_loss_trains_its_own_network(loss):
    torch.manual_seed(0)
    config = tiny(loss=loss, r1_weight=1.0 if loss == "logistic" else 0.0)
    generator, discriminator = (
        Generator(16, 8, (8, 8, 4), label_size=2),
        Discriminator(16, (8, 8, 4), label_size=2),
    )
    labels = torch.eye(2).repeat(4, 1)
    value, parts = training.discriminator_loss(
        config,
        generator,
        discriminator,
        torch.randn(8, 3, 16, 16),
        labels,
        torch.randn(8, 8),
        labels,
        torch.rand(8, 1, 1, 1),
        resolution=16,
        alpha=0.5,
        penalise=True,
    )
    value.backward()
    assert all(p.grad is None for p in generator.parameters())
    assert discriminator.conv.weight.grad.abs().sum() > 0
    expected = {"wgan_gp": {"gradient_penalty", "drift"}, "lsgan": set(), "logistic": {"r1"}}[loss]
    assert set(parts) == {"real", "fake", "adversarial", "class_real", "class_fake"} | expected
    discriminator.requires_grad_(False)
    value, parts = training.generator_loss(
        config, generator, discriminator, torch.randn(8, 8), labels, 16, 0.5
    )
    value.backward()
    assert generator.first.weight.grad.abs().sum() > 0
    assert set(parts) == {"adversarial", "class"}


def train(folder, *flags, cwd):
    """The real command in its own process."""
    return runs.run("trainers.progan", *TINY, "--out", folder, *flags, cwd=cwd)


@pytest.fixture
def train_here(place, monkeypatch):
    """The same command in this process, which spares the start of another."""
    monkeypatch.chdir(place)
    return lambda folder, *flags: command.main([*TINY, "--out", folder, *flags])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    commands.make_pictures(folder / "pictures")
    return folder


LONG = ["--total-images", "1600", "--save-interval", "8", "--report-interval", "80"]


@pytest.fixture(scope="module")
def uninterrupted(place):
    train("whole", *LONG, cwd=place)
    return final_state(place / "whole")


def test_four_steps_are_two_a_kill_and_two(place):
    """A killed run, continued by the same command, ends bit for bit where an unbroken one ends."""
    flags = ["--total-images", "32", "--save-interval", "16"]
    train("four", *flags, cwd=place)
    killed_after_first_save("trainers.progan", *TINY, "--out", "two", *flags, cwd=place)
    assert final_state(place / "two")["counters"]["steps"] == 2
    train("two", *flags, cwd=place)
    assert_equal(final_state(place / "two"), final_state(place / "four"))


def test_kills_at_random_moments(place, uninterrupted):
    """Killed several times wherever it happens to be, inside a save too, a run still ends equal."""
    command = ("trainers.progan", *TINY, "--out", "killed", *LONG)
    killed_at_random_moments(place / "killed", *command, cwd=place)
    train("killed", *LONG, cwd=place)
    assert_equal(final_state(place / "killed"), uninterrupted)
    lines = (place / "killed" / "scalars.jsonl").read_text().splitlines()
    seen = [json.loads(line)["images_seen"] for line in lines]
    assert seen == sorted(set(seen)) and seen[-1] == 1600


def test_two_processes_see_the_losses_of_one(place):
    flags = [*TINY, "--total-images", "64", "--report-interval", "8", "--save-interval", "64"]
    runs.run("trainers.progan", *flags, "--out", "one", cwd=place)
    near = {"rel": 2e-3, "abs": 2e-4}
    runs.two_see_the_losses_of_one(
        place / "one", "trainers.progan", *flags, steps=8, near=lambda _: near
    )


def test_an_ended_run_leaves_weights_and_a_sheet(place, uninterrupted):
    from gan_models.progan import ProGANPipeline

    folder = place / "whole"
    pipeline = ProGANPipeline.from_weights(folder / "weights", device="cpu")
    assert pipeline.size == 16
    assert pipeline.sample(pipeline.latents(0, 2)).shape == (2, 16, 16, 3)
    assert (folder / "fakes-000001600.png").exists()
    assert "images seen | 1,600" in (folder / "weights" / "README.md").read_text()
    assert any((folder / "tensorboard").iterdir())


def test_minutes_end_a_run_cleanly_and_may_change(place, train_here):
    train_here("budget", "--minutes", "0.02")
    first = final_state(place / "budget")["counters"]["images_seen"]
    assert 0 < first < 12_000_000
    train_here("budget", "--minutes", "0.01", "--report-interval", "16")
    assert final_state(place / "budget")["counters"]["images_seen"] > first


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--resolution", "24"], "power of two"),
        (["--batch-sizes", "8", "8"], "--batch-sizes needs 3 values"),
        (["--data", "nowhere"], "nowhere"),
        (["--start-resolution", "32"], "--start-resolution 32"),
        (["--loss", "wgan_gp"], "--loss logistic"),
        (["--device", "cuda"], "no usable CUDA GPU"),
        (["--learning-rat", "1"], "--learning-rat"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(train_here, place, capsys, flags, sentence):
    with pytest.raises(SystemExit) as refused:
        train_here("bad", *flags)
    assert sentence in str(refused.value) + capsys.readouterr().err
    assert not (place / "bad").exists()


def test_a_full_disk_keeps_the_last_state(place, train_here):
    """The file-size limit stands in for a full disk: the sentence, and the earlier state intact."""
    flags = ["--total-images", "160", "--save-interval", "16"]
    train_here("full", "--minutes", "0.0001", *flags)
    before = final_state(place / "full")
    command = ("trainers.progan", *TINY, "--out", "full", *flags)
    running = runs.start(*command, cwd=place, largest=9000)
    assert running.wait() == 1
    assert "Make room on the disk" in running.stderr() and "Traceback" not in running.stderr()
    assert_equal(final_state(place / "full"), before)
    assert not list((place / "full").glob("*.part"))


def test_an_unreadable_picture_is_skipped_and_counted(place, train_here):
    folder = commands.make_pictures(place / "mixed")
    (folder / "broken.png").write_bytes(b"not a picture")
    train_here("mixed-run", "--data", "mixed", "--total-images", "64")
    last = json.loads((place / "mixed-run" / "scalars.jsonl").read_text().splitlines()[-1])
    assert last["unreadable"] == 1


def test_it_starts_from_finished_weights(place, train_here, capsys):
    grown = ["--start-resolution", "16", "--stable-images", "0", "0", "0"]
    flags = [*grown, "--fade-images", "0", "0", "0", "--total-images", "8"]
    train_here("base", *flags)
    capsys.readouterr()
    train_here("tuned", *flags, "--start-from", "base", "--waiting-images", "8")
    told = capsys.readouterr().err
    assert "The generator starts from base." in told
    assert "no discriminator like ours: it starts afresh" in told
    shipped = final_state(place / "base")["generator_ema"]
    for role in ("generator", "generator_ema"):
        assert_equal(final_state(place / "tuned")[role], shipped)
    train_here("fast", *flags, "--start-from", "base")
    train_here("slow", *flags, "--start-from", "base", "--generator-rate", "0.25")
    slow, fast = (final_state(place / name)["generator"] for name in ("slow", "fast"))
    for key, value in shipped.items():  # Adam's first step is as long as the rate
        assert torch.allclose(fast[key] - value, 4 * (slow[key] - value), rtol=0.01, atol=1e-5)
    with pytest.raises(SystemExit, match="--start-from base: its generator is built otherwise"):
        train_here("another", *flags, "--start-from", "base", "--latent-size", "4")


def test_class_folders_become_labels(place, train_here):
    from gan_models.progan import ProGANPipeline

    for seed, name in enumerate(("cats", "dogs")):
        commands.make_pictures(place / "pets" / name, seed=seed)
    train_here("pets-run", "--data", "pets", "--labels", "--total-images", "16")
    pipeline = ProGANPipeline.from_weights(place / "pets-run" / "weights", device="cpu")
    assert pipeline.classes == ["cats", "dogs"]
    cat, dog = (pipeline.sample(pipeline.latents(0), name) for name in pipeline.classes)
    assert (cat != dog).any()
    last = json.loads((place / "pets-run" / "scalars.jsonl").read_text().splitlines()[-1])
    assert {"D/class_real", "D/class_fake", "G/class"} <= last.keys()
