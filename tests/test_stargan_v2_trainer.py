"""The StarGAN v2 trainer: resuming, several processes, data, bad input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models.stargan_v2 import StarGANv2Pipeline
from gan_models.stargan_v2.landmarks import FAN
from gan_models.weights import load_weights
from tests import runs
from tests.runs import assert_equal, final_state, killed_after_first_save
from trainers.data import open_domains
from trainers.stargan_v2 import __main__ as command
from trainers.stargan_v2 import config as options
from trainers.stargan_v2 import train as training

TINY = [
    *("puppets", "--data", "pets", "--size", "32", "--channels", "4", "--most-channels", "8"),
    *("--hidden", "8", "--style-dim", "8", "--latent-dim", "4", "--batch-size", "4"),
    *("--no-alternate", "--crop-probability", "0.5", "--diversity-images", "12"),
    *("--autoencoding-images", "0", "--r1-every", "1", "--decay-images", "0"),
    *("--learning-rate", "4e-4", "--mapping-rate", "4e-6", "--style-weight", "1"),
    *("--cycle-weight", "1"),
    *("--device", "cpu", "--sample-interval", "1000"),
]


def make_domains(root, counts=(6, 3), size=40):
    """Plain pictures: the first domain's are dark."""
    random = np.random.default_rng(0)
    for index, (name, count) in enumerate(zip(("cat", "dog"), counts, strict=True)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture = random.integers(0, 100, (size, size, 3)) + 150 * index
            Image.fromarray(picture.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_domains(folder / "pets")
    return folder


@pytest.fixture
def train_here(place, monkeypatch, pytests_own_signals):
    """The command in this process."""
    monkeypatch.chdir(place)
    return lambda folder, *flags: command.main([*TINY, "--out", folder, *flags])


FOUR = [*TINY, "--total-images", "16", "--save-interval", "8", "--report-interval", "4"]


@pytest.fixture(scope="module")
def four(place):
    """The folder of four steps that nothing interrupts."""
    runs.run("trainers.stargan_v2", *FOUR, "--out", "four", cwd=place)
    return place / "four"


def test_four_steps_are_two_a_kill_and_two(place, four):
    """The diversity's weight, too, goes on where it was."""
    killed_after_first_save("trainers.stargan_v2", *FOUR, "--out", "two", cwd=place)
    assert final_state(place / "two")["counters"]["steps"] == 2
    runs.run("trainers.stargan_v2", *FOUR, "--out", "two", cwd=place)
    assert_equal(final_state(place / "two"), final_state(four))
    lines = (place / "two" / "scalars.jsonl").read_text().splitlines()
    fell = [json.loads(line)["diversity_weight"] for line in lines]
    assert fell == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert (four / "translations-000000016.png").exists()
    weights = load_weights(four / "weights", "stargan_v2")
    assert sorted(weights.states) == sorted(training.TRAINED)
    assert weights.config["domains"] == ["cat", "dog"]


def test_two_processes_see_the_losses_of_one(four):
    near = {"rel": 5e-3, "abs": 5e-4}
    runs.two_see_the_losses_of_one(
        four, "trainers.stargan_v2", *FOUR, "--total-images", "12", steps=3, near=lambda _: near
    )


def test_latents_and_references_take_turns_and_references_teach_the_generator_alone(
    train_here, place
):
    train_here("turns", "--alternate", "--total-images", "16", "--weight-decay", "0")
    state = final_state(place / "turns")
    steps = {
        name: {float(s["step"]) for s in state[f"optimizer_{name}"]["state"].values()}
        for name in (*training.TRAINED, "discriminator")
    }
    both, latents = {4.0}, {2.0}
    assert steps == {
        "generator": both, "discriminator": both, "mapping_network": latents,
        "style_encoder": latents,
    }  # fmt: skip


def test_the_first_pictures_are_learnt_back_without_an_adversary_and_r1_comes_now_and_then(
    train_here, place
):
    flags = ["--autoencoding-images", "8", "--r1-every", "2", "--report-interval", "4"]
    train_here("first", *flags, "--total-images", "24")
    state = final_state(place / "first")
    steps = {
        name: {float(s["step"]) for s in state[f"optimizer_{name}"]["state"].values()}
        for name in (*training.TRAINED, "discriminator")
    }
    both, later = {2 + 4 * 2.0}, {4.0}
    assert steps["generator"] == both and steps["style_encoder"] == {6.0}
    assert steps["mapping_network"] == later and steps["discriminator"] == {8.0}
    lines = (place / "first" / "scalars.jsonl").read_text().splitlines()
    kinds = [("G/reconstruction" in line, "D/latent_r1" in line) for line in lines]
    assert kinds == [(True, False)] * 2 + [(False, True), (False, False)] * 2


def test_pairs_of_puppets_teach_colours(train_here, place):
    """Three pictures of each: itself, itself in other colours, another in its colours."""
    stream = open_domains("puppets:3", size=64, pairs=True)
    batch = stream.first(3)
    own, recoloured, companion = batch["pairs"].unbind(1)
    assert torch.equal(own, batch["images"])
    for other in (recoloured, companion):
        assert (other != own).flatten(1).any(dim=1).all()
    flags = ["--data", "puppets:6", "--pair-weight", "2", "--total-images", "8"]
    train_here("pairs", *flags, "--report-interval", "4", "--autoencoding-images", "4")
    lines = (place / "pairs" / "scalars.jsonl").read_text().splitlines()
    kinds = [("G/reconstruction" in line, "G/latent_cycle" in line) for line in lines]
    assert kinds == [(True, False), (True, True)]
    assert "pairs" not in open_domains(place / "pets", size=32, pairs=True).first(1)


def test_a_skip_asks_the_landmark_network(train_here, place):
    torch.manual_seed(0)
    torch.save({"state_dict": FAN().state_dict()}, place / "wing.ckpt")
    flags = ["--w-hpf", "1", "--landmarks", "wing.ckpt", "--total-images", "4", "--batch-size", "2"]
    train_here("edges", *flags)
    pipeline = StarGANv2Pipeline.from_weights(place / "edges" / "weights", device="cpu")
    assert pipeline.skips and not pipeline.notice


def test_domains_are_drawn_equally_often_and_references_are_of_their_domain(place):
    stream = open_domains(place / "pets", size=32, mirror=True, crop_probability=0.5)
    assert stream.classes == ["cat", "dog"]
    batches = stream.batches({}, 12)
    batch, _ = next(batches)
    assert np.bincount(batch["domains"]).tolist() == [6, 6]
    bright = batch["images"].float().mean((1, 2, 3)) > 125
    assert torch.equal(bright.long(), batch["domains"])
    bright = batch["references"].float().mean((2, 3, 4)) > 125
    assert torch.equal(bright.long(), batch["targets"][:, None].expand(-1, 2))
    assert batch["targets"].unique().tolist() == [0, 1]
    assert batch["references"].shape == (12, 2, 3, 32, 32)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", "pets/cat"], "outside a domain"),
        (["--data", "alone"], "two domains or more"),
        (["--data", "hollow"], "hollow/bird has no pictures"),
        (["--size", "48"], "32, 64, 128"),
        (["--w-hpf", "1"], "--landmarks"),
        (["--w-hpf", "1", "--landmarks", "pets/cat/0.png"], "0.png"),
        (["--crop-probability", "2"], "share from 0 to 1"),
        (["--ema-decay", "1"], "--ema-decay 1"),
        (["--batch-size", "0"], "--batch-size 0"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(train_here, place, flags, sentence):
    if not (place / "alone").exists():
        make_domains(place / "alone", (2, 0))
        (place / "alone" / "dog").rmdir()
        make_domains(place / "hollow", (1, 1))
        (place / "hollow" / "bird").mkdir()
    with pytest.raises(SystemExit) as refused:
        train_here("bad", *flags)
    assert sentence in str(refused.value)
    assert not (place / "bad").exists()


def test_schedule_and_presets():
    config = options.PRESETS["afhq"]
    assert options.diversity_weight(config, 0) == 2
    assert options.diversity_weight(config, 400_000) == 1
    assert options.diversity_weight(config, 900_000) == 0
    config = options.Config(total_images=100, decay_images=40)
    rates = [options.learning_rates(config, seen) for seen in (0, 60, 80)]
    assert rates == [(1e-4, 1e-6), (1e-4, 1e-6), (0.5e-4, 0.5e-6)]
    for preset in options.PRESETS.values():
        options.check(preset, 1)
    arguments = options.network_arguments(options.PRESETS["celeba_hq"], 2)
    assert arguments["generator"]["channels"] == 64
