"""GANimation for use: a picture and action units in, the picture with that expression out.

    pipeline = GANimationPipeline.from_weights("assets/weights/ganimation-puppets")
    squares, notice = pipeline.squares(picture)
    measured = pipeline.measure(picture, squares)  # (n, 17)
    edit = pipeline.edit(picture, squares, pipeline.wanted(measured, {12: 0.6}))

A pipeline keeps nothing between calls but its networks, and what it measured lately, by content.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np
import torch
from PIL import Image

from gan_models import faces, images
from gan_models.devices import choose_device, choose_precision
from gan_models.errors import NoFace, UserError
from gan_models.faces.framing import face_square
from gan_models.ganimation.action_units import CODES, checked, said
from gan_models.ganimation.folded import FoldedGenerator
from gan_models.ganimation.full_size import enlarged, full_size
from gan_models.ganimation.networks import Critic, Generator, saturated
from gan_models.weights import build_network, load_weights, read_config

LARGEST = 1024  # pixels of the crops and maps that are shown; the picture itself has no limit
REMEMBERED = 64  # faces whose action units were measured
SMALL = 0.5  # of the network's size: a face's square of less pixels is told to be small
# Pixels and pictures in a batch: enough to be fast, few enough that Stop waits a moment only.
BATCH_PIXELS = {"cpu": 2**18, "cuda": 2**21}
LARGEST_BATCH = {"cpu": 16, "cuda": 64}
EASINGS = {  # from 0 to 1 while time goes from 0 to 1
    "linear": lambda t: t,
    "ease-in": lambda t: t**2,
    "ease-out": lambda t: t * (2 - t),
    "ease-in-out": lambda t: t**2 * (3 - 2 * t),
}
NO_FACE = (
    "No face was found in the picture: faces seen from the side, tilted or smaller than 24 pixels "
    "are not."
)
REMEDY = "Turn or enlarge the picture, or take its middle square as it is."
TURNS = (30, -30, 90, -90, 180)  # degrees to the left; the finder itself sees up to about 20
LOOK = 200  # pixels of a picture that is turned to find out why no face was found


@dataclass(frozen=True, eq=False)
class Edit:
    """What `edit` made of n faces.

    picture: (H, W, 3) uint8, whole, with every face pasted back.
    """

    picture: np.ndarray
    _crops: list[np.ndarray] = field(repr=False)  # n faces (S, S, 3) uint8
    _color: np.ndarray = field(repr=False)  # (n, size, size, 3) float32, 0 to 255
    _attention: np.ndarray = field(repr=False)  # (n, size, size) float32

    @cached_property
    def crops(self) -> list[np.ndarray]:
        """n edited faces, (S, S, 3) uint8, as large as in the picture, at most LARGEST."""
        return [images.resize(crop, min(len(crop), LARGEST)) for crop in self._crops]

    @cached_property
    def attention(self) -> list[np.ndarray]:
        """(S, S) float32 in [0, 1] of each crop: how much of the input's pixel is kept."""
        pairs = zip(self._attention, self.crops, strict=True)
        return [enlarged(attention, len(crop)).clip(0, 1) for attention, crop in pairs]

    @cached_property
    def color(self) -> list[np.ndarray]:
        """(S, S, 3) uint8 for each crop: what is shown where the input is not kept."""
        pairs = zip(self._color, self.crops, strict=True)
        large = [enlarged(color, len(crop)) for color, crop in pairs]
        return [color.round().clip(0, 255).astype(np.uint8) for color in large]


class GANimationPipeline:
    """A generator ready to edit, and a critic that measures. Threads may share it.

    `name`, `size` (pixels of the square that the networks see), `framing` ({"kind": "face" |
    "centre", "margin": share}) and `device` say what it does.
    """

    def __init__(self, generator, critic, config, device="auto", precision="float32"):
        """
        Args:
            generator, critic: A `Generator` and a `Critic`; copies are used. Without a critic
                (None), as some published weights are, nothing is measured: every face counts as
                at rest.
            config: The fields of a description of weights, of which name, size, framing,
                value_range, action_units (their codes) and saturate are read; size must be there.
            device, precision: See `gan_models.devices`.

        Raises:
            UserError: An unknown device or precision; networks that do not fit the description.
        """
        self.device = choose_device(device)
        dtype = choose_precision(precision, self.device)
        self.name = config.get("name") or "these weights"
        self.size = config["size"]
        self.framing = {"kind": "centre", "margin": 0.0, **config.get("framing", {})}
        self.value_range = tuple(config.get("value_range", (-1, 1)))
        self.saturate = config.get("saturate", False)
        check_networks(self.name, self.size, config.get("action_units", CODES), generator, critic)
        self.generator = FoldedGenerator(generator, self.device, dtype)
        self.critic = copy.deepcopy(critic).to(self.device).eval() if critic else None
        kind = "cpu" if self.device.type == "cpu" else "cuda"
        self.batch_size = min(max(BATCH_PIXELS[kind] // self.size**2, 1), LARGEST_BATCH[kind])
        self._measured = lru_cache(REMEMBERED)(self._measure)

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.names.find_weights` finds one by name).

        UserError as the constructor, and as `gan_models.weights.load_weights`.
        """
        there = read_config(folder, "ganimation")["networks"]
        names = ["generator", *(["critic"] if "critic" in there else [])]
        weights = load_weights(folder, system="ganimation", networks=names)
        generator = build_network(Generator, weights, "generator")
        critic = build_network(Critic, weights, "critic") if "critic" in there else None
        return cls(generator, critic, weights.config, device, precision)

    # ------------------------------------------------------------ faces

    def squares(self, picture, click=None, all_faces=False, whole=False):
        """([the square of each face that will be edited, a faces.Box of whole pixels], a sentence
        to show or "").

        Args:
            picture: (H, W, 3) uint8.
            click: (x, y) in pixels: the face there.
            all_faces: Every face that is found, largest first, instead of the largest.
            whole: The middle square of the picture, whatever is in it, as for "centre" weights.

        NoFace where weights that want a face find none.
        """
        height, width = picture.shape[:2]
        kind, margin = "centre" if whole else self.framing["kind"], self.framing["margin"]
        if all_faces and kind == "face":
            boxes = [face_square(x, width, height, margin) for x in faces.find_faces(picture)]
            framing = faces.Framing(boxes[0] if boxes else None, boxes)
        else:
            framing = faces.frame(picture, kind, click=click, margin=margin)
            boxes = [framing.box]
        if kind == "face" and click is None and not framing.faces:
            raise NoFace(f"{NO_FACE} {turn_of(picture) or REMEDY}")
        small, notice = min(box.side for box in boxes), framing.notice
        if not notice and small < SMALL * self.size:
            notice = f"A face is small here ({small:.0f} pixels with its surroundings): the result "
            notice += "will be coarse. A larger picture gives a better one."
        if not notice and self.critic is None:
            notice = f"{self.name} measures nothing: every face counts as one at rest."
        return [on_pixels(box) for box in boxes], notice

    def measure(self, picture, squares) -> np.ndarray:
        """The action units (n, 17) float32 in [0, 1] that the critic sees in each square."""
        if self.critic is None:
            return np.zeros((len(squares), len(CODES)), np.float32)
        crops = [faces.crop(picture, square, self.size) for square in squares]
        return np.array([self._measured(crop.tobytes()) for crop in crops]).reshape(-1, len(CODES))

    def wanted(self, measured, units: dict[int, float], keep=1.0) -> np.ndarray:
        """The action units (n, 17) with some set.

        Args:
            measured: (n, 17), of `measure`.
            units: Intensities from 0 to 1 by code.
            keep: Of all other units, this share of what was measured: 1 leaves them as they are, 0
                brings them to rest.
        """
        if not 0 <= keep <= 1:  # NaN fails too
            raise UserError(f"keep is a share from 0 to 1, not {keep}.")
        wanted = keep * np.asarray(measured, np.float32)
        for code, value in checked(units).items():
            wanted[..., CODES.index(code)] = value
        return wanted

    # ------------------------------------------------------------ pictures

    def edit(self, picture, squares, action_units) -> Edit:
        """The picture with these expressions.

        Args:
            picture: (H, W, 3) uint8.
            squares: n boxes, of `squares`.
            action_units: (n, 17) in [0, 1], or (17,) for all of them.
        """
        track = as_track(np.asarray(action_units)[None], len(squares))  # (1, n, 17)
        shown = self._shown(picture, squares)
        color, attention = self._run(shown, track)
        crops = [full_size(*parts) for parts in zip(*shown, color, attention, strict=True)]
        return Edit(pasted(picture, squares, crops), crops, color, attention)

    def animate(self, picture, squares, track) -> Iterator[np.ndarray]:
        """Yield the picture, (H, W, 3) uint8, with the expressions of each moment.

        track: (T, 17) for all faces or (T, n, 17) in [0, 1]: of `between`, or of a table.
        """
        track = as_track(track, len(squares))  # (T, n, 17)
        shown = self._shown(picture, squares)

        def frames():
            n, step = len(squares), max(1, self.batch_size // len(squares))
            for start in range(0, len(track), step):
                part = track[start : start + step]
                maps = self._run(shown, part)
                for first in range(0, n * len(part), n):
                    color, attention = (of[first : first + n] for of in maps)
                    parts = zip(*shown, color, attention, strict=True)
                    yield pasted(picture, squares, [full_size(*part) for part in parts])

        return frames()

    # ------------------------------------------------------------ networks

    def _shown(self, picture, squares):
        """(n crops (S, S, 3) uint8 as large as they are, the same (n, size, size, 3))."""
        crops = [faces.crop(picture, square, round(square.side)) for square in squares]
        return crops, np.stack([images.resize(crop, self.size) for crop in crops])

    @torch.inference_mode()
    def _measure(self, pixels: bytes) -> np.ndarray:
        crop = np.frombuffer(bytearray(pixels), np.uint8).reshape(self.size, self.size, 3)
        _, found = self.critic(images.to_tensor(crop, self.value_range).to(self.device))
        return found[0].float().clamp(0, 1).cpu().numpy()

    @torch.inference_mode()
    def _run(self, shown, track):
        """The maps of t moments after each other: color (t n, size, size, 3) float32 from 0 to 255,
        attention (t n, size, size) float32. shown: of n faces, by `_shown`; track: (t, n, 17).
        """
        seen = images.to_tensor(shown[1], self.value_range).to(self.device)  # (n, 3, size, size)
        seen = seen.repeat(len(track), 1, 1, 1).split(self.batch_size)
        track = torch.from_numpy(track).to(self.device).flatten(0, 1).split(self.batch_size)
        low, high = self.value_range
        colors, attentions = [], []
        for part, units in zip(seen, track, strict=True):
            color, attention = self.generator(part, units)
            attention = saturated(attention) if self.saturate else attention
            colors.append((color - low).mul(255 / (high - low)).permute(0, 2, 3, 1).cpu())
            attentions.append(attention.squeeze(1).cpu())
        return torch.cat(colors).numpy(), torch.cat(attentions).numpy()


def between(start, end, frames: int, easing="ease-in-out", back=False) -> np.ndarray:
    """The track (frames, n, 17) or (frames, 17) that leads from one expression to another.

    Args:
        start, end: (n, 17) or (17,).
        frames: Of the whole track.
        easing: One of EASINGS.
        back: Return to the start, so that the track can loop: the end is in the middle.
    """
    if easing not in EASINGS:
        raise UserError(f"There is no easing {easing!r}: choose {', '.join(EASINGS)}.")
    if frames < 2:
        raise UserError(f"An animation has 2 frames or more, not {frames}.")
    time = np.linspace(0, 1, frames, dtype=np.float32)
    share = EASINGS[easing](1 - abs(2 * time - 1) if back else time)
    start, end = np.float32(start), np.float32(end)
    return start + share.reshape(-1, *[1] * end.ndim) * (end - start)


def as_track(track, num_faces: int) -> np.ndarray:
    """(T, n, 17) float32 of itself or of (T, 17); UserError for others."""
    track = np.array(track, np.float32)
    if track.ndim == 2:
        track = track[:, None].repeat(num_faces, axis=1)
    if track.ndim != 3 or track.shape[1:] != (num_faces, len(CODES)) or not len(track):
        raise UserError(
            f"{num_faces} faces take 17 action units each, not an array {track.shape[1:]}."
        )
    if not (track.min() >= 0 and track.max() <= 1):  # NaN fails too
        raise UserError("Action units are numbers from 0 to 1; these go beyond, or are none.")
    return track


def turn_of(picture) -> str:
    """The sentence that a face is found if the picture is turned, or ""."""
    image = Image.fromarray(picture)
    image.thumbnail((LOOK, LOOK))
    for degrees in TURNS:
        turned = image.rotate(degrees, Image.Resampling.BILINEAR, expand=True)
        if faces.find_faces(np.array(turned), quick=True):
            to = "left" if degrees > 0 else "right"
            return (
                f"One is found after a turn of {abs(degrees)} degrees to the {to}: turn it first."
            )
    return ""


def on_pixels(box: faces.Box) -> faces.Box:
    """The box moved to whole pixels, so that none is blurred by cutting it out and pasting it."""
    left, top, side = math.floor(box.left), math.floor(box.top), max(1, round(box.side))
    return faces.Box(left, top, left + side, top + side)


def pasted(picture, squares, crops) -> np.ndarray:
    """The picture with the edited crops in their squares.

    Squares of neighbours overlap, and each shows the other face unedited: the changes are added.
    """
    out = picture.copy()
    for square, crop in zip(squares, crops, strict=True):
        paster = faces.Paster(picture, square)
        part = paster.rows, paster.columns
        old, new = picture[part], paster.part(crop)
        more, less = cv2.subtract(new, old), cv2.subtract(old, new)  # 0 where it is the other
        out[part] = cv2.subtract(cv2.add(out[part], more), less)
    return out


def check_networks(name, size, codes, generator, critic):
    """UserError unless the networks fit the description."""
    if tuple(codes) != CODES:
        raise UserError(f"{name} knows the action units {said(codes)}; wanted are {said(CODES)}.")
    taken = [generator.main[0].in_channels - 3, critic.action_units.out_channels if critic else 17]
    if taken != [len(CODES)] * 2:
        raise UserError(
            f"{name}: its networks know {taken[0]} and {taken[1]} action units, not 17."
        )
    seen = critic.action_units.kernel_size[0] << len(critic.main) // 2 if critic else size
    if size % 4 or size != seen:
        raise UserError(
            f"{name}: its size is {size}, its critic's {seen}; both are multiples of 4."
        )
