"""Sliced Wasserstein distance and MS-SSIM against the official numbers; FID and KID."""

import numpy as np
import pytest
import torch
import torchvision

from gan_models.errors import UserError
from tests import recorded
from tests.parity.fill import fill, noise, smooth_image
from tests.recorded import PARITY
from trainers import metrics
from trainers.metrics import SWDReference

KEPT = [
    (..., slice(None, None, 4), slice(None, None, 4)),
    (..., slice(None, None, 2), slice(None, None, 2)),
    ...,
]


def last_channel(images):
    return np.ascontiguousarray(np.rint(images).astype(np.uint8).transpose(0, 2, 3, 1))


@pytest.fixture(scope="module")
def pictures():
    """The two sets of the parity cases: 64 smooth pictures, and 64 paler ones with noise."""
    shape = (64, 3, 64, 64)
    a = smooth_image("swdA64", 64, 3, 64)
    b = smooth_image("swdB64", 64, 3, 64, 0.1, 0.8) + 0.03 * noise("swdBn64", shape)
    return last_channel(255 * a), last_channel(255 * np.clip(b, 0, 1))


@pytest.fixture(scope="module")
def official():
    return np.load(PARITY / "swd_64.npz")


@pytest.fixture(scope="module")
def patterns():
    """64 pictures of 32 px with bright blocks at random places."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (64, 8, 8, 3))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.mark.parametrize(("name", "which"), [("A", 0), ("B", 1)])
def test_pyramid_is_the_official_one(pictures, official, name, which):
    bands = metrics.laplacian_pyramid(pictures[which][:2])
    assert [band.shape for band in bands] == [(2, 3, 64, 64), (2, 3, 32, 32), (2, 3, 16, 16)]
    for level, band in enumerate(bands):
        np.testing.assert_allclose(
            band[KEPT[level]], official[f"pyramid_{name}_level{level}"], atol=1e-4
        )


def test_distances_are_the_official_ones_with_its_draws(pictures, official):
    random = np.random.RandomState(5)
    reals = metrics.descriptors(pictures[0], random, batch_size=32)
    itself = metrics.distances(reals, reals, random)  # the official reals pass: it takes draws too
    assert set(itself.values()) == {0}
    for which, case in [(0, "A_vs_A_again"), (1, "A_vs_B")]:
        fakes = metrics.descriptors(pictures[which], random, batch_size=32)
        found = metrics.distances(reals, fakes, random)
        assert list(found) == ["64", "32", "16", "mean"]
        np.testing.assert_allclose(list(found.values()), official[case], rtol=1e-4)


def test_distance_of_given_descriptors_is_the_official_one(official):
    def finalized(patches):
        patches = patches - patches.mean((0, 2, 3), keepdims=True)
        return (patches / patches.std((0, 2, 3), keepdims=True)).reshape(len(patches), -1)

    a = finalized(noise("descA", (2048, 3, 7, 7)))
    b = finalized((2 * noise("descB", (2048, 3, 7, 7), -1, 1) ** 3 + 0.3).astype(np.float32))
    found = metrics.distance(a, b, np.random.RandomState(7))
    assert found == pytest.approx(float(official["sliced_wasserstein_AB_4x128"]), rel=1e-4)


def test_distance_agrees_with_the_official_mean_over_draws(pictures, official):
    found = SWDReference(pictures[0], seed=11).distance(pictures[1])
    wanted, deviation = official["A_vs_B_mean_over_5_seeds"], official["A_vs_B_std_over_5_seeds"]
    assert np.all(np.abs(np.array(list(found.values())) - wanted) < 4 * deviation)


def test_reference_repeats_itself_and_the_seed_matters(patterns):
    reference = SWDReference(patterns[:32], seed=1)
    first = reference.distance(patterns[32:])
    assert first == reference.distance(patterns[32:])
    assert first == SWDReference(patterns[:32], seed=1).distance(patterns[32:])
    assert first != SWDReference(patterns[:32], seed=2).distance(patterns[32:])


def test_worse_pictures_score_worse(pictures):
    real, other = pictures[0][:32], pictures[0][32:]
    random = np.random.default_rng(0)
    noisy = np.clip(other + random.normal(0, 30, other.shape), 0, 255).astype(np.uint8)
    reference = SWDReference(real)
    assert reference.distance(noisy)["mean"] > 1.5 * reference.distance(other)["mean"]


def test_pictures_without_contrast_score_a_number(patterns):
    black = np.zeros_like(patterns)
    assert np.isfinite(SWDReference(patterns).distance(black)["mean"])


def test_ms_ssim_is_the_official_one(pictures):
    official = np.load(PARITY / "msssim_64.npz")
    a, b = pictures
    assert metrics.ms_ssim(a) == pytest.approx(float(official["metric_A"]), rel=1e-4)
    assert metrics.ms_ssim(b) == pytest.approx(float(official["metric_B"]), rel=1e-4)

    channels_first = a.transpose(0, 3, 1, 2)
    noisy = channels_first.astype(np.float32) + 12 * noise("msn64", channels_first.shape)
    noisy = np.clip(noisy, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    found = metrics.pair_ms_ssim(a, noisy)
    assert found.shape == (64,)
    assert found.mean() == pytest.approx(float(official["A_vs_noisyA"]), rel=1e-4)
    similarity, contrast = metrics._ssim(*(metrics._images(x[:4]).double() for x in (a, noisy)))
    np.testing.assert_allclose(similarity, official["level0_ssim"], rtol=1e-4)
    np.testing.assert_allclose(contrast, official["level0_cs"], rtol=1e-4)


def test_ms_ssim_of_equal_pairs_is_one_and_an_odd_picture_is_left_out(patterns):
    twice = patterns[:8].repeat(2, axis=0)
    assert metrics.ms_ssim(twice) == pytest.approx(1)
    assert metrics.ms_ssim(patterns[:5]) == metrics.ms_ssim(patterns[:4])


@pytest.mark.parametrize("size", [4, 8, 24])
def test_sizes_that_cannot_be_halved_are_refused_in_a_sentence(size):
    pictures = np.zeros((4, size, size, 3), np.uint8)
    for score in (SWDReference, metrics.ms_ssim):
        with pytest.raises(UserError, match=f"down to 16 px, and {size} px cannot"):
            score(pictures)


def test_missing_inception_weights_are_said_and_never_fetched(monkeypatch, tmp_path):
    imports = pytest.importorskip("torchmetrics.utilities.imports")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(imports, "_TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(UserError, match="pip install torch-fidelity"):
        metrics.inception_features(np.zeros((2, 16, 16, 3), np.uint8))
    monkeypatch.setattr(imports, "_TORCH_FIDELITY_AVAILABLE", True)
    with pytest.raises(UserError, match="weights-inception") as refusal:
        metrics.inception_features(np.zeros((2, 16, 16, 3), np.uint8))
    assert str(tmp_path / "checkpoints") in str(refusal.value)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / metrics.INCEPTION_FILE).write_bytes(b"not weights")
    with pytest.raises(UserError, match="cut short"):
        metrics.inception_features(np.zeros((2, 16, 16, 3), np.uint8))


def test_perceptual_distance_and_fid_equal_the_official_numbers(monkeypatch):
    description, known = recorded.case("starganv2", "metrics")
    recipe = description["networks"]["lpips"]
    filled = {key: torch.from_numpy(x) for key, x in fill(recipe["tensors"], 1.0).items()}
    alexnet = {key.replace("alexnet.layers", "features"): x for key, x in filled.items()}
    linear = [filled[f"lpips_weights.{layer}.main.1.weight"].abs() for layer in range(5)]
    network = metrics.Perceptual(alexnet, linear)
    groups = [torch.from_numpy(smooth_image(f"lp_x{i}", 2, 3, 256, -1, 1)) for i in range(3)]
    groups = torch.stack(groups)  # (3, 2, 3, 256, 256): pairs are formed over the first

    def distance(*members):
        return np.mean([float(network(groups[list(members), row])) for row in range(2)])

    pairs = [distance(0, 1), distance(0, 2), distance(1, 2)]
    assert pairs == pytest.approx(known["lpips_pairs"], rel=1e-4)
    assert distance(0, 1, 2) == pytest.approx(float(known["lpips_mean"]), rel=1e-4)
    monkeypatch.setattr(metrics._Given, "num_features", 64)
    real = torch.from_numpy(noise("act0_x", (300, 64)).astype(float))
    fake = torch.from_numpy(1.3 * noise("act1_x", (200, 64)).astype(float) + 0.2)
    assert metrics.fid(real, fake) == pytest.approx(float(known["fid"]), rel=1e-4)


def test_missing_alexnet_weights_are_said_and_never_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(UserError, match="put https://download.pytorch.org/models/alexnet"):
        metrics.lpips(np.zeros((2, 64, 64, 3), np.uint8))
    state = torchvision.models.alexnet(weights=None).features.state_dict()
    (tmp_path / "checkpoints").mkdir()
    named = {f"features.{key}": tensor for key, tensor in state.items()}
    torch.save(named, tmp_path / "checkpoints" / metrics.ALEXNET_FILE)
    same, other = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    assert metrics.lpips(np.stack([same, same])) < 1e-6 < metrics.lpips(np.stack([same, other]))


def test_fid_and_kid_of_features(monkeypatch):
    pytest.importorskip("torchmetrics")
    monkeypatch.setattr(metrics._Given, "num_features", 8)
    random = torch.Generator().manual_seed(0)
    real, same = torch.randn(2, 400, 8, generator=random)
    assert metrics.fid(real, real) == pytest.approx(0, abs=1e-3)
    # Gaussians of equal covariance, means 1 apart in each of 8 dimensions: FID is 8.
    assert metrics.fid(real, same + 1) == pytest.approx(8, rel=0.2)
    assert abs(metrics.kid(real, same)) < 0.05 < metrics.kid(real, same + 1)

    state = torch.get_rng_state()
    assert metrics.kid(real, same, seed=3) == metrics.kid(real, same, seed=3)
    assert torch.equal(state, torch.get_rng_state())
