"""ProGAN for use: latents in, pictures out, and the paths between latents that clips are made of.

    pipeline = ProGANPipeline.from_weights("assets/weights/progan-puppets")
    pictures = pipeline.sample(pipeline.latents(seed=1, count=8))  # (8, size, size, 3) uint8

A pipeline keeps nothing between calls but its network: seeds, labels and sizes are arguments.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch

from gan_models import images
from gan_models.devices import choose_device, choose_precision
from gan_models.errors import UserError
from gan_models.progan.folded import FoldedGenerator
from gan_models.progan.networks import Generator
from gan_models.seeds import random_state
from gan_models.weights import build_network, load_weights

# Pixels in a batch: enough to be fast, few enough that Stop and other visitors wait a moment only.
BATCH_PIXELS = {"cpu": 2**17, "cuda": 2**21}


class ProGANPipeline:
    """A generator ready to draw pictures. Threads may share it: no method changes it.

    `name`, `size` (pixels), `latent_size`, `classes` (names, none for most weights) and
    `resolutions` (4 or where growing began, ..., size) say what it does.
    """

    def __init__(self, generator, config, device="auto", precision="float32"):
        """
        Args:
            generator: A `Generator`; a copy is used, so its training mode and precision stay.
            config: The fields of a weights folder's config.json, of which name, size, classes and
                value_range are read; all have defaults.
            device, precision: See `gan_models.devices`.

        Raises:
            UserError: An unknown precision or device, or a size the generator has not.
        """
        self.device = choose_device(device)
        dtype = choose_precision(precision, self.device)
        self.name = config.get("name") or "this generator"
        self.size = config.get("size", generator.resolution)  # smaller while a run still grows
        sizes = [4 << level for level in range(len(generator.conv2))]
        if self.size not in sizes:
            raise UserError(f"{self.name}: its size {self.size} is not one of {listed(sizes)}.")
        first = config.get("first_size", 4)  # levels below the one that growing began with are raw
        self.resolutions = [size for size in sizes if first <= size <= self.size]
        self.latent_size = generator.latent_size
        self.classes = list(config.get("classes") or map(str, range(generator.label_size)))
        if len(self.classes) != generator.label_size:
            raise UserError(
                f"{self.name}: {len(self.classes)} names for {generator.label_size} classes."
            )
        self.value_range = tuple(config.get("value_range", (-1, 1)))
        self.generator = FoldedGenerator(generator, self.size, self.device, dtype)

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.names.find_weights` finds one by name).

        UserError as the constructor, and as `gan_models.weights.load_weights`.
        """
        weights = load_weights(folder, system="progan", networks=["generator"])
        generator = build_network(Generator, weights, "generator")
        return cls(generator, weights.config, device, precision)

    # ------------------------------------------------------------ pictures

    def sample(self, latents, label=None, resolution=None, alpha=1.0, batch_size=None, **look):
        """Pictures (N, resolution, resolution, 3) uint8 RGB.

        Args:
            latents: (N, latent_size) or (latent_size,) real numbers, usually near N(0, 1).
            label: A class (its number, or its name) for all, or one for each latent. None, and
                with weights that know no classes: no class (a label of zeros).
            resolution: One of `resolutions`; lower ones come at their own size. None: `size`.
            alpha: 0 is the previous resolution enlarged, 1 this one, between them it fades in.
            batch_size: Pictures made at once. None: as many as are fast.
            truncation: 1 for every picture the network can draw, less for more usual ones: it draws
                the first layer's features towards their average (StyleGAN's psi, for ProGAN's
                sphere of latents), which 0 leaves alone.
            matched: give lower resolutions the colours of the last one, channel by channel (see
                `FoldedGenerator.matched_rgb`). False: as the network puts them out.

        Raises:
            UserError: Latents, label, resolution, alpha or truncation that these weights cannot
                take.
        """
        batches = self.batches(latents, label, resolution, alpha, batch_size, **look)
        return np.concatenate([*batches])

    def frames(
        self, latents, label=None, resolution=None, alpha=1.0, batch_size=None, **look
    ) -> Iterator:
        """Yield the picture (resolution, resolution, 3) uint8 of each latent, made by the batch.

        `latents` may be any iterable of latents (latent_size,), of which no more than a batch is
        held: memory does not grow with a clip's length. Arguments and errors as for `sample`; what
        is wrong with the arguments is raised at once, a bad latent of an iterable in its turn.
        """
        batches = self.batches(latents, label, resolution, alpha, batch_size, **look)
        return itertools.chain.from_iterable(batches)

    def batches(
        self, latents, label=None, resolution=None, alpha=1.0, batch_size=None,
        truncation=1.0, matched=False,
    ) -> Iterator:  # fmt: skip
        """As `frames`, but yields arrays (n, resolution, resolution, 3) of up to batch_size.

        The network runs only inside `next`: who shares a device can hold its lock just there.
        """
        resolution = self.size if resolution is None else resolution
        if resolution not in self.resolutions:
            raise UserError(
                f"{self.name} has no resolution {resolution}: choose {listed(self.resolutions)}."
            )
        if not 0 <= alpha <= 1:  # NaN fails too
            raise UserError(f"Alpha goes from 0 to 1, not to {alpha}.")
        if not 0 <= truncation <= 1:
            raise UserError(f"Truncation goes from 0 to 1, not to {truncation}.")
        if batch_size is None:
            pixels = BATCH_PIXELS["cpu" if self.device.type == "cpu" else "cuda"]
            batch_size = min(max(pixels // resolution**2, 1), 32)
        if batch_size < 1:
            raise UserError(f"A batch has at least 1 picture, not {batch_size}.")
        if isinstance(latents, np.ndarray | torch.Tensor | list | tuple):
            latents = self.check_latents(latents)
        rows = self.one_hot(label, len(latents) if hasattr(latents, "__len__") else None)
        pairs = zip(latents, itertools.repeat(None) if rows is None else rows, strict=False)

        def drawn():
            while chunk := list(itertools.islice(pairs, batch_size)):
                z, labels = zip(*chunk, strict=True)
                z = torch.from_numpy(self.check_latents(np.stack(z))).to(self.device)
                labels = None if rows is None else torch.stack(labels).to(self.device)
                outputs = self.generator(z, labels, resolution, alpha, truncation, matched)
                # outputs (n, 1 or 3, H, W)
                yield images.to_pictures(outputs.expand(-1, 3, -1, -1), self.value_range)

        return drawn()

    def check_latents(self, latents):
        """Latents as (N, latent_size) float32; UserError for any that are not."""
        latents = np.atleast_2d(np.asarray(latents, dtype=np.float32))
        if latents.ndim != 2 or latents.shape[1] != self.latent_size or len(latents) == 0:
            raise UserError(
                f"{self.name} takes latents of {self.latent_size} numbers, "
                f"not an array of shape {latents.shape}."
            )
        if not np.isfinite(latents).all():
            raise UserError("The latents hold inf or nan: make or load others.")
        return latents

    def one_hot(self, label, count=None):
        """Rows (classes,) for `count` latents (None: any number); label as for `sample`."""
        if label is None:
            return None
        if not self.classes:
            raise UserError(f"{self.name} knows no classes: leave the label out.")
        rows = torch.eye(len(self.classes))
        if isinstance(label, str) or np.ndim(label) == 0:
            return itertools.repeat(rows[self.class_number(label)])
        if len(label) != count:
            raise UserError(f"There are {len(label)} labels for {count} latents: give 1 or all.")
        return rows[[self.class_number(name) for name in label]]

    def class_number(self, label):
        """The number of a class given by name or number; UserError if it is none."""
        if label in self.classes:
            return self.classes.index(label)
        if isinstance(label, str) and label.isdecimal():
            label = int(label)
        if isinstance(label, int | np.integer) and 0 <= label < len(self.classes):
            return int(label)
        raise UserError(
            f"{self.name} has no class {label!r}: choose one of {listed(self.classes)}, or its "
            f"number from 0 to {len(self.classes) - 1}."
        )

    # ------------------------------------------------------------ latents

    def latents(self, seed, count=1):
        """Latents (count, latent_size) float32 from N(0, 1), the same numbers on every machine.

        seed is a whole number from 0 to 2^32 - 1; its first latent does not depend on `count`.
        """
        return random_state(seed).randn(count, self.latent_size).astype(np.float32)

    def mix(self, a, b, amount, mode="spherical"):
        """The latent (latent_size,) that lies `amount` of the way t from a (0) to b (1).

        "linear"     (1 - t) a + t b
        "spherical"  turns the direction of a into that of b at an even pace, while the length
                     goes evenly from |a| to |b| (Shoemake 1985 for equal lengths):
                     ((1 - t) |a| + t |b|) (cos(t T) u + sin(t T) w), where u = a / |a|, T is the
                     angle between a and b, and w the unit vector normal to u on b's side.
        """
        a, b = self.check_latents(a), self.check_latents(b)
        if len(a) != 1 or len(b) != 1:
            raise UserError("A mix is of one latent and one latent.")
        if mode not in MODES:
            raise UserError(f"The mode is {' or '.join(MODES)}, not {mode!r}.")
        a, b = a[0].astype(np.float64), b[0].astype(np.float64)
        return MODES[mode](a, b, amount).astype(np.float32)

    def path(self, waypoints, num_frames, mode="spherical", loop=False) -> Iterator:
        """Yield num_frames latents (latent_size,) along waypoints (K, latent_size).

        Every leg takes as long. An open path begins at the first waypoint and ends at the last;
        with `loop` it goes on to the first and stops one frame before it. Modes as for `mix`.
        """
        waypoints = self.check_latents(waypoints)
        self.mix(waypoints[0], waypoints[-1], 0, mode)  # raises for a bad mode now, not later
        legs = len(waypoints) if loop else len(waypoints) - 1
        steps = num_frames if loop else max(num_frames - 1, 1)

        def along(position):
            leg = min(int(position), len(waypoints) - 1)
            following = waypoints[(leg + 1) % len(waypoints)]
            return self.mix(waypoints[leg], following, position - leg, mode)

        return (along(legs * frame / steps) for frame in range(num_frames))

    def interpolate(self, start, end, num_frames, mode="spherical"):
        """Latents (num_frames, latent_size) from start to end, both included, as by `mix`."""
        ends = np.concatenate([self.check_latents(start), self.check_latents(end)])
        return np.stack(list(self.path(ends, num_frames, mode)))

    def glide(self, waypoints, position):
        """(latent_size,) at `position` (0 .. K) of a smooth closed walk through (K, latent_size).

        It passes each waypoint without a halt or a bend: the spline of Catmull and Rom, at the
        length that lies between those of the two waypoints, since a sum of unlike latents is short.
        """
        leg = math.floor(position)
        around = waypoints[np.arange(leg - 1, leg + 3) % len(waypoints)].astype(np.float64)
        t = position - leg
        weights = np.array([
            -t * (1 - t) ** 2, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) * (1 - t)
        ]) / 2  # fmt: skip
        here = weights @ around
        length = linear(*np.linalg.norm(around[1:3], axis=1), t)
        return (here * length / max(np.linalg.norm(here), 1e-9)).astype(np.float32)

    def random_walk(self, seed, num_frames, smoothing=30.0):
        """Latents (num_frames, latent_size) of a walk that loops: frame 0 follows the last.

        smoothing, in frames, is the standard deviation of the Gaussian that smooths the noise over
        time (the official code takes one second of frames). See `smoothed`.
        """
        noise = random_state(seed).randn(num_frames, 1, self.latent_size)
        return smoothed(noise.astype(np.float32), smoothing)[:, 0]


def smoothed(noise, sigma):
    """Noise (T, ...) smoothed over time by a Gaussian of `sigma` frames that wraps, at rms 1.

    As in the official code: one scale for the whole array; the paper scales each latent.
    """
    from scipy.ndimage import gaussian_filter1d

    if not 0 <= sigma < math.inf:
        raise UserError(f"The smoothing is a number of frames from 0, not {sigma}.")
    walk = gaussian_filter1d(noise, sigma, axis=0, mode="wrap") if sigma else noise
    return walk / np.sqrt(np.mean(np.square(walk)))


def linear(a, b, t):
    return (1 - t) * a + t * b


def spherical(a, b, t):
    """See `ProGANPipeline.mix`; linear where one is zero and so has no direction."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) == 0:
        return linear(a, b, t)
    u, v = a / lengths[0], b / lengths[1]
    cosine = np.dot(u, v)
    w = v - cosine * u
    sine = np.linalg.norm(w)
    if sine < 1e-9:  # no plane: any will do to turn back, and none is needed for equal directions
        w = np.roll(u, 1) - np.dot(u, np.roll(u, 1)) * u
    angle = math.atan2(sine, cosine)
    w /= np.linalg.norm(w) or 1.0
    return linear(*lengths, t) * (math.cos(t * angle) * u + math.sin(t * angle) * w)


MODES = {"spherical": spherical, "linear": linear}


def listed(values):
    return ", ".join(map(str, values))
