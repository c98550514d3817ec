"""`python -m gan_models.stargan_v2`: grids, clips, alignment, mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_stargan_v2 import save_stargan_v2

from gan_models import images, video
from gan_models.errors import UserError
from gan_models.stargan_v2 import StarGANv2Pipeline
from gan_models.stargan_v2.__main__ import main, mean_face, path
from gan_models.stargan_v2.landmarks import FAN


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_stargan_v2(tmp_path_factory.mktemp("weights") / "dolls")


@pytest.fixture
def run(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("in/a", "in/b", "styles/c")):
        file = tmp_path / f"{name}.png"
        images.save_picture(file, picture(seed), weights="none", settings={})
    return lambda words: main([*words.split(), "--weights", str(weights), "--device", "cpu"])


def tile(sheet, row, column):
    return sheet[34 * row : 34 * row + 32, 34 * column : 34 * column + 32]


def test_a_grid_of_sources_by_references_and_by_seeds(run, weights):
    pipeline = StarGANv2Pipeline.from_weights(weights, device="cpu")
    run("sample in --domain cat --references styles --strength 0.8 --out grid.png")
    sheet = images.read_picture("grid.png")
    assert sheet.shape == (32 * 2 + 2, 32 * 3 + 4, 3)
    assert np.array_equal(tile(sheet, 0, 1), picture(0))
    assert np.array_equal(tile(sheet, 1, 0), picture(2))
    expected = pipeline.translate(picture(1), "cat", reference=picture(2), strength=0.8)
    assert np.array_equal(tile(sheet, 1, 2), expected)
    about = images.read_settings("grid.png")
    assert about["settings"]["references"] == ["styles"]
    run("sample in/a.png --domain robot --seeds 3,4 --out grid.png")
    sheet = images.read_picture("grid.png")
    assert np.array_equal(tile(sheet, 2, 0), pipeline.translate(picture(0), "robot", seed=4))


def test_a_clip_goes_from_stop_to_stop(run):
    run("interpolate in/a.png --domain cat --seeds 1,2 --seconds 1 --fps 8 --out clip.gif")
    assert video.open_clip("clip.gif").frame_count == 8
    stops = np.float32([[0, 0], [1, 2], [3, 2]])
    along = path(list(stops), 5, loop=False)
    assert np.allclose(along[[0, 2, 4]], stops) and np.allclose(along[1], [0.5, 1])
    around = path(list(stops), 6, loop=True)
    assert np.allclose(around[[0, 2, 4]], stops) and np.allclose(around[5], [1.5, 1])


def test_faces_are_aligned_with_the_mean_face(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    Path("runs/wing").mkdir(parents=True)  # where `gan_models.published fetch wing` puts it
    torch.save({"state_dict": FAN().state_dict(), "epoch": 3}, "runs/wing/wing.ckpt")
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    square = images.resize(coarse, 256)
    wide = np.pad(square, ((0, 0), (40, 40), (0, 0)), mode="reflect")
    for name, one in (("as wanted/a", square), ("given/a", square), ("given/b", wide)):
        images.save_picture(f"{name}.png", one, weights="none", settings={})
    Path("given/c.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit, match="1 of 3 could not be aligned"):
        main(["align", "given", "--mean", "as wanted", "--device", "cpu"])
    assert "given/c.png" in capsys.readouterr().err
    for name in "ab":  # their landmarks are the mean ones
        made = images.read_picture(f"aligned/{name}.png")
        assert images.read_settings(f"aligned/{name}.png") is None
        assert np.abs(made.astype(int) - square).max() <= 1
    np.savez("mean.npz", mean=np.zeros((68, 2)))
    for words, sentence in (
        ("given --landmarks given/a.png --mean mean.npz", "neither a torch file"),
        ("given", "There is no celeba_lm_mean.npz here: give --mean, or get it by"),
        ("given --mean mean.npz", "shape \\(68, 2\\)"),
        ("given --mean nowhere.npz", "nowhere.npz"),
        ("given --size 7", "--size 7"),
        ("given --out given", "would replace what the result is made from"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            main(["align", *words.split(), "--device", "cpu"])
    Path("full").write_bytes(b"a file where the folder should be")
    monkeypatch.setattr("gan_models.stargan_v2.__main__.landmark_network", None)  # not yet begun
    with pytest.raises(SystemExit, match="full/.*could not be written"):
        main(["align", "given", "--out", "full", "--device", "cpu"])


def test_a_mean_face_that_is_damaged_is_a_sentence(tmp_path):
    file = tmp_path / "mean.npz"
    np.savez_compressed(file, mean=np.random.default_rng(0).random((98, 2), np.float32))
    assert mean_face(file, None).shape == (98, 2)
    whole = file.read_bytes()
    for damaged in (whole[:300], whole[:120] + bytes(30) + whole[150:], b"", b"\x80\x04."):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="mean.npz holds no mean face"):
            mean_face(file, None)


def test_mistakes_end_in_a_sentence(run):
    for words, sentence in (
        ("sample in --domain dog", "human, cat, robot"),
        ("sample nowhere --domain cat", "nowhere"),
        ("sample in --domain cat --out grid.bmp", "--out grid.bmp"),
        ("sample in --domain cat --strength 3", "strength"),
        ("interpolate in/a.png --domain cat --seeds 1", "two styles"),
        ("interpolate in/a.png --domain cat --seconds 0", "--seconds"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            run(words)
