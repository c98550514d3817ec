"""SPADEPipeline and `python -m gan_models.spade paint`: from maps and styles to pictures."""

import numpy as np
import pytest
import torch
from tiny_spade import save_spade

from gan_models import images
from gan_models.errors import UserError
from gan_models.spade import SPADEPipeline
from gan_models.spade import pipeline as module
from gan_models.spade.__main__ import main
from gan_models.spade.networks import Generator
from gan_models.spade.segmenting import map_of_picture
from gan_models.weights import build_network, load_weights
from trainers.puppets import draw, random_parameters


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_spade(tmp_path_factory.mktemp("weights") / "dolls")


@pytest.fixture
def pipeline(weights):
    return SPADEPipeline.from_weights(weights, device="cpu")


def painted(size=(64, 64)):
    label_map = np.zeros(size, np.uint8)
    label_map[20:, 10:50], label_map[30:40, 20:30] = 3, 15
    return label_map


def test_it_paints_what_the_plain_network_does(pipeline, weights):
    assert (pipeline.name, pipeline.size, pipeline.latent_size) == ("dolls", (64, 64), 6)
    label_map = painted().astype(np.int64)
    plain = build_network(Generator, load_weights(weights), "generator")
    latents = torch.from_numpy(pipeline.style(5))[None]
    expected = images.to_pictures(plain(pipeline.semantics(label_map, label_map), latents))[0]
    found = pipeline.paint(label_map, seed=5)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.array_equal(found, pipeline.paint(painted(), pipeline.style(5)))
    assert not np.array_equal(found, pipeline.paint(label_map, seed=6))


def test_edges_come_from_the_instances_or_else_from_the_map(tmp_path):
    pipeline = SPADEPipeline.from_weights(save_spade(tmp_path / "w", "cityscapes", 0), "cpu")
    label_map = painted()
    plain = pipeline.paint(label_map)
    assert np.array_equal(plain, pipeline.paint(label_map, instances=label_map.astype(int) * 7))
    halves = label_map.astype(int)
    halves[:, 32:] += 100
    assert not np.array_equal(plain, pipeline.paint(label_map, instances=halves))


def test_a_known_map_is_not_prepared_again_and_the_cache_is_bounded(pipeline, monkeypatch):
    made, prepare = [], pipeline.folded.prepare
    monkeypatch.setattr(
        pipeline.folded, "prepare", lambda *given: made.append(1) or prepare(*given)
    )
    first = pipeline.paint(painted())
    pipeline.paint(painted(), seed=1)
    assert len(made) == 1
    monkeypatch.setattr(module, "REMEMBERED", 0)
    pipeline.paint(np.zeros((64, 64), np.uint8))
    assert len(pipeline._prepared) == 1 and len(made) == 2
    assert np.array_equal(pipeline.paint(painted()), first)
    assert len(made) == 3


def test_styles_of_seeds_pictures_and_mixes(pipeline):
    a, b = pipeline.style(1), pipeline.style(2)
    assert a.shape == (6,) and np.array_equal(a, pipeline.style(1))
    assert np.allclose(pipeline.mix(a, b, 0), a) and np.allclose(pipeline.mix(a, b, 1), b)
    length = np.linalg.norm(pipeline.mix(a, b, 0.5))
    assert np.isclose(length, (np.linalg.norm(a) + np.linalg.norm(b)) / 2)
    picture = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    assert pipeline.style_of(picture).shape == (6,)
    assert not np.allclose(pipeline.style_of(picture), pipeline.style_of(255 - picture))


def test_other_sizes_are_fitted_and_told(pipeline):
    label_map, told = pipeline.fitted(painted((128, 96)))
    assert label_map.shape == (64, 64) and set(np.unique(label_map)) == {0, 3, 15}
    assert "96 x 128 pixels and was scaled to 64 x 64" in told[0] and "shape was changed" in told[0]
    assert pipeline.fitted(painted())[1] == []


def test_mistakes_are_told_in_sentences(pipeline, tmp_path):
    with pytest.raises(UserError, match="64 x 64 pixels, not an array"):
        pipeline.paint(painted((32, 64)))
    with pytest.raises(UserError, match="whole numbers"):
        pipeline.paint(painted().astype(float))
    with pytest.raises(UserError, match="ids from 16 to 16; the classes of dolls are 0 to 15"):
        pipeline.paint(np.full((64, 64), 16))
    with pytest.raises(UserError, match="ids from -1"):
        pipeline.paint(np.full((64, 64), -1))
    with pytest.raises(UserError, match="6 finite numbers"):
        pipeline.paint(painted(), np.zeros(5))
    with pytest.raises(UserError, match="share from 0 to 1"):
        pipeline.mix(np.ones(6), np.ones(6), 1.5)
    with pytest.raises(UserError, match="seed is a whole number"):
        pipeline.paint(painted(), seed=-1)
    plain = SPADEPipeline.from_weights(save_spade(tmp_path / "plain", latent_size=0), "cpu")
    with pytest.raises(UserError, match="no encoder"):
        plain.style_of(np.zeros((8, 8, 3), np.uint8))
    generator = Generator(15, (64, 64), channels=4, hidden=8)
    with pytest.raises(UserError, match="take 15 channels, and its description names 16"):
        config = load_weights(tmp_path / "plain").config
        SPADEPipeline(generator, None, config, device="cpu")


# ---------------------------------------------------------------- command


@pytest.fixture
def run(pipeline, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours = pipeline.labels.colours[painted()]
    for name in ("a", "b"):
        images.save_picture(tmp_path / "maps" / f"{name}.png", colours, weights="", settings={})
    return lambda *given: main(["paint", *map(str, given), "--weights", str(weights)])


def test_paint_writes_a_picture_and_a_grid_of_variations(run, pipeline, tmp_path):
    run("maps/a.png", "--out", "one.png", "--seeds", 3)
    assert np.array_equal(images.read_picture("one.png"), pipeline.paint(painted(), seed=3))
    label = images.read_settings("one.png")
    assert label["weights"] == "dolls" and label["settings"]["styles"] == ["seed-000003"]
    run("maps", "--out", "grid.png", "--seeds", "0-2")
    assert images.read_picture("grid.png").shape == (2 * 64 + 2, 3 * 64 + 4, 3)


def test_paint_writes_a_folder_in_the_styles_of_pictures_or_their_mix(run, tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    for name, picture in (("noise", noise), ("inverse", 255 - noise)):
        images.save_picture(f"{name}.png", picture, weights="", settings={})
    run("maps/a.png", "--style", "noise.png", "inverse.png", "--out", "pictures")
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        "a-noise.png", "a-inverse.png",
    }  # fmt: skip
    run("maps/a.png", "--style", "noise.png", "inverse.png", "--mix", 0.25, "--out", "mixed.png")
    styles = images.read_settings("mixed.png")["settings"]["styles"]
    assert styles == ["0.25-from-noise-to-inverse"]


def test_paint_makes_a_map_of_a_picture_first(run, pipeline):
    puppet = draw(random_parameters(1), 64).picture
    images.save_picture("puppet.png", puppet, weights="", settings={})
    run("puppet.png", "--read", "picture", "--out", "painted.png")
    label_map, _ = map_of_picture(puppet, pipeline.labels, pipeline.size)
    assert np.array_equal(images.read_picture("painted.png"), pipeline.paint(label_map))


def test_paint_tells_what_it_did_to_a_map(run, pipeline, capsys):
    large = pipeline.labels.colours[painted((128, 128))]
    large[:2, :2] = 77
    images.save_picture("large.png", large, weights="", settings={})
    run("large.png")
    said = capsys.readouterr().out
    assert "1 unknown colour on 4 pixels" in said and "scaled to 64 x 64" in said


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["maps/a.png", "--out", "x.gif"], "must end in"),
        (["maps/a.png", "--mix", 0.5], "two styles"),
        (["maps/none.png"], "none.png: maps/none.png does not exist"),
        (["maps/a.png", "--read", "ids"], "a.png: This map has colours"),
        (["empty"], "no map"),
    ],
)
def test_paint_ends_with_a_sentence(run, given, sentence, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=sentence):
        run(*given)
