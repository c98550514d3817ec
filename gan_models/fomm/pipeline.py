"""FOMM for use: a picture and a clip in, frames out in which the picture moves as the clip does.

    pipeline = FOMMPipeline.from_weights("assets/weights/fomm-puppets")
    clip = video.open_clip("nod.mp4")
    frames = pipeline.animate(images.read_picture("portrait.png"), clip)
    video.write_clip("result.mp4", frames, clip.fps, weights=pipeline.name, settings={})

A pipeline keeps nothing between calls but its networks and the last sources as the generator sees
them, by content: whose pose is neutral, how strong and how smooth, are arguments.
"""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from gan_models import faces, images
from gan_models.devices import choose_device, choose_precision
from gan_models.errors import UserError
from gan_models.faces.framing import check_box
from gan_models.fomm.explain import explaining_pictures
from gan_models.fomm.folded import FoldedDetector, FoldedGenerator
from gan_models.fomm.full_size import LARGEST, full_size
from gan_models.fomm.motion import (
    Motion,
    check_keypoints,
    check_smoothing,
    check_strength,
    smoothed,
    transfer,
)
from gan_models.fomm.networks import Generator, KeypointDetector, Keypoints
from gan_models.fomm.reference import PASSED_OVER, Best, First, check_reference, split_reference
from gan_models.fomm.retargeting import NETWORK, Directions
from gan_models.fomm.sources import Driving, Source
from gan_models.weights import build_network, load_weights, read_config

# Pixels and pictures in a batch: enough to be fast, few enough that Stop waits a moment only.
BATCH_PIXELS = {"cpu": 2**18, "cuda": 2**21}
LARGEST_BATCH = {"cpu": 16, "cuda": 64}
MOST_SOURCES = 8  # remembered; about 8 MB each for the vox weights in float32


class FOMMPipeline:
    """A detector and a generator ready to move pictures. Threads may share it.

    `name`, `size` (pixels of the square that the networks see), `any_size` (whether larger squares
    come out, see `frame_size`), `framing` ({"kind": "face" | "centre", "margin": share}),
    `num_keypoints`, `has_jacobians` and `device` say what it does.
    """

    def __init__(
        self, detector, generator, config, device="auto", precision="float32", directions=None
    ):
        """
        Args:
            detector: A `KeypointDetector`; of both networks copies are used.
            generator: A `Generator` for as many keypoints.
            config: The fields of a weights folder's config.json, of which name, size, framing and
                value_range are read; size must be there.
            device, precision: See `gan_models.devices`.
            directions: `retargeting.Directions` for `pose`, if there are any.

        Raises:
            UserError: An unknown precision or device, networks that do not fit each other, or a
                size that they cannot take.
        """
        self.device = choose_device(device)
        dtype = choose_precision(precision, self.device)
        self.name = config.get("name") or "these weights"
        self.size = config["size"]
        self.framing = {"kind": "centre", "margin": 0.0, **config.get("framing", {})}
        self.num_keypoints = detector.num_keypoints
        self.has_jacobians = detector.jacobian is not None
        self.value_range = tuple(config.get("value_range", (0, 1)))
        self.directions = directions
        check_networks(self.name, self.size, detector, generator)
        self.detector = FoldedDetector(detector, self.device, dtype)
        self.generator = FoldedGenerator(generator, self.device, dtype)
        self.any_size = self.generator.blend  # else there are no moved pixels in the picture
        self.encoded = lru_cache(MOST_SOURCES)(self._encode)
        kind = "cpu" if self.device.type == "cpu" else "cuda"
        self.batch_size = min(max(BATCH_PIXELS[kind] // self.size**2, 1), LARGEST_BATCH[kind])

    @classmethod
    def from_weights(cls, folder, device="auto", precision="float32"):
        """The pipeline of a weights folder (`gan_models.names.find_weights` finds one by name).

        UserError as the constructor, and as `gan_models.weights.load_weights`.
        """
        kinds = {"detector": KeypointDetector, "generator": Generator}
        if NETWORK in read_config(folder, "fomm")["networks"]:
            kinds[NETWORK] = Directions
        weights = load_weights(folder, system="fomm", networks=kinds)
        built = [build_network(kind, weights, name) for name, kind in kinds.items()]
        return cls(*built[:2], weights.config, device, precision, *built[2:])

    # ------------------------------------------------------------ what is given

    def frame(self, picture, *, box=None) -> faces.Framing:
        """The crop of a picture that will be moved, to show before the run.

        Args:
            picture: (H, W, 3) uint8, or anything `images.read_picture` reads.
            box: The crop itself, if it is chosen: faces.Box or (left, top, right, bottom) in
                pixels. The square around it is taken.
        """
        picture = images.read_picture(picture)
        if box is None:
            return faces.frame(picture, self.framing["kind"], margin=self.framing["margin"])
        box, (height, width) = checked_box(box), picture.shape[:2]
        check_box(box, width, height)
        square = box if box.width == box.height else faces.fit_inside(box, width, height)
        return faces.Framing(square)

    def frame_driving(self, driving, *, box=None) -> faces.Framing:
        """The crop of a driving clip, fixed over its length.

        "face" weights look for a face in a few of its first frames (of frames given one by one
        only in the first), "centre" weights take the centre square. `box` overrides both.
        """
        driving = opened(driving)
        if box is not None or self.framing["kind"] == "centre":
            blank = np.broadcast_to(np.uint8(0), (*driving.sides(), 3))  # only its shape counts
            return self.frame(blank, box=box)
        first = None
        with closing(driving.looks()) as looks:
            for picture in looks:
                framing = self.frame(picture)
                if framing.faces:
                    return framing
                first = first or framing
        return first

    def frame_size(self, side: float, size: int | None = None) -> int:
        """Pixels of the frames that are made of a crop of `side` pixels where `size` is asked for.

        None: the crop's own. Weights that blend make what lies between the networks' size and
        1,024, all others the networks' size alone.
        """
        wanted = round(side) if size is None else size
        return min(max(wanted, self.size), max(LARGEST, self.size)) if self.any_size else self.size

    def encode(self, crop, size: int | None = None) -> Source:
        """The finished crop of a source, (S, S, 3) uint8, as `render` takes it: nothing in it is
        looked for. size: as for `animate`. The last few are remembered by their content.
        """
        crop = images.read_picture(crop)
        if crop.shape[0] != crop.shape[1]:
            raise UserError(f"A crop of {crop.shape[1]} x {crop.shape[0]} pixels is no square.")
        source = self.encoded(images.resize(crop, self.size).tobytes())
        size = self.frame_size(len(crop), size)
        return source if size == self.size else replace(source, large=images.resize(crop, size))

    # ------------------------------------------------------------ animation

    def animate(
        self,
        source,
        driving,
        *,
        box=None,
        driving_box=None,
        relative=True,
        adapt_scale=True,
        reference="first",
        smoothing=0.0,
        strength=1.0,
        paste_back=False,
        size=None,
        batch_size=None,
        notices=None,
    ) -> Iterator[np.ndarray]:
        """Yield the source moved by each driving frame, (size, size, 3) uint8.

        Frames are read, moved and yielded by the batch: memory does not grow with a clip's length
        (but for keypoints with "best"). Closing the iterator ends what reads the clip.

        Args:
            source: A picture of any size: (H, W, 3) uint8, or what `images.read_picture` reads.
            driving: A path, a video.Clip, a picture, frames (any iterable), or a Motion.
            box: The source's crop, see `frame`.
            driving_box: The driving's crop for all frames. None: as by `frame_driving`.
            relative: Move the source as the driving moves away from the reference frame. One
                picture has nothing to move away from: it drives as if this were off.
            adapt_scale: With `relative`: fit the movement to the source's size.
            reference: The driving frame whose pose is the source's: "first" for the first one that
                shows something (see `reference.First`), its number from 0, or "best" for the one
                that is nearest to it.
            smoothing: Of the keypoints over time: standard deviation in frames, 0 to 30.
            strength: Of the motion, 0 to 2.
            paste_back: Yield the full picture, (H, W, 3), with the moved crop blended in.
            size: Pixels of the frames, see `frame_size`. None, and with paste_back: as many as the
                crop has.
            batch_size: Frames made at once. None: as many as are fast.
            notices: A list that takes a sentence about what was done, if there is one.

        Raises:
            UserError: Arguments that cannot be used, at once; frames that cannot, and a reference
                beyond the last, in their turn. All are sentences.
        """
        check_strength(strength)
        check_smoothing(smoothing)
        check_reference(reference)
        if batch_size is not None and (batch_size < 1 or int(batch_size) != batch_size):
            raise UserError(f"A batch has a whole number of frames from 1, not {batch_size}.")
        driving = opened(driving)
        if driving.motion is not None:
            check_keypoints(driving.motion, self.num_keypoints, self.has_jacobians)
            check_reference(reference, len(driving.motion))
        driving_box = None if driving_box is None else checked_box(driving_box)
        picture = images.read_picture(source)
        box = self.frame(picture, box=box).box
        relative = relative and not driving.single
        how = {"relative": relative, "adapt_scale": adapt_scale, "strength": strength}

        def moved():
            side = self.frame_size(box.side, None if paste_back else size)
            source, search = self.encode(faces.crop(picture, box, side)), None
            if reference == "best":
                search = Best(source, self.framing["kind"])
            elif reference == "first" and relative and driving.motion is None:
                search = First(self.framing["kind"])
            paster = faces.Paster(picture, box) if paste_back else None
            with closing(self._rows(driving, driving_box, batch_size, search)) as rows:
                smooth = smoothed(rows, smoothing)
                initial, smooth = split_reference(smooth, reference, search)
                if reference == "first" and search and search.index and notices is not None:
                    notices.append(PASSED_OVER.format(number=search.index))
                for chunk in batched(smooth, batch_size or self.batch_size):
                    motion = transfer(source.motion, Motion.from_rows(chunk), initial, **how)
                    for frame in self._draw(source, motion):
                        yield paster.paste(frame) if paster else frame

        return moved()

    def reconstruct(self, frames) -> Iterator[np.ndarray]:
        """Yield each frame, (size, size, 3) uint8, as made from the first and its own keypoints.

        frames: As `driving` for `animate`. The centre square is taken, whatever the framing: sets
        for evaluation are cropped already.
        """
        driving, source = opened(frames), None
        height, width = driving.sides()
        crops = driving.crops(
            faces.Box.around(width / 2, height / 2, min(width, height)), self.size
        )
        for chunk in batched(crops, self.batch_size):
            source = source or self.encode(chunk[0])
            yield from self._draw(source, self._detect(np.stack(chunk)))

    # ------------------------------------------------------------ single steps, for live use

    def detect(self, frames, box=None) -> Motion:
        """The keypoints of frames (N, H, W, 3) uint8 or one (H, W, 3), cropped to `box` or, where
        none is given, to their centre square.
        """
        frames = np.asarray(frames)
        frames = frames[None] if frames.ndim == 3 else frames
        box = faces.frame(frames[0], "centre").box if box is None else checked_box(box)
        crops = (faces.crop(frame, box, self.size) for frame in frames)
        rows = [self._detect(np.stack(chunk)).rows for chunk in batched(crops, self.batch_size)]
        return Motion.from_rows(np.concatenate(rows), weights=self.name)

    def render(self, source, motion: Motion, reference: Motion | None = None, **how) -> np.ndarray:
        """The source moved by each frame of a motion, (T, S, S, 3) uint8, all at once.

        Args:
            source: What `encode` gave; the frames have the size that was asked for there.
            motion: As from `detect`.
            reference: The neutral pose: a motion of one frame. None: the motion's first.
            how: relative, adapt_scale, strength as for `animate`.
        """
        initial = motion[0] if reference is None else reference
        moved = transfer(source.motion, motion, initial, **how)
        starts = range(0, len(moved), self.batch_size)
        parts = (self._draw(source, moved[start : start + self.batch_size]) for start in starts)
        return np.stack(list(itertools.chain.from_iterable(parts)))

    @property
    def controls(self) -> dict[str, tuple[float, float]]:
        """The lowest and highest value of each control that `pose` knows, by name; often none."""
        return {} if self.directions is None else self.directions.controls

    def pose(self, source, controls: dict[str, float]) -> Motion:
        """The keypoints of the source with head and face moved, for `render` with relative=False.

        Args:
            source: What `encode` gave.
            controls: Values by name, see `controls`; what is left out is 0, which changes nothing.

        UserError for unknown names, values beyond their ends, and weights without directions.
        """
        if self.directions is None:
            raise UserError(
                f"{self.name} has no controls of head and face: choose weights that have them, "
                "or fit them: python -m trainers.fomm.retargeting WEIGHTS"
            )
        self.directions.check(controls)
        return self.directions.pose(source.motion, controls)

    def motion(self, driving, driving_box=None, progress=iter) -> Motion:
        """The keypoints of a whole clip (see `animate`), to be saved and replayed.

        progress: What the frames' keypoints pass through, such as a bar of tqdm.
        """
        driving = opened(driving)
        with closing(self._rows(driving, driving_box)) as rows:
            return Motion.from_rows(list(progress(rows)), driving.fps, self.name)

    def explain(
        self, source, frame, *, box=None, driving_box=None, reference=None, size=None, **how
    ) -> dict[str, np.ndarray]:
        """Pictures of how one driving frame moves the source, each (size, size, 3) uint8.

        "keypoints" and "driving_keypoints" on source and driving, "deformation" (a grid that the
        motion bends, over what it does to the source), "occlusion" (white: taken from the source,
        black: painted anew), "deformed" (the source moved only) and "prediction".

        Args:
            source: As for `animate`.
            frame: The driving frame, (H, W, 3) uint8.
            reference: The reference frame (H, W, 3). None: the frame drives by its own pose, not
                relative to one.
            size: Pixels of the pictures. None: at least 256.
            how: adapt_scale, strength as for `animate`.
        """
        picture, frame = images.read_picture(source), images.read_picture(frame)
        source = self.encode(faces.crop(picture, self.frame(picture, box=box).box, self.size))
        driving_box = self.frame(frame, box=driving_box).box
        crop = faces.crop(frame, driving_box, self.size)
        driving = initial = self._detect(crop[None])
        if reference is not None:
            initial = self.detect(images.read_picture(reference), driving_box)
        relative = reference is not None
        moved = transfer(source.motion, driving, initial, relative=relative, **how)
        output = self._run(self.generator.animate, source, moved, explain=True)
        return explaining_pictures(source, crop, driving, output, self.value_range, size)

    # ------------------------------------------------------------ networks

    def _encode(self, pixels: bytes) -> Source:
        """The source whose crop has these pixels."""
        crop = np.frombuffer(bytearray(pixels), np.uint8).reshape(self.size, self.size, 3)
        image = images.to_tensor(crop, self.value_range).to(self.device)  # (1, 3, size, size)
        with torch.inference_mode():
            keypoints = self.detector(image)
            encoded = self.generator.encode(image)
        return Source(crop, encoded, keypoints, self._as_motion(keypoints))

    def _detect(self, crops) -> Motion:
        """The keypoints of (n, size, size, 3) uint8."""
        batch = images.to_tensor(crops, self.value_range).to(self.device)
        with torch.inference_mode():
            return self._as_motion(self.detector(batch))

    def _as_motion(self, keypoints):
        parts = [None if part is None else part.float().cpu().numpy() for part in keypoints]
        return Motion(*parts, weights=self.name)

    def _draw(self, source, moved) -> Iterable[np.ndarray]:
        """Each frame, (S, S, 3) uint8: the source with the keypoints `moved`, a motion of n."""
        if source.large is None:
            return images.to_pictures(
                self._run(self.generator.animate, source, moved), self.value_range
            )
        align_corners = self.generator.dense_motion.align_corners
        maps = self._run(self.generator.maps, source, moved)
        return full_size(source.large, maps, align_corners, self.value_range)

    def _run(self, make, source, moved, **how):
        """What a method of the generator makes of the source and the keypoints `moved`."""
        parts = (moved.value, moved.jacobian)
        driving = (None if x is None else torch.from_numpy(x).to(self.device) for x in parts)
        with torch.inference_mode():
            return make(source.encoded, Keypoints(*driving), source.keypoints, **how)

    def _rows(self, driving, box, batch_size=None, search=None) -> Iterator[np.ndarray]:
        """Yield the keypoints of each driving frame as a row (K, 6 or 2), found by the batch.

        search: For the reference, which is shown the frames, if there are any.
        """
        if driving.motion is not None:
            yield from driving.motion.rows
            return
        box = self.frame_driving(driving, box=box).box
        with closing(driving.crops(box, self.size)) as crops:
            for chunk in batched(crops, batch_size or self.batch_size):
                if search:
                    search.look(chunk)
                yield from self._detect(np.stack(chunk)).rows


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items, the last one of what is left; no item is asked for early."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def check_networks(name, size, detector, generator):
    """UserError unless the networks fit each other and the size."""
    if generator.dense_motion is None:
        raise UserError(f"{name}: its generator is without motion and can animate nothing.")
    keypoints = generator.dense_motion.mask.out_channels - 1
    if keypoints != detector.num_keypoints:
        raise UserError(
            f"{name}: its detector finds {detector.num_keypoints} keypoints, and its generator "
            f"wants {keypoints}."
        )
    for network in (detector, generator.dense_motion):
        step = network.down.step << len(network.hourglass.encoder)
        if size % step:
            raise UserError(f"{name}: its size {size} is no multiple of {step}.")


def checked_box(box) -> faces.Box:
    """A faces.Box of one or of four numbers; UserError for others and for less than a pixel."""
    if not isinstance(box, faces.Box):
        try:
            numbers = [float(number) for number in box]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != 4:
            raise UserError(f"A box is four numbers, left, top, right, bottom: not {box!r}.")
        box = faces.Box(*numbers)
    if box.side < 1:
        raise UserError(f"The box {box} is smaller than a pixel: draw it larger.")
    return box


def opened(driving) -> Driving:
    return driving if isinstance(driving, Driving) else Driving(driving)
