"""The scoring command: one JSON line, marks to read the distance by, errors before work."""

import json

import numpy as np
import pytest

from gan_models.errors import UserError
from gan_models.images import save_picture
from gan_models.progan.networks import Generator
from gan_models.weights import save_weights
from trainers import evaluate, metrics
from trainers.progan import scores


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a tiny generator of 32 px that has finished growing."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    arguments = {"resolution": 32, "latent_size": 8, "channels": [8, 8, 8, 8]}
    save_weights(
        folder,
        system="progan",
        networks={"generator": Generator(**arguments)},
        arguments={"generator": arguments},
        config={
            "name": "tiny",
            "size": 32,
            "value_range": [-1, 1],
            "framing": {"kind": "centre", "margin": 0.0},
            "classes": [],
            "data": "nothing",
            "licence": "Apache-2.0",
            "images_seen": 1234,
        },
        card="# tiny",
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12 pictures of 32 px, each of one flat colour and a white block."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(12):
        picture = np.tile(random.integers(0, 200, 3, dtype=np.uint8), (32, 32, 1))
        x, y = random.integers(0, 24, 2)
        picture[y : y + 8, x : x + 8] = 255
        save_picture(folder / f"{number}.png", picture, weights="none", settings={})
    return folder


def line(capsys, *args):
    """What the command printed on stdout, read as its one JSON line."""
    evaluate.main([str(arg) for arg in ("progan", *args)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_scores_against_puppets(weights, capsys):
    result = line(capsys, weights, "puppets", "--count", "4")
    assert result["system"] == "progan"
    assert result["weights"] == "tiny"
    assert result["images_seen"] == 1234
    assert (result["data"], result["count"], result["size"]) == ("puppets", 4, 32)
    for entry in (result["swd"], result["swd_floor"], *result["swd_half_resolution"].values()):
        assert list(entry) == ["32", "16", "mean"]
        assert entry["mean"] == pytest.approx((entry["32"] + entry["16"]) / 2, rel=1e-3)
    ratio = result["swd"]["mean"] / result["swd_floor"]["mean"]
    assert result["swd_to_floor"] == pytest.approx(ratio, rel=1e-3)
    assert 0 <= result["ms_ssim"] <= 1 and 0 <= result["ms_ssim_real"] <= 1
    assert "fid" not in result
    assert result == line(capsys, weights, "puppets", "--count", "4")


def test_real_puppets_lie_outside_training_and_have_two_styles():
    real, other = scores.real_pictures("puppets", 3, 32)
    assert real.shape == other.shape == (3, 32, 32, 3)
    from trainers.puppets import draw, random_parameters

    np.testing.assert_array_equal(other[0], draw(random_parameters(1_000_000_003), 32).picture)
    second_style, _ = scores.real_pictures("puppets:held_out", 3, 32)
    assert (second_style != real).any()


def test_chosen_metrics_only(weights, folder, capsys):
    result = line(capsys, weights, folder, "--count", "6", "--metrics", "ms_ssim")
    assert "swd" not in result and "ms_ssim" in result


def test_without_enough_pictures_there_is_no_floor(weights, folder, capsys):
    assert "swd_floor" in line(capsys, weights, folder, "--count", "6")
    evaluate.main(["progan", str(weights), str(folder), "--count", "7"])
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert "swd" in result and "swd_half_resolution" in result
    assert "swd_floor" not in result and "swd_to_floor" not in result
    assert "no floor" in printed.err


def test_two_sets_of_a_folder_do_not_overlap(folder):
    real, other = scores.real_pictures(str(folder), 6, 32)
    seen = {picture.tobytes() for picture in np.concatenate([real, other])}
    assert len(seen) == 12


def test_classes_are_drawn_evenly():
    class Pipeline:
        """Paints the class's number."""

        classes = ["cat", "human", "robot"]

        def latents(self, seed, count):
            return np.zeros((count, 4), np.float32)

        def frames(self, latents, label, resolution):
            return (np.full((resolution, resolution, 3), number, np.uint8) for number in label)

    pictures = scores.generated_pictures(Pipeline(), 300, 16, seed=0)
    counts = np.bincount(pictures[:, 0, 0, 0])
    assert len(counts) == 3 and counts.min() > 70


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_half_resolution_keeps_what_is_flat_and_loses_what_is_fine(mode):
    pictures = np.zeros((1, 16, 16, 3), np.uint8)
    pictures[:, ::2] = 200  # stripes of one pixel
    assert (scores.half_resolution(pictures, mode) == 100).all()
    flat = np.full((1, 16, 16, 3), 77, np.uint8)
    assert (scores.half_resolution(flat, mode) == 77).all()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["puppets", "--count", "1"], "--count is 1"),
        (["puppets", "--seed", "-1"], "--seed is -1"),
        (["puppets:500"], "puppets or puppets:held_out"),
        (["FOLDER", "--count", "13"], "has 12 pictures"),
        (["nowhere-at-all"], "nowhere-at-all"),
    ],
)
def test_mistakes_are_sentences(weights, folder, args, sentence):
    args = [str(folder) if arg == "FOLDER" else arg for arg in args]
    with pytest.raises(SystemExit, match=sentence):
        evaluate.main(["progan", str(weights), *args])


def test_unknown_weights_are_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="missing-weights"):
        evaluate.main(["progan", str(tmp_path / "missing-weights"), "puppets"])


def test_fid_without_its_file_is_refused_before_work(monkeypatch, weights):
    def missing():
        raise UserError("FID and KID need Inception weights.")

    def work(*args, **options):
        raise AssertionError("work was started")

    monkeypatch.setattr(metrics, "inception_file", missing)
    monkeypatch.setattr(scores, "real_pictures", work)
    with pytest.raises(SystemExit, match="need Inception weights"):
        evaluate.main(["progan", str(weights), "puppets", "--metrics", "swd", "fid"])


def test_fid_and_kid_share_one_pass(monkeypatch, weights, folder, capsys):
    passes = []

    def features(pictures):
        passes.append(len(pictures))
        return pictures.mean((1, 2))

    monkeypatch.setattr(metrics, "inception_file", lambda: None)
    monkeypatch.setattr(metrics, "inception_features", features)
    monkeypatch.setattr(metrics, "fid", lambda real, fake: float(abs(real.mean() - fake.mean())))
    monkeypatch.setattr(metrics, "kid", lambda real, fake, seed: 0.125)
    result = line(capsys, weights, folder, "--count", "6", "--metrics", "fid", "kid")
    assert passes == [6, 6]
    assert result["kid"] == 0.125 and result["fid"] > 0
