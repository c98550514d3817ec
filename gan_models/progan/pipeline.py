"""ProGAN for use: latents in, pictures out, and the paths between latents that clips are made of.

    pipeline = ProGANPipeline.from_weights("assets/weights/progan-puppets")
    pictures = pipeline.sample(pipeline.latents(seed=1, count=8))  # (8, size, size, 3) uint8

A pipeline keeps nothing between calls but its network: seeds, labels and sizes are arguments.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from gan_models.progan.folded import FoldedGenerator
from gan_models.progan.networks import Generator

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MODES = ("spherical", "linear")


class ProGANPipeline:
    """A generator ready to draw pictures.

    Safe to share between threads: no method changes it.

    Args:
        generator: A `Generator`. It is copied, so that its precision, place and training mode stay as they are.
        config: The fields of a weights folder's config.json; `name`, `classes` and `value_range` are read.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", ...
        precision: "float32", "bfloat16" or (on a GPU) "float16". Low precision changes a picture by less than 1
            of 255 on average.

    Raises:
        ValueError: An unknown precision or device.
    """

    def __init__(self, generator, config, device="auto", precision="float32"):
        self.device = choose_device(device)
        if precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        if precision == "float16" and self.device.type == "cpu":
            raise ValueError("precision float16 needs a GPU: choose bfloat16 or float32 on a processor")
        self.name = config.get("name", "")
        self.size = generator.resolution
        self.latent_size = generator.latent_size
        self.classes = list(config.get("classes", []))
        self.resolutions = [4 << level for level in range(len(generator.conv2))]
        self.label_size = generator.label_size
        self.value_range = tuple(config.get("value_range", (-1, 1)))
        self.generator = FoldedGenerator(generator, self.device, PRECISIONS[precision])

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.weights.find_weights` finds one by name).

        Raises:
            WeightsError: The folder is missing, damaged or another system's.
            ValueError: An unknown precision or device.
        """
        from gan_models.weights import build_network, load_weights

        weights = load_weights(folder, system="progan", networks=["generator"])
        generator = build_network(Generator, weights, "generator")
        return cls(generator, weights.config, device, precision)

    def latents(self, seed, count=1):
        """Latents (count, latent_size) float32 from N(0, 1): the same numbers on every machine.

        The first latents of a seed do not depend on `count`. seed is a whole number from 0 to 2^32 - 1.
        """
        if count < 1:
            raise ValueError(f"count is at least 1, got {count}")
        # RandomState and not the newer Generator: NumPy froze its stream for good, and the official code uses it.
        return random_state(seed).randn(count, self.latent_size).astype(np.float32)

    def sample(self, latents, label=None, resolution=None, alpha=1.0, batch_size=8):
        """Pictures (N, resolution, resolution, 3) uint8 RGB of latents (N, latent_size) or (latent_size,).

        Args:
            latents: Real numbers, usually near N(0, 1).
            label: For weights with classes: a class (its number or its name) for all, or one for each latent.
                None is no class at all (a label of zeros).
            resolution: One of `resolutions`; lower ones come at their own size. None: `size`.
            alpha: 0 is the previous resolution enlarged, 1 this resolution, between them its fading in.
            batch_size: Pictures made at once, which bounds the memory.

        Raises:
            ValueError: Latents, label, resolution or alpha that these weights cannot take.
        """
        latents = self.check_latents(latents)
        return np.concatenate(list(self.batches(latents, label, resolution, alpha, batch_size)))

    def frames(self, latents, label=None, resolution=None, alpha=1.0, batch_size=8) -> Iterator:
        """Yield the picture (resolution, resolution, 3) uint8 of each latent, made batch by batch.

        `latents` may be any iterable of latents (latent_size,); no more than a batch of it is held, so that the
        memory does not grow with a clip's length. Arguments and errors as in `sample`; those that concern the
        label and the size are raised at once.
        """
        batches = self.batches(latents, label, resolution, alpha, batch_size)
        return itertools.chain.from_iterable(batches)

    def batches(self, latents, label=None, resolution=None, alpha=1.0, batch_size=8) -> Iterator:
        """As `frames`, but yields (n, resolution, resolution, 3) arrays of up to `batch_size` pictures.

        The network runs only while the next array is being asked for: a caller who shares a device can hold its
        lock around `next(...)`.
        """
        resolution = self.size if resolution is None else resolution
        if resolution not in self.resolutions:
            raise ValueError(
                f"resolution {resolution} is not one that {self.name or 'this generator'} makes: "
                f"{', '.join(map(str, self.resolutions))}"
            )
        if not 0 <= alpha <= 1:  # also refuses NaN
            raise ValueError(f"alpha is a number from 0 to 1, got {alpha}")
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, got {batch_size}")
        if isinstance(latents, np.ndarray | torch.Tensor):
            latents = self.check_latents(latents)
        labels = self.check_label(label, len(latents) if hasattr(latents, "__len__") else None)
        return self._batches(iter(latents), labels, resolution, float(alpha), batch_size)

    def _batches(self, latents, labels, resolution, alpha, batch_size):
        start = 0
        while chunk := list(itertools.islice(latents, batch_size)):
            z = torch.from_numpy(self.check_latents(np.stack(chunk))).to(self.device)
            one_hot = None
            if labels is not None:
                rows = labels if len(labels) == 1 else labels[start : start + len(chunk)]
                one_hot = rows.expand(len(chunk), -1).to(self.device)  # (n, label_size)
            yield self.pictures(self.generator(z, one_hot, resolution, alpha))
            start += len(chunk)

    def pictures(self, outputs):
        """Network outputs (N, channels, H, W) to pictures (N, H, W, 3) uint8; grey ones become RGB."""
        from gan_models import images

        return images.to_pictures(outputs.expand(-1, 3, -1, -1), self.value_range)

    def check_latents(self, latents):
        """Latents as (N, latent_size) float32, or ValueError."""
        latents = np.atleast_2d(np.asarray(latents, dtype=np.float32))
        if latents.ndim != 2 or latents.shape[1] != self.latent_size or len(latents) == 0:
            raise ValueError(
                f"{self.name or 'this generator'} takes latents of {self.latent_size} numbers, "
                f"got an array of shape {latents.shape}"
            )
        if not np.isfinite(latents).all():
            raise ValueError("the latents hold infinite or missing numbers (inf or nan): make or load others")
        return latents

    def check_label(self, label, count=None):
        """One-hot rows (1 or N, label_size) of `label` (see `sample`), None for None; ValueError."""
        if label is None:
            return None
        if not self.label_size:
            raise ValueError(f"{self.name or 'this generator'} has no classes: leave the label out")
        names = label if isinstance(label, list | tuple | np.ndarray) else [label]
        if len(names) != 1 and len(names) != count:
            raise ValueError(f"give one label for all or one for each latent, got {len(names)}")
        numbers = [self.classes.index(name) if name in self.classes else name for name in names]
        for number in numbers:
            if isinstance(number, str) or number != int(number) or not 0 <= number < self.label_size:
                raise ValueError(
                    f"label {number!r} is not a class of {self.name or 'this generator'}: choose 0 to "
                    f"{self.label_size - 1}" + (f" or one of {', '.join(self.classes)}" if self.classes else "")
                )
        return torch.eye(self.label_size)[[int(number) for number in numbers]]

    def mix(self, a, b, amount, mode="spherical"):
        """The latent (latent_size,) that lies `amount` (0: a, 1: b) of the way from `a` to `b`.

        "linear":     (1 - t) a + t b
        "spherical":  turns the direction of a towards that of b at an even pace and passes from the length of a
                      to that of b (Shoemake 1985): with u = a / |a|, angle T between a and b, and w the unit
                      vector at right angles to u in the plane of both,
                      ((1 - t) |a| + t |b|) (cos(t T) u + sin(t T) w)
        """
        a, b = self.check_latents(a), self.check_latents(b)
        if len(a) != 1 or len(b) != 1:
            raise ValueError("mix takes one latent and one latent")
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        if not math.isfinite(amount):
            raise ValueError(f"amount is a number, got {amount}")
        blend = spherical if mode == "spherical" else linear
        return blend(a[0].astype(np.float64), b[0].astype(np.float64), amount).astype(np.float32)

    def path(self, waypoints, num_frames, mode="spherical", loop=False) -> Iterator:
        """Yield `num_frames` latents (latent_size,) along waypoints (K, latent_size), evenly per leg.

        An open path begins at the first waypoint and ends at the last; with `loop` it goes on to the first and
        stops one frame before it, so that the clip can be repeated without a stutter. Modes as in `mix`.
        """
        waypoints = self.check_latents(waypoints)
        if num_frames < 1:
            raise ValueError(f"num_frames is at least 1, got {num_frames}")
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        legs = len(waypoints) if loop else len(waypoints) - 1
        steps = num_frames if loop else max(num_frames - 1, 1)
        return (self._on_path(waypoints, legs * frame / steps, mode) for frame in range(num_frames))

    def _on_path(self, waypoints, position, mode):
        leg = min(int(position), len(waypoints) - 1)
        return self.mix(waypoints[leg], waypoints[(leg + 1) % len(waypoints)], position - leg, mode)

    def interpolate(self, start, end, num_frames, mode="spherical"):
        """Latents (num_frames, latent_size) from `start` to `end`, both included. Modes as in `mix`."""
        ends = np.concatenate([self.check_latents(start), self.check_latents(end)])
        return np.stack(list(self.path(ends, num_frames, mode)))

    def random_walk(self, seed, num_frames, smoothing=30.0):
        """Latents (num_frames, latent_size) of a random walk that loops: frame 0 follows the last one.

        smoothing is the standard deviation in frames of the Gaussian that smooths the noise over time (seconds
        times frames per second; the paper's and the official code's is one second). See `smoothed`.
        """
        if num_frames < 1:
            raise ValueError(f"num_frames is at least 1, got {num_frames}")
        noise = random_state(seed).randn(num_frames, 1, self.latent_size).astype(np.float32)
        return smoothed(noise, smoothing)[:, 0]


def choose_device(device):
    """torch.device of "auto" (a GPU where there is one) or of a device's name; ValueError if it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used here ({reason}): choose auto or cpu") from error
    return chosen


def random_state(seed):
    """NumPy's generator with the frozen stream, started at `seed`; ValueError for what is not a seed."""
    if int(seed) != seed or not 0 <= seed < 2**32:
        raise ValueError(f"a seed is a whole number from 0 to {2**32 - 1}, got {seed}")
    return np.random.RandomState(int(seed))


def smoothed(noise, sigma):
    """Noise (T, ...) smoothed over time by a Gaussian of `sigma` frames that wraps around, then scaled to rms 1.

    As in the official code: one scale for the whole array, not one for each latent as in the paper.
    """
    from scipy.ndimage import gaussian_filter1d

    if not 0 <= sigma < math.inf:
        raise ValueError(f"smoothing is a number of frames from 0, got {sigma}")
    walk = gaussian_filter1d(noise, sigma, axis=0, mode="wrap") if sigma else noise
    return walk / np.sqrt(np.mean(np.square(walk)))


def linear(a, b, t):
    return (1 - t) * a + t * b


def spherical(a, b, t):
    """See `ProGANPipeline.mix`; linear where a latent is zero and has no direction."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) == 0:
        return linear(a, b, t)
    u, v = a / lengths[0], b / lengths[1]
    w = v - np.dot(u, v) * u
    if np.linalg.norm(w) < 1e-9 and len(u) > 1:  # opposite ends: every plane will do (for equal ones none is needed)
        w = np.roll(u, 1) - np.dot(u, np.roll(u, 1)) * u
    angle = math.atan2(np.linalg.norm(v - np.dot(u, v) * u), np.dot(u, v))
    w /= max(np.linalg.norm(w), 1e-30)
    return linear(*lengths, t) * (math.cos(t * angle) * u + math.sin(t * angle) * w)
