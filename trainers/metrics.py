"""Scores of generated pictures: sliced Wasserstein distance, MS-SSIM, FID, KID and LPIPS.

The first two follow metrics/sliced_wasserstein.py and metrics/ms_ssim.py of the official
Progressive GAN code number for number (Karras et al. 2018, section 5); FID and KID come from
torchmetrics. Sets of pictures are (N, S, S, 3) uint8.

    reference = SWDReference(real)                 # once for every set that is compared with `real`
    reference.distance(fake)                       # {"64": ..., "32": ..., "16": ..., "mean": ...}
"""

import math
import pickle
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import tyro

from gan_models.errors import UserError

# The arguments of every score command.
Weights = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WEIGHTS")]
Data = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
STYLES = {"puppets": "training", "puppets:held_out": "held_out"}  # DATA -> how it is drawn
LOWEST_LEVEL = 16  # pixels; the pyramid of the sliced Wasserstein distance ends here
PATCH = 7
PATCHES_PER_IMAGE = 128
REPEATS = 4
DIRECTIONS = 128
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
RELEASE = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
INCEPTION_ADDRESS = f"{RELEASE}/{INCEPTION_FILE}"
ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
ALEXNET_ADDRESS = f"https://download.pytorch.org/models/{ALEXNET_FILE}"
PERCEIVED_MEAN, PERCEIVED_SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images


# ---------------------------------------------------------------- what every score command does


def puppet_style(data):
    """The drawing style that `data` names, None for a folder; UserError for puppets:COUNT."""
    if data.partition(":")[0] == "puppets" and data not in STYLES:
        choices = " or ".join(STYLES)
        raise UserError(f"{data} cannot be scored against: give {choices}; --count says how many.")
    return STYLES.get(data)


def check_count(count, noun):
    if count < 2:
        raise UserError(f"--count is {count}, but a score takes 2 {noun} or more.")


def described(system, config, rest):
    """The first fields of a JSON line: whose scores these are."""
    name, seen = config.get("name"), config.get("images_seen")
    return {"system": system, "weights": name, "images_seen": seen, **rest}


def rounded(value):
    """Floats to five digits, which is more than a repetition with other seeds agrees in."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None  # JSON has no nan
    return value


# ---------------------------------------------------------------- sliced Wasserstein distance


class SWDReference:
    """One set of real pictures (N, S, S, 3) uint8, ready to be compared with many others.

    Sliced Wasserstein distance (Karras et al. 2018, section 5). Two sets of real pictures do not
    score 0 but a floor that depends on the count: compare equal counts only. Every comparison draws
    the same patches and directions, so a curve over checkpoints shows the checkpoints. Holds
    N * 128 patches a level: 231 MB for 1,024 pictures of 64 px.

    Raises UserError for pictures that cannot be halved down to 16 px.
    """

    def __init__(self, real, seed=0):
        self.seed = seed
        self.descriptors = descriptors(real, np.random.RandomState([seed, 0]))

    def distance(self, fake):
        """x1000 to as many others, by level: {"64": ..., "32": ..., "16": ..., "mean": ...}."""
        random = np.random.RandomState([self.seed, 1])
        return distances(self.descriptors, descriptors(fake, random), random)


def distances(real, fake, random):
    """Two results of `descriptors` -> {"64": ..., "mean": ...} x1000, directions from `random`."""
    levels = {str(level): 1000 * distance(real[level], fake[level], random) for level in real}
    return levels | {"mean": sum(levels.values()) / len(levels)}


def distance(a, b, random):
    """Sliced Wasserstein distance between descriptors a and b (M, D) float32.

    As in the official code: mean |sort(a d) - sort(b d)| over 128 random unit directions d,
    averaged over 4 repeats; `random` is a numpy RandomState.
    """
    means = []
    for _ in range(REPEATS):
        directions = random.randn(a.shape[1], DIRECTIONS)
        directions /= np.sqrt(np.square(directions).sum(0, keepdims=True))
        directions = directions.astype(np.float32)
        difference = _sorted_projections(a, directions)  # (128, M)
        difference -= _sorted_projections(b, directions)
        means.append(np.abs(difference, out=difference).mean())
    return float(np.mean(means))


def descriptors(pictures, random, batch_size=None):
    """Random 7x7 patches of every pyramid level, normalised: {level: (N * 128, 147) float32}.

    As in the official code: positions are drawn batch by batch and level by level (all x, then all
    y), and the set is normalised by its OWN mean and deviation per channel, so that the distance
    does not see a shift of colour or contrast. Differs from it: no contrast at all gives zeros.
    """
    levels = pyramid_levels(pictures)
    batch_size = batch_size or min(max(8192 // pictures.shape[1], 4), 256)
    shape = (len(pictures), PATCHES_PER_IMAGE, 3, PATCH, PATCH)
    patches = {level: np.empty(shape, np.float32) for level in levels}
    for start in range(0, len(pictures), batch_size):
        batch = slice(start, start + batch_size)
        for level, images in zip(levels, laplacian_pyramid(pictures[batch]), strict=True):
            patches[level][batch] = _random_patches(images, random)
    for found in patches.values():
        for channel in range(3):
            values = found[:, :, channel]
            values -= np.float32(values.mean(dtype=np.float64))
            values /= np.float32(values.std(dtype=np.float64)) or np.float32(1)
    return {level: found.reshape(-1, 3 * PATCH**2) for level, found in patches.items()}


def pyramid_levels(pictures):
    """Pyramid resolutions of square pictures (N, S, S, 3), high to low: 64 -> [64, 32, 16]."""
    check_size(pictures)
    return [pictures.shape[1] >> level for level in range(pictures.shape[1].bit_length() - 4)]


def check_size(pictures):
    size = pictures.shape[1]
    if size < LOWEST_LEVEL or size.bit_count() > 1:
        raise UserError(
            f"These scores halve pictures down to {LOWEST_LEVEL} px, and {size} px cannot be "
            "halved so: score weights of a power of two from 16."
        )


def laplacian_pyramid(pictures):
    """Pictures (N, S, S, 3) uint8 -> float32 arrays (N, 3, r, r) for r in pyramid_levels.

    Burt and Adelson 1983 with the 5x5 binomial filter and mirrored edges (the edge pixel is not
    repeated); the last level is a low-pass.
    """
    image = _images(pictures).float()
    bands = []
    for _ in pyramid_levels(pictures)[1:]:
        lower = _blur(image)[:, :, ::2, ::2]
        enlarged = torch.zeros_like(image)
        enlarged[:, :, ::2, ::2] = lower
        bands.append(image - 4 * _blur(enlarged))
        image = lower
    return [band.numpy() for band in [*bands, image]]


def _blur(images):
    filter_1d = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(filter_1d, filter_1d).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)


def _random_patches(images, random):
    """128 patches per image (N, 3, S, S) -> (N, 128, 3, 7, 7), whole patches inside the image.

    As in the official code: a patch lies transposed (x before y).
    """
    count, size = len(images) * PATCHES_PER_IMAGE, images.shape[-1]
    image = np.arange(count) // PATCHES_PER_IMAGE
    x = random.randint(0, size - PATCH + 1, count)
    y = random.randint(0, size - PATCH + 1, count)
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), axis=(2, 3))
    patches = windows[image, :, y, x].swapaxes(2, 3)
    return patches.reshape(len(images), PATCHES_PER_IMAGE, 3, PATCH, PATCH)


def _sorted_projections(values, directions):
    """(M, D), (D, K) -> (K, M): row k holds the values along direction k, sorted.

    Sorting rows, which lie together, is faster. On AMD's Zen 4, NumPy's AVX-512 sort is slow: start
    Python under NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR".
    """
    projections = directions.T @ values.T
    projections.sort(axis=1)
    return projections


# ---------------------------------------------------------------- MS-SSIM


def ms_ssim(pictures):
    """Mean multi-scale structural similarity of pairs in a set; high means little variety.

    As in the official code: the pairs are pictures 0 and 1, 2 and 3, ... (an odd last one is left
    out), so the order must be random. Returns a float in [0, 1]; UserError as `SWDReference`.
    """
    even = len(pictures) // 2 * 2
    return float(pair_ms_ssim(pictures[0:even:2], pictures[1:even:2]).mean())


def pair_ms_ssim(first, second):
    """MS-SSIM of picture n of one set with picture n of the other -> (N,) float64.

    Wang et al. 2003. As in the official code: five scales even on small pictures, the window
    shrinks with them; the mean over positions AND channels is taken before the product over scales.
    """
    check_size(first)
    values = []
    for start in range(0, len(first), 64):
        a, b = (_images(pictures[start : start + 64]).double() for pictures in (first, second))
        product = torch.ones(len(a), dtype=torch.float64)
        for scale, weight in enumerate(MS_SSIM_WEIGHTS):
            similarity, contrast = _ssim(a, b)  # of (64, 3, H, W)
            last = scale == len(MS_SSIM_WEIGHTS) - 1
            product *= (similarity if last else contrast).clamp(min=0) ** weight
            if not last:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        values.append(product)
    return torch.cat(values).numpy()


def _ssim(a, b):
    """SSIM and its contrast-structure part of images (N, 3, H, W) in [0, 255] -> two (N,) means."""
    size = min(11, a.shape[2], a.shape[3])
    rows, columns = _gauss_rows(a.shape[2], size), _gauss_rows(a.shape[3], size).mT

    def window(images):
        return rows @ images @ columns  # only where the whole window lies inside the image

    mean_a, mean_b = window(a), window(b)
    variances = window(a * a) - mean_a**2 + window(b * b) - mean_b**2
    covariance = window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    contrast = (2 * covariance + c2) / (variances + c2)
    similarity = contrast * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return similarity.mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _gauss_rows(length, size):
    """(length - size + 1, length) float64 matrix: a Gauss window slides along an axis."""
    sigma = 1.5 * size / 11
    positions = torch.arange(length, dtype=torch.float64) - (size - 1) / 2
    offsets = positions - torch.arange(length - size + 1)[:, None]
    gauss = torch.exp(-(offsets**2) / (2 * sigma**2)) * (offsets.abs() <= (size - 1) / 2)
    return gauss / gauss.sum(1, keepdim=True)


# ---------------------------------------------------------------- FID and KID


def inception_file():
    """Path of the Inception weights that FID and KID need, where torch-fidelity keeps them.

    Nothing is ever downloaded: raises UserError saying what to install or where to put the file.
    """
    from torchmetrics.utilities.imports import _TORCH_FIDELITY_AVAILABLE

    if not _TORCH_FIDELITY_AVAILABLE:
        raise UserError(
            "FID and KID need the package torch-fidelity: run `pip install torch-fidelity`."
        )
    return kept_file("FID and KID need Inception", INCEPTION_FILE, INCEPTION_ADDRESS)


def kept_file(what, name, address):
    """Path of others' weights where torch.hub keeps them; UserError if they are not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise UserError(
            f"{what} weights, which are never downloaded on their own: put {address} into "
            f"{path.parent} (TORCH_HOME moves that folder)."
        )
    return path


def plain_tensors(path, address):
    """What a file of weights holds: nothing but plain tensors is read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(
            f"{path} is not the weights file that it is called, or is cut short: fetch {address}."
        ) from error


@cache
def _inception(path):
    from torchmetrics.image.fid import NoTrainInceptionV3

    plain_tensors(path, INCEPTION_ADDRESS)  # torch-fidelity would unpickle anything
    return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))


def inception_features(pictures, batch_size=32):
    """Pictures (N, S, S, 3) -> (N, 2048) float32 Inception features, for `fid` and `kid`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = _inception(inception_file()).to(device)
    batches = []
    for start in range(0, len(pictures), batch_size):
        with torch.inference_mode():
            batches.append(network(_images(pictures[start : start + batch_size]).to(device)).cpu())
    return torch.cat(batches)


class _Given(torch.nn.Module):
    """Hands torchmetrics features that are computed already, so that FID and KID share one pass."""

    num_features = 2048

    def forward(self, features):
        return features


def fid(real, fake):
    """Fréchet Inception distance (Heusel et al. 2017) of two results of inception_features.

    Biased upwards at small counts (the papers use 50,000 pictures): compare equal counts only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    return float(_updated(FrechetInceptionDistance(feature=_Given()), real, fake).compute())


def kid(real, fake, seed=0):
    """Kernel Inception distance (Binkowski et al. 2018) of two results of inception_features: mean
    over 100 random subsets of at most 1,000 features; unbiased at every count.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(1000, len(real), len(fake))
    metric = _updated(KernelInceptionDistance(feature=_Given(), subset_size=size), real, fake)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return float(metric.compute()[0])


def _updated(metric, real, fake):
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric


# ---------------------------------------------------------------- LPIPS


class Perceptual(torch.nn.Module):
    """AlexNet, and what its features weigh in the distance of two images (Zhang et al. 2018)."""

    def __init__(self, alexnet, linear):
        """alexnet: torchvision's state dict; linear: (1, C, 1, 1) for each of five layers."""
        from torchvision.models import alexnet as build

        super().__init__()
        with torch.device("meta"):
            self.layers = build(weights=None).features[:12]
        names = self.layers.state_dict()
        state = {name: alexnet[f"features.{name}"] for name in names}
        self.layers.load_state_dict(state, assign=True)
        self.requires_grad_(False)
        self.linear = [weight[0] for weight in linear]

    def forward(self, images):
        """images (n, 3, H, W) in [-1, 1], two or more -> the mean distance over all their pairs.

        The mean of (a - b)^2 over all pairs is twice the variance, so no pair is formed.
        """
        known = PERCEIVED_MEAN, PERCEIVED_SPREAD
        mean, spread = (images.new_tensor(numbers)[:, None, None] for numbers in known)
        x, weights, total = (images - mean) / spread, iter(self.linear), 0
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                unit = x * (x.square().sum(1, keepdim=True) + 1e-10).rsqrt()
                total = total + (2 * unit.var(0) * next(weights).to(x)).sum(0).mean()
        return total


def alexnet_file():
    """Path of the AlexNet weights that LPIPS needs, as `inception_file`; its other weights come
    with torchmetrics and are those of the official StarGAN v2.
    """
    return kept_file("LPIPS needs AlexNet's", ALEXNET_FILE, ALEXNET_ADDRESS)


@cache
def _perceptual(path):
    import torchmetrics

    linear = Path(torchmetrics.__file__).parent / "functional/image/lpips_models/alex.pth"
    weights = torch.load(linear, map_location="cpu", weights_only=True)
    known = [weights[f"lin{layer}.model.1.weight"] for layer in range(5)]
    return Perceptual(plain_tensors(path, ALEXNET_ADDRESS), known)


def lpips(pictures):
    """Mean perceptual distance between all pairs of pictures (n, S, S, 3) uint8: their variety."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = _perceptual(alexnet_file()).to(device)
    with torch.inference_mode():
        return float(network(_images(pictures).to(device) / 127.5 - 1))


def _images(pictures):
    """(N, H, W, 3) array -> (N, 3, H, W) uint8 tensor of its own memory."""
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
