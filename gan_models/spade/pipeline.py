"""SPADE for use: a label map and a style in, a picture out.

    pipeline = SPADEPipeline.from_weights("assets/weights/spade-puppets")
    label_map, notices = read_map("map.png", pipeline.labels)
    picture = pipeline.paint(label_map, seed=1)  # (height, width, 3) uint8

A pipeline keeps nothing between calls but its networks, and what maps were prepared to: that lies
in a bounded cache by their content, and changes no result.
"""

import copy
import hashlib
import threading
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image

from gan_models import images
from gan_models.devices import choose_device, choose_precision
from gan_models.errors import UserError
from gan_models.seeds import random_state
from gan_models.spade.folded import FoldedGenerator
from gan_models.spade.labels import labels_of
from gan_models.spade.networks import (
    Encoder,
    Generator,
    GlobalGenerator,
    instance_edges,
    one_hot,
)
from gan_models.weights import build_network, load_weights, read_config

REMEMBERED = 2**29  # bytes of prepared maps: some twenty painted ones of the paper's size


class SPADEPipeline:
    """A generator ready to paint. Threads may share it.

    `name`, `size` (height, width), `labels` (`labels.Labels`), `latent_size` (numbers of a style; 0
    where the weights know no styles) and `encoder` (None where pictures give no styles) say what it
    does.
    """

    def __init__(self, generator, encoder, config, device="auto", precision="float32"):
        """
        Args:
            generator, encoder: A `Generator` or `GlobalGenerator`; an `Encoder` or None. Copies are
                used, so their training mode and precision stay.
            config: The fields of a description of weights, of which name, classes, labels and shape
                (or size) are read.
            device, precision: See `gan_models.devices`.

        Raises:
            UserError: An unknown device or precision; classes that do not fit the networks.
        """
        self.device = choose_device(device)
        dtype = choose_precision(precision, self.device)
        self.name = config.get("name") or "this generator"
        self.labels = labels_of(config)
        if isinstance(generator, GlobalGenerator):
            semantics = generator.model[1][0].weight.shape[1]
            self.size = tuple(config.get("shape", [config["size"]] * 2))
            self.latent_size, self.folded = 0, None
            self.plain = copy.deepcopy(generator).to(self.device).eval()
        else:
            semantics = generator.head_0.norm_0.mlp_shared[0].in_channels
            self.size, self.latent_size = generator.size, generator.latent_size
        if semantics != self.labels.semantics:
            raise UserError(
                f"{self.name}: its networks take {semantics} channels, and its description names "
                f"{self.labels.semantics} (classes and edges): mend its config.json and import it."
            )
        if not isinstance(generator, GlobalGenerator):
            self.folded = FoldedGenerator(generator, self.labels.classes, self.device, dtype)
        self.encoder = copy.deepcopy(encoder).to(self.device).eval() if encoder else None
        self._prepared, self._lock = OrderedDict(), threading.Lock()

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.names.find_weights` finds one by name).

        UserError as the constructor, and as `gan_models.weights.load_weights`.
        """
        there = read_config(folder, "spade")["networks"]
        names = ["generator", *(["encoder"] if "encoder" in there else [])]
        weights = load_weights(folder, system="spade", networks=names)
        make = GlobalGenerator if "blocks" in there.get("generator", {}) else Generator
        generator = build_network(make, weights, "generator")
        encoder = build_network(Encoder, weights, "encoder") if "encoder" in there else None
        return cls(generator, encoder, weights.config, device, precision)

    # ------------------------------------------------------------ pictures

    def paint(self, label_map, style=None, seed=0, instances=None):
        """The picture (height, width, 3) uint8 RGB that a label map means.

        Args:
            label_map: (height, width) whole numbers below `labels.classes`, of `size`; `fitted`
                brings others to it.
            style: (latent_size,) numbers, of `style`, `style_of` or `mix`. None: of the seed.
            seed: Of the style, where none is given.
            instances: (height, width) whole numbers that tell instances apart, for weights whose
                labels have edges. None: the borders of the label map's areas are the edges.

        Raises:
            UserError: Maps of another size or with other numbers; a style of another length.
        """
        label_map = self.checked(label_map, "label map")
        if label_map.min() < 0 or label_map.max() >= self.labels.classes:
            raise UserError(
                f"The label map has ids from {label_map.min()} to {label_map.max()}; the classes "
                f"of {self.name} are 0 to {self.labels.classes - 1}."
            )
        instances = label_map if instances is None else self.checked(instances, "instance map")
        if self.folded is None:
            with torch.inference_mode():
                return images.to_pictures(self.plain(self.semantics(label_map, instances)))[0]
        latents = None
        if self.latent_size:
            style = self.checked_style(self.style(seed) if style is None else style)
            latents = torch.from_numpy(style)[None].to(self.device)
        prepared = self.prepared(label_map, instances)
        return images.to_pictures(self.folded(prepared, latents))[0]

    def semantics(self, label_map, instances):
        """(1, S, H, W) as the plain networks take them."""
        label_map, instances = (
            torch.from_numpy(part)[None].to(self.device) for part in (label_map, instances)
        )
        instances = instances if self.labels.edges else None
        return one_hot(label_map, self.labels.classes, instances)

    def prepared(self, label_map, instances):
        """The `folded.Prepared` of a map, from the cache where it was used lately."""
        edges = None
        if self.labels.edges:
            edges = instance_edges(torch.from_numpy(instances)[None, None])[0, 0].bool()
        parts = [label_map.astype(np.uint8)] + ([] if edges is None else [edges.numpy()])
        key = hashlib.blake2b(b"".join(part.tobytes() for part in parts)).digest()
        with self._lock:
            if key in self._prepared:
                self._prepared.move_to_end(key)
                return self._prepared[key]
        edges = None if edges is None else edges.long().to(self.device)
        made = self.folded.prepare(torch.from_numpy(label_map).to(self.device), edges)
        with self._lock:
            self._prepared[key] = made
            while sum(one.bytes for one in self._prepared.values()) > REMEMBERED:
                if len(self._prepared) == 1:
                    break
                self._prepared.popitem(last=False)
        return made

    def checked(self, numbers, what):
        """(height, width) int64; UserError for an array of another shape or type."""
        numbers = np.asarray(numbers)
        if numbers.shape != self.size or numbers.dtype.kind not in "iub":
            raise UserError(
                f"{self.name} takes a {what} of whole numbers, {self.size[1]} x {self.size[0]} "
                f"pixels, not an array {numbers.shape} of {numbers.dtype}."
            )
        return np.ascontiguousarray(numbers, dtype=np.int64)

    def fitted(self, label_map):
        """(the map (H, W) uint8 at `size`, a list with the sentence that tells it was scaled)."""
        if label_map.shape == self.size:
            return label_map, []
        height, width = self.size
        image = Image.fromarray(label_map).resize((width, height), Image.Resampling.NEAREST)
        told = (
            f"The map has {label_map.shape[1]} x {label_map.shape[0]} pixels and was scaled to "
            f"{width} x {height}, the size that {self.name} paints."
        )
        if label_map.shape[1] * height != width * label_map.shape[0]:
            told = told[:-1] + "; its shape was changed by that."
        return np.array(image), [told]

    # ------------------------------------------------------------ styles

    def style(self, seed):
        """The style (latent_size,) float32 of a seed, from N(0, 1); the same on every machine."""
        return random_state(seed).randn(self.latent_size).astype(np.float32)

    @torch.inference_mode()
    def style_of(self, picture):
        """The style (latent_size,) float32 of a picture (H, W, 3) uint8 of any size: the mean of
        what the encoder finds likely. UserError where the weights have no encoder.
        """
        if self.encoder is None:
            raise UserError(
                f"{self.name} has no encoder, so it takes no style from a picture: choose weights "
                "that were trained with one (a VAE), or a seed."
            )
        side = self.encoder.size  # bilinear as in training, but antialiased
        picture = images.resize(images.read_picture(picture), (side, side))
        mean, _ = self.encoder(images.to_tensor(picture).to(self.device))
        return mean[0].float().cpu().numpy()

    def mix(self, a, b, share):
        """The style (latent_size,) that lies `share` (0 to 1) of the way from a to b, as long as
        lies between their lengths: a plain mean of two random ones is short, and so dull.
        """
        if not 0 <= share <= 1:  # NaN fails too
            raise UserError(f"A mix of two styles is a share from 0 to 1, not {share}.")
        a, b = self.checked_style(a), self.checked_style(b)
        mixed = (1 - share) * a + share * b
        length = (1 - share) * np.linalg.norm(a) + share * np.linalg.norm(b)
        return (mixed * (length / max(np.linalg.norm(mixed), 1e-9))).astype(np.float32)

    def checked_style(self, style):
        style = np.asarray(style, np.float32)
        if style.shape != (self.latent_size,) or not np.isfinite(style).all():
            raise UserError(
                f"A style of {self.name} is {self.latent_size} finite numbers, not an array of "
                f"shape {style.shape}."
            )
        return style
