"""The SPADE trainer: resuming, several processes, options of training, bad input, scores."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_models.spade.networks import Generator, Spectral
from gan_models.weights import load_weights
from tests import runs
from tests.runs import assert_equal, final_state, killed_after_first_save
from trainers import distributed, evaluate
from trainers.puppets import draw, puppet_seed, random_parameters
from trainers.spade import __main__ as command
from trainers.spade import config as options
from trainers.spade import scores
from trainers.spade import train as training

TINY = [
    *("custom", "--data", "maps", "--num-classes", "3", "--dont-care", "--edges"),
    *("--preprocess", "fixed", "--crop-size", "32", "--channels", "1", "--hidden", "4"),
    *("--latent-size", "4", "--encoder-channels", "2", "--discriminator-channels", "2"),
    *("--discriminator-layers", "2", "--perceptual-weight", "0", "--batch-size", "4"),
    *("--epochs", "4", "--decay-epochs", "4", "--ema-decay", "0.9", "--warp-maps", "0.1"),
    *("--device", "cpu", "--sample-interval", "1000"),
]


def make_maps(root, count=8, size=40, folders=("images", "labels"), endings=(".jpg", ".png")):
    """Pictures with label maps of 3 classes and pixels without a label."""
    source = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        labels = source.integers(0, 4, (4, 4)).repeat(size // 4, 0).repeat(size // 4, 1)
        labels = np.where(labels == 3, 255, labels).astype(np.uint8)
        picture = np.stack([labels, 255 - labels, labels // 2], axis=2)
        for folder, ending, array in zip(folders, endings, (picture, labels), strict=True):
            Image.fromarray(array).save(root / folder / f"{index}{ending}")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_maps(folder / "maps")
    return folder


@pytest.fixture
def train_here(place, monkeypatch):
    """The command in this process."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(place / "cache"))
    return lambda folder, *flags: command.main([*TINY, "--out", folder, *flags])


FOUR = [*TINY, "--total-images", "16", "--save-interval", "8", "--report-interval", "4"]


@pytest.fixture(scope="module")
def four(place):
    """The folder of four steps that nothing interrupts."""
    runs.run("trainers.spade", *FOUR, "--out", "four", cwd=place)
    return place / "four"


def test_four_steps_are_two_a_kill_and_two(place, four):
    killed_after_first_save("trainers.spade", *FOUR, "--out", "two", cwd=place)
    assert final_state(place / "two")["counters"]["steps"] == 2
    runs.run("trainers.spade", *FOUR, "--out", "two", cwd=place)
    assert_equal(final_state(place / "two"), final_state(four))
    assert (four / "paintings-000000016.png").exists()
    weights = load_weights(four / "weights", "spade")
    assert sorted(weights.states) == ["encoder", "generator"]
    assert weights.config["classes"] == ["class 0", "class 1", "class 2", "unknown"]
    assert weights.config["labels"] == {"kind": "custom", "dont_care": True, "edges": True}


def test_two_processes_see_the_losses_of_one(four):
    """With batch norms whose statistics are those of both."""
    near = {"rel": 5e-3, "abs": 5e-4}
    runs.two_see_the_losses_of_one(four, "trainers.spade", *FOUR, steps=4, near=lambda _: near)


def test_a_label_out_of_range_is_refused_with_its_file(place, train_here):
    make_maps(place / "wrong")
    Image.fromarray(np.full((40, 40), 7, np.uint8)).save(place / "wrong" / "labels" / "5.png")
    with pytest.raises(SystemExit, match=r"5\.png has the label 7, but the 4 classes are 0 to 3"):
        train_here("refused", "--data", "wrong")
    with pytest.raises(SystemExit, match="has the label 255.*--dont-care"):
        train_here("refused", "--no-dont-care")
    Image.fromarray(np.full((40, 40), 2, np.uint8)).save(place / "wrong" / "labels" / "5.png")
    train_here("mended", "--data", "wrong", "--total-images", "4")  # what was found is read anew
    assert not (place / "refused").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--image-dir", "pictures"], "no pictures with label maps"),
        (["--crop-size", "40"], "multiples of 32"),
        (["--crop-size", "64", "--preprocess", "crop"], "it is 40 x 40 pixels, not 64 x 64"),
        (["--preprocess", "crop", "--crop-size", "64", "--aspect-ratio", "2"], "cuts squares"),
        (["--class-names", "a", "b"], "these are 2 names for --num-classes 3"),
        (["--generator", "pix2pixhd"], "knows no styles"),
        (["--num-classes", "0"], "say with --num-classes"),
        (["--num-classes", "300"], "8 bits"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(train_here, place, capsys, flags, sentence):
    with pytest.raises(SystemExit) as refused:
        train_here("bad", *flags)
    assert sentence in str(refused.value) + capsys.readouterr().err
    assert not (place / "bad").exists()


def test_colour_maps_are_refused(place, train_here):
    make_maps(place / "colours")
    for file in (place / "colours" / "labels").iterdir():
        Image.open(file).convert("RGB").save(file)
    with pytest.raises(SystemExit, match="is a colour picture .RGB., and a map holds one number"):
        train_here("bad", "--data", "colours")


def test_pix2pixhd_instance_norm_and_rare_generator_steps(train_here, place):
    """No styles, no edges, another loss; the generator learns in every second step."""
    flags = ["--latent-size", "0", "--generator", "pix2pixhd", "--no-edges", "--loss", "ls"]
    train_here("other", *flags, "--d-steps", "2", "--total-images", "8", "--ema-decay", "0")
    state = final_state(place / "other")
    steps = {
        name: {float(s["step"]) for s in state[f"optimizer_{name}"]["state"].values()}
        for name in ("generator", "discriminator")
    }
    assert steps == {"generator": {1.0}, "discriminator": {2.0}}
    assert "encoder" not in state and "generator_ema" not in state


def test_it_starts_from_finished_weights(train_here, place, capsys):
    flags = ["--total-images", "4", "--ema-decay", "0"]
    train_here("base", *flags)
    capsys.readouterr()
    train_here("tuned", *flags, "--start-from", "base", "--learning-rate", "0")
    told = capsys.readouterr().err
    assert "The generator starts from base." in told and "The encoder starts from base." in told
    assert "no discriminator like ours: it starts afresh" in told
    base, tuned = (final_state(place / name) for name in ("base", "tuned"))
    for role in ("generator", "encoder"):
        weights = [key for key in base[role] if key.endswith(".weight")]
        assert weights and all(torch.equal(tuned[role][key], base[role][key]) for key in weights)
    with pytest.raises(SystemExit, match="--start-from base: its generator is built otherwise"):
        train_here("another", "--start-from", "base", "--hidden", "5")


@pytest.mark.parametrize("name", list(options.PRESETS))
def test_every_preset_is_whole(name):
    config = options.PRESETS[name]
    options.check(config, 1)
    semantics = {"puppets": 16, "ade20k": 151, "coco": 184, "cityscapes": 36, "facades": 13}
    assert options.labels_of(config).semantics == semantics.get(name, 13)
    with torch.device("meta"):
        Generator(**options.network_arguments(config)["generator"])


def test_initialisations():
    """The official code's on a GPU leaves spectrally normed layers alone, on a CPU it does not."""

    def made(kind, spectral):
        torch.manual_seed(0)
        network = Generator(4, (32, 32), 2, hidden=4)
        training.initialise(network, kind, 0.02, spectral)
        return network

    plain = Generator(4, (32, 32), 2, hidden=4)
    quirk, whole = made("xavier", False), made("xavier", True)
    assert quirk.head_0.conv_0.weight.std() > 20 * whole.head_0.conv_0.weight.std()
    assert torch.equal(quirk.fc.weight, whole.fc.weight)
    assert quirk.fc.weight.std() < 0.1 * plain.fc.weight.std()
    assert not quirk.head_0.conv_0.bias.any() and not quirk.conv_img.bias.any()
    for kind in ("normal", "xavier_uniform", "kaiming", "orthogonal"):
        assert not torch.equal(made(kind, True).fc.weight, whole.fc.weight)
    assert made("none", True).conv_img.bias.any()


def test_a_warp_bends_maps_and_lands_on_its_points():
    maps = torch.arange(32 * 32).view(1, 32, 32)
    still = torch.zeros(1, 25, 2)
    assert torch.equal(training.warp(maps, still), maps)
    shifted = training.warp(maps, still + torch.tensor([0.0, 4 / 16]))  # by 4 pixels to the left
    assert torch.equal(shifted[0, :, :28], maps[0, :, 4:])
    one = still.clone()
    one[0, 12, 0] = 0.25  # the middle, from 4 pixels further down
    bent = training.warp(maps, one)[0] // 32
    assert abs(int(bent[16, 16]) - 20) <= 1 and abs(int(bent[0, 0])) <= 1


def test_draws_are_sliced_from_the_global_batch():
    config = options.Config(batch_size=4, latent_size=3, warp_maps=0.1)
    whole = training.draws(config, 8, distributed.Processes())
    half = training.draws(config, 8, distributed.Processes(1, 2))
    for a, b in zip(whole, half, strict=True):
        assert torch.equal(a[1::2], b)
    assert not torch.equal(whole[0], whole[1])


def test_averaged_weights_are_saved_with_their_own_singular_vectors():
    config = dataclasses.replace(
        options.PRESETS["puppets"], channels=1, encoder_channels=2, discriminator_channels=2
    )
    parts = training.build(config, torch.device("cpu"))
    ready = training.for_use(parts)["generator"]
    for module in ready.modules():
        if isinstance(module, Spectral) and module.spectral:
            largest = torch.linalg.matrix_norm(module.normalised().flatten(1), 2)
            assert 0.9 < float(largest) < 1.3


def test_agreement():
    truth = np.array([[[0, 0, 1, 2]]])
    found = np.array([[[0, 1, 1, 0]]])
    result = scores.agreement(found, truth, 3, unknown=2)
    assert result["pixel_accuracy"] == pytest.approx(2 / 3)
    assert result["miou"] == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_drawn_puppets_keep_their_colours_and_a_painter_who_ignores_styles_does_not():
    """The ends of the style numbers: the drawn truth, and pictures that the map alone decides."""
    count = 24
    puppets = [random_parameters(puppet_seed(0, i, training=False)) for i in range(count)]
    drawings = [draw(puppet, 64) for puppet in puppets]
    pictures = {drawing.label_map.tobytes(): drawing.picture for drawing in drawings}
    blind = SimpleNamespace(
        style=lambda seed: None, paint=lambda label_map, *_, **__: pictures[label_map.tobytes()]
    )
    maps = np.stack([drawing.label_map for drawing in drawings])
    result = scores.style_numbers(blind, maps, seed=0)
    assert result["different"]["mean"] == pytest.approx(1) and abs(result["same"]["mean"]) < 0.4
    assert result["drawn"]["same"]["mean"] > 0.8 and abs(result["drawn"]["different"]["mean"]) < 0.3


def test_scores_of_puppets_and_of_a_folder(place, train_here, capsys):
    flags = ["--layout", "puppets", "--data", "puppets:8", "--num-classes", "0", "--no-dont-care"]
    train_here("puppets", *flags, "--no-edges", "--total-images", "8")
    capsys.readouterr()
    evaluate.main(["spade", "puppets", "puppets", "--count", "4", "--device", "cpu"])
    line = json.loads(capsys.readouterr().out)
    assert 0.5 < line["segmenter"]["real"]["miou"] < 1
    assert 0 <= line["segmenter"]["painted"]["relative_miou"] < 0.7
    assert -1 <= line["style"]["same"]["mean"] <= 1 and line["swd"]["mean"] > 0
    assert list(line["style"]["drawn"]["different"]) == ["mean", *scores.COLOURS]

    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :1] * 0 + 1, x * 0], dim=1)

    torch.jit.script(Constant()).save(place / "segmenter.pt")
    train_here("folder", "--total-images", "4")
    with pytest.raises(SystemExit, match="--segmenter"):
        evaluate.main(["spade", "folder", "maps", "--metrics", "segmenter"])
    capsys.readouterr()
    flags = ["--segmenter", str(place / "segmenter.pt"), "--metrics", "segmenter"]
    evaluate.main(["spade", "folder", "maps", "--count", "4", "--holdout", "0.5", *flags])
    line = json.loads(capsys.readouterr().out)
    assert line["segmenter"]["painted"]["pixel_accuracy"] > 0.1
