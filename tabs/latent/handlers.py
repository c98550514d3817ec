"""What the tab "Latent space" does beside its clips.

A point of the latent space travels as a dict, {"name", "seed"} or, once kept or loaded, {"name",
"latent"}. Files that a handler yields go once the page has its own copy.
"""

import json
import math
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gradio as gr
import numpy as np
import safetensors
import safetensors.numpy

from gan_models import images
from gan_models.errors import UserError
from gan_models.progan.pipeline import ProGANPipeline
from tabs.kit import jobs
from tabs.kit.answers import answers
from tabs.kit.results import DISPLAY, enlarge, file_stem, lines, picture_file
from tabs.latent import texts

THUMB = 128  # pixels of the small pictures
LARGEST_SEED = 2**32 - 1
LARGEST_LATENTS_FILE = 2**20  # bytes; two latents of 512 numbers take 4 kB


def class_choices(system, weights: str | None) -> list[tuple[str, str]]:
    """(label, class) for the class menu: no class first, then those of the weights."""
    classes = system.config(weights)["classes"]
    return [(texts.ANY_CLASS, ""), *((one, one) for one in classes)]


@answers("label", notice="weights_notice")
def choose_class(system, weights):
    choices = class_choices(system, weights)
    return {"label": gr.Dropdown(choices=choices, value="", visible=len(choices) > 1)}


@jobs.lease
def sample(system, weights, latents, label, resolution=None, alpha=1.0) -> np.ndarray:
    pipeline = system.open(weights)
    with jobs.device:
        return pipeline.sample(latents, label or None, resolution=resolution, alpha=alpha)


@jobs.lease
def frames(system, weights, latents, label) -> Iterator[np.ndarray]:
    """The picture of each latent, one after the other, made batch by batch."""
    pipeline = system.open(weights)
    for batch in jobs.batches(pipeline.batches(latents, label or None)):
        yield from batch


def latent_of(pipeline: ProGANPipeline, point: dict) -> np.ndarray:
    """(latent_size,) float32 of a point."""
    if "seed" in point:
        return pipeline.latents(point["seed"])[0]
    here, there = len(point["latent"]), pipeline.latent_size
    if here != there:
        sentence = texts.OTHER_SIZE.format(name=point["name"], here=here, there=there)
        raise UserError(sentence.capitalize())
    return np.asarray(point["latent"], np.float32)


def _between(pipeline: ProGANPipeline, start: dict, end: dict, position: float, way: str):
    """(latent_size,) at `position` percent of the path."""
    return pipeline.mix(latent_of(pipeline, start), latent_of(pipeline, end), position / 100, way)


def _grown(resolutions: list[int], growth: float) -> tuple[int, float]:
    """(resolution, alpha) at `growth` percent of the way from 4 px to full size."""
    level = round(growth / 100 * (len(resolutions) - 1), 3)
    return resolutions[math.ceil(level)], round(level % 1, 3) or 1.0


@answers("picture", "picture_caption", "text", "stage", notice="give_notice", loading=True)
def show(
    system, weights, label, start, end, position, growth, way, sharp,
    request: gr.Request | None = None,
):  # fmt: skip
    """The picture between start and end, which a visitor wished to see."""
    given = system, weights, label, start, end, position, growth, way
    for answer in _large(request, sharp, given):
        yield answer | {"stage": gr.Tabs(selected="picture")}


def _large(request, sharp: bool, given: tuple) -> Iterator[dict]:
    """The picture, large, with what is said about it; `given` as `_current` takes it."""
    system, weights, _, start, end, position, *_ = given
    picture, record = _current(*given)
    grown = len(picture) == system.open(weights).size
    large = enlarge(picture, DISPLAY, sharp or not grown)
    place = f"{start['name']} to {end['name']}, {position:g} %"
    if position in (0, 100):
        place = (end if position else start)["name"]
    caption = f"{place.capitalize()}. {len(picture)} px, shown at {len(large)} px."
    with picture_file(request, "picture.png", large, weights, record) as path:
        yield {"picture": path, "picture_caption": caption, "text": lines(record)}


@answers(
    "picks", "start_thumb", "end_thumb", "picture", "picture_caption", "text", "drawn",
    notice="give_notice", loading=True,
)  # fmt: skip
def draw_all(
    system, weights, label, seeds, start, end, position, growth, way, sharp,
    request: gr.Request | None = None,
):  # fmt: skip
    """Every picture anew, because the weights are other ones; nobody asked for another stage.

    `drawn` becomes the weights that all pictures are of.
    """
    yield from fill(system, weights, label, seeds, request)
    yield from thumbs(system, weights, label, start, end, request)
    yield from _large(request, sharp, (system, weights, label, start, end, position, growth, way))
    yield {"drawn": weights}


@answers(*draw_all.names, notice="give_notice", loading=True)
def draw_all_again(
    system, weights, label, seeds, start, end, position, growth, way, sharp, drawn,
    request: gr.Request | None = None,
):  # fmt: skip
    """After Reset, which may also have changed the weights: then the menu's event draws."""
    if drawn == weights:
        given = system, weights, label, seeds, start, end, position, growth, way, sharp
        yield from draw_all(*given, request)


def _current(system, weights, label, start, end, position, growth, way) -> tuple[np.ndarray, dict]:
    """The picture at its own size, and the settings that made it."""
    pipeline = system.open(weights)
    latent = _between(pipeline, start, end, position, way)
    resolution, alpha = _grown(pipeline.resolutions, growth)
    picture = sample(system, weights, latent[None], label, resolution, alpha)[0]
    record = {
        "weights": weights, "start": start["name"], "end": end["name"],
        "position": f"{position:g} %", "path": way, "resolution": resolution, "fade_in": alpha,
    }  # fmt: skip
    return picture, record | ({"class": label} if label else {})


@answers("picture_file", notice="file_notice", loading=True)
def save_picture(
    system, weights, label, start, end, position, growth, way, request: gr.Request | None = None
):
    """The picture as a PNG at its own size."""
    picture, record = _current(system, weights, label, start, end, position, growth, way)
    name = f"{file_stem(weights)}-{len(picture)}px.png"
    with picture_file(request, name, picture, weights, record) as path:
        yield {"picture_file": path}


@answers("grown", notice="how_notice", loading=True)
def growth_pictures(
    system, weights, label, start, end, position, way, request: gr.Request | None = None
):
    """The current picture at every resolution, side by side."""
    pipeline = system.open(weights)
    latent = _between(pipeline, start, end, position, way)[None]
    steps = [sample(system, weights, latent, label, size)[0] for size in pipeline.resolutions]
    size = max(THUMB, len(steps[-1]))
    sheet = images.grid([enlarge(step, size, sharp=True) for step in steps], len(steps))
    record = {"weights": weights, "resolutions": pipeline.resolutions}
    with picture_file(request, "growth.png", sheet, weights, record) as path:
        yield {"grown": path}


@answers("seed")
def new_seed():
    return {"seed": random.randrange(1000, 10000)}


def check_seed(seed: float | None) -> int:
    """Raises UserError for what is not a seed."""
    if seed is None or seed != int(seed) or not 0 <= seed <= LARGEST_SEED:
        raise UserError(texts.BAD_SEED)
    return int(seed)


@answers("point", notice="point_notice")
def set_seed(seed):
    """The point of a seed typed or picked; an empty field changes nothing."""
    if seed is None:
        return {}
    number = check_seed(seed)
    return {"point": {"name": f"seed {number}", "seed": number}}


@answers("start_seed", "end_seed")
def pick(target: str, seeds: list[int], event: gr.SelectData):
    """A click in the gallery; `target` is "start" or "end"."""
    return {f"{target}_seed": seeds[event.index]}


@answers("seeds")
def next_seeds(seeds: list[int]):
    return {"seeds": [seed + len(seeds) for seed in seeds]}


@answers("start", "end", "start_seed", "end_seed", "position", notice="point_notice", loading=True)
def keep(system, weights, target, start, end, position, way):
    """The mix becomes start or end (`target`)."""
    point = {
        "name": f"mix of {start['name']} and {end['name']}, {position:g} %"[:80],
        "latent": _between(system.open(weights), start, end, position, way),
    }
    return {target: point, f"{target}_seed": None, "position": 0 if target == "start" else 100}


@contextmanager
def _thumb_files(request, system, weights, label, points: list[dict]) -> Iterator[list[str]]:
    """A file of each point's small picture."""
    latents = np.stack([latent_of(system.open(weights), point) for point in points])
    with ExitStack() as files:
        paths = []
        for point, picture in zip(points, sample(system, weights, latents, label), strict=True):
            record = {key: point[key] for key in ("name", "seed") if key in point}
            name, small = f"{file_stem(point['name'])}.jpg", enlarge(picture, THUMB)
            file = picture_file(request, name, small, weights, record)
            paths.append(files.enter_context(file))
        yield paths


@answers("start_thumb", "end_thumb", notice="give_notice", loading=True)
def thumbs(system, weights, label, start, end, request: gr.Request | None = None):
    with _thumb_files(request, system, weights, label, [start, end]) as (first, last):
        yield {
            "start_thumb": gr.update(value=first, label=f"{texts.START}: {start['name']}"),
            "end_thumb": gr.update(value=last, label=f"{texts.END}: {end['name']}"),
        }


@answers("picks", notice="give_notice", loading=True)
def fill(system, weights, label, seeds, request: gr.Request | None = None):
    points = [{"name": f"seed {seed}", "seed": seed} for seed in seeds]
    with _thumb_files(request, system, weights, label, points) as files:
        yield {"picks": [(file, point["name"]) for file, point in zip(files, points, strict=True)]}


@answers("latents_file", notice="file_notice", loading=True)
def save_latents(system, weights, start, end, request: gr.Request | None = None):
    pipeline = system.open(weights)
    arrays = {"start": latent_of(pipeline, start), "end": latent_of(pipeline, end)}
    facts = {"weights": weights, "start": start["name"], "end": end["name"]}
    with jobs.handed_over(request, "latents.safetensors") as path:
        safetensors.numpy.save_file(arrays, path, {"gan_atelier": json.dumps(facts)})
        yield {"latents_file": str(path)}


@answers("start", "end", "start_seed", "end_seed", notice="file_notice", loading=True)
def load_latents(system, weights, load):
    """Start and end from an uploaded file of `save_latents`, which may be any other file."""
    file, size = Path(load), system.open(weights).latent_size
    if file.stat().st_size > LARGEST_LATENTS_FILE:
        raise UserError(texts.TOO_LARGE.format(file=file.name))
    try:
        arrays = safetensors.numpy.load_file(file)
        pair = {key: arrays[key].astype(np.float32) for key in ("start", "end")}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(texts.NOT_LATENTS.format(file=file.name)) from error
    for latent in pair.values():
        if latent.shape != (size,):
            raise UserError(texts.OTHER_SIZE.format(name=file.name, here=latent.size, there=size))
        if not np.isfinite(latent).all():
            raise UserError(texts.NOT_FINITE.format(file=file.name))
    points = {key: {"name": f"loaded {key}", "latent": pair[key]} for key in pair}
    return points | {"start_seed": None, "end_seed": None}
