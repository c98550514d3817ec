"""What the tab "Latent space" does: plain functions from what the page gives to what it shows.

A point of the latent space travels as a dict, {"name", "seed"} or, once kept or loaded, {"name",
"latent"}. Handlers that use the network are generators: their last output is a notice, which says
what they wait for or what went wrong, and files they yield go once the page has its own copy.
"""

import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import safetensors
import safetensors.numpy

from gan_models import images, weights
from gan_models.errors import UserError
from gan_models.progan.pipeline import ProGANPipeline
from tabs import jobs, look, weights_menu
from tabs import texts as words
from tabs.latent import texts
from tabs.results import DISPLAY, enlarge, file_stem, lines

THUMB = 128  # pixels of the small pictures
LARGEST_SEED = 2**32 - 1
LARGEST_LATENTS_FILE = 2**20  # bytes; two latents of 512 numbers take 4 kB


# --- weights ----------------------------------------------------------------------------------


def menu(settings: jobs.Settings) -> list[tuple[str, str]]:
    """(label, name) of the known weights."""
    return weights_menu.entries(settings, "progan")


def folder_of(settings: jobs.Settings, name: str | None) -> Path:
    return weights_menu.folder_of(settings, name, "progan")


begin_fetch, fetch, stop_fetch = weights_menu.fetching("progan", menu)


def class_choices(settings: jobs.Settings, name: str) -> list[tuple[str, str]]:
    """(label, class) for the class menu: no class first, then those of the weights."""
    classes = weights.read_config(folder_of(settings, name), "progan")["classes"]
    return [(texts.ANY_CLASS, ""), *((one, one) for one in classes)]


def choose_weights(settings: jobs.Settings, name: str):
    """(class menu, footer, notice) for other weights."""
    try:
        choices = class_choices(settings, name)
    except UserError as error:
        return gr.skip(), gr.skip(), look.notice(str(error), "error")
    return (
        gr.Dropdown(choices=choices, value="", visible=len(choices) > 1),
        look.footer(name, jobs.device_name(settings)),
        "",
    )


def refresh(settings: jobs.Settings, name: str | None):
    """(weights menu, footer) when the page is opened."""
    return weights_menu.refreshed(settings, name, menu(settings))


# --- the network, one batch at a time ---------------------------------------------------------


def open_pipeline(settings: jobs.Settings, name: str) -> ProGANPipeline:
    return jobs.pipeline(ProGANPipeline, folder_of(settings, name), settings)


@jobs.lease
def sample(settings, name, latents, label, resolution=None, alpha=1.0) -> np.ndarray:
    pipeline = open_pipeline(settings, name)
    with jobs.device:
        return pipeline.sample(latents, label or None, resolution=resolution, alpha=alpha)


@jobs.lease
def frames(settings, name, latents, label) -> Iterator[np.ndarray]:
    """The picture of each latent, one after the other, made batch by batch."""
    pipeline = open_pipeline(settings, name)
    for batch in jobs.batches(pipeline.batches(latents, label or None)):
        yield from batch


def draws(outputs: int) -> Callable:
    """Add the last of `outputs`, the notice: loading, then "", or the error's sentence."""
    skips = (gr.skip(),) * (outputs - 1)

    def decorate(handler: Callable) -> Callable:
        @jobs.told(lambda sentence: (*skips, look.notice(sentence, "error")))
        @functools.wraps(handler)
        def wrapped(settings, name, *inputs, **named):
            if not jobs.is_loaded(ProGANPipeline, folder_of(settings, name), settings):
                yield *skips, look.notice(words.LOADING)
            for answer in handler(settings, name, *inputs, **named):
                yield *answer, ""

        return wrapped

    return decorate


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
    level, fade = divmod(round(growth / 100 * (len(resolutions) - 1), 3), 1)
    if fade == 0:
        return resolutions[int(level)], 1.0
    return resolutions[int(level) + 1], round(fade, 3)


# --- the live picture -------------------------------------------------------------------------


@draws(5)
def show(
    settings,
    name,
    label,
    start,
    end,
    position,
    growth,
    way,
    sharp,
    request: gr.Request | None = None,
):
    """The picture between start and end: yields (picture, caption, settings, stage, notice)."""
    picture, record = _current(settings, name, label, start, end, position, growth, way)
    grown = len(picture) == open_pipeline(settings, name).size
    large = enlarge(picture, DISPLAY, sharp or not grown)
    with jobs.handed_over(request, "picture.png") as path:
        images.save_picture(path, large, weights=name, settings=record)
        caption = f"{_place(start, end, position)}. {len(picture)} px, shown at {len(large)} px."
        yield str(path), caption, lines(record), gr.Tabs(selected="picture")


def _current(settings, name, label, start, end, position, growth, way) -> tuple[np.ndarray, dict]:
    """The picture at its own size, and the settings that made it."""
    pipeline = open_pipeline(settings, name)
    latent = _between(pipeline, start, end, position, way)
    resolution, alpha = _grown(pipeline.resolutions, growth)
    picture = sample(settings, name, latent[None], label, resolution, alpha)[0]
    record = {
        "weights": name, "start": start["name"], "end": end["name"],
        "position": f"{position:g} %", "path": way, "resolution": resolution, "fade_in": alpha,
    }  # fmt: skip
    return picture, record | ({"class": label} if label else {})


def _place(start: dict, end: dict, position: float) -> str:
    if position in (0, 100):
        return (end if position else start)["name"].capitalize()
    return f"{start['name']} to {end['name']}, {position:g} %".capitalize()


@draws(2)
def picture_file(
    settings, name, label, start, end, position, growth, way, request: gr.Request | None = None
):
    """The picture as a PNG at its own size: yields (file, notice)."""
    picture, record = _current(settings, name, label, start, end, position, growth, way)
    with jobs.handed_over(request, f"{file_stem(name)}-{len(picture)}px.png") as path:
        images.save_picture(path, picture, weights=name, settings=record)
        yield (str(path),)


@draws(2)
def growth_pictures(
    settings, name, label, start, end, position, way, request: gr.Request | None = None
):
    """The current picture at every resolution, side by side: yields (picture, notice)."""
    pipeline = open_pipeline(settings, name)
    latent = _between(pipeline, start, end, position, way)[None]
    steps = [sample(settings, name, latent, label, size)[0] for size in pipeline.resolutions]
    size = max(THUMB, len(steps[-1]))
    sheet = images.grid([enlarge(step, size, sharp=True) for step in steps], len(steps))
    record = {"weights": name, "resolutions": pipeline.resolutions}
    with jobs.handed_over(request, "growth.png") as path:
        images.save_picture(path, sheet, weights=name, settings=record)
        yield (str(path),)


# --- points: seeds, kept mixes, saved latents ---------------------------------------------------


def new_seed() -> int:
    return random.randrange(1000, 10000)


def check_seed(seed: float | None) -> int:
    """Raises UserError for what is not a seed."""
    if seed is None or seed != int(seed) or not 0 <= seed <= LARGEST_SEED:
        raise UserError(texts.BAD_SEED)
    return int(seed)


def set_seed(seed: float | None, point: dict):
    """(point, notice) for a seed typed or picked; an empty field changes nothing."""
    if seed is None:
        return point, ""
    try:
        number = check_seed(seed)
    except UserError as error:
        return point, look.notice(str(error), "error")
    return {"name": f"seed {number}", "seed": number}, ""


def pick(target: str, seeds: list[int], event: gr.SelectData):
    """(start seed, end seed) after a click in the gallery; `target` is "start" or "end"."""
    seed = seeds[event.index]
    return (seed, gr.skip()) if target == "start" else (gr.skip(), seed)


def next_seeds(seeds: list[int]) -> list[int]:
    return [seed + len(seeds) for seed in seeds]


@draws(6)
def keep(settings, name, target, start, end, position, way):
    """The mix becomes start or end: yields (start, end, start seed, end seed, position, notice)."""
    point = {
        "name": f"mix of {start['name']} and {end['name']}, {position:g} %"[:80],
        "latent": _between(open_pipeline(settings, name), start, end, position, way),
    }
    if target == "start":
        yield point, gr.skip(), None, gr.skip(), 0
    else:
        yield gr.skip(), point, gr.skip(), None, 100


@draws(3)
def thumbs(settings, name, label, start, end, request: gr.Request | None = None):
    """Small pictures of start and end: yields (start, end, notice)."""
    pipeline = open_pipeline(settings, name)
    pair = np.stack([latent_of(pipeline, start), latent_of(pipeline, end)])
    pictures = sample(settings, name, pair, label)
    with (
        jobs.handed_over(request, "start.jpg") as left,
        jobs.handed_over(request, "end.jpg") as right,
    ):
        for path, picture, point in zip((left, right), pictures, (start, end), strict=True):
            record = {"weights": name, "picture": point["name"]}
            images.save_picture(path, enlarge(picture, THUMB), weights=name, settings=record)
        yield (
            gr.update(value=str(left), label=f"{texts.START}: {start['name']}"),
            gr.update(value=str(right), label=f"{texts.END}: {end['name']}"),
        )


@draws(2)
def fill(settings, name, label, seeds, request: gr.Request | None = None):
    """The pictures of `seeds` to pick from: yields (gallery, notice)."""
    pipeline = open_pipeline(settings, name)
    latents = np.concatenate([pipeline.latents(seed) for seed in seeds])
    pictures = sample(settings, name, latents, label)
    with jobs.handed_over(request, "picks") as folder:
        folder.mkdir()
        files = [(str(folder / f"seed-{seed}.jpg"), f"seed {seed}") for seed in seeds]
        for (path, _), seed, picture in zip(files, seeds, pictures, strict=True):
            record = {"weights": name, "seed": seed}
            images.save_picture(path, enlarge(picture, THUMB), weights=name, settings=record)
        yield (files,)


@draws(2)
def save_latents(settings, name, start, end, request: gr.Request | None = None):
    """Start and end as a safetensors file: yields (file, notice)."""
    pipeline = open_pipeline(settings, name)
    arrays = {"start": latent_of(pipeline, start), "end": latent_of(pipeline, end)}
    facts = {"weights": name, "start": start["name"], "end": end["name"]}
    with jobs.handed_over(request, "latents.safetensors") as path:
        safetensors.numpy.save_file(arrays, path, {"gan_atelier": json.dumps(facts)})
        yield (str(path),)


@draws(5)
def load_latents(settings, name, path):
    """An uploaded file: yields (start, end, start seed, end seed, notice)."""
    arrays = read_latents(Path(path), open_pipeline(settings, name).latent_size)
    start, end = ({"name": f"loaded {key}", "latent": arrays[key]} for key in ("start", "end"))
    yield start, end, None, None


def read_latents(file: Path, latent_size: int) -> dict[str, np.ndarray]:
    """{"start": (latent_size,), "end": (latent_size,)} float32 of a file of `save_latents`.

    Raises:
        UserError: It is another file, of weights of another size, or its numbers are not finite.
    """
    if file.stat().st_size > LARGEST_LATENTS_FILE:
        raise UserError(texts.TOO_LARGE.format(file=file.name))
    try:
        arrays = safetensors.numpy.load_file(file)
        pair = {key: arrays[key].astype(np.float32) for key in ("start", "end")}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(texts.NOT_LATENTS.format(file=file.name)) from error
    for latent in pair.values():
        if latent.shape != (latent_size,):
            raise UserError(
                texts.OTHER_SIZE.format(name=file.name, here=latent.size, there=latent_size)
            )
        if not np.isfinite(latent).all():
            raise UserError(texts.NOT_FINITE.format(file=file.name))
    return pair
