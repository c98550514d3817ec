"""`python -m gan_models.progan`: grids, clips, and what it says to mistakes."""

import numpy as np
import pytest
from commands import python
from tiny import save_progan

from gan_models import images, video
from gan_models.progan import ProGANPipeline
from gan_models.progan.__main__ import enlarged, main, parse_seeds


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_progan(tmp_path_factory.mktemp("weights") / "pets", classes=["cat", "dog"])


@pytest.fixture
def run(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        main([*map(str, arguments), "--weights", str(weights), "--device", "cpu"])

    return command


def test_sample_writes_a_labelled_grid(run, weights, tmp_path):
    run("sample", "--seeds", "0-4,9", "--columns", 4, "--label", "dog", "--out", "grid.png")
    grid = images.read_picture(tmp_path / "grid.png")
    assert grid.shape == (2 * 16 + 2, 4 * 16 + 3 * 2, 3)
    pipeline = ProGANPipeline.from_weights(weights, device="cpu")
    expected = pipeline.sample(pipeline.latents(9), "dog")[0]
    assert np.abs(grid[18:34, 18:34].astype(int) - expected).max() <= 1
    label = images.read_settings(tmp_path / "grid.png")
    assert label["note"] == "made by a model"
    assert label["weights"] == "pets"
    assert label["settings"]["seeds"] == "0-4,9"
    assert label["settings"]["label"] == "dog"


def test_sample_writes_separate_pictures_of_a_lower_resolution(run, tmp_path):
    run("sample", "--seeds", "3,5", "--resolution", 8, "--alpha", 0.5, "--separate", "each")
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == ["seed-000003.png", "seed-000005.png"]
    assert images.read_picture(tmp_path / "each" / names[0]).shape == (8, 8, 3)
    assert images.read_settings(tmp_path / "each" / names[1])["settings"]["seeds"] == "5"
    assert images.read_picture(tmp_path / "grid.png").shape == (8, 18, 3)


def test_interpolate_writes_a_clip_from_seed_to_seed(run, tmp_path):
    run("interpolate", "--seeds", "1,2,3", "--seconds", 0.5, "--fps", 12, "--loop")
    info = video.clip_info(tmp_path / "clip.mp4")
    assert (info.frames, info.width, info.height) == (6, 64, 64)
    assert info.label["settings"]["mode"] == "spherical"
    assert info.label["weights"] == "pets"


def test_interpolate_walks_at_random_in_a_gif(run, tmp_path):
    arguments = ["--seeds", 4, "--mode", "walk", "--seconds", 1, "--fps", 8, "--scale", 1]
    run("interpolate", *arguments, "--label", 1, "--out", "walk.gif")
    info = video.clip_info(tmp_path / "walk.gif")
    assert (info.frames, info.width, info.height) == (8, 16, 16)
    assert info.label["settings"]["smoothing"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("sample --seeds 5-2", "seeds go upwards"),
        ("sample --seeds cat", "give whole numbers and ranges"),
        ("sample --seeds 0-4294967295", "10000 at a time are the most"),
        ("sample --columns 0", "a grid has at least 1"),
        ("sample --out grid.bmp", "must end in .png"),
        ("sample --label 7", "has no class 7: choose one of cat, dog"),
        ("sample --resolution 32", "no resolution 32"),
        ("interpolate --seeds 1", "a path needs two"),
        ("interpolate --seeds 1,2 --mode walk", "takes one seed"),
        ("interpolate --seconds 0", "make no clip"),
        ("interpolate --seconds nan", "make no clip"),
        ("interpolate --scale 0", "whole number from 1 to 64"),
        ("interpolate --out clip.avi", "must end in .mp4 or .gif"),
        ("interpolate --fps 500", "1 to 120 frames per second"),
    ],
)
def test_mistakes_end_with_a_sentence_and_no_file(run, tmp_path, arguments, sentence):
    with pytest.raises(SystemExit, match=f"error: .*{sentence}"):
        run(*arguments.split())
    assert list(tmp_path.iterdir()) == []


def test_unknown_weights_end_with_a_sentence(tmp_path):
    done = python(
        "-m", "gan_models.progan", "sample", "--weights", "nowhere", cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: There are no weights called")


def test_parse_seeds():
    assert parse_seeds("3,5,8-10") == [3, 5, 8, 9, 10]
    assert parse_seeds("4294967295") == [2**32 - 1]


def test_enlarged_keeps_pixels_sharp():
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    (large,) = enlarged([frame], 3)
    assert large.shape == (6, 6, 3)
    assert np.array_equal(large[1::3, 1::3], frame)
    assert (large[:3, :3] == frame[0, 0]).all()
