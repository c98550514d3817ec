"""Puppets on disk, in the folder layout that each system's trainer takes for real data.

    fomm         train/ and test/: a clip each, NAME.mp4, a folder NAME of frames 0000000.png, ...,
                 or NAME.png with the frames side by side
    stargan_v2   train/DOMAIN/ and val/DOMAIN/: pictures
    spade        train_img/, train_label/, train_inst/ and val_*/: PNG files of equal names; a label
                 is an index into LABELS (mode P, so that it can be looked at), an instance one
                 connected piece of a label (only borders between them mean anything)
    ganimation   imgs/NAME.jpg; aus.csv (file, AU01_r ... AU45_r: OpenFace's columns, 0 to 5);
                 train_ids.csv and test_ids.csv (one file name a line)
    progan       pictures, flat or in a folder per domain
    judge        NAME.npz: `Drawing`'s arrays, action_units, domain, style and identity as numbers

Differs from the official code: GANimation's aus_openface.pkl is aus.csv, because a pickle can run
code. Every layout also has manifest.json, which says from which seed each file was drawn.
"""

import csv
import functools
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from gan_models.errors import UserError
from gan_models.images import written_whole
from gan_models.video import write_clip
from trainers.puppets.drawing import SIZES, draw
from trainers.puppets.movement import clip
from trainers.puppets.parameters import (
    ACTION_UNITS,
    DOMAINS,
    PuppetParameters,
    puppet_seed,
    random_parameters,
)
from trainers.puppets.scene import LABELS
from trainers.puppets.sheet import LABEL_COLOURS

WORTH_PROCESSES = 500  # drawings; fewer are made in this process
# What layouts call the pictures that training leaves alone, where they have some.
SECOND_PART = {"fomm": "test", "stargan_v2": "val", "spade": "val", "ganimation": "test"}
PICTURES = {
    "stargan_v2": "{part}/{domain}/{name}.png",
    "ganimation": "imgs/{name}.jpg",
    "progan": "{name}.png",
    "progan in class folders": "{domain}/{name}.png",
}


@dataclass(frozen=True)
class Options:
    """How a set is drawn; the defaults are those of the command line."""

    size: int = 64  # side of a picture in pixels, 32 to 512
    seed: int = 0  # another number gives other training puppets; the others are always the same
    style: Literal["training", "held_out"] = "training"  # held_out: a second one, for scoring
    val_count: int | None = None  # pictures not for training (val or test); None: a tenth of count
    clips: Literal["mp4", "frames", "strips"] = "mp4"  # fomm: films, or without loss as PNG
    num_frames: int = 64  # fomm: of each clip
    class_folders: bool = False  # progan: a folder per domain, for training with labels
    fps: tyro.conf.Suppress[float] = 25


@dataclass(frozen=True)
class Entry:
    """One puppet of a set: its part ("train", "val", "test"; "" in sets without), its name, and
    where it comes from; domain None is the seed's own.
    """

    part: str
    name: str
    seed: int
    domain: str | None = None

    @property
    def parameters(self) -> PuppetParameters:
        return random_parameters(self.seed, self.domain)


def write_layout(layout: str, out: str | os.PathLike, count: int, options: Options) -> dict:
    """Write `count` puppets (fomm: clips) for training and val_count more; returns the manifest.

    The folder `out` appears whole, at the end, or not at all. Raises UserError for options that
    do not fit, a folder that holds something, and a disk that refuses.
    """
    out = Path(out).expanduser().absolute()
    check(layout, out, count, options)
    part = out.with_name(f".{out.name}.part")
    entries = list(plan(layout, count, options))
    manifest = {
        "layout": layout,
        **vars(options),
        "count": count,
        "val_count": len(entries) - count,
        "parameters": "trainers.puppets.random_parameters(seed, domain)",
        "labels": LABELS,
        "action_units": ACTION_UNITS,
        "puppets": [],
    }
    if layout == "fomm":
        manifest["parameters"] = "trainers.puppets.clip(seed, num_frames, domain, fps)"
    try:
        shutil.rmtree(part, ignore_errors=True)  # left by a command that was killed
        part.mkdir(parents=True)
        for entry, files in zip(entries, drawn(layout, part, entries, options), strict=True):
            manifest["puppets"].append({**vars(entry), "files": files})
        if layout == "ganimation":
            write_action_units(part, entries)
        (part / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        if out.exists():
            out.rmdir()  # it is empty
        part.rename(out)
    except (OSError, UserError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"--out {out}: the set could not be written ({reason.rstrip('.')}); give a folder that "
            "can be written to, on a disk with room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def check(layout: str, out: Path, count: int, options: Options) -> None:
    """Refuse everything that can be refused before a puppet is drawn. Raises UserError."""
    least = len(DOMAINS) if layout == "stargan_v2" else 1
    why = f", one of each domain ({', '.join(DOMAINS)})" if least > 1 else ""
    if options.val_count and layout not in SECOND_PART:
        raise UserError(f"--val-count: the layout {layout} has no second part; leave it out.")
    numbers = {"count": (count, least), "seed": (options.seed, 0)}
    if options.val_count is not None and layout in SECOND_PART:
        numbers["val-count"] = options.val_count, least
    for name, (number, lowest) in numbers.items():
        if number < lowest:
            raise UserError(f"--{name} {number}: give {lowest} or more{why}.")
    if not SIZES[0] <= options.size <= SIZES[1]:
        raise UserError(f"--size {options.size}: choose {SIZES[0]} to {SIZES[1]} pixels.")
    if layout == "fomm" and options.clips == "mp4" and options.size % 2:
        raise UserError(f"--size {options.size}: .mp4 stores even sizes; use --clips frames.")
    if options.num_frames < 2:
        raise UserError(f"--num-frames {options.num_frames}: a clip takes 2 frames or more.")
    if out == Path.cwd():
        raise UserError("--out is the working folder itself: name a folder that is still to be.")
    if os.path.lexists(out) and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder that is still to be.")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out {out} is not empty: name another folder, or empty this one.")


def plan(layout: str, count: int, options: Options) -> Iterator[Entry]:
    """All puppets of a set, in order. Domains take turns, as they are equally likely anyway."""
    least = len(DOMAINS) if layout == "stargan_v2" else 1
    val_count = max(count // 10, least) if options.val_count is None else options.val_count
    parts = {"train": count} | ({SECOND_PART[layout]: val_count} if layout in SECOND_PART else {})
    for part, number in parts.items():
        for index in range(number):
            seed = puppet_seed(options.seed, index, part == "train")
            yield Entry(part, f"{part}-{index:06d}", seed, DOMAINS[index % len(DOMAINS)])


def drawn(layout: str, root: Path, entries: list[Entry], options: Options) -> Iterator[list[str]]:
    """Draw the entries' files below `root`, where there are many on all cores; yields names."""
    if not entries:
        return
    write = functools.partial(WRITERS[layout], root, options=options)
    bar = functools.partial(tqdm, desc="puppets", total=len(entries), disable=None)
    if len(entries) * (options.num_frames if layout == "fomm" else 1) < WORTH_PROCESSES:
        yield from bar(map(write, entries))
        return
    # Forked, where that can be: a fresh process would first read the libraries.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(os.cpu_count(), context, ignore_interrupt)
    try:
        yield from bar(pool.map(write, entries, chunksize=4))
    finally:
        pool.shutdown(cancel_futures=True)


def ignore_interrupt() -> None:
    """Ctrl-C is for the main process, which then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# --- one writer per layout: (folder, entry, options) -> names of the files written ---------------


def write_fomm(root: Path, entry: Entry, options: Options) -> list[str]:
    """One clip of one puppet in motion."""
    sequence = clip(entry.seed, options.num_frames, entry.domain, options.fps)
    pictures = (draw(parameters, options.size, options.style).picture for parameters in sequence)
    place = f"{entry.part}/{entry.name}".lstrip("/")
    if options.clips == "strips":
        return [save(root, f"{place}.png", np.concatenate(list(pictures), axis=1))]
    if options.clips == "mp4":
        settings = {"seed": entry.seed, "domain": entry.domain, "style": options.style}
        write_clip(
            root / f"{place}.mp4", pictures, options.fps, weights="puppets", settings=settings
        )
        return [f"{place}.mp4"]
    return [
        save(root, f"{place}/{frame:07d}.png", picture) for frame, picture in enumerate(pictures)
    ]


def write_picture(root: Path, entry: Entry, options: Options, layout: str) -> list[str]:
    if options.class_folders:
        layout += " in class folders"
    parameters = entry.parameters
    name = PICTURES[layout].format(part=entry.part, domain=parameters.domain, name=entry.name)
    # GANimation's official loader takes .jpg only; without colour subsampling little is lost.
    how = {"quality": 95, "subsampling": 0} if name.endswith(".jpg") else {}
    return [save(root, name, draw(parameters, options.size, options.style).picture, **how)]


def write_spade(root: Path, entry: Entry, options: Options) -> list[str]:
    drawing = draw(entry.parameters, options.size, options.style)
    label = Image.fromarray(drawing.label_map, "L")
    label.putpalette(LABEL_COLOURS.tobytes())
    files = {"img": drawing.picture, "label": label, "inst": instances(drawing.label_map)}
    place = f"{entry.part}_" if entry.part else ""
    return [save(root, f"{place}{kind}/{entry.name}.png", file) for kind, file in files.items()]


def write_judge(root: Path, entry: Entry, options: Options) -> list[str]:
    """The picture with its whole truth, as arrays."""
    parameters = entry.parameters
    drawing = draw(parameters, options.size, options.style)
    with written_whole(root / f"{entry.name}.npz") as part:
        np.savez_compressed(
            part,
            **vars(drawing),
            action_units=np.float32(parameters.action_units),
            domain=np.int64(DOMAINS.index(parameters.domain)),
            style=np.float32(astuple(parameters.style)),
            identity=np.float32(astuple(parameters.identity)),
        )
    return [f"{entry.name}.npz"]


WRITERS: dict[str, Callable[[Path, Entry, Options], list[str]]] = {
    "fomm": write_fomm,
    "spade": write_spade,
    "judge": write_judge,
    **{name: functools.partial(write_picture, layout=name) for name in PICTURES},
}


def write_action_units(root: Path, entries: list[Entry]) -> None:
    """aus.csv with the intensities as OpenFace gives them, 0 to 5, and the two lists of names."""
    with open(root / "aus.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", *(f"AU{unit:02d}_r" for unit in ACTION_UNITS)])
        for entry in entries:
            intensities = (f"{5 * value:.4f}" for value in entry.parameters.action_units)
            rows.writerow([f"{entry.name}.jpg", *intensities])
    for part in ("train", SECOND_PART["ganimation"]):
        names = [f"{entry.name}.jpg\n" for entry in entries if entry.part == part]
        (root / f"{part}_ids.csv").write_text("".join(names))


def instances(label_map: np.ndarray) -> np.ndarray:
    """(H, W) labels to (H, W) uint8 instance ids: each connected piece of a label has its own."""
    result, used = np.zeros_like(label_map), 0
    for label in np.unique(label_map):
        count, pieces = cv2.connectedComponents((label_map == label).astype(np.uint8))
        inside = pieces > 0
        # More than 255 pieces never occur; if they did, a number would be used again far away.
        result[inside] = (used + pieces[inside] - 1) % 256
        used += count - 1
    return result


def save(root: Path, name: str, picture: np.ndarray | Image.Image, **options) -> str:
    """Write one file below `root`, making its folder; returns its name."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    with written_whole(root / name) as part:
        picture.save(part, **{"compress_level": 1, **options})
    return name
