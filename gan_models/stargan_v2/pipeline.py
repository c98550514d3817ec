"""StarGAN v2 for use: a picture, a domain and a reference or a seed in, the translated picture out.

    pipeline = StarGANv2Pipeline.from_weights(folder)
    picture = pipeline.translate(source, "cat", seed=3)  # (size, size, 3) uint8
    picture = pipeline.translate(source, "cat", reference=another)

A pipeline keeps nothing between calls but its networks, and what sources and references were
encoded to lately, by content.
"""

import copy
from collections.abc import Iterator
from functools import cache, lru_cache

import numpy as np
import torch

from gan_models import faces, images
from gan_models.devices import choose_device, choose_precision
from gan_models.errors import UserError
from gan_models.seeds import random_state
from gan_models.stargan_v2.folded import FoldedGenerator
from gan_models.stargan_v2.landmarks import FAN
from gan_models.stargan_v2.networks import Generator, MappingNetwork, StyleEncoder
from gan_models.weights import build_network, load_weights, read_config

NETWORKS = {
    "generator": Generator, "mapping_network": MappingNetwork, "style_encoder": StyleEncoder,
    "fan": FAN,
}  # fmt: skip
REMEMBERED = 2**21  # pixels of encoded sources: 32 of the paper's size, 15 MB each with a skip
STYLES = 64  # references whose styles are remembered
MEAN_OF = 10_000  # latents whose mean style is where strength 0 leads
BATCH_PIXELS = {"cpu": 2**18, "cuda": 2**21}
NO_LANDMARKS = (
    "These weights keep a face's edges where the landmark network says so, and it is missing: "
    "results look softer. Import the checkpoint again with wing.ckpt beside it."
)


class StarGANv2Pipeline:
    """A generator with its styles, ready to translate. Threads may share it.

    `name`, `size` (pixels of the square that the networks see), `domains` (their names in order),
    `framing`, `style_dim` and `notice` (a sentence on the weights to show, or "") say what it does.
    """

    def __init__(self, networks, config, device="auto", precision="float32"):
        """
        Args:
            networks: "generator", "mapping_network", "style_encoder" and, for a generator with a
                high-pass skip, "fan"; copies are used.
            config: The fields of a description of weights, of which name, size, domains and
                framing are read.
            device, precision: See `gan_models.devices`.

        Raises:
            UserError: An unknown device or precision; domains that do not fit the networks.
        """
        self.device = choose_device(device)
        dtype = choose_precision(precision, self.device)
        self.name, self.size = config.get("name") or "these weights", config["size"]
        self.domains = tuple(config.get("domains", ()))
        self.framing = {"kind": "centre", "margin": 0.0, **config.get("framing", {})}
        known = len(networks["style_encoder"].unshared)
        if len(self.domains) != known or known != len(networks["mapping_network"].unshared):
            raise UserError(
                f"{self.name}: its networks know {known} domains, and its description names "
                f"{len(self.domains)}: mend its config.json and import it."
            )
        self._networks = {
            name: copy.deepcopy(network).to(self.device).eval()
            for name, network in networks.items()
        }
        generator = self._networks.pop("generator")
        self._generator = FoldedGenerator(generator, self.device, dtype)
        self.style_dim = generator.decode[0].norm1.fc.in_features
        self.skips = hasattr(generator, "hpf")
        self.notice = NO_LANDMARKS if self.skips and "fan" not in networks else ""
        kind = "cpu" if self.device.type == "cpu" else "cuda"
        self.batch_size = max(BATCH_PIXELS[kind] // self.size**2, 1)
        self._encoded = lru_cache(max(REMEMBERED // self.size**2, 1))(self._encode)
        self._style_of, self._mean = lru_cache(STYLES)(self._encode_style), cache(self._mean_style)

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.names.find_weights` finds one by name).

        UserError as the constructor, and as `gan_models.weights.load_weights`.
        """
        there = read_config(folder, "stargan_v2")["networks"]
        names = [name for name in NETWORKS if name in there or name != "fan"]
        weights = load_weights(folder, system="stargan_v2", networks=names)
        networks = {name: build_network(NETWORKS[name], weights, name) for name in names}
        return cls(networks, weights.config, device, precision)

    # ------------------------------------------------------------ pictures

    def frame(self, picture, click=None) -> faces.Framing:
        """The square of a picture (H, W, 3) uint8 that is translated."""
        return faces.frame(picture, self.framing["kind"], click=click,
                           margin=self.framing["margin"])  # fmt: skip

    def crop(self, picture, box=None) -> np.ndarray:
        """(size, size, 3) uint8 of a picture: `box` of it, or the square of `frame`."""
        return faces.crop(picture, box or self.frame(picture).box, self.size)

    def translate(self, source, domain, reference=None, seed=0, strength=1.0) -> np.ndarray:
        """The source (H, W, 3) uint8 in another style, (size, size, 3) uint8.

        Args:
            domain: Its name, or its number.
            reference: A picture (H, W, 3) uint8 of any domain whose style is taken as one of
                `domain`; None: the style of `seed`.
            strength: 1 the style itself, less the nearer to the domain's mean, 0 that mean.
        """
        if reference is None:
            style = self.style(domain, seed, strength)
        else:
            style = self.style_of(self.crop(reference), domain, strength)
        return next(self.translations(self.crop(source), [style]))

    def translations(self, crop, styles) -> Iterator[np.ndarray]:
        """Yield a crop (size, size, 3) uint8 in each of the styles (n, style_dim), in batches: its
        half of the work that knows no style is done once.
        """
        styles = np.asarray(styles, np.float32)
        if styles.ndim != 2 or styles.shape[1] != self.style_dim or not np.isfinite(styles).all():
            raise UserError(
                f"A style of {self.name} is {self.style_dim} finite numbers, not an array of shape "
                f"{styles.shape[1:]}."
            )
        if crop.shape != (self.size, self.size, 3):
            raise UserError(f"{self.name} takes {self.size} x {self.size} pixels: cut it first.")
        encoded = self._encoded(crop.tobytes())
        for start in range(0, len(styles), self.batch_size):
            yield from self._decode(encoded, styles[start : start + self.batch_size])

    # ------------------------------------------------------------ styles

    def number(self, domain) -> int:
        """The number of a domain by its name. UserError for one that the weights do not know."""
        if isinstance(domain, str) and domain in self.domains:
            return self.domains.index(domain)
        if isinstance(domain, int) and 0 <= domain < len(self.domains):
            return domain
        raise UserError(
            f"{self.name} knows the domains {', '.join(self.domains)}, and not {domain!r}."
        )

    def style(self, domain, seed, strength=1.0) -> np.ndarray:
        """The style (style_dim,) float32 of a seed, the same on every machine."""
        network = self._networks["mapping_network"]
        latent = random_state(seed).randn(1, network.shared[0].in_features)
        return self._towards(domain, self._mapped(latent, domain)[0], strength)

    def style_of(self, crop, domain, strength=1.0) -> np.ndarray:
        """The style (style_dim,) float32 of a reference's crop (size, size, 3) uint8."""
        style = self._style_of(crop.tobytes(), self.number(domain))
        return self._towards(domain, style, strength)

    def mix(self, a, b, share) -> np.ndarray:
        """The style (style_dim,) that lies `share` (0 to 1) of the way from a to b."""
        if not 0 <= share <= 1:  # NaN fails too
            raise UserError(f"A mix of two styles is a share from 0 to 1, not {share}.")
        return ((1 - share) * np.asarray(a) + share * np.asarray(b)).astype(np.float32)

    def _towards(self, domain, style, strength):
        """The truncation of the official code's latent grids, from the domain's mean style."""
        if not 0 <= strength <= 2:  # NaN fails too
            raise UserError(f"The strength of a style is from 0 to 2, not {strength}.")
        if strength == 1:
            return style
        mean = self._mean(self.number(domain))
        return (mean + strength * (style - mean)).astype(np.float32)

    def _mean_style(self, number):
        width = self._networks["mapping_network"].shared[0].in_features
        return self._mapped(random_state(0).randn(MEAN_OF, width), number).mean(0)

    @torch.inference_mode()
    def _mapped(self, latents, domain):
        latents = torch.from_numpy(latents.astype(np.float32)).to(self.device)
        domains = torch.full((len(latents),), self.number(domain), device=self.device)
        return self._networks["mapping_network"](latents, domains).cpu().numpy()

    # ------------------------------------------------------------ networks

    def _image(self, pixels: bytes):
        """(1, 3, size, size) of a crop."""
        crop = np.frombuffer(bytearray(pixels), np.uint8).reshape(self.size, self.size, 3)
        return images.to_tensor(crop).to(self.device)

    @torch.inference_mode()
    def _encode(self, pixels: bytes):
        """What `FoldedGenerator.encoded` gives of a crop."""
        source, fan = self._image(pixels), self._networks.get("fan")
        return self._generator.encoded(source, fan.masks(source) if self.skips and fan else None)

    @torch.inference_mode()
    def _encode_style(self, pixels: bytes, number):
        domain = torch.tensor([number], device=self.device)
        return self._networks["style_encoder"](self._image(pixels), domain)[0].cpu().numpy()

    @torch.inference_mode()
    def _decode(self, encoded, styles):
        """(n, size, size, 3) uint8 of an encoded crop in styles (n, style_dim)."""
        styles = torch.from_numpy(styles).to(self.device)
        return images.to_pictures(self._generator.decoded(encoded, styles))


def path(stops, count: int, loop: bool) -> np.ndarray:
    """The styles (count, style_dim) of a clip: slow at each stop, as fast between all of them."""
    stops = np.stack([*stops, stops[0]] if loop else stops)
    where = np.linspace(0, len(stops) - 1, count, endpoint=not loop)
    before = np.minimum(where.astype(int), len(stops) - 2)
    share = (where - before)[:, None]
    share = share**2 * (3 - 2 * share)
    return stops[before] + share * (stops[before + 1] - stops[before])
